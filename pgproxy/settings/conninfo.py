"""The connection string of libpq: where the backend is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from pgproxy.settings.conninfo_uri import read_uri, uri_body
from pgproxy.settings.values import INT_MAX, INT_MIN, SPACE, InvalidValue

DEF_PGPORT: Final = 5432
"""The port where none is given; pg_config.h."""

DEFAULT_HOST: Final = "localhost"
"""
The host where none is given; fe-connect.c.

A libpq that was built with a directory for Unix sockets takes that one instead.
Which it is depends on who built it, so here the socket has to be named.
"""

DEFAULT_CONNINFO: Final = "host=localhost port=5432"

_KEYWORD = re.compile(rf"([^={SPACE}]*)[{SPACE}]*(=?)[{SPACE}]*(.*)", re.DOTALL)
# What has more than ten digits is out of range.
_INTEGER = re.compile(rf"[{SPACE}]*([+-]?)0*([0-9]{{1,10}})[{SPACE}]*")

_CLIENT_DECIDES = "The client decides that when it logs in; leave it out."
_NO_TLS = "TLS to the backend is not implemented; use a Unix socket or a safe network."
_NO_LOGIN = "The proxy does not log in to the backend, the client does; leave it out."
_NO_ROLE = (
    "The proxy connects before the client has logged in, and cannot ask a server what "
    "it is until then; name the server that is meant."
)
_NOT_YET = "It is not implemented for connections to the backend; leave it out."

USED: Final = frozenset({"host", "hostaddr", "port", "connect_timeout"})

HARMLESS: Final = {
    "sslmode": (
        ("disable", "allow", "prefer"),
        ("require", "verify-ca", "verify-full"),
        _NO_TLS,
    ),
    "sslnegotiation": (("postgres",), ("direct",), _NO_TLS),
    "gssencmode": (
        ("disable", "prefer"),
        ("require",),
        "GSSAPI encryption to the backend is not implemented.",
    ),
    "target_session_attrs": (
        ("any",),
        ("read-write", "read-only", "primary", "standby", "prefer-standby"),
        _NO_ROLE,
    ),
    "load_balance_hosts": (("disable",), ("random",), _NOT_YET),
}
"""
What is accepted as far as it asks for nothing.

