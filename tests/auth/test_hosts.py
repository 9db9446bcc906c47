"""Which line of pg_hosts.conf is for whom: TLS-98."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hosts import Hosts, HostsLine, TlsAlert, server_name


def line(*names: str) -> HostsLine:
    return HostsLine(hostnames=names, ssl_cert=f"{names[0]}.crt", ssl_key="key")


def extension(name: bytes, *, more: bytes = b"") -> bytes:
    """Return the body of server_name; RFC 6066, section 3."""
    entry = b"\0" + len(name).to_bytes(2) + name + more
    return len(entry).to_bytes(2) + entry


ORG = line("example.org", "Example.COM")
NET = line("example.net")
ANY = line("*")
NOBODY = line("/no_sni/")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"example.org", ORG),
        (b"EXAMPLE.org", ORG),
        (b"example.com", ORG),
        (b"example.net", NET),
        (b"example.se", TlsAlert.UNRECOGNIZED_NAME),
        (b"example", TlsAlert.UNRECOGNIZED_NAME),
        (b"", TlsAlert.UNRECOGNIZED_NAME),
        (b"*", TlsAlert.UNRECOGNIZED_NAME),
        (b"/no_sni/", TlsAlert.UNRECOGNIZED_NAME),
        ("exämple.net".encode(), TlsAlert.UNRECOGNIZED_NAME),
    ],
)
def test_names(name: bytes, expected: HostsLine | TlsAlert) -> None:
    """In either case; whole, and no other."""
    body = extension(name, more=b"" if name else b"x")
    assert Hosts([ORG, NET, NOBODY]).choose(body) == expected
    fallback = ANY if isinstance(expected, TlsAlert) else expected
    assert Hosts([ANY, ORG, NET, NOBODY]).choose(body) == fallback


def test_bytes_that_are_no_text() -> None:
    """A name in the file is bytes, too."""
    assert Hosts([line("\udce9")]).choose(extension(b"\xe9")) == line("\udce9")
    assert Hosts([line("\udce9")]).choose(extension(b"\xc9")) == 112


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([ORG, ANY, NOBODY], NOBODY),
        ([ORG, ANY], ANY),
        ([NOBODY], NOBODY),
        ([ORG], TlsAlert.MISSING_EXTENSION),
    ],
)
def test_no_name(lines: list[HostsLine], expected: HostsLine | TlsAlert) -> None:
    """/no_sni/ is for those who ask for none; then *; then nobody is."""
    assert Hosts(lines).choose(None) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0\1\0",  # a type, and nothing of it
        b"\0\2\0\0",
        b"\0\3\0\0\0",  # PostgreSQL wants more than the length
        b"\0\6\1\0\1x\0\0",  # a type that is none
        b"\0\4\0\0\1x\0",  # more than the list says
        b"\0\5\0\0\1x",  # less
        b"\0\4\0\0\2x",  # a name that is longer than the list
    ],
)
def test_malformed(body: bytes) -> None:
    assert Hosts([ANY, NOBODY]).choose(body) == TlsAlert.DECODE_ERROR


def test_second_name_is_not_looked_at() -> None:
    body = extension(b"example.net", more=b"\0\0\x0bexample.org")
    assert Hosts([ORG, NET]).choose(body) == NET


@given(st.binary(max_size=40))
def test_any_bytes(body: bytes) -> None:
    """What is read is a part of what came, and there is no third way."""
    name = server_name(body)
    assert name is None or name in body


@given(st.binary(min_size=1, max_size=255), st.binary(max_size=20))
def test_round_trip(name: bytes, more: bytes) -> None:
    assert server_name(extension(name, more=more)) == name


def test_where_it_stands() -> None:
    host = HostsLine(
        hostnames=("a",), ssl_cert="c", ssl_key="k", source="/f", line_number=3
    )
    assert host.context == 'line 3 of configuration file "/f"'
