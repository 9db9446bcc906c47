"""Where a packet and a message end: NEG-07, NEG-09, SCR-17."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.errors import CommunicationError
from pgproxy.protocol.framing import (
    MAX_LOGIN_MESSAGE_LENGTH,
    MAX_STARTUP_PACKET_LENGTH,
    PG_MAX_AUTH_TOKEN_LENGTH,
    PG_MAX_SASL_MESSAGE_LENGTH,
    first_message,
    message_length,
    startup_packet_length,
)


def test_limits_are_postgresqls() -> None:
    """pqcomm.h, libpq/auth.h, auth-sasl.c."""
    assert MAX_STARTUP_PACKET_LENGTH == 10_000
    assert PG_MAX_AUTH_TOKEN_LENGTH == 65_535
    assert PG_MAX_SASL_MESSAGE_LENGTH == 1_024
    assert MAX_LOGIN_MESSAGE_LENGTH == 1_048_576


@pytest.mark.parametrize("length", [8, 9, 16, 10_003, 10_004])
def test_startup_packet_length(length: int) -> None:
    """NEG-09: 10,004 exactly is accepted; what follows is not looked at."""
    assert startup_packet_length(length.to_bytes(4)) == length
    assert startup_packet_length(length.to_bytes(4) + b"\xff\xff") == length


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x04",
        b"\x00\x00\x00\x07",
        b"\x00\x00\x27\x15",  # 10005
        b"\xff\xff\xff\xff",  # -1
        b"\x80\x00\x00\x08",
        b"GET ",
        b"\x16\x03\x01\x00",  # a ClientHello where none is expected (NEG-04)
    ],
)
def test_startup_packet_length_is_refused(head: bytes) -> None:
    """NEG-07."""
    with pytest.raises(CommunicationError, match=r"^invalid length of startup packet$"):
        startup_packet_length(head)


@pytest.mark.parametrize(
    ("length", "limit", "size"),
    [(4, 0, 5), (4, 10, 5), (14, 10, 15), (1028, 1024, 1029)],
)
def test_message_length(length: int, limit: int, size: int) -> None:
    """The length counts itself and not the type; the limit counts neither."""
    assert message_length(b"p" + length.to_bytes(4), limit) == size
    assert message_length(b"p" + length.to_bytes(4) + b"rest", limit) == size


@pytest.mark.parametrize(
    ("length", "limit"),
    [(0, 10), (3, 10), (15, 10), (0xFFFFFFFF, 10), (0x80000004, 10)],
)
def test_message_length_is_refused(length: int, limit: int) -> None:
    """SCR-17."""
    with pytest.raises(CommunicationError, match=r"^invalid message length$"):
        message_length(b"p" + length.to_bytes(4), limit)


@given(kind=st.binary(min_size=1, max_size=1), payload=st.binary(max_size=64))
def test_first_message_at_every_cut(kind: bytes, payload: bytes) -> None:
    """A message cut anywhere is none yet; whole, it is taken without what follows."""
    message = kind + (4 + len(payload)).to_bytes(4) + payload
    assert all(first_message(message[:n]) is None for n in range(len(message)))
    assert first_message(message) == message
    assert first_message(bytearray(message + b"more")) == message


def test_first_message_is_bounded() -> None:
    """A backend that announces more than a login can need is none."""
    longest = (4 + MAX_LOGIN_MESSAGE_LENGTH).to_bytes(4)
    assert first_message(b"S" + longest) is None
    beyond = (5 + MAX_LOGIN_MESSAGE_LENGTH).to_bytes(4)
    with pytest.raises(CommunicationError):
        first_message(b"S" + beyond)
    with pytest.raises(CommunicationError):
        first_message(b"HTTP/1.1 400 Bad Request")
