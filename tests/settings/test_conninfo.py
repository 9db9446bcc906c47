"""Connection strings: the options of libpq, and what they mean to a proxy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.conninfo import (
    HARMLESS,
    REFUSED,
    USED,
    BackendConninfo,
    BackendHost,
    parse_conninfo,
    read_conninfo,
)
from pgproxy.settings.values import InvalidValue

CLIENT = "The client decides that when it logs in; leave it out."
LOGIN = "The proxy does not log in to the backend, the client does; leave it out."
TLS = "TLS to the backend is not implemented; use a Unix socket or a safe network."
NOT_YET = "It is not implemented for connections to the backend; leave it out."


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", [("localhost", "", 5432)]),
        ("host=db", [("db", "", 5432)]),
        ("host=db port=5433", [("db", "", 5433)]),
        ("port=5433", [("localhost", "", 5433)]),
        ("host= port=", [("port=", "", 5432)]),  # libpq's too
        ("host='' port=''", [("localhost", "", 5432)]),
        (" \t\n\v\f\rhost \n= \tdb\v", [("db", "", 5432)]),
        ("host=a host=b", [("b", "", 5432)]),
        ("host='a b'port='5433'", [("a b", "", 5433)]),
        (r"host=a\ b\'c\\d\=\n port=1", [(r"a b'c\d=n", "", 1)]),
        (r"host='a\'b\\c d=e'", [(r"a'b\c d=e", "", 5432)]),
        ("host=a'b", [("a'b", "", 5432)]),
        ("host=a=b", [("a=b", "", 5432)]),
        ("host=a\\", [("a", "", 5432)]),
        ("host=\xa0x", [("\xa0x", "", 5432)]),
        ("host=/run/postgresql", [("/run/postgresql", "", 5432)]),
        ("host=@abstract port=7", [("@abstract", "", 7)]),
        ("host=a,b", [("a", "", 5432), ("b", "", 5432)]),
        ("host=a,b port=7", [("a", "", 7), ("b", "", 7)]),
        ("host=a,b port=7,8", [("a", "", 7), ("b", "", 8)]),
        ("host=a,,b port=7,8,", [("a", "", 7), ("localhost", "", 8), ("b", "", 5432)]),
        ("host=a port=' +07 '", [("a", "", 7)]),
        ("host=a port=65535", [("a", "", 65535)]),
        ("host=a port=1", [("a", "", 1)]),
        ("hostaddr=10.0.0.1", [("", "10.0.0.1", 5432)]),
        ("hostaddr=::1 host=db", [("db", "::1", 5432)]),
        ("hostaddr=10.0.0.1,::1", [("", "10.0.0.1", 5432), ("", "::1", 5432)]),
        (
            "hostaddr=10.0.0.1, host=a,b port=1,2",
            [("a", "10.0.0.1", 1), ("b", "", 2)],
        ),
        ("hostaddr=, host=a,", [("a", "", 5432), ("localhost", "", 5432)]),
        (
            "postgresql://a:7,[::1],:8/?connect_timeout=0",
            [("a", "", 7), ("::1", "", 5432), ("localhost", "", 8)],
        ),
        ("postgres://%2Frun:7", [("/run", "", 7)]),
        ("postgresql://x?host=/run&port=9", [("/run", "", 9)]),
    ],
)
def test_hosts(text: str, hosts: list[tuple[str, str, int]]) -> None:
    parsed = parse_conninfo(text)
    assert parsed.hosts == tuple(BackendHost(*host) for host in hosts)
    assert (parsed.text, str(parsed)) == (text, text)
    assert parsed.connect_timeout is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("host=a", None),
        ("connect_timeout=0", None),
        ("connect_timeout=-5", None),
        ("connect_timeout=1", 1),
        ("connect_timeout=' 10 '", 10),
        ("connect_timeout=00000000000000000010", 10),
        ("connect_timeout=2147483647", 2147483647),
        ("postgresql:///?connect_timeout=3", 3),
    ],
)
def test_connect_timeout(text: str, seconds: int | None) -> None:
    assert parse_conninfo(text).connect_timeout == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host", 'missing "=" after "host" in connection info string'),
        ("host db", 'missing "=" after "host" in connection info string'),
        ("a b = c", 'missing "=" after "a" in connection info string'),
        ("host=a port", 'missing "=" after "port" in connection info string'),
        ("\xa0host", 'missing "=" after "\xa0host" in connection info string'),
        ("host='a", "unterminated quoted string in connection info string"),
        (r"host='a\'", "unterminated quoted string in connection info string"),
        ("host='a\\", "unterminated quoted string in connection info string"),
        ("host='", "unterminated quoted string in connection info string"),
        ("host=a \xa0port=1", 'invalid connection option "\xa0port"'),
        ("=a", 'invalid connection option ""'),
        ("hots=a", 'invalid connection option "hots"'),
        ("HOST=a", 'invalid connection option "HOST"'),
        ("postgresql:///?hots=a", 'invalid URI query parameter: "hots"'),
        (
            "postgres://[]",
            'IPv6 host address may not be empty in URI: "postgres://[]"',
        ),
        ("Postgresql://a", 'missing "=" after "Postgresql://a" in connection info '),
        ("port=x", 'invalid integer value "x" for connection option "port"'),
        ("port=5432x", 'invalid integer value "5432x" for connection option "port"'),
        ("port=0x10", 'invalid integer value "0x10" for connection option "port"'),
        ("port='5 4'", 'invalid integer value "5 4" for connection option "port"'),
        ("port=' '", 'invalid integer value " " for connection option "port"'),
        ("port='+ 5'", 'invalid integer value "+ 5" for connection option "port"'),
        ("port=\u0663", 'invalid integer value "\u0663" for connection option "port"'),
        (
            "port=2147483648",
            'invalid integer value "2147483648" for connection option "port"',
        ),
        (
            "port=-2147483649",
            'invalid integer value "-2147483649" for connection option "port"',
        ),
        (
            "connect_timeout=99999999999",
            (
                'invalid integer value "99999999999" for connection option '
                '"connect_timeout"'
            ),
        ),
        (
            "connect_timeout=''",
            'invalid integer value "" for connection option "connect_timeout"',
        ),
        ("port=0", 'invalid port number: "0"'),
        ("port=65536", 'invalid port number: "65536"'),
        ("port=-1", 'invalid port number: "-1"'),
        ("port=2147483647", 'invalid port number: "2147483647"'),
        ("port=-2147483648", 'invalid port number: "-2147483648"'),
        ("port=1,2", "could not match 2 port numbers to 1 hosts"),
        ("host=a,b port=1,2,3", "could not match 3 port numbers to 2 hosts"),
        ("host=a,b,c port=1,2", "could not match 2 port numbers to 3 hosts"),
        (
            "host=a,b hostaddr=::1",
            "could not match 2 host names to 1 hostaddr values",
        ),
        (
            "host=a hostaddr=::1,::2",
            "could not match 1 host names to 2 hostaddr values",
        ),
        ("hostaddr=db", 'could not parse network address "db"'),
        ("sslmode=x", 'invalid sslmode value: "x"'),
        ("sslmode=''", 'invalid sslmode value: ""'),
        ("gssencmode=x", 'invalid gssencmode value: "x"'),
        ("sslnegotiation=x", 'invalid sslnegotiation value: "x"'),
        ("target_session_attrs=x", 'invalid target_session_attrs value: "x"'),
        ("load_balance_hosts=x", 'invalid load_balance_hosts value: "x"'),
    ],
)
def test_what_libpq_refuses(text: str, message: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_conninfo(text)
    assert refused.value.message.startswith(message)
    assert refused.value.hint is None
    assert refused.value.detail is None


@pytest.mark.parametrize(
    "text",
    [
        "sslmode=disable",
        "sslmode=allow",
        "sslmode=prefer",
        "requiressl=0",
        "sslnegotiation=postgres",
        "gssencmode=disable",
        "gssencmode=prefer",
        "target_session_attrs=any",
        "load_balance_hosts=disable",
    ],
)
def test_what_changes_nothing(text: str) -> None:
    assert parse_conninfo(text) == parse_conninfo("")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("user=a", 'connection option "user" cannot be used here', CLIENT),
        ("dbname=a", 'connection option "dbname" cannot be used here', CLIENT),
        ("options=-csx=1", 'connection option "options" cannot be used here', CLIENT),
        ("password=a", 'connection option "password" cannot be used here', LOGIN),
        ("require_auth=md5", 'connection option "require_auth" cannot be', LOGIN),
        ("sslrootcert=a", 'connection option "sslrootcert" cannot be used', TLS),
        ("keepalives=1", 'connection option "keepalives" cannot be used', NOT_YET),
        ("requirepeer=a", 'connection option "requirepeer" cannot be used', NOT_YET),
        ("service=a", 'connection option "service" cannot be', "Service files are not"),
        ("sslmode=require", 'sslmode value "require" cannot be used here', TLS),
        ("sslmode=verify-ca", 'sslmode value "verify-ca" cannot be used here', TLS),
        ("sslmode=verify-full", 'sslmode value "verify-full" cannot be', TLS),
        ("requiressl=1", 'sslmode value "require" cannot be used here', TLS),
        ("sslnegotiation=direct", 'sslnegotiation value "direct" cannot be', TLS),
        ("gssencmode=require", 'gssencmode value "require" cannot be', "GSSAPI encr"),
        (
            "target_session_attrs=primary",
            'target_session_attrs value "primary" cannot be used here',
            "The proxy connects before the client has logged in",
        ),
        ("load_balance_hosts=random", 'load_balance_hosts value "random"', NOT_YET),
        (
            "postgresql:///?ssl=true",
            'sslmode value "require" cannot be used here',
            TLS,
        ),
        (
            "postgresql://u:p@[]/",
            'connection option "user" cannot be used here',
            CLIENT,
        ),
        (
            "postgresql://:p@[]/",
            'connection option "password" cannot be used here',
            LOGIN,
        ),
        ("postgresql:///db", 'connection option "dbname" cannot be used', CLIENT),
    ],
)
def test_what_a_proxy_cannot_use(text: str, message: str, hint: str) -> None:
    """The hint says why it is refused, though libpq knows it."""
    with pytest.raises(InvalidValue) as refused:
        parse_conninfo(text)
    assert refused.value.message.startswith(message)
    assert (refused.value.hint or "").startswith(hint)


@pytest.mark.parametrize("keyword", REFUSED)
def test_every_refusal_has_a_reason(keyword: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_conninfo(f"{keyword}=x")
    assert refused.value.hint == REFUSED[keyword]
    assert REFUSED[keyword].endswith(".")


def test_an_option_has_one_place() -> None:
    assert not USED & set(REFUSED)
    assert not USED & set(HARMLESS)
    assert not set(HARMLESS) & set(REFUSED)


@pytest.mark.parametrize(
    ("host", "path"),
    [
        (BackendHost("/run/pg", "", 5433), "/run/pg/.s.PGSQL.5433"),
        (BackendHost("@pg", "", 1), "@pg/.s.PGSQL.1"),
        (BackendHost("db", "", 1), None),
        (BackendHost("/run/pg", "::1", 1), None),
        (BackendHost("", "::1", 1), None),
    ],
)
def test_unix_socket(host: BackendHost, path: str | None) -> None:
    assert host.unix_socket == path


def test_two_ways_to_say_the_same_are_equal() -> None:
    assert parse_conninfo("host=a port=1") == parse_conninfo("postgresql://a:1")
    assert parse_conninfo("host=a") != parse_conninfo("host=b")
    assert parse_conninfo("host=a") != parse_conninfo("host=a connect_timeout=1")


def test_a_setting_never_shows_its_text() -> None:
    """Somebody may have put a password into it."""
    with pytest.raises(InvalidValue) as refused:
        read_conninfo("pgproxy.x", "host=a password=secret")
    assert refused.value.message == 'invalid value for parameter "pgproxy.x"'
    assert refused.value.detail == 'connection option "password" cannot be used here'
    assert refused.value.hint == LOGIN


def test_a_setting_is_read() -> None:
    assert read_conninfo("x", "host=a") == BackendConninfo(
        (BackendHost("a", "", 5432),)
    )


@given(st.text(alphabet=st.characters(exclude_characters=",", codec="utf-8")))
def test_a_quoted_value_reads_back(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    (host,) = parse_conninfo(f"host = '{quoted}' port=1").hosts
    assert host.host == (value or "localhost")


@given(
    st.text()
    | st.text(alphabet="host=port, '\\1/:@?&%[]")
    | st.text(alphabet="host=port, '\\1/:@?&%[]").map("postgresql://".__add__)
)
def test_any_text_is_a_conninfo_or_refused(text: str) -> None:
    try:
        hosts = parse_conninfo(text).hosts
    except InvalidValue:
        return
    assert hosts
    assert all(1 <= host.port <= 65535 for host in hosts)
    assert all(host.host or host.hostaddr for host in hosts)
