"""What one line takes of another: never more than is certain."""

import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import Interface
from pgproxy.auth.hba import Client, Facts, Replication, Roles, Verdict, first_match
from pgproxy.auth.hba_cover import Earlier, can_match, covers
from pgproxy.auth.hba_index import MOST_PAIRS
from pgproxy.auth.hba_line import HbaLine
from tests.auth.support import load


def lines(*text: str) -> tuple[HbaLine, ...]:
    file = load("\n".join(text))
    assert not file.problems
    return file.lines


def test_nobody_comes_that_way() -> None:
    """HBA-71, HBA-73; and without TLS, nobody comes with it."""
    text = ("local all all trust", "hostgssenc all all all trust")
    assert [can_match(line, ssl=True) for line in lines(*text)] == [False, False]
    (hostssl,) = lines("hostssl all all all trust")
    assert can_match(hostssl, ssl=True)
    assert not can_match(hostssl, ssl=False)


@pytest.mark.parametrize(
    ("earlier", "line", "taken"),
    [
        # HBA-73: which connections. Without GSSAPI, hostnogssenc is host.
        ("host all all all", "hostssl all all all", True),
        ("host all all all", "hostnossl all all all", True),
        ("host all all all", "hostnogssenc all all all", True),
        ("hostnogssenc all all all", "host all all all", True),
        ("hostssl all all all", "host all all all", False),
        ("hostnossl all all all", "host all all all", False),
        ("hostssl all all all", "hostnossl all all all", False),
        # HBA-65 to HBA-67: which addresses.
        ("host all all 10.0.0.0/8", "host all all 10.1.0.0/16", True),
        ("host all all 10.9.9.9/8", "host all all 10.1.0.0/16", True),
        ("host all all 10.1.0.0/16", "host all all 10.0.0.0/8", False),
        ("host all all 10.0.0.0/8", "host all all 11.0.0.0/16", False),
        ("host all all 0.0.0.0/0", "host all all 10.1.0.0/16", True),
        ("host all all 0.0.0.0/0", "host all all ::/0", False),
        ("host all all 0.0.0.0/0", "host all all all", False),
        ("host all all ::/0", "host all all ::1/128", True),
        ("host all all 10.0.0.1 255.0.0.255", "host all all 10.2.3.1/32", True),
        ("host all all 10.0.0.1 255.0.0.255", "host all all 10.2.3.2/32", False),
        ("host all all 10.0.0.1 255.0.0.255", "host all all 10.2.3.0/24", False),
        ("host all all 10.0.0.1 255.0.255.255", "host all all 10.0.0.1/8", False),
        ("host all all 0.0.0.0/0", "host all all samenet", False),
        # HBA-70: an address is in its own network.
        ("host all all samenet", "host all all samehost", True),
        ("host all all samehost", "host all all samenet", False),
        ("host all all samenet", "host all all samenet", True),
        ("host all all samenet", "host all all 127.0.0.1/32", False),
        # HBA-68: names.
        ("host all all all", "host all all a.example.com", True),
        ("host all all 0.0.0.0/0", "host all all a.example.com", False),
        ("host all all a.example.com", "host all all A.Example.com", True),
        ("host all all .example.com", "host all all a.example.com", True),
        ("host all all .example.com", "host all all .b.example.com", True),
        ("host all all .Com", "host all all .b.example.com", True),
        ("host all all .example.com", "host all all example.com", False),
        ("host all all .example.com", "host all all aexample.com", False),
        ("host all all a.example.com", "host all all .example.com", False),
        ("host all all b.example.com", "host all all a.b.example.com", False),
        # HBA-74: databases; all is not physical replication.
        ("host all all all", "host app,x,sameuser,samerole,/^a all all", True),
        ("host all all all", "host replication all all", False),
        ("host replication all all", "host all all all", False),
        ("host all all all", "host all,replication all all", False),
        ("host all,replication all all", "host x,replication all all", True),
        ("host replication,x all all", "host replication all all", True),
        ("host all all all", 'host "replication" all all', True),
        ('host "replication" all all', "host replication all all", False),
        ('host "all" all all', "host app all all", False),
        ("host app,x all all", "host x,app all all", True),
        ("host app all all", "host x,app all all", False),
        ("host app,x all all", "host app all all", True),
        ("host app all all", 'host "app" all all', True),
        ("host samegroup all all", "host samerole all all", True),
        ("host sameuser all all", "host app all all", False),
        ("host app all all", "host App all all", False),
        # HBA-77: regular expressions are alike if they are the same text.
        ("host /^a all all", "host /^a all all", True),
        ("host /^a all all", 'host "/^a" all all', True),
        ("host /^a all all", "host abc all all", False),
        ("host / all all", "host all all all", False),
        # HBA-75: users.
        ("host all all all", "host all +staff,ana,/^x all", True),
        ("host all +staff all", "host all +staff all", True),
        ("host all +staff all", 'host all "+staff" all', False),
        ("host all +staff all", "host all staff all", False),
        ('host all "all" all', "host all ana all", False),
        ("host all replication all", "host all replication all", True),
        ("host all all all", "host all replication all", True),
        ("host all ana,bob all", "host all bob all", True),
        ("host all ana all", "host all ana,bob all", False),
    ],
)  # fmt: skip
def test_covers(earlier: str, line: str, taken: bool) -> None:
    one, other = lines(f"{earlier} md5", f"{line} trust")
    assert covers(one, other, ssl=True) is taken
    index = Earlier(ssl=True)
    index.add(one)
    assert index.cover(other) == (one if taken else None)


