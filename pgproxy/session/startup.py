"""The start-up phase: which packet came, and what may be said about a bad one."""

from collections.abc import Iterator
from typing import Final

from pgproxy.protocol.errors import Report, log_line
from pgproxy.protocol.framing import LENGTH_SIZE, startup_packet_length
from pgproxy.protocol.frontend import (
    NEGOTIATE_GSS_CODE,
    NEGOTIATE_SSL_CODE,
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from pgproxy.session.actions import ReadExactly
from pgproxy.session.events import BytesRead, TlsFailed
from pgproxy.session.policy import Policy

Packet = SSLRequest | GSSENCRequest | CancelRequest | StartupMessage

# Reasons after which PostgreSQL says which versions it takes (NEG-80);
# be_tls_open_server in be-secure-openssl.c.
VERSION_REASONS: Final = frozenset(
    {
        "no protocols available",
        "unsupported protocol",
        "bad protocol version number",
        "unknown protocol",
        "unknown ssl version",
        "unsupported ssl version",
        "wrong ssl version",
        "wrong version number",
        "tlsv1 alert protocol version",
        "version too high",
        "version too low",
    }
)


class Startup:
    """
    Puts packets together and says what they are.

    There are two flags and no other special case: a request that is repeated, or
    comes where it has no place, is a protocol version, and an absurd one (NEG-11).

    Attributes:
        packet: The bytes of the packet that is being read, or was read last.
        more: Whether others were waiting behind the packet.
        version: What a packet that is no request has for a protocol version.
        ssl_done: Whether SSLRequest has been answered.
        gss_done: Whether GSSENCRequest has, or must not come any more.

    """

    def __init__(self) -> None:
        self.packet = b""
        self.more = False
        self.version = 0
        self.ssl_done = False
        self.gss_done = False

    def begin_packet(self) -> ReadExactly:
        """Forget the last packet; return how to begin with the next."""
        self.packet = b""
        return ReadExactly(LENGTH_SIZE)

    def on_bytes_read(self, event: BytesRead) -> ReadExactly | Packet:
        """
        Return the packet that *event* completes, or how much of it is missing.

        Raises:
            SessionRefused: It asks for what nobody can give it.
            CommunicationError: It is no packet.

        """
        begun = bool(self.packet)
        self.packet += event.data
        if not begun:
            rest = startup_packet_length(self.packet) - LENGTH_SIZE
            return ReadExactly(rest, look=True)
        self.more = event.more
        code, body = int.from_bytes(self.packet[4:8]), self.packet[8:]
        if code == CancelRequest.code:
            return CancelRequest.decode(body)
        if code == NEGOTIATE_SSL_CODE and not self.ssl_done:
            self.ssl_done = True
            return SSLRequest()
        if code == NEGOTIATE_GSS_CODE and not self.gss_done:
            self.gss_done = True
            return GSSENCRequest()
        self.version = code
        return StartupMessage.decode(code, body)

    def is_incomplete(self, received: int) -> bool:
        """
        Whether PostgreSQL has a word for a client that leaves after *received* bytes.

        Inside the body it has; in the middle of the length word it only has one if
        nothing was asked for before; between packets it has none (NEG-05 to NEG-08).
        """
        if self.packet:
            return True
        return received > 0 and not (self.ssl_done or self.gss_done)


def tls_failure(event: TlsFailed, policy: Policy) -> Iterator[Report]:
    """Yield what the log is told of a handshake that failed (NEG-71 to NEG-80)."""
    if event.cause is not None:
        yield log_line(event.cause, event="tls.failed", sqlstate=event.sqlstate)
    hint = None
    if event.reason in VERSION_REASONS:
        hint = (
            "This may indicate that the client does not support any SSL protocol "
            f"version between {policy.ssl_min_protocol_version} and "
            f"{policy.ssl_max_protocol_version}."
        )
    yield log_line(
        f"could not accept SSL connection: {event.reason}",
        event="tls.failed",
        sqlstate=event.sqlstate,
        detail=event.detail,
        hint=hint,
    )