Of each option: the values that change nothing, those that libpq knows and that are
refused, and why they are.
"""

REFUSED: Final = {
    **dict.fromkeys(
        (
            "user",
            "dbname",
            "options",
            "replication",
            "client_encoding",
            "application_name",
            "fallback_application_name",
            "min_protocol_version",
            "max_protocol_version",
        ),
        _CLIENT_DECIDES,
    ),
    **dict.fromkeys(
        (
            "password",
            "passfile",
            "require_auth",
            "channel_binding",
            "scram_client_key",
            "scram_server_key",
            "krbsrvname",
            "gsslib",
            "gssdelegation",
            "oauth_issuer",
            "oauth_client_id",
            "oauth_client_secret",
            "oauth_scope",
        ),
        _NO_LOGIN,
    ),
    **dict.fromkeys(
        (
            "sslcompression",
            "sslcert",
            "sslkey",
            "sslcertmode",
            "sslpassword",
            "sslrootcert",
            "sslcrl",
            "sslcrldir",
            "sslsni",
            "sslkeylogfile",
            "ssl_min_protocol_version",
            "ssl_max_protocol_version",
        ),
        _NO_TLS,
    ),
    **dict.fromkeys(
        (
            "keepalives",
            "keepalives_idle",
            "keepalives_interval",
            "keepalives_count",
            "tcp_user_timeout",
            "requirepeer",
        ),
        _NOT_YET,
    ),
    "service": "Service files are not read; write the host and the port here.",
}
"""What libpq knows and a proxy has no use for, and why."""


@dataclass(frozen=True, slots=True)
class BackendHost:
    """
    One place where the backend may be.

    Args:
        host: A name, an address, or the directory of a Unix socket, which begins
            with ``/`` (or with ``@``: Linux's abstract sockets).
        hostaddr: The address to connect to, if it is not to be looked up; else "".
        port: The TCP port, or the end of the socket's name.

    """

    host: str
    hostaddr: str
    port: int

    @property
    def unix_socket(self) -> str | None:
        """The path of the Unix socket; None if it is TCP. ``UNIXSOCK_PATH``."""
        if self.hostaddr or not self.host.startswith(("/", "@")):
            return None
        return f"{self.host}/.s.PGSQL.{self.port}"


@dataclass(frozen=True, slots=True)
class BackendConninfo:
    """
    Where the backend is: the hosts, in the order in which they are tried.

    Args:
        hosts: At least one.
        connect_timeout: Seconds for each of them; None for no limit.
        text: The connection string, as configured.

    """

    hosts: tuple[BackendHost, ...]
    connect_timeout: int | None = None
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.text


def parse_conninfo(text: str) -> BackendConninfo:
    """
    Read a connection string, in either of its forms.

    ::

        host=/run/postgresql port=5433
        host='db1,db2' port=5432,5433 connect_timeout=3
        postgresql://db1:5432,[2001:db8::1]:5433/?connect_timeout=3

    No environment variable and no service file is read.

    Raises:
        InvalidValue: In libpq's words where it has them; *hint* says why an option
            that libpq knows is refused.

    Source: "Connection Strings" in the libpq chapter of the manual;
    ``parse_connection_string`` and ``pqConnectOptions2`` in fe-connect.c.

    """
    options, unknown = read_options(text)
    given = {}
    # Each option is judged before the next is read: a URI that is refused for its
    # password is then not quoted for a fault behind it.
    for keyword, value in options:
        _check_option(keyword, value, unknown)
        given[keyword] = value  # the last one of a keyword wins
    hosts = _hosts(
        given.get("host", ""), given.get("hostaddr", ""), given.get("port", "")
    )
    seconds = _integer("connect_timeout", given.get("connect_timeout", "0"))
    return BackendConninfo(hosts, seconds if seconds > 0 else None, text)


def read_options(text: str) -> tuple[Iterator[tuple[str, str]], str]:
    """
    Return the options of a connection string, in either of its forms, one by one.

    And what libpq says in that form of an option that it does not know, with ``{}``
    for the option. The iterator raises InvalidValue where the text is no such string.
    """
    body = uri_body(text)
    if body is None:
        return _read_keywords(text), 'invalid connection option "{}"'
    return read_uri(text, body), 'invalid URI query parameter: "{}"'


def read_conninfo(name: str, text: str) -> BackendConninfo:
    """
    Read the setting *name*, which is a connection string.

    Raises:
        InvalidValue: The text itself is not shown: somebody may have put a
            password into it.

    """
    try:
        return parse_conninfo(text)
    except InvalidValue as error:
        raise InvalidValue(
            f'invalid value for parameter "{name}"',
            detail=error.message,
            hint=error.hint,
        ) from error


def _check_option(keyword: str, value: str, unknown: str) -> None:
    if keyword == "requiressl":  # what sslmode was called once
        keyword, value = "sslmode", "require" if value.startswith("1") else "prefer"
    if keyword in USED:
        return
    if keyword in REFUSED:
        message = f'connection option "{keyword}" cannot be used here'
        raise InvalidValue(message, hint=REFUSED[keyword])
    if keyword not in HARMLESS:
        raise InvalidValue(unknown.format(keyword))
    harmless, known, reason = HARMLESS[keyword]
    if value in known:
        message = f'{keyword} value "{value}" cannot be used here'
        raise InvalidValue(message, hint=reason)
    if value not in harmless:
        raise InvalidValue(f'invalid {keyword} value: "{value}"')


def _read_keywords(text: str) -> Iterator[tuple[str, str]]:
    """
    Read ``keyword = value`` pairs; ``conninfo_parse`` in fe-connect.c.

    A value with spaces in it, or an empty one, stands in single quotes; in any
    value, a backslash takes what follows it as it is.
    """
    rest = text.lstrip(SPACE)
    while rest:
        match = _KEYWORD.fullmatch(rest)
        assert match, "there is no text that it does not match"
        keyword, equals, rest = match.groups()
        if not equals:
            raise InvalidValue(
                f'missing "=" after "{keyword}" in connection info string'
            )
        value, rest = _read_value(rest)
        yield keyword, value
        rest = rest.lstrip(SPACE)


def _read_value(rest: str) -> tuple[str, str]:
    """Split *rest* behind the value that it begins with."""
    quoted = rest.startswith("'")
    stops = "'" if quoted else SPACE
    characters = iter(rest[1:] if quoted else rest)
    value = ""
    for character in characters:
        if character in stops:
            return value, "".join(characters)
        value += next(characters, "") if character == "\\" else character
    if quoted:
        raise InvalidValue("unterminated quoted string in connection info string")
    return value, ""


def _integer(keyword: str, text: str) -> int:
    """Read a decimal integer with spaces round it; ``pqParseIntParam``."""
    match = _INTEGER.fullmatch(text)
    number = int(match[1] + match[2]) if match else INT_MAX + 1
    if not INT_MIN <= number <= INT_MAX:
        raise InvalidValue(
            f'invalid integer value "{text}" for connection option "{keyword}"'
        )
    return number


def _hosts(host: str, hostaddr: str, port: str) -> tuple[BackendHost, ...]:
    """Match hosts, addresses and ports; ``pqConnectOptions2`` in fe-connect.c."""
    addresses = hostaddr.split(",")
    names = host.split(",")
    if not hostaddr:
        addresses *= len(names)
    elif not host:
        names *= len(addresses)
    elif len(names) != len(addresses):
        raise InvalidValue(
            f"could not match {len(names)} host names to "
            f"{len(addresses)} hostaddr values"
        )
    ports = port.split(",")
    if len(ports) == 1:
        ports *= len(names)
    elif len(ports) != len(names):
        raise InvalidValue(
            f"could not match {len(ports)} port numbers to {len(names)} hosts"
        )
    return tuple(map(_host, names, addresses, ports))


def _host(host: str, hostaddr: str, port: str) -> BackendHost:
    """Make one place of the texts that belong to it."""
    if hostaddr:
        try:
            ip_address(hostaddr)
        except ValueError:
            message = f'could not parse network address "{hostaddr}"'
            raise InvalidValue(message) from None
    elif not host:
        host = DEFAULT_HOST
    number = _integer("port", port) if port else DEF_PGPORT
    if not 1 <= number <= 65535:
        raise InvalidValue(f'invalid port number: "{port}"')
    return BackendHost(host, hostaddr, number)