def test_without_tls_there_is_one_kind_of_client() -> None:
    earlier, line = lines("hostnossl all all all md5", "host all all all trust")
    assert not covers(earlier, line, ssl=True)
    assert covers(earlier, line, ssl=False)


@pytest.mark.parametrize(("databases", "users"), [(MOST_PAIRS, 2), (2, MOST_PAIRS)])
def test_long_lists_of_both(databases: int, users: int) -> None:
    """Found by the longer one; what is kept does not grow with the product."""
    some = ",".join(f"d{number}" for number in range(databases))
    other = ",".join(f"u{number}" for number in range(users))
    wide, narrow, none = lines(
        f"host {some} {other} all md5", "host d1 u1 all md5", "host d1 x all md5"
    )
    index = Earlier(ssl=True)
    index.add(wide)
    assert len(index._tables) == MOST_PAIRS
    assert index.cover(narrow) == wide
    assert index.cover(none) is None


NAMES = ["all", "app", '"all"', "ana", "/^a", "sameuser", "samerole", "replication"]
LINES = st.builds(
    "{} {} {} {} trust".format,
    st.sampled_from(["host", "hostssl", "hostnossl", "hostnogssenc"]),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(",".join),
    st.lists(
        st.sampled_from(["all", "ana", '"all"', "+staff", "/^a"]),
        min_size=1,
        max_size=2,
    ).map(",".join),
    st.sampled_from(
        [
            *("all", "10.0.0.0/8", "10.1.1.1 255.0.255.0", "::/0", "samenet"),
            *("samehost", "10.1.1.1/32", "0.0.0.0/0", "a.example.com", ".com", ".b"),
        ]
    ),
)
CLIENTS = st.builds(
    lambda user, database, address, ssl, replication: Client(
        user=user,
        database=database,
        host=address,
        address=ip_address(address),
        ssl_in_use=ssl,
        replication=replication,
    ),
    st.sampled_from(["ana", "all", "x", "+staff"]),
    st.sampled_from(["app", "ana", "all", "replication", "staff"]),
    st.sampled_from(["10.1.1.1", "10.2.1.1", "127.0.0.1", "::1"]),
    st.booleans(),
    st.sampled_from(Replication),
)
FACTS = [
    Facts(
        interfaces=(Interface(ip_address("10.1.1.1"), ip_address("255.0.0.0")),),
        remote_hostname=name,
        remote_addresses=frozenset({ip_address("10.1.1.1")}),
        roles=Roles({"ana": ["staff"], "staff": []}),
    )
    for name in ("a.example.com", "x.b")
]


@given(LINES, LINES, st.lists(CLIENTS, min_size=5), st.sampled_from(FACTS))
def test_no_false_alarm(
    earlier: str, line: str, clients: list[Client], facts: Facts
) -> None:
    """Who matches a line that is taken matches the one that takes it (HBA-72)."""
    one, other = lines(earlier, line)
    if covers(one, other, ssl=True):
        for client in clients:
            if first_match([other], client, facts) == Verdict(other):
                assert first_match([one], client, facts) == Verdict(one)


@given(st.lists(LINES, max_size=6))
def test_index_finds_what_the_plain_scan_finds(text: list[str]) -> None:
    some = lines(*text, "host none none all trust")
    index, seen = Earlier(ssl=True), list[HbaLine]()
    for line in some:
        expected = any(covers(one, line, ssl=True) for one in seen)
        assert (index.cover(line) is not None) is expected
        index.add(line)
        seen.append(line)


@pytest.mark.parametrize(
    "shape",
    [
        "host db{i} user{i} 10.{a}.{b}.0/24 md5",
        "hostssl a,b{i} all 10.0.0.0/8 md5",
        "host all user{i} host{i}.example.com md5",
        "host all /r{i} samenet md5",
        "host all all 10.{a}.{b}.0/24 md5",
    ],
)
def test_ten_thousand_lines(shape: str) -> None:
    """In well under a second: some 0.2 s, and not the hours of all pairs."""
    some = lines(
        *(shape.format(i=i, a=i // 256, b=i % 256) for i in range(10_000)),
    )
    index, began = Earlier(ssl=True), time.perf_counter()
    for line in some:
        assert index.cover(line) is None
        index.add(line)
    assert time.perf_counter() - began < 5
