"""pg_hosts.conf: which certificate the server shows to whom, by the name asked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DEFAULT_HOST: Final = "*"
"""Stands for every name that has no line of its own, and for none."""

NO_SNI: Final = "/no_sni/"
"""Stands for clients that name no host; they prefer it to ``*``."""


class TlsAlert(IntEnum):
    """Why a client is sent away before anything is agreed on; RFC 8446, section 6."""

    DECODE_ERROR = 50
    MISSING_EXTENSION = 109
    """OpenSSL sends it as handshake_failure (40): no version is agreed on yet."""
    UNRECOGNIZED_NAME = 112


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsLine:
    """
    One line of pg_hosts.conf, as ``HostsLine`` in libpq/hba.h.

    Args:
        hostnames: What a client may ask for; or only `DEFAULT_HOST`, or only `NO_SNI`.
        ssl_cert: Like ``ssl_cert_file``.
        ssl_key: Like ``ssl_key_file``.
        ssl_ca: Like ``ssl_ca_file``; empty: clients are not asked for a certificate.
        ssl_passphrase_cmd: Like ``ssl_passphrase_command``.
        ssl_passphrase_reload: Like ``ssl_passphrase_command_supports_reload``.
        source: The file that it stands in; empty: it was made of the settings.
        line_number: Its first physical line there, counted from 1.

    """

    hostnames: tuple[str, ...]
    ssl_cert: str
    ssl_key: str
    ssl_ca: str = ""
    ssl_passphrase_cmd: str = ""
    ssl_passphrase_reload: bool = False
    source: str = ""
    line_number: int = 0

    @property
    def context(self) -> str:
        """Where it stands, as PostgreSQL's CONTEXT says it."""
        return f'line {self.line_number} of configuration file "{self.source}"'


class Hosts:
    """
    The lines of a pg_hosts.conf, by what clients ask for.

    Args:
        lines: In which no name comes twice.

    """

    def __init__(self, lines: Iterable[HostsLine]) -> None:
        self._by_name = {
            _folded(name.encode("utf-8", "surrogateescape")): line
            for line in lines
            for name in line.hostnames
        }
        # These two are no names, and nobody can ask for them.
        self._default = self._by_name.pop(DEFAULT_HOST.encode(), None)
        self._no_sni = self._by_name.pop(NO_SNI.encode(), self._default)

    def choose(self, extension: bytes | None) -> HostsLine | TlsAlert:
        """
        Return the line for a client, or why there is none.

        Args:
            extension: The body of ``server_name`` in its ClientHello; None if it has
                no such extension.

        Source: ``sni_clienthello_cb`` in be-secure-openssl.c of PostgreSQL 19; TLS-98.

        """
        if extension is None:
            return self._no_sni or TlsAlert.MISSING_EXTENSION
        name = server_name(extension)
        if name is None:
            return TlsAlert.DECODE_ERROR
        line = self._by_name.get(_folded(name), self._default)
        return line or TlsAlert.UNRECOGNIZED_NAME


def server_name(extension: bytes) -> bytes | None:
    """
    Return the name in the body of a ``server_name`` extension; None if it is malformed.

    ::

        Int16   length of the list: all that follows
        Byte1   type of the first name, 0 for host_name
        Int16   its length
        ByteN   the name
        ...     what is behind the first name is not looked at

    Source: RFC 6066, section 3; ``sni_clienthello_cb`` in be-secure-openssl.c.
    """
    left = len(extension) - 2
    if left <= 0 or int.from_bytes(extension[:2]) != left or extension[2] != 0:
        return None
    left -= 1
    length = int.from_bytes(extension[3:5])
    if left <= 2 or length + 2 > left:
        return None
    return extension[5 : 5 + length]


def _folded(name: bytes) -> bytes:
    # bytes.lower knows the letters A to Z and no other, as pg_strncasecmp does.
    return name.lower()
