"""The URI form; the cases are those of libpq's own test, t/001_uri.pl, and more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.conninfo_uri import decode, read_uri, uri_body
from pgproxy.settings.values import InvalidValue


def options(uri: str) -> list[tuple[str, str]]:
    body = uri_body(uri)
    assert body is not None
    return list(read_uri(uri, body))


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("postgresql://a", "a"),
        ("postgres://a", "a"),
        ("postgresql://", ""),
        ("postgres://postgresql://", "postgresql://"),
        ("postgresql:/a", None),
        ("POSTGRESQL://a", None),
        (" postgresql://a", None),
        ("host=a", None),
        ("", None),
    ],
)
def test_uri_body(text: str, body: str | None) -> None:
    assert uri_body(text) == body


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://", []),
        ("postgresql:///", []),
        ("postgresql://?", []),
        ("postgresql://host", [("host", "host")]),
        ("postgresql://host/", [("host", "host")]),
        ("postgresql://host?", [("host", "host")]),
        ("postgresql://host:12345", [("host", "host"), ("port", "12345")]),
        ("postgresql://host:", [("host", "host")]),
        ("postgresql://:12345/", [("port", "12345")]),
        ("postgresql://host/db", [("host", "host"), ("dbname", "db")]),
        ("postgresql:///db", [("dbname", "db")]),
        ("postgresql:///a/b?", [("dbname", "a/b")]),
        ("postgresql://user@host", [("user", "user"), ("host", "host")]),
        ("postgresql://user:@host", [("user", "user"), ("host", "host")]),
        ("postgresql://@host", [("host", "host")]),
        ("postgresql://:@", []),
        (
            "postgresql://uri-user:secret@host:12345/db",
            [
                ("user", "uri-user"),
                ("password", "secret"),
                ("host", "host"),
                ("port", "12345"),
                ("dbname", "db"),
            ],
        ),
        (
            "postgresql://u:p:q@h",
            [("user", "u"), ("password", "p:q"), ("host", "h")],
        ),
        (
            "postgresql://u:p@a@b",
            [("user", "u"), ("password", "p"), ("host", "a@b")],
        ),
        ("postgresql://h/a@b", [("host", "h"), ("dbname", "a@b")]),
        # The look-ahead for a user stops at a slash and at nothing else.
        ("postgresql://h?x=@y", [("user", "h?x="), ("host", "y")]),
        ("postgresql://é,[::1]@", [("user", "é,["), ("password", ":1]")]),
        ("postgresql://[::1]", [("host", "::1")]),
        ("postgresql://[::1],[::2]", [("host", "::1,::2"), ("port", ",")]),
        ("postgresql://[::1]:5433/", [("host", "::1"), ("port", "5433")]),
        ("postgresql://[::1]?port=1", [("host", "::1"), ("port", "1")]),
        ("postgresql://[2001:db8::1],b", [("host", "2001:db8::1,b"), ("port", ",")]),
        ("postgresql://a,b", [("host", "a,b"), ("port", ",")]),
        ("postgresql://a:1,b:2/", [("host", "a,b"), ("port", "1,2")]),
        ("postgresql://a,b:2,[c]:3?", [("host", "a,b,c"), ("port", ",2,3")]),
        ("postgresql://,", [("host", ","), ("port", ",")]),
        ("postgresql://%2Fvar%2Frun:1/", [("host", "/var/run"), ("port", "1")]),
        ("postgresql://?host=/a&port=2", [("host", "/a"), ("port", "2")]),
        ("postgresql:///?a=b&", [("a", "b")]),
        ("postgresql:///?a=", [("a", "")]),
        ("postgresql:///?=a", [("", "a")]),
        ("postgresql:///?%61=%62%3D&c=%20d%20", [("a", "b="), ("c", " d ")]),
        ("postgresql:///?a=b?c/d:e", [("a", "b?c/d:e")]),
        ("postgresql:///?ssl=true", [("sslmode", "require")]),
        ("postgresql:///?ssl=false", [("ssl", "false")]),
        ("postgresql:///?sslx=true", [("sslx", "true")]),
        ("postgresql:// host /db ", [("host", "host"), ("dbname", "db")]),
    ],
)
def test_uris(uri: str, expected: list[tuple[str, str]]) -> None:
    assert options(uri) == expected


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "postgresql://[::1",
            (
                'end of string reached when looking for matching "]" in IPv6 host address '
                'in URI: "postgresql://[::1"'
            ),
        ),
        (
            "postgres://[]",
            'IPv6 host address may not be empty in URI: "postgres://[]"',
        ),
        (
            "postgres://[::1]X",
            (
                'unexpected character "X" at position 17 in URI (expected ":" or "/"): '
                '"postgres://[::1]X"'
            ),
        ),
        (
            "postgresql://é,[::1]z:1",
            (
                'unexpected character "z" at position 22 in URI (expected ":" or "/"): '
                '"postgresql://é,[::1]z:1"'
            ),
        ),
        (
            "postgresql:///?zzz",
            'missing key/value separator "=" in URI query parameter: "zzz"',
        ),
        (
            "postgresql:///?&a=b",
            'missing key/value separator "=" in URI query parameter: ""',
        ),
        (
            "postgresql:///?a=b&c&d=e",
            'missing key/value separator "=" in URI query parameter: "c"',
        ),
        (
            "postgresql:///?a=b=c",
            'extra key/value separator "=" in URI query parameter: "a"',
        ),
        ("postgresql://a%", 'invalid percent-encoded token: "a%"'),
        ("postgresql:///?%z=1", 'invalid percent-encoded token: "%z"'),
        ("postgresql:///?a=%2", 'invalid percent-encoded token: "%2"'),
        (
            "postgresql://%00",
            'forbidden value %00 in percent-encoded value: "%00"',
        ),
        (
            "postgresql://a b",
            (
                'unexpected spaces found in "a b", use percent-encoded spaces (%20) '
                "instead"
            ),
        ),
    ],
)
def test_bad_uris(uri: str, message: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        options(uri)
    assert refused.value.message == message


def test_options_come_before_what_is_wrong_behind_them() -> None:
    """So that who refuses a password has done so before the URI is quoted."""
    found = read_uri("postgresql://:secret@[]", ":secret@[]")
    assert next(found) == ("password", "secret")
    with pytest.raises(InvalidValue):
        next(found)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("  a  ", "a"),
        ("   ", ""),
        ("%41%7e%7E", "A~~"),
        ("%25", "%"),
        ("%20", " "),
        ("%C3%A9é", "éé"),
        ("%ff", "\udcff"),
        ("\udcff", "\udcff"),
        ("%c3\udca9", "é"),
        ("\ta\tb\t", "\ta\tb\t"),
        ("XaX", "XaX"),
        ("+", "+"),
    ],
)
def test_decode(text: str, plain: str) -> None:
    assert decode(text) == plain


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%", "invalid percent-encoded token"),
        ("%1", "invalid percent-encoded token"),
        ("%1g", "invalid percent-encoded token"),
        ("%g1", "invalid percent-encoded token"),
        ("%%00", "invalid percent-encoded token"),
        ("%41%", "invalid percent-encoded token"),
        ("%1%00", "invalid percent-encoded token"),
        ("%00%", "forbidden value %00"),
        ("%41%00", "forbidden value %00"),
        ("a %00", "unexpected spaces found"),
        ("a  b%", "unexpected spaces found"),
        ("% 41", "invalid percent-encoded token"),
    ],
)
def test_decode_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        decode(text)
    assert refused.value.message.startswith(message)
    assert f'"{text}"' in refused.value.message


@given(st.binary())
def test_what_is_encoded_is_decoded(raw: bytes) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in raw if byte)
    plain = decode(encoded).encode("utf-8", "surrogateescape")
    assert plain == raw.replace(b"\0", b"")


@given(st.text(alphabet="ab:/?,@[]%=&2F0 é"))
def test_any_uri_is_read_or_refused(body: str) -> None:
    try:
        found = options("postgresql://" + body)
    except InvalidValue:
        return
    assert all("\0" not in value for _, value in found)
