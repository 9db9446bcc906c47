"""
HOT: the two directions of a session, once it is logged in.

Raw non-blocking sockets under ``add_reader``/``add_writer``: nothing stands between
epoll and OpenSSL. Imports nothing of pgproxy; docs/explanation/architecture.md has what
was measured.
"""

import asyncio
import contextlib
import select
import socket
import ssl
import weakref
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

CHUNK: Final = 65536
"""
Bytes read at once, and all that one direction of a session can have in flight.

More than the largest TLS record, so that nothing read is left inside OpenSSL where
no poll would see it.
"""

MAX_RECORD: Final = 16384
"""Bytes of text in the largest TLS record."""

BULK: Final = 4096
"""
Bytes in a record that more may be waiting behind.

To look for more where there is none costs 3 µs, for an exception; to send 64 kB at once
and not 8 kB eight times saves a quarter of a COPY in.
"""

# One for all sessions of a worker: what is left in it after a short write is copied
# out before the callback returns.
BUFFER: Final = bytearray(CHUNK)
VIEW: Final = memoryview(BUFFER)

TERMINATE: Final = b"X\0\0\0\x04"
"""The last message of a client that ends its session."""

_WANT_READ: Final = (BlockingIOError, ssl.SSLWantReadError)
# SSL_write only wants to read in the middle of a handshake, and there is none here.
_WANT_WRITE: Final = (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError)


