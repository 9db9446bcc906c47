"""
PostgreSQL's protocol, built and read by hand.

Independent of pgproxy.protocol, so that no mistake can hide in both. Everything is
bytes that a test can also make wrong.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SSL_REQUEST: Final = bytes.fromhex("00000008 04d2162f")
GSSENC_REQUEST: Final = bytes.fromhex("00000008 04d21630")
CANCEL_CODE: Final = bytes.fromhex("04d2162e")
PROTOCOL_3_0: Final = 0x0003_0000
PROTOCOL_3_2: Final = 0x0003_0002
TERMINATE: Final = b"X\0\0\0\x04"


def packet(body: bytes) -> bytes:
    """Return *body* behind the length that counts itself."""
    return struct.pack(">i", 4 + len(body)) + body


def parameters(*pairs: tuple[str, str] | bytes) -> bytes:
    """Return the names and values of a start-up packet, and the last NUL."""
    return b"".join(
        pair if isinstance(pair, bytes) else b"%b\0%b\0" % _encode(*pair)
        for pair in [*pairs, b"\0"]
    )


def _encode(*texts: str) -> tuple[bytes, ...]:
    return tuple(text.encode("utf-8", "surrogateescape") for text in texts)


def startup(
    *pairs: tuple[str, str] | bytes,
    user: str | None = "tom",
    database: str | None = "postgres",
    version: int = PROTOCOL_3_0,
) -> bytes:
    """Return a StartupMessage: *user* and *database*, then *pairs*."""
    named = [("user", user), ("database", database)]
    first = [(name, value) for name, value in named if value is not None]
    return packet(struct.pack(">I", version) + parameters(*first, *pairs))


def cancel(pid: int, key: bytes) -> bytes:
    """Return a CancelRequest."""
    return packet(CANCEL_CODE + struct.pack(">i", pid) + key)


def message(kind: bytes, payload: bytes = b"") -> bytes:
    """Return a message as clients send it after the start-up packet."""
    return kind + packet(payload)


def query(sql: str) -> bytes:
    """Return a simple Query."""
    return message(b"Q", sql.encode() + b"\0")


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the server's."""

    kind: str
    payload: bytes

    @property
    def code(self) -> int:
        """Return the Int32 that an Authentication* message begins with."""
        return int(struct.unpack_from(">i", self.payload)[0])

    @property
    def fields(self) -> dict[str, str]:
        """Return the fields of an ErrorResponse or NoticeResponse."""
        parts = self.payload.split(b"\0")
        assert parts[-2:] == [b"", b""], self.payload
        return {
            chr(part[0]): part[1:].decode("utf-8", "surrogateescape")
            for part in parts[:-2]
        }

    @property
    def key(self) -> tuple[int, bytes]:
        """Return process id and secret key of a BackendKeyData."""
        return int(struct.unpack_from(">i", self.payload)[0]), self.payload[4:]

    def __str__(self) -> str:
        """Return what a failed test should show."""
        return f"{self.kind} {self.payload!r}"


def split(data: bytes) -> list[Message]:
    """
    Return the messages that *data* is made of.

    Raises:
        ValueError: It is cut off, or is no sequence of messages.

    """
    found = []
    while data:
        if len(data) < 5:
            raise ValueError(f"no message: {data!r}")
        length = int(struct.unpack_from(">i", data, 1)[0])
        if length < 4 or len(data) < 1 + length:
            raise ValueError(f"no message: {data!r}")
        found.append(Message(chr(data[0]), data[5 : 1 + length]))
        data = data[1 + length :]
    return found


def kinds(messages: Iterable[Message]) -> str:
    """Return the types of *messages*, one letter each."""
    return "".join(one.kind for one in messages)


def error(
    code: str,
    text: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    severity: str = "FATAL",
) -> dict[str, str]:
    """Return the fields that an ErrorResponse must have: all but F, L and R."""
    fields = {"S": severity, "V": severity, "C": code, "M": text}
    optional = {"D": detail, "H": hint}
    return fields | {name: value for name, value in optional.items() if value}


def told(message: Message) -> dict[str, str]:
    """Return the fields of an ErrorResponse, to compare with `error`."""
    assert message.kind == "E", str(message)
    fields = message.fields
    # PostgreSQL always sends where in its source an error was raised; what stands
    # there is nobody's business (PRX-16).
    assert {"F", "L", "R"} <= fields.keys()
    return {name: value for name, value in fields.items() if name not in "FLR"}


def client_hello(
    *,
    version: int = 0x0303,
    record_version: int = 0x0301,
    ciphers: Iterable[int] = (0xC02B, 0xC02F, 0xC00A, 0xC014, 0x002F),
    groups: Iterable[int] = (0x0017,),
    extensions: bytes = b"",
) -> bytes:
    """
    Return a ClientHello record, for what OpenSSL can no longer be made to say.

    ::

        Byte1 22, Int16 record version, Int16 length
          Byte1 1, Int24 length
            Int16 version, 32 bytes random, Byte1 0 (session id)
            Int16 length, Int16 each (cipher suites)
            1, 0 (no compression)
            Int16 length, extensions

    Source: RFC 5246, section 7.4.1.2.
    """
    suites = b"".join(struct.pack(">H", one) for one in ciphers)
    named = b"".join(struct.pack(">H", one) for one in groups)
    schemes = bytes.fromhex("0403 0401 0804 0201 0203")
    all_extensions = (
        _extension(10, _vector(named))
        + _extension(11, b"\1\0")
        + _extension(13, _vector(schemes))
        + extensions
    )
    body = (
        struct.pack(">H", version)
        + b"\x5a" * 32
        + b"\0"
        + _vector(suites)
        + b"\1\0"
        + _vector(all_extensions)
    )
    handshake = b"\1" + len(body).to_bytes(3) + body
    return struct.pack(">BHH", 22, record_version, len(handshake)) + handshake


def _vector(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack(">H", number) + _vector(data)
