"""What `pgproxy check` warns about, and what it does not."""

import pytest

from pgproxy.auth.hba_advice import advise
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.lexer import Token
from pgproxy.protocol.errors import Report, Severity
from tests.auth.support import HBA, load

STAFF = IdentLine(
    source="/etc/pg/pg_ident.conf",
    line_number=1,
    usermap="staff",
    system_user=Token("x", quoted=False),
    pg_user=Token("x", quoted=False),
)


def advice(text: str, *, ssl: bool = True, ca_loaded: bool = True) -> list[Report]:
    file = load(text, ssl=ssl)
    assert not file.problems
    return list(advise(file.lines, [STAFF], ssl=ssl, ca_loaded=ca_loaded))


def events(text: str, *, ssl: bool = True, ca_loaded: bool = True) -> list[str]:
    found = advice(text, ssl=ssl, ca_loaded=ca_loaded)
    return [report.event.removeprefix("hba.") for report in found]


def test_a_warning_says_where_and_what_to_do() -> None:
    (warning,) = advice("host all all all md5\nhost\tapp all all reject\n")
    assert warning.severity is Severity.WARNING
    assert warning.event == "hba.line_shadowed"
    assert warning.message.startswith("this line can never match")
    assert warning.context == f'line 2 of configuration file "{HBA}"'
    assert warning.detail == (
        f'line 1 of configuration file "{HBA}" comes first: "host all all all md5"'
    )
    assert warning.hint == "Move it before that line, or remove it."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hostssl all all all scram-sha-256", []),
        # A line that can never match has no other fault that would matter.
        ("host all all all md5\nhost all all all trust", ["line_shadowed"]),
        (
            "host all all 10.0.0.0/8 md5\nhost a all all md5\nhost a b 10.1.1.1/32 md5",
            ["line_shadowed"],
        ),
        # The same file twice: the first is not in vain because the second is.
        ("host a all all md5\nhost a all all md5", ["line_shadowed"]),
        # Who never comes: that has been told when the file was read.
        ("local all all trust\nlocal all all trust", []),
        ("hostgssenc all all all trust\nhostgssenc a all all trust", []),
        # trust
        ("host all all all trust", ["trust_without_tls"]),
        ("hostnossl all all 10.0.0.0/8 trust", ["trust_without_tls"]),
        ("hostnogssenc all all localhost trust", ["trust_without_tls"]),
        ("host all all samenet trust", ["trust_without_tls"]),
        ("host all all 127.0.0.0/7 trust", ["trust_without_tls"]),
        ("host all all ::/0 trust", ["trust_without_tls"]),
        ("hostssl all all all trust", []),
        ("host all all all reject", []),
        ("host all all all password", []),
        # What comes from this very machine is on no network.
        ("host all all 127.0.0.1/32 trust", []),
        ("host all all 127.0.0.0/8 trust", []),
        ("host all all ::1/128 trust", []),
        ("host all all samehost trust", []),
        # HBA-58
        ("hostssl all all all md5 clientname=DN", ["clientname_useless"]),
        (
            "hostssl all all all md5 clientname=DN clientcert=verify-ca",
            ["clientname_useless"],
        ),
        ("hostssl all all all md5 clientname=DN clientcert=verify-full", []),
        ("hostssl all all all cert clientname=DN", []),
        # ID-18; an empty name is no map (HBA-59).
        ("hostssl all all all cert map=staff", []),
        ("hostssl all all all cert map=Staff", ["no_map"]),
        ("hostssl all all all cert map=", []),
    ],
)
def test_advice(text: str, found: list[str]) -> None:
    assert events(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("hostssl all all all cert", ["no_root_certificate"]),
        ("hostssl all all all reject clientcert=verify-ca", ["no_root_certificate"]),
        ("hostssl all all all md5 clientcert=verify-full", ["no_root_certificate"]),
        ("hostssl all all all md5", []),
    ],
)
def test_without_ca(text: str, found: list[str]) -> None:
    """CERT-01, HBA-87: everybody is refused."""
    assert events(text, ca_loaded=False) == found
    assert events(text) == []


def test_without_tls() -> None:
    """Lines for TLS are told of when the file is read, and nobody reaches them."""
    text = "hostssl all all all cert\nhostnossl all all all md5\nhost a all all md5"
    assert events(text, ssl=False, ca_loaded=False) == ["line_shadowed"]


def test_what_is_wrong_with_a_map_is_named() -> None:
    (warning,) = advice("hostssl all all all cert map=x")
    assert warning.message == (
        'this line can only refuse: there is no map "x" in pg_ident.conf'
    )
