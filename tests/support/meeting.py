"""
A client and a server that meet: the handshake that the shell does, on a real socket.

The client is blocking and has a thread; the server's side runs on a loop.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pgproxy.server.port import Port
from pgproxy.server.tls import handshake
from pgproxy.session.events import TlsEstablished, TlsFailed
from tests.support.client import Client, End, HandshakeFailedError

T = TypeVar("T")

HANDSHAKE: Final = 22
"""The type of a TLS record."""

# Types of handshake messages; RFC 8446, section 4.
SERVER_HELLO: Final = 2
NEW_SESSION_TICKET: Final = 4
CERTIFICATE: Final = 11
CERTIFICATE_REQUEST: Final = 13


def listen() -> socket.socket:
    """Return a socket that listens on a free port."""
    return socket.create_server(("127.0.0.1", 0))


async def accept(
    listening: socket.socket, act: Callable[[Any], T], kind: type[Client] = Client
) -> tuple[Port, asyncio.Task[T]]:
    """Return the server's end of a connection whose client does *act* in a thread."""
    loop = asyncio.get_running_loop()

    def visit() -> T:
        with kind(listening.getsockname()) as client:
            return act(client)

    task = loop.create_task(asyncio.to_thread(visit))
    listening.setblocking(False)
    sock, _address = await loop.sock_accept(listening)
    sock.setblocking(False)
    return Port(loop, sock), task


async def meet(
    context: ssl.SSLContext, act: Callable[[Any], T], kind: type[Client] = Client
) -> tuple[TlsEstablished | TlsFailed, T]:
    """Return what a handshake comes to, and what the client made of it."""
    with listen() as listening:
        port, task = await accept(listening, act, kind)
        event = await handshake(port, context)
        await port.close()
        return event, await task


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What a client saw of a handshake, and of the close after it.

    Args:
        end: How the connection ended, with the alerts that came before.
        received: Every byte that the server sent.
        version: Of TLS; None if there was none.
        cipher: Likewise.
        alpn: The protocol that was selected.
        error: Why the client gave up.

    """

    end: End
    received: bytes
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    error: str | None = None


def try_tls(context: ssl.SSLContext) -> Callable[[Client], Seen]:
    """Return a client that starts TLS at once and waits for the end."""

    def act(client: Client) -> Seen:
        error: str | None = None
        try:
            client.start_tls(context)
        except HandshakeFailedError as failed:
            error = str(failed)
        _data, end = client.read_end()
        tls, received = client.tls, bytes(client.received)
        if error is not None or tls is None:
            return Seen(end, received, error=error)
        cipher = tls.cipher()
        return Seen(
            end,
            received,
            tls.version(),
            cipher[0] if cipher else None,
            tls.selected_alpn_protocol(),
        )

    return act


def records(data: bytes) -> list[int]:
    """Return the length of each TLS record that *data* consists of."""
    lengths = []
    while data:
        lengths.append(int.from_bytes(data[3:5]))
        data = data[5 + lengths[-1] :]
    return lengths


def handshake_messages(received: bytes) -> Iterator[tuple[int, bytes]]:
    """
    Yield type and body of each handshake message that was sent in clear.

    ::

        Byte1 22, Int16 version, Int16 length          a record; what is in all of
          Byte1 type, Int24 length, body               them is one stream of messages
    """
    stream, at = b"", 0
    while at < len(received) and received[at] == HANDSHAKE:
        size = int.from_bytes(received[at + 3 : at + 5])
        stream += received[at + 5 : at + 5 + size]
        at += 5 + size
    while len(stream) >= 4:
        size = int.from_bytes(stream[1:4])
        yield stream[0], stream[4 : 4 + size]
        stream = stream[4 + size :]


def requested_cas(received: bytes) -> list[bytes]:
    """
    Return the names in the CertificateRequest of a TLS 1.2 handshake, in DER.

    ::

        Byte1 length, certificate types
        Int16 length, signature algorithms
        Int16 length, any number of: Int16 length, name in DER

    Source: RFC 5246, section 7.4.4.
    """
    [body] = [
        body
        for kind, body in handshake_messages(received)
        if kind == CERTIFICATE_REQUEST
    ]
    at = 1 + body[0]
    at += 2 + int.from_bytes(body[at : at + 2])
    rest, found = body[at + 2 :], []
    while rest:
        size = int.from_bytes(rest[:2])
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return found


class Watcher(Client):
    """A client that notes every TLS message, those that are encrypted too."""

    def __init__(self, address: Any) -> None:
        super().__init__(address)
        self.handshakes: list[int] = []

    def _note_alert(
        self,
        _connection: Any,
        direction: str,
        _version: Any,
        content_type: int,
        message_type: Any,
        data: bytes,
    ) -> None:
        super()._note_alert(
            _connection, direction, _version, content_type, message_type, data
        )
        if direction == "read" and content_type == HANDSHAKE:
            self.handshakes.append(int(message_type))
