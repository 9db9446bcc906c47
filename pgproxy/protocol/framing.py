"""Where a packet and a message end; limits under their C names."""

from typing import Final

from pgproxy.protocol.errors import CommunicationError

LENGTH_SIZE: Final = 4
"""Bytes of the Int32 that every packet and message has."""

MAX_STARTUP_PACKET_LENGTH: Final = 10_000
"""Bytes behind the length word of a start-up packet; pqcomm.h."""

MESSAGE_HEAD_SIZE: Final = 5
"""Bytes of a message's type and length."""

PG_MAX_AUTH_TOKEN_LENGTH: Final = 65_535
"""Longest password message, its length word left out; libpq/auth.h."""

PG_MAX_SASL_MESSAGE_LENGTH: Final = 1_024
"""Longest SASL response, its length word left out; auth-sasl.c."""

MAX_LOGIN_MESSAGE_LENGTH: Final = 1 << 20
"""
Longest message taken from a backend before the relay, in bytes.

Nothing that a backend says during a login comes near it (libpq itself stops at
30,000 before AuthenticationOk); it bounds what a session costs until then.
"""


def startup_packet_length(head: bytes) -> int:
    """
    Return the length in bytes of the start-up packet that begins with *head*.

    ::

        0        4        8                length
        +--------+--------+- - - - - - - - - -+
        | length |  code  |       body        |   both Int32, big-endian
        +--------+--------+- - - - - - - - - -+

    The length counts itself, so SSLRequest, which has no body, says 8. Only the
    first four bytes are looked at: a bad length is refused before anything
    behind it is read (NEG-07).

    Raises:
        CommunicationError: The length is below 8 or above 10,004 bytes.

    Source: "Message Formats" in the PostgreSQL manual; ``ProcessStartupPacket``.

    """
    length = int.from_bytes(head[:LENGTH_SIZE])
    if not 8 <= length <= LENGTH_SIZE + MAX_STARTUP_PACKET_LENGTH:
        raise CommunicationError("invalid length of startup packet")
    return length


def message_length(head: bytes, limit: int) -> int:
    """
    Return the length in bytes of the message that begins with *head*.

    ::

        0      1        5              1 + length
        +------+--------+- - - - - - - - -+
        | type | length |     payload     |   Byte1, Int32 (counts itself)
        +------+--------+- - - - - - - - -+

    Args:
        head: The first five bytes.
        limit: The longest payload to accept, in bytes.

    Raises:
        CommunicationError: The length is below 4, or the payload beyond *limit*.

    Source: ``pq_getmessage`` in pqcomm.c.

    """
    length = int.from_bytes(head[1:MESSAGE_HEAD_SIZE])
    if not LENGTH_SIZE <= length <= LENGTH_SIZE + limit:
        raise CommunicationError("invalid message length")
    return 1 + length


def first_message(data: bytes | bytearray) -> bytes | None:
    """
    Return the whole message that *data* begins with; None if it is cut short.

    Raises:
        CommunicationError: What stands there is no message.

    """
    if len(data) < MESSAGE_HEAD_SIZE:
        return None
    length = message_length(bytes(data[:MESSAGE_HEAD_SIZE]), MAX_LOGIN_MESSAGE_LENGTH)
    return bytes(data[:length]) if len(data) >= length else None