class ErrorWatch:
    """
    Tells of errors on sockets, once each, beside what the loop tells.

    Of a socket with an error uvloop tells once, as if there were something to read,
    and then never again (``uv__poll_io``, ``UVPoll._fatal_error``). What came before a
    reset may be several chunks, so whoever reads one at a time has to know. To ask
    for SO_ERROR with every chunk was measured: 15 % of a select-only transaction.
    An epoll of our own, which is asked for nothing but errors, costs two calls a
    socket, and none while all is well.
    """

    _watches: ClassVar[
        "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, ErrorWatch]"
    ] = weakref.WeakKeyDictionary()

    def __init__(self) -> None:
        # Elsewhere than on Linux a reset may cut off what came right before it.
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        self._callbacks: dict[int, Callable[[], None]] = {}

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "ErrorWatch":
        """Return the one of *loop*."""
        watch = cls._watches.get(loop)
        if watch is None:
            watch = cls._watches[loop] = cls()
            if watch._epoll is not None:
                loop.add_reader(watch._epoll.fileno(), watch._tell, watch._epoll)
        return watch

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Have *callback* called when *fd* has an error, which is never asked for."""
        self._callbacks[fd] = callback
        if self._epoll is not None:
            self._epoll.register(fd, select.EPOLLET)

    def remove(self, fd: int) -> None:
        """Forget *fd*, before it is closed."""
        self._callbacks.pop(fd, None)
        if self._epoll is not None:
            with contextlib.suppress(OSError):  # it was never added
                self._epoll.unregister(fd)

    def _tell(self, epoll: "select.epoll") -> None:
        for fd, events in epoll.poll(0):
            callback = self._callbacks.get(fd)
            if callback is not None and events & select.EPOLLERR:
                callback()


class Relay:
    """
    Copies between a client and its backend until one of them closes.

    ::

        client ── forward_to_backend ──▶ backend     one chunk is held back at most
        client ◀── forward_to_client ─── backend     in either direction

    When the client closes, the backend is told (a half-close) and what it still says
    goes to the client; when the backend closes, what it has said is delivered first
    (PRX-11). A reset of either ends both.

    Args:
        loop: The loop of this worker.
        client: Non-blocking, plain or TLS.
        backend: Non-blocking, plain.
        for_client: What has been read of the backend already.

    Attributes:
        error: What went wrong with the client's connection, if anything did.
        octets_from_client: Bytes of payload, this way.
        octets_from_backend: And that way.

    """

    __slots__ = (
        "_backend",
        "_backend_fd",
        "_broken",
        "_bulk",
        "_client",
        "_client_fd",
        "_ended",
        "_for_backend",
        "_for_client",
        "_from_client_open",
        "_loop",
        "_read_backend",
        "_read_client",
        "_terminated",
        "_write_backend",
        "_write_client",
        "error",
        "octets_from_backend",
        "octets_from_client",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        backend: socket.socket,
        for_client: bytes,
    ) -> None:
        self._loop = loop
        self._client = client
        self._backend = backend
        self._read_client: Callable[[], int] = partial(client.recv_into, BUFFER)
        self._bulk = CHUNK + 1  # in clear one read has had it all
        self._write_client: Callable[[memoryview | bytes], int] = client.send
        if isinstance(client, ssl.SSLSocket):
            # recv_into and send would each be another frame in Python: 0.9 of 6.5 µs
            # of user time a transaction.
            self._read_client = partial(client.read, CHUNK, BUFFER)  # type: ignore[assignment]  # with a buffer it returns an int
            self._write_client = client.write
            self._bulk = BULK
        self._read_backend = backend.recv_into
        self._write_backend = backend.send
        self._client_fd = client.fileno()
        self._backend_fd = backend.fileno()
        self._for_client = for_client
        self._for_backend = b""
        self._from_client_open = True
        self._broken = False
        self._terminated = False
        self._ended: asyncio.Future[None] = loop.create_future()
        self.error: OSError | None = None
        self.octets_from_client = 0
        self.octets_from_backend = len(for_client)

    async def run(self) -> None:
        """Relay until it is over. The sockets are left open."""
        # First, because it may need a descriptor, and there may be none.
        errors = ErrorWatch.of(self._loop)
        try:
            errors.add(self._client_fd, self._on_error)
            errors.add(self._backend_fd, self._on_error)
            self._loop.add_reader(self._client_fd, self._forward_to_backend)
            self._loop.add_reader(self._backend_fd, self._forward_to_client)
            if self._for_client:
                self._loop.remove_reader(self._backend_fd)
                self._drain_to_client()
            # TLS may hold what the client sent along with its last answer.
            self._forward_to_backend()
            await self._ended
        finally:
            for fd in (self._client_fd, self._backend_fd):
                errors.remove(fd)
                self._loop.remove_reader(fd)
                self._loop.remove_writer(fd)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # --- client to backend --------------------------------------------------------

    def _forward_to_backend(self) -> None:  # noqa: C901 - a call more costs 0.1 µs
        if not self._from_client_open or self._for_backend:
            return
        try:
            count = self._read_client()
        except _WANT_READ:
            return
        except ssl.SSLWantWriteError:
            # An answer to a KeyUpdate has to go out first. The writer that waits for
            # that tries the read again.
            self._loop.add_writer(self._client_fd, self._drain_to_client)
            return
        except OSError as error:
            self._client_lost(error)
            return
        if not count:
            self._client_closed()
            return
        if count >= self._bulk:
            count = self._read_more(count)
        self.octets_from_client += count
        self._terminated = BUFFER.endswith(TERMINATE, 0, count)
        if self._broken:
            self._loop.call_soon(self._listen_on)
        try:
            sent = self._write_backend(VIEW[:count])
        except BlockingIOError:
            sent = 0
        except OSError:
            self._backend_lost()
            return
        if sent < count:
            # The backend is busy. BUFFER is every session's, so the rest is copied
            # out of it; and the client is not read until that has gone.
            self._for_backend = bytes(VIEW[sent:count])
            self._loop.remove_reader(self._client_fd)
            self._loop.add_writer(self._backend_fd, self._drain_to_backend)

    def _read_more(self, count: int) -> int:
        """
        Return how much there is in BUFFER with the records that are there as well.

        OpenSSL hands out one record at a time, and libpq makes records of 8 kB.
        """
        read: Callable[[int, memoryview], int] = self._client.read  # type: ignore[attr-defined]
        try:
            while count <= CHUNK - MAX_RECORD:
                more = read(CHUNK - count, VIEW[count:])
                count += more
                if not more:
                    self._meet_again(lambda: 0)
                if more < BULK:
                    break
        except _WANT_READ:
            pass
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._client_fd, self._drain_to_client)
        except OSError as error:
            self._meet_again(partial(_fail, error))
        return count

    def _meet_again(self, read: Callable[[], int]) -> None:
        """
        Have the next read end the connection as this one has.

        What came before is sent first; and OpenSSL tells why, or that it was closed,
        only once, when there is nothing left that a poll would see.
        """
        self._read_client = read
        self._loop.call_soon(self._forward_to_backend)

    def _drain_to_backend(self) -> None:
        try:
            sent = self._backend.send(self._for_backend)
        except BlockingIOError:
            return
        except OSError:
            self._for_backend = b""
            self._loop.remove_writer(self._backend_fd)
            self._backend_lost()
            return
        self._for_backend = self._for_backend[sent:]
        if self._for_backend:
            return
        self._loop.remove_writer(self._backend_fd)
        self._loop.add_reader(self._client_fd, self._forward_to_backend)
        # TLS may hold the next record already, and no poll would say so.
        self._forward_to_backend()

    def _client_closed(self) -> None:
        self._from_client_open = False
        self._loop.remove_reader(self._client_fd)
        try:
            # A session that is idle ends at once, and leaves no lock behind; a query
            # goes on as it does for a client without a proxy.
            self._backend.shutdown(socket.SHUT_WR)
        except OSError:
            self._end()

    def _client_lost(self, error: OSError) -> None:
        # Behind a Terminate PostgreSQL reads no further, so it never learns of the
        # clients that then close without a close_notify: pg8000 is one of many.
        if not self._terminated:
            self.error = error
        self._end()

    def _backend_lost(self) -> None:
        # It has gone, and its last words may still be in the kernel.
        self._from_client_open = False
        self._loop.remove_reader(self._client_fd)
        self._on_error()

    def _on_error(self) -> None:
        """One of the sockets has an error: read what came before it, to the end."""
        self._broken = True
        self._loop.call_soon(self._listen_on)

    def _listen_on(self) -> None:
        """Listen again to a socket that uvloop has given up; see `ErrorWatch`."""
        if self._ended.done():
            return
        # uvloop's watcher is dead, and has to be taken away before there is a new one.
        self._loop.remove_reader(self._backend_fd)
        if not self._for_client:
            self._loop.add_reader(self._backend_fd, self._forward_to_client)
        self._loop.remove_reader(self._client_fd)
        if self._from_client_open and not self._for_backend:
            self._loop.add_reader(self._client_fd, self._forward_to_backend)

    # --- backend to client --------------------------------------------------------

    def _forward_to_client(self) -> None:
        try:
            count = self._read_backend(BUFFER)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._end()
            return
        self.octets_from_backend += count
        if self._broken:
            self._loop.call_soon(self._listen_on)
        sent = self._send_to_client(VIEW[:count])
        if sent < count:
            self._for_client = bytes(VIEW[sent:count])
            self._loop.remove_reader(self._backend_fd)
            self._loop.add_writer(self._client_fd, self._drain_to_client)

    def _send_to_client(self, data: memoryview | bytes) -> int:
        """Send what the client takes of *data*: TLS takes a record at a time."""
        sent, size, write = 0, len(data), self._write_client
        try:
            sent = write(data)
            while sent < size:
                sent += write(data[sent:])
        except _WANT_WRITE:
            pass
        except OSError as error:
            self._client_lost(error)
            return size
        return sent

    def _drain_to_client(self) -> None:
        if self._for_client:
            self._for_client = self._for_client[
                self._send_to_client(self._for_client) :
            ]
            if self._for_client:
                self._loop.add_writer(self._client_fd, self._drain_to_client)
                return
        self._loop.remove_writer(self._client_fd)
        if self._ended.done():
            return
        self._loop.add_reader(self._backend_fd, self._forward_to_client)
        self._forward_to_backend()


def _fail(error: OSError) -> int:
    raise error
