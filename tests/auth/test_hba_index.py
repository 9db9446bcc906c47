"""The index leaves out nothing that matches, and most of what does not."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import Interface
from pgproxy.auth.hba import (
    Client,
    Facts,
    HbaLine,
    Replication,
    Roles,
    first_match,
)
from pgproxy.auth.hba_index import MOST_PAIRS, HbaIndex
from tests.auth.support import load

ANA = Client(
    user="ana",
    database="app",
    host="10.1.1.1",
    address=ip_address("10.1.1.1"),
    ssl_in_use=True,
)
PHYSICAL = replace(ANA, replication=Replication.PHYSICAL)
NOTHING = Facts()
KNOWN = Facts(
    interfaces=(Interface(ip_address("10.1.1.1"), ip_address("255.0.0.0")),),
    remote_hostname="a.example.com",
    remote_addresses=frozenset({ip_address("10.1.1.1")}),
    roles=Roles({"ana": ["app", "staff"], "app": [], "staff": []}),
)


def lines(text: str) -> tuple[HbaLine, ...]:
    file = load(text)
    assert not file.problems
    return file.lines


def candidates(text: str, client: Client = ANA) -> list[int]:
    return [line.line_number for line in HbaIndex(lines(text)).candidates(client)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("host all all all trust", True),
        ("host app ana 10.1.1.1/32 trust", True),
        ("host app ana 10.1.1.77 255.255.255.0 trust", True),  # HBA-65
        ("host app ana 10.9.9.1 255.0.0.255 trust", True),  # HBA-66
        ("host app ana samenet trust", True),
        ("host x,app y,ana all trust", True),
        ("host sameuser ana all trust", True),
        ('host "app" "ana" all trust', True),
        # HBA-71, HBA-73: no client of ours comes that way.
        ("local all all trust", False),
        ("hostgssenc all all all trust", False),
        ("host x all all trust", False),
        ('host "sameuser" all all trust', False),
        ('host "all" all all trust', False),
        ("host replication all all trust", False),
        ("host all x all trust", False),
        ('host all "all" all trust', False),
        ("host all all 10.1.1.2/32 trust", False),
        ("host all all ::/0 trust", False),
    ],
)
def test_candidates(line: str, found: bool) -> None:
    assert candidates(line) == [1] * found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("host replication all all trust", True),
        ("host app,replication ana all trust", True),
        ("host all,replication ana all trust", True),
        # HBA-74
        ("host all all all trust", False),
        ('host "replication" all all trust', False),
    ],
)
def test_walsender(line: str, found: bool) -> None:
    assert candidates(line, PHYSICAL) == [1] * found


def test_order_is_the_files() -> None:
    """Whatever they stand under."""
    assert candidates(
        "host app ana all trust\n"
        "host x x all trust\n"
        "host all all 10.0.0.0/8 trust\n"
        "host all ana all trust\n"
        "host app all 10.1.0.0/16 trust\n"
        "host all,app ana,all 10.1.0.0/16 trust\n"
    ) == [1, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("databases", "users"), [(MOST_PAIRS, 2), (2, MOST_PAIRS), (40, 40)]
)
def test_long_lists_of_both(databases: int, users: int) -> None:
    """The shorter list is forgotten; the index does not grow with the product."""
    line = "host {},replication {} all trust".format(
        ",".join(f"d{number}" for number in range(databases)),
        ",".join(f"u{number}" for number in range(users)),
    )
    index = HbaIndex(lines(line))
    assert len(index._tables) <= 2 * max(databases, users)
    both = replace(ANA, user="u1", database="d1")
    assert list(index.candidates(both)) == list(index.lines)
    standby = replace(both, replication=Replication.PHYSICAL)
    assert list(index.candidates(standby)) == list(index.lines)
    assert list(index.candidates(ANA)) == []


def test_a_long_file_is_not_gone_through() -> None:
    """Ten thousand lines, and a handful of them looked at."""
    text = [f"host db{n} user{n} all trust" for n in range(4000)]
    text += [
        f"hostssl all all {network} md5"
        for network in ip_network("10.0.0.0/8").subnets(prefixlen_diff=12)
    ]
    text += [f"host app user{n} 10.1.{n % 256}.0/24 md5" for n in range(1900)]
    text += ["host all all all reject"]
    index = HbaIndex(lines("\n".join(text)))
    assert len(index.lines) == 9997
    clients = [ANA, replace(ANA, user="user257", database="app"), PHYSICAL]
    assert [len(list(index.candidates(client))) for client in clients] == [2, 3, 0]


DATABASES = st.sampled_from(
    [
        *("all", "app", '"app"', "x", "sameuser", "samerole", "samegroup"),
        *("replication", "ana", "/^a", "/p$"),
    ]
)
USERS = st.sampled_from(["all", "ana", '"all"', "x", "+staff", '"+staff"', "/^a", "/x"])
ADDRESSES = st.sampled_from(
    [
        *("all", "10.0.0.0/8", "10.1.1.1 255.0.255.0", "::/0", "samenet", "samehost"),
        *("fe80::1/64", "10.1.1.1/32", "127.0.0.1/32", "a.example.com", ".com", "b"),
    ]
)


@given(
    st.lists(
        st.builds(
            "{} {} {} {} trust".format,
            st.sampled_from(["host", "hostssl", "hostnossl", "hostgssenc"]),
            st.lists(DATABASES, min_size=1, max_size=3).map(",".join),
            st.lists(USERS, min_size=1, max_size=3).map(",".join),
            ADDRESSES,
        )
    ),
    st.sampled_from(["ana", "x", "all", "+staff", "eve"]),
    st.sampled_from(["ana", "app", "all", "replication"]),
    st.sampled_from(["10.1.1.1", "10.2.1.1", "127.0.0.1", "::1", "fe80::1"]),
    st.booleans(),
    st.sampled_from(Replication),
    st.sampled_from([NOTHING, KNOWN]),
)
def test_it_decides_as_the_plain_scan(
    text: list[str],
    user: str,
    database: str,
    address: str,
    ssl: bool,
    replication: Replication,
    facts: Facts,
) -> None:
    """HBA-72: the same verdict, or the same question."""
    client = Client(
        user=user,
        database=database,
        host=address,
        address=ip_address(address),
        ssl_in_use=ssl,
        replication=replication,
    )
    rules = lines("\n".join(text)) if text else ()
    index = HbaIndex(rules)
    assert index.lines == rules
    plain = first_match(rules, client, facts)
    assert first_match(index.candidates(client), client, facts) == plain
