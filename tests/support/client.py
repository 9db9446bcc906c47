"""
A client that sends exactly what it is told, and sees exactly what comes back.

TLS runs over `ssl.MemoryBIO`, so that what is on the wire can be told apart: an
alert from a close, close_notify and FIN from FIN alone.
"""

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from tests.support import wire
from tests.support.wire import Message

TIMEOUT: Final = 15.0
"""Seconds without a byte, after which a test has failed."""

ALPN: Final = ("postgresql",)
CLOSE_NOTIFY: Final = 0
"""The alert that ends TLS in good order."""

_ALERT_RECORD: Final = 21


@dataclass(frozen=True, slots=True)
class End:
    """
    How the server ended the connection.

    Args:
        how: FIN or RST.
        alerts: TLS alerts that came before, 0 (close_notify) included.

    """

    how: Literal["FIN", "RST"]
    alerts: tuple[int, ...] = ()


FIN: Final = End("FIN")
RST: Final = End("RST")
CLEAN: Final = End("FIN", (CLOSE_NOTIFY,))
"""close_notify, then FIN."""


class HandshakeFailedError(Exception):
    """There is no TLS: the server sent an alert, or closed."""


def context(
    *,
    alpn: Iterable[str] | None = None,
    certificate: tuple[Path, Path] | None = None,
    ca_file: Path | None = None,
    versions: tuple[ssl.TLSVersion, ssl.TLSVersion] | None = None,
    configure: Callable[[ssl.SSLContext], None] | None = None,
) -> ssl.SSLContext:
    """
    Return a client's context; it believes any server unless it has a *ca_file*.

    Args:
        alpn: What to offer; None leaves the extension out.
        certificate: Files of the client's certificate and key.
        ca_file: Whom to trust; the server's name is not looked at.
        versions: The oldest and the newest to offer.
        configure: Whatever else is wanted.

    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if ca_file is not None:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(ca_file)
    if alpn is not None:
        made.set_alpn_protocols(list(alpn))
    if certificate is not None:
        made.load_cert_chain(*certificate)
    if versions is not None:
        made.minimum_version, made.maximum_version = versions
    if configure is not None:
        configure(made)
    return made


class Client:
    """
    A connection to a server, closed with its ``with`` block.

    Args:
        address: Host and port, or the path of a Unix socket.
        source: Which address to come from; None: whichever the system takes.

    Attributes:
        received: Every byte that came in, as it was on the wire.
        alerts: Every TLS alert that came in.

    """

    def __init__(
        self, address: tuple[str, int] | str, source: str | None = None
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if isinstance(address, tuple) and ":" in address[0]:
            family = socket.AF_INET6
        self.sock = socket.socket(family)
        self.sock.settimeout(TIMEOUT)
        if source is not None:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        self.local_port = (
            0 if isinstance(address, str) else int(self.sock.getsockname()[1])
        )
        self.received = bytearray()
        self.alerts: list[int] = []
        self.tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._reset = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sock.close()

    # --- Sending -------------------------------------------------------------------

    def send(self, *data: bytes) -> None:
        """Send *data* in one segment; within TLS each in a record of its own."""
        if self.tls is None:
            self.sock.sendall(b"".join(data))
            return
        for one in data:
            self.tls.write(one)
        self._flush()

    def send_raw(self, data: bytes) -> None:
        """Send *data* past TLS."""
        self.sock.sendall(data)

    def end_tls(self) -> None:
        """Send close_notify."""
        assert self.tls is not None
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()

    def fin(self) -> None:
        """End our side; the server's stays open."""
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        """Be gone without a word."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self.sock.sendall(data)

    # --- TLS -----------------------------------------------------------------------

    def begin_tls(
        self, client: ssl.SSLContext | None = None, name: str | None = "localhost"
    ) -> bytes:
        """Return the ClientHello that asks for *name*; it is for the caller to send."""
        client = client or context()
        self.alerts.clear()
        # Private, but the standard library's own tests stand on it; what else tells
        # an alert that came under encryption?
        client._msg_callback = self._note_alert  # type: ignore[attr-defined]
        self.tls = client.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._outgoing.read()
        raise AssertionError("a handshake without an answer")

    def handshake(self) -> None:
        """
        Finish what `begin_tls` began.

        Raises:
            HandshakeFailedError: It fails; `alerts` and `read_end` say how.

        """
        assert self.tls is not None
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive():
                    raise HandshakeFailedError("the server closed") from None
            except ssl.SSLError as error:
                # An alert of ours is on its way.
                self._flush()
                raise HandshakeFailedError(str(error)) from error
            else:
                self._flush()
                return

    def start_tls(
        self, client: ssl.SSLContext | None = None, name: str | None = "localhost"
    ) -> Self:
        """Send a ClientHello now, and finish the handshake."""
        self.send_raw(self.begin_tls(client, name))
        self.handshake()
        return self

    def request_tls(
        self, client: ssl.SSLContext | None = None, name: str | None = "localhost"
    ) -> Self:
        """Ask for TLS the usual way, with an SSLRequest, and start it."""
        self.send(wire.SSL_REQUEST)
        assert self.read(1) == b"S"
        return self.start_tls(client, name)

    def direct_tls(self, client: ssl.SSLContext | None = None) -> Self:
        """Start TLS at once, offering ALPN."""
        return self.start_tls(client or context(alpn=ALPN))

    def _note_alert(
        self,
        _connection: Any,
        direction: str,
        _version: Any,
        content_type: int,
        _message_type: Any,
        data: bytes,
    ) -> None:
        if direction == "read" and content_type == _ALERT_RECORD:
            self.alerts.append(data[1])

    # --- Receiving -----------------------------------------------------------------

    def read(self, count: int) -> bytes:
        """Return exactly *count* bytes; an earlier end is an AssertionError."""
        data = b""
        while len(data) < count:
            chunk = self._read_some(count - len(data))
            assert chunk, f"the server closed after {data!r}"
            data += chunk
        return data

    def read_message(self) -> Message:
        """Return the next message."""
        head = self.read(5)
        return Message(chr(head[0]), self.read(int.from_bytes(head[1:5]) - 4))

    def read_until(self, kind: str) -> list[Message]:
        """Return messages up to and with the first one of type *kind*."""
        messages = [self.read_message()]
        while messages[-1].kind != kind:
            messages.append(self.read_message())
        return messages

    def read_end(self) -> tuple[bytes, End]:
        """Return all that still comes, and how it ends."""
        data = b""
        while chunk := self._read_some(65536):
            data += chunk
        self._drain()
        return data, End("RST" if self._reset else "FIN", tuple(self.alerts))

    def read_messages(self) -> tuple[list[Message], End]:
        """Return all messages that still come, and how it ends."""
        data, end = self.read_end()
        return wire.split(data), end

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes, not even the end, for that long."""
        return not select.select([self.sock], [], [], seconds)[0]

    def _read_some(self, count: int) -> bytes:
        if self.tls is None:
            return self._receive(count)
        while True:
            try:
                return self.tls.read(count)
            except ssl.SSLWantReadError:
                self._flush()
                if not self._receive():
                    return b""
            except ssl.SSLError:
                # close_notify, an alert, or what is no TLS: `alerts` knows.
                return b""

    def _receive(self, count: int = 65536) -> bytes:
        """Take bytes off the socket; none mean FIN, or RST, which is noted."""
        try:
            data = self.sock.recv(count)
        except ConnectionResetError:
            self._reset = True
            return b""
        self.received += data
        if self.tls is not None and data:
            self._incoming.write(data)
        return data

    def _drain(self) -> None:
        while self._receive():
            pass
