"""
What a client sends before it is logged in.

Text is UTF-8 with ``surrogateescape``: any bytes can be a name, and they come out
again as they went in.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from pgproxy.protocol.errors import (
    CommunicationError,
    FeatureNotSupported,
    InvalidParameterValue,
    ProtocolViolation,
)

CANCEL_REQUEST_CODE: Final = 80877102
NEGOTIATE_SSL_CODE: Final = 80877103
NEGOTIATE_GSS_CODE: Final = 80877104

PG_PROTOCOL_EARLIEST: Final = 3 << 16
PG_PROTOCOL_LATEST: Final = 3 << 16 | 2

NAMEDATALEN: Final = 64
"""A name has room for one byte less; pg_config_manual.h."""

MAX_CANCEL_KEY_LENGTH: Final = 256

TEXT: Final = ("utf-8", "surrogateescape")


def _packet(code: int, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4) + code.to_bytes(4) + body


def truncate_name(name: str) -> str:
    """Return *name* cut to what a name can hold: 63 bytes, not characters (NEG-52)."""
    return name.encode(*TEXT)[: NAMEDATALEN - 1].decode(*TEXT)


@dataclass(frozen=True, slots=True)
class SSLRequest:
    """
    Ask for TLS; the answer is one byte, ``S`` or ``N``.

    ::

        Int32  8
        Int32  80877103

    A longer packet is accepted, and what it holds is not looked at (NEG-10).

    Source: "SSLRequest" in "Message Formats" of the PostgreSQL manual; NEG-12.
    """

    code: ClassVar[int] = NEGOTIATE_SSL_CODE

    def encode(self) -> bytes:
        """Return the packet."""
        return _packet(self.code)


@dataclass(frozen=True, slots=True)
class GSSENCRequest:
    """
    Ask for GSSAPI encryption; the answer of a server without it is ``N``.

    ::

        Int32  8
        Int32  80877104

    Source: "GSSENCRequest" in "Message Formats" of the PostgreSQL manual; NEG-23.
    """

    code: ClassVar[int] = NEGOTIATE_GSS_CODE

    def encode(self) -> bytes:
        """Return the packet."""
        return _packet(self.code)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """
    Ask the instance to cancel the query of another session.

    ::

        Int32  length of the packet, 12 + len(secret_key)
        Int32  80877102
        Int32  process id of the backend to cancel
        ByteN  secret key: 4 bytes up to protocol 3.1, up to 256 from 3.2

    Source: "CancelRequest" in "Message Formats" of the PostgreSQL manual; CAN-01,
    CAN-02; ``ProcessCancelRequestPacket``.
    """

    process_id: int
    secret_key: bytes

    code: ClassVar[int] = CANCEL_REQUEST_CODE

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """
        Read the packet from behind its code.

        Raises:
            CommunicationError: The packet, or the key in it, has a length that
                cannot be.

        """
        if len(body) < 4:
            raise CommunicationError("invalid length of cancel request packet")
        if not 1 <= len(body) - 4 <= MAX_CANCEL_KEY_LENGTH:
            raise CommunicationError(
                "invalid length of cancel key in cancel request packet"
            )
        return cls(int.from_bytes(body[:4]), body[4:])

    def encode(self) -> bytes:
        """Return the packet."""
        return _packet(self.code, self.process_id.to_bytes(4) + self.secret_key)


# What may stand for a boolean, and for what it stands: any prefix that is not
# shared. "o" alone is neither on nor off; parse_bool in bool.c.
_BOOLEANS: Final = {
    word[:length]: value
    for word, value, shortest in (
        ("true", True, 1),
        ("false", False, 1),
        ("yes", True, 1),
        ("no", False, 1),
        ("on", True, 2),
        ("off", False, 2),
        ("1", True, 1),
        ("0", False, 1),
    )
    for length in range(shortest, len(word) + 1)
}

_ONLY_ONCE: Final = frozenset({"user", "database", "replication", "options"})


@dataclass(frozen=True, slots=True)
class StartupMessage:
    """
    Ask for a session.

    ::

        Int32   length of the packet, at most 10,004
        Int32   protocol version: major << 16 | minor
        String  name, String  value    any number of pairs
        Byte1   0                      the last byte of the packet

    Args:
        protocol_version: As the client sent it; the major is 3.
        parameters: The pairs, in the order of the packet.

    Source: "StartupMessage" in "Message Formats" of the PostgreSQL manual; NEG-42
    to NEG-53; ``ProcessStartupPacket``.

    """

    protocol_version: int
    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def decode(cls, code: int, body: bytes) -> Self:
        """
        Read the packet from behind its code.

        Raises:
            FeatureNotSupported: The major version is not 3 (NEG-42).
            InvalidParameterValue: ``replication`` has a value that it cannot have.
            ProtocolViolation: A parameter that decides who may connect comes twice,
                or the pairs do not end with the packet.

        """
        major, minor = code >> 16, code & 0xFFFF
        if major != PG_PROTOCOL_EARLIEST >> 16:
            raise FeatureNotSupported(
                f"unsupported frontend protocol {major}.{minor}: "
                "server supports 3.0 to 3.2"
            )
        pairs: list[tuple[str, str]] = []
        seen: set[str] = set()
        # As ProcessStartupPacket scans: it stops at an empty name, or at one with
        # nothing behind it, and is content if just one byte is left.
        at, size = 0, len(body)
        while at < size and body[at]:
            middle = body.find(b"\0", at)
            if middle < 0 or middle + 1 == size:
                break
            end = body.find(b"\0", middle + 1)
            end = size if end < 0 else end
            pair = body[at:middle].decode(*TEXT), body[middle + 1 : end].decode(*TEXT)
            at = end + 1
            if pair[0] in _ONLY_ONCE & seen:
                # PostgreSQL takes the last one. We decide on a value that another
                # program reads again: what can be read two ways is refused.
                raise ProtocolViolation(
                    f'parameter "{pair[0]}" appears more than once in startup packet'
                )
            if pair[0] == "replication" and pair[1] != "database":
                _boolean(pair[1])
            seen.add(pair[0])
            pairs.append(pair)
        if size - at != 1:
            raise ProtocolViolation(
                "invalid startup packet layout: expected terminator as last byte"
            )
        return cls(code, tuple(pairs))

    def encode(self) -> bytes:
        """Return the packet."""
        strings = [text for pair in self.parameters for text in pair]
        body = b"".join(text.encode(*TEXT) + b"\0" for text in strings)
        return _packet(self.protocol_version, body + b"\0")

    def get(self, name: str) -> str:
        """Return the value of the parameter *name*; empty where there is none."""
        for known, value in reversed(self.parameters):
            if known == name:  # the last one wins, as everywhere in PostgreSQL
                return value
        return ""

    @property
    def user(self) -> str:
        """Who the client wants to be; empty if it did not say."""
        return truncate_name(self.get("user"))

    @property
    def database(self) -> str:
        """
        The database as pg_hba.conf sees it.

        The user's name where none was asked for (NEG-51); nothing at all for a
        physical walsender, which has none (NEG-53).
        """
        if self.am_walsender and not self.am_db_walsender:
            return ""
        return truncate_name(self.get("database")) or self.user

    @property
    def am_walsender(self) -> bool:
        """Whether the client asks for a replication connection of either kind."""
        value = self.get("replication")
        return value == "database" or (value != "" and _boolean(value))

    @property
    def am_db_walsender(self) -> bool:
        """Whether it is one for logical replication, which has a database."""
        return self.get("replication") == "database"

    @property
    def application_name(self) -> str:
        """What the client calls itself, as PostgreSQL keeps it: in ASCII (NEG-85)."""
        raw = truncate_name(self.get("application_name")).encode(*TEXT)
        return "".join(
            chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in raw
        )

    @property
    def protocol_options(self) -> tuple[str, ...]:
        """The names that begin with ``_pq_.``, as they came (NEG-56)."""
        return tuple(
            name for name, _value in self.parameters if name.startswith("_pq_.")
        )


def _boolean(value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise InvalidParameterValue(
            f'invalid value for parameter "replication": "{value}"',
            hint='Valid values are: "false", 0, "true", 1, "database".',
        ) from None
