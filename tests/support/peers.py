"""The other end of a socket under test, on the same loop."""

import asyncio
import contextlib
import ctypes
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from typing import Any, Final, Self

LIMIT: Final = 1 << 16
"""Bytes read at once."""

SMALL: Final = 1 << 14
"""Bytes of a kernel buffer that is soon full; the kernel doubles it."""


def tcp_pair(*, small: bool = False) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a TCP connection, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        if small:  # before the connection is made, or the window is scaled already
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        one = socket.socket()
        if small:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        one.connect(listening.getsockname())
        other, _address = listening.accept()
    for sock in (one, other):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    return one, other


def in_kernel(sock: socket.socket) -> int:
    """Return how many bytes have come that nobody has read."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))
    return int(count)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until *condition* holds."""
    while not condition():  # noqa: ASYNC110 - the kernel's buffers have no event
        await asyncio.sleep(0)


class Peer:
    """
    A client or a backend, in clear or over TLS.

    Attributes:
        sock: Non-blocking; closed with the peer.
        reset: Whether the connection was seen to be reset.
        notified: Whether close_notify has come.

    """

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self.sock = sock
        self.reset = False
        self.notified = False
        self.tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._unread = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.sock.close()

    # --- TLS -----------------------------------------------------------------------

    def begin_tls(self, context: ssl.SSLContext) -> bytes:
        """Return the ClientHello; it is for the caller to send it."""
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._outgoing.read()

    async def finish_tls(self) -> None:
        """Do the rest of the handshake."""
        assert self.tls is not None
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                if not await self._fill():
                    raise AssertionError("the server closed") from None
            else:
                await self.flush()
                return

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Do a handshake."""
        await self.send_raw(self.begin_tls(context))
        await self.finish_tls()

    async def end_tls(self) -> None:
        """Send close_notify."""
        assert self.tls is not None
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        await self.flush()

    async def update_key(self) -> None:
        """Send a KeyUpdate that asks for one in return (TLS 1.3)."""
        assert self.tls is not None
        key_update(self.tls)
        # It goes out with the next write, which may be of nothing.
        self.tls.write(b"")
        await self.flush()

    async def flush(self) -> None:
        """Send what TLS has to say."""
        if data := self._outgoing.read():
            await self.send_raw(data)

    # --- Both ways -----------------------------------------------------------------

    async def send_raw(self, data: bytes) -> None:
        """Send *data* past TLS."""
        await self._loop.sock_sendall(self.sock, data)

    async def send(self, data: bytes) -> None:
        """Send *data*."""
        if self.tls is None:
            await self.send_raw(data)
            return
        self.tls.write(data)
        await self.flush()

    async def receive(self) -> bytes:
        """Return what comes next; nothing at the end, of whatever kind."""
        if self.tls is None:
            return await self._recv()
        while True:
            try:
                data = self.tls.read(LIMIT)
            except ssl.SSLWantReadError:
                await self.flush()
                if not await self._fill():
                    return b""
                continue
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.notified = True
            return data

    async def read(self, count: int) -> bytes:
        """Return exactly *count* bytes."""
        while len(self._unread) < count:
            chunk = await self.receive()
            assert chunk, f"the end, after {self._unread!r}"
            self._unread += chunk
        data = bytes(self._unread[:count])
        del self._unread[:count]
        return data

    async def read_all(self) -> bytes:
        """Return all that still comes."""
        parts = [bytes(self._unread)]
        while chunk := await self.receive():
            parts.append(chunk)
        # Behind close_notify, there is still the end of the connection to see.
        while await self._recv():
            pass
        return b"".join(parts)

    def fin(self) -> None:
        """End our side; the other stays open."""
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self) -> None:
        """Be gone without a word."""
        linger = struct.pack("ii", 1, 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.sock.close()

    async def _fill(self) -> bool:
        data = await self._recv()
        self._incoming.write(data)
        return bool(data)

    async def _recv(self) -> bytes:
        try:
            return await self._loop.sock_recv(self.sock, LIMIT)
        except ConnectionResetError:
            self.reset = True
            return b""


def key_update(tls: ssl.SSLObject) -> None:
    """
    Have *tls* send a KeyUpdate with its next write.

    The standard library has no word for it: CPython keeps the ``SSL *`` behind the
    object's head and the reference to its socket (``PySSLSocket`` in ``_ssl.c``).
    """
    import _ssl  # noqa: PLC0415 - for the library that it is linked to

    library: Any = ctypes.CDLL(_ssl.__file__)
    inner = tls._sslobj  # type: ignore[attr-defined]
    place = id(inner) + object.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(place)
    library.SSL_version.argtypes = [ctypes.c_void_p]
    assert library.SSL_version(pointer) == 0x0304
    library.SSL_key_update.argtypes = [ctypes.c_void_p, ctypes.c_int]
    assert library.SSL_key_update(pointer, 1) == 1  # SSL_KEY_UPDATE_REQUESTED
