"""Why a line does not match, told so that its author sees it."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import Interface
from pgproxy.auth.explanation import address_column, column, why_not, written
from pgproxy.auth.hba import (
    Client,
    Facts,
    HbaLine,
    LookupFailed,
    Mismatch,
    Replication,
    Roles,
    explain,
)
from pgproxy.auth.lexer import Token, next_token
from tests.auth.support import load

ANA = Client(
    user="ana",
    database="app",
    host="10.0.0.7",
    address=ip_address("10.0.0.7"),
    ssl_in_use=True,
)
CLEAR = replace(ANA, ssl_in_use=False)
PHYSICAL = replace(ANA, replication=Replication.PHYSICAL)
SIX = replace(ANA, host="::1", address=ip_address("::1"))

ROLES = Facts(roles=Roles({"ana": ["x"], "staff": [], "app": []}))
OURS = Facts(
    interfaces=(
        Interface(ip_address("::1"), None),
        Interface(ip_address("192.0.2.1"), ip_address("255.255.255.0")),
        Interface(ip_address("127.0.0.1"), ip_address("255.0.0.0")),
    )
)
NOBODY = Facts(interfaces=())


def named(
    name: str | LookupFailed, *addresses: str, failed: LookupFailed | None = None
) -> Facts:
    found = frozenset(map(ip_address, addresses))
    return Facts(remote_hostname=name, remote_addresses=failed or found)


def one(text: str) -> HbaLine:
    file = load(text)
    assert not file.problems
    return file.lines[0]


def reason(text: str, client: Client, facts: Facts) -> str:
    ((line, mismatch),) = explain([one(text)], client, facts)
    return why_not(line, mismatch, client, facts)


@pytest.mark.parametrize(
    ("line", "client", "facts", "expected"),
    [
        (
            *("local all all trust", ANA, Facts()),
            "`local` is for Unix-domain sockets; the client comes over TCP",
        ),
        (
            *("hostssl all all all trust", CLEAR, Facts()),
            "`hostssl` is for connections with TLS; this one has none",
        ),
        (
            *("hostnossl all all all trust", ANA, Facts()),
            "`hostnossl` is for connections without TLS; this one has it",
        ),
        (
            *("hostgssenc all all all trust", ANA, Facts()),
            (
                "`hostgssenc` is for connections with GSSAPI encryption, which pgproxy "
                "does not have"
            ),
        ),
        # The address column (HBA-65 to HBA-67, HBA-70)
        (
            *("host all all 10.1.0.0/16 trust", ANA, Facts()),
            "10.0.0.7 is not in 10.1.0.0/16",
        ),
        (
            *("host all all 10.1.0.1 255.255.0.0 trust", ANA, Facts()),
            "10.0.0.7 is not in 10.1.0.1/16",
        ),
        (
            *("host all all 10.0.0.1 255.0.255.255 trust", ANA, Facts()),
            "10.0.0.7 is not in 10.0.0.1 255.0.255.255",
        ),
        (
            *("host all all ::/0 trust", ANA, Facts()),
            "10.0.0.7 is an IPv4 address, ::/0 is about IPv6",
        ),
        (
            *("host all all 0.0.0.0/0 trust", SIX, Facts()),
            "::1 is an IPv6 address, 0.0.0.0/0 is about IPv4",
        ),
        (
            *("host all all samehost trust", ANA, OURS),
            (
                "`samehost`: 10.0.0.7 is not an address of this machine, which has "
                "127.0.0.1, 192.0.2.1, ::1"
            ),
        ),
        (
            *("host all all samenet trust", ANA, OURS),
            (
                "`samenet`: 10.0.0.7 is in no network of this machine, which has "
                "127.0.0.1, 192.0.2.1, ::1"
            ),
        ),
        (
            *("host all all samenet trust", ANA, NOBODY),
            "`samenet`: which addresses this machine has is not known",
        ),
        # Host names (HBA-68)
        (
            *("host all all .corp.example trust", ANA),
            named("a.example.com"),
            (
                "the host name of 10.0.0.7 is `a.example.com`, the line says "
                "`.corp.example`"
            ),
        ),
        (
            *("host all all db.example trust", ANA),
            named(LookupFailed("Name or service not known")),
            (
                "the host name of 10.0.0.7 cannot be looked up (Name or service not "
                "known), the line says `db.example`"
            ),
        ),
        (
            *("host all all .example.com trust", ANA),
            named("a.example.com", failed=LookupFailed("Try again")),
            (
                "the host name of 10.0.0.7 is `a.example.com`, and the addresses of that "
                "name cannot be looked up (Try again)"
            ),
        ),
        (
            *("host all all .example.com trust", ANA),
            named("a.example.com", "192.0.2.7", "::1", "10.0.0.8"),
            (
                "the host name of 10.0.0.7 is `a.example.com`, and that name has other "
                "addresses (10.0.0.8, 192.0.2.7, ::1)"
            ),
        ),
        (
            *("host all all .example.com trust", ANA),
            named("a.example.com"),
            (
                "the host name of 10.0.0.7 is `a.example.com`, and that name has other "
                "addresses (none)"
            ),
        ),
        # The database column (HBA-74)
        (
            *("host sales,hr all all trust", ANA, Facts()),
            "the database column is `sales,hr`; the client wants `app`",
        ),
        (
            *("host sameuser all all trust", ANA, Facts()),
            (
                "the database column is `sameuser`; the client wants `app` (its user is "
                "`ana`)"
            ),
        ),
        (
            *("host samerole,samegroup all all trust", ANA, ROLES),
            (
                "the database column is `samerole,samegroup`; the client wants `app` "
                "(`ana` is not a member of a role `app`)"
            ),
        ),
        (
            *("host replication,App all all trust", ANA, Facts()),
            (
                "the database column is `replication,App`; the client wants `app` "
                "(`replication` is for physical replication alone; upper and lower case "
                "are not the same)"
            ),
        ),
        (
            *('host "all","x" all all trust', ANA, Facts()),
            (
                'the database column is `"all","x"`; the client wants `app` (`"all"`, in '
                "quotes, is a name)"
            ),
        ),
        (
            *("host /^b all all trust", ANA, Facts()),
            (
                "the database column is `/^b`; the client wants `app` (`/^b` is a regular "
                "expression that is not found in `app`)"
            ),
        ),
        (
            *("host all all all trust", PHYSICAL, Facts()),
            (
                "the database column is `all`; physical replication needs the keyword "
                "`replication`"
            ),
        ),
        (
            *('host "replication" all all trust', PHYSICAL, Facts()),
            (
                'the database column is `"replication"`; physical replication needs the '
                'keyword `replication` (`"replication"`, in quotes, is the name of a '
                "database)"
            ),
        ),
        # The user column (HBA-75, HBA-77)
        (
            *("host all bob,eve all trust", ANA, Facts()),
            "the user column is `bob,eve`; the client is `ana`",
        ),
        (
            *("host all +staff,bob all trust", ANA, ROLES),
            (
                "the user column is `+staff,bob`; the client is `ana` (`ana` is not a "
                "member of a role `staff`)"
            ),
        ),
        (
            *('host all "+ana" all trust', ANA, Facts()),
            (
                'the user column is `"+ana"`; the client is `ana` (`"+ana"`, in quotes, '
                "is a name)"
            ),
        ),
        (
            *('host all "/^a,b$",ANA all trust', ANA, Facts()),
            (
                'the user column is `"/^a,b$",ANA`; the client is `ana` (`"/^a,b$"` is a '
                "regular expression that is not found in `ana`; upper and lower case are "
                "not the same)"
            ),
        ),
    ],
)
def test_why_not(line: str, client: Client, facts: Facts, expected: str) -> None:
    assert reason(line, client, facts) == expected


def test_every_mismatch_has_words() -> None:
    """Those of the cases above; a new one needs a case."""
    (words,) = test_why_not.pytestmark  # type: ignore[attr-defined]  # pytest's own
    found = set()
    for line, client, facts, _expected in words.args[1]:
        ((_line, mismatch),) = explain([one(line)], client, facts)
        found.add(mismatch)
    assert found == set(Mismatch)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("local all all trust", ""),
        ("host all all all trust", "all"),
        ("host all all samenet trust", "samenet"),
        ("host all all .example.com trust", ".example.com"),
        ("host all all 1.2.3.4/0 trust", "1.2.3.4/0"),
        ("host all all ::1/128 trust", "::1/128"),
        ("host all all ::1 ::1 trust", "::1 ::1"),
    ],
)
def test_address_column(line: str, shown: str) -> None:
    assert address_column(one(line)) == shown


@given(st.text(st.characters(exclude_characters="\0\r\n"), min_size=1))
def test_written(text: str) -> None:
    """What was in quotes is written such that it is read as the same token."""
    token = Token(text, quoted=True)
    data = written(token).encode("utf-8", "surrogateescape")
    assert next_token(data, 0) == (token, len(data), False)


def test_column() -> None:
    assert column(one('host a,"b""c" all all trust').databases) == 'a,"b""c"'
