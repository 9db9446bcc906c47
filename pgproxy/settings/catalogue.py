"""Every setting, once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final, TypeVar

from pgproxy.protocol.booleans import ascii_lower
from pgproxy.protocol.lists import split_guc_list
from pgproxy.settings.conninfo import (
    DEFAULT_CONNINFO,
    BackendConninfo,
    parse_conninfo,
    read_conninfo,
)
from pgproxy.settings.guc import POSTMASTER, SIGHUP, Guc, guc, gucs_of
from pgproxy.settings.login_conninfo import LoginConninfo, read_login_conninfo
from pgproxy.settings.values import (
    InvalidValue,
    invalid_value,
    read_int,
)

P = TypeVar("P", bound=PurePath)

MAX_TLS_RECORD: Final = 16384
"""Bytes; RFC 8446, section 5.1."""

AUTO: Final = "auto"
"""As many workers as there are processors."""

MAX_WORKERS: Final = 256
"""More than any machine has use for."""

MAX_BACKENDS: Final = 0x3FFFF
"""The most connections that a PostgreSQL server can have; procnumber.h."""


class SslProtocol(StrEnum):
    """``ssl_protocol_versions_info`` of guc_tables.c (TLS-11, TLS-12)."""

    ANY = ""
    TLS1 = "TLSv1"
    TLS1_1 = "TLSv1.1"
    TLS1_2 = "TLSv1.2"
    TLS1_3 = "TLSv1.3"


class LogConnections(StrEnum):
    """What of a connection is logged: the aspects of PostgreSQL 18 (TLS-17)."""

    RECEIPT = "receipt"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    SETUP_DURATIONS = "setup_durations"


class LogFormat(StrEnum):
    """How a line of the log looks."""

    CONSOLE = "console"
    JSON = "json"


_NOTHING: Final[frozenset[LogConnections]] = frozenset()


def read_log_connections(name: str, text: str) -> frozenset[LogConnections]:
    """
    Return the aspects that *text* lists.

    ``all`` is all of them. One of the words of a boolean, whole and alone, means
    what it did up to PostgreSQL 17: nothing, or all but ``setup_durations``.

    Raises:
        InvalidValue: In PostgreSQL's words.

    Source: ``check_log_connections`` in backend_startup.c; TLS-17.

    """
    items = split_guc_list(text)
    if items is None:
        detail = f'Invalid list syntax in parameter "{name}".'
        raise invalid_value(name, text, detail=detail)
    # SplitIdentifierString lowers what has no quotes, which only a message shows.
    words = [ascii_lower(item) for item in items]
    if words and words[0] in _BOOLEAN_WORDS:
        if len(words) > 1:
            detail = (
                f'Cannot specify {name} option "{words[0]}" in a list with other '
                "options."
            )
            raise invalid_value(name, text, detail=detail)
        return _BOOLEAN_WORDS[words[0]]
    for word in words:
        if word != "all" and word not in set(LogConnections):
            raise invalid_value(name, text, detail=f'Invalid option "{word}".')
    return frozenset(a for a in LogConnections if a in words or "all" in words)


_BOOLEAN_WORDS: Final[Mapping[str, frozenset[LogConnections]]] = {
    **dict.fromkeys(("off", "false", "no", "0"), _NOTHING),
    **dict.fromkeys(
        ("on", "true", "yes", "1"),
        frozenset(LogConnections) - {LogConnections.SETUP_DURATIONS},
    ),
}


def read_passphrase_command(name: str, text: str) -> str:
    """
    Return *text*, a command for the shell.

    PostgreSQL looks for placeholders when it runs the command, and ends, even in a
    reload, if there is one that it does not know (TLS-53).

    Raises:
        InvalidValue: In PostgreSQL's words.

    Source: ``replace_percent_placeholders`` in percentrepl.c.

    """
    for letter in re.findall(r"%(.?)", text, re.DOTALL):
        if not letter:
            detail = 'String ends unexpectedly after escape character "%".'
            raise invalid_value(name, text, detail=detail)
        if letter not in "%p":
            detail = f'String contains unexpected placeholder "%{letter}".'
            raise invalid_value(name, text, detail=detail)
    return text


def read_workers(name: str, text: str) -> str:
    """
    Return the number of workers in digits, or ``auto``.

    Raises:
        InvalidValue: In PostgreSQL's words.

    """
    if ascii_lower(text) == AUTO:
        return AUTO
    return str(read_int(name, text, unit=None, low=1, high=MAX_WORKERS))


def read_listen_addresses(name: str, text: str) -> tuple[str, ...]:
    """
    Return the addresses of a comma-separated list; ``*`` is all there are.

    PostgreSQL splits the list only when it binds; here it is checked with the rest.

    Raises:
        InvalidValue: It is no list.

    """
    items = split_guc_list(text)
    if items is None:
        raise InvalidValue(f'invalid list syntax in parameter "{name}"')
    return tuple(items)


_CONNINFO: Final = parse_conninfo(DEFAULT_CONNINFO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    One reading of postgresql.conf: whole, checked, and never changed afterwards.

    A reload makes a new `Settings`; a session keeps the one it began with.

    The name of a file is kept as it was configured, because messages print it so;
    `resolve` says which file it is. Where a file is optional, "" means none.
    """

    listen_addresses: tuple[str, ...] = guc(
        ("localhost",),
        POSTMASTER,
        "Host names or addresses to listen on; * is all, the empty list none.",
        parse=read_listen_addresses,
    )
    # PostgreSQL has 5432, and no 0.
    port: int = guc(
        6432,
        POSTMASTER,
        "TCP port to listen on; 0 is one that the system chooses.",
        low=0,
        high=65535,
    )
    max_connections: int = guc(
        100,
        POSTMASTER,
        "Most clients at the same time.",
        low=1,
        high=MAX_BACKENDS,
    )
    workers: str = guc(
        "1",
        POSTMASTER,
        "Processes that serve; auto is one for each processor.",
        name="pgproxy.workers",
        parse=read_workers,
    )
    authentication_timeout: int = guc(
        60, SIGHUP, "Longest time to log in.", unit="s", low=1, high=600
    )
    hba_file: str = guc("pg_hba.conf", POSTMASTER, "Who may connect, and how.")
    ident_file: str = guc("pg_ident.conf", POSTMASTER, "User name maps.")
    hosts_file: str = guc(
        "pg_hosts.conf", POSTMASTER, "Certificates by the host name asked for."
    )

    ssl: bool = guc(False, SIGHUP, "Accept TLS from clients.")
    ssl_sni: bool = guc(
        False, SIGHUP, "Choose the certificate by the host name asked for (hosts_file)."
    )
    ssl_cert_file: str = guc(
        "server.crt", SIGHUP, "Certificate of the server, then its intermediates."
    )
    ssl_key_file: str = guc("server.key", SIGHUP, "Private key of the server.")
    ssl_ca_file: str = guc(
        "", SIGHUP, "Authorities that may vouch for a client; none: never asked."
    )
    ssl_crl_file: str = guc("", SIGHUP, "Revoked client certificates, in a file.")
    ssl_crl_dir: str = guc("", SIGHUP, "Revoked client certificates, in a directory.")
    ssl_ciphers: str = guc(
        "HIGH:MEDIUM:+3DES:!aNULL", SIGHUP, "Ciphers of TLS 1.2 and before."
    )
    ssl_tls13_ciphers: str = guc(
        "", SIGHUP, "Cipher suites of TLS 1.3; empty is OpenSSL's default."
    )
    ssl_prefer_server_ciphers: bool = guc(
        True, SIGHUP, "The server's order of ciphers counts, not the client's."
    )
    ssl_groups: str = guc(
        "X25519:prime256v1", SIGHUP, "Groups for the key exchange, with colons between."
    )
    ssl_dh_params_file: str = guc(
        "", SIGHUP, "Parameters of ephemeral DH; none: a group of 2048 bits."
    )
    ssl_passphrase_command: str = guc(
        "",
        SIGHUP,
        "Prints the passphrase of the key; %p is a prompt.",
        parse=read_passphrase_command,
    )
    ssl_passphrase_command_supports_reload: bool = guc(
        False, SIGHUP, "Run that command when the configuration is reloaded, too."
    )
    ssl_min_protocol_version: SslProtocol = guc(
        SslProtocol.TLS1_2,
        SIGHUP,
        "Oldest TLS version to accept.",
        values=list(SslProtocol)[1:],
    )
    ssl_max_protocol_version: SslProtocol = guc(
        SslProtocol.ANY,
        SIGHUP,
        "Newest TLS version to accept; empty is any.",
        values=list(SslProtocol),
    )

    tls_record_size: int = guc(
        MAX_TLS_RECORD,
        SIGHUP,
        "Most bytes of text in a TLS record; 8kB is what PostgreSQL 16 sends.",
        name="pgproxy.tls_record_size",
        unit="B",
        low=512,
        high=MAX_TLS_RECORD,
    )

    log_connections: frozenset[LogConnections] = guc(
        _NOTHING,
        SIGHUP,
        "What of a connection to log.",
        parse=read_log_connections,
    )
    log_disconnections: bool = guc(
        False, SIGHUP, "Log the end of a session, and how long it was."
    )
    log_hostname: bool = guc(
        False, SIGHUP, "Log the host name of a client, not its address alone."
    )
    trace_connection_negotiation: bool = guc(
        False, POSTMASTER, "Log what a client asks for before it logs in."
    )

    backend_conninfo: BackendConninfo = guc(
        _CONNINFO,
        SIGHUP,
        "Where the PostgreSQL server is, as a libpq connection string.",
        name="pgproxy.backend_conninfo",
        parse=read_conninfo,
    )
    role_conninfo: LoginConninfo = guc(
        LoginConninfo(),
        SIGHUP,
        "A login that reads who is a member of which role; empty: none.",
        name="pgproxy.role_conninfo",
        parse=read_login_conninfo,
    )
    role_cache_ttl: int = guc(
        60,
        SIGHUP,
        "How long the memberships are known that were read; 0 asks each time.",
        name="pgproxy.role_cache_ttl",
        unit="s",
        low=0,
        high=86400,
    )
    hostname_lookup_timeout: int = guc(
        5000,
        SIGHUP,
        "How long the name service may take for a client's address or name.",
        name="pgproxy.hostname_lookup_timeout",
        unit="ms",
        low=1,
        high=60000,
    )
    watch_files: bool = guc(
        False,
        SIGHUP,
        "Reload when a file has changed that the configuration was read from.",
        name="pgproxy.watch_files",
    )
    log_format: LogFormat = guc(
        LogFormat.CONSOLE,
        SIGHUP,
        "How a line of the log looks.",
        name="pgproxy.log_format",
        values=list(LogFormat),
    )


GUCS: Final[Mapping[str, Guc]] = gucs_of(Settings)
"""Every setting by its name in the file, in the order of `Settings`."""


def resolve(directory: P, configured: str) -> P:
    """
    Return the file that a setting names: a relative path begins at *directory*.

    *directory* is the data directory. "" is not a name, it means that there is no
    such file: ask for that first.
    """
    return directory / configured
