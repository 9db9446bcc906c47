"""
The client's end of a session: exact reads, TLS, an orderly close.

Everything is done on the raw, non-blocking socket. Before TLS nothing of the
client's may sit in a buffer of ours: what was not asked for stays in the kernel.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from typing import Final

DRAIN_LIMIT: Final = 1 << 20
"""Bytes of unwanted input that are read away before a close."""

FLUSH_TIMEOUT: Final = 10.0
"""Seconds that a client may take to accept the last bytes it is sent."""


class IncompleteRead(Exception):
    """
    The client has closed its end.

    Args:
        received: How many bytes of what was asked for had come.
        error: None for an orderly end.

    """

    def __init__(self, received: int, error: str | None = None) -> None:
        super().__init__(received, error)
        self.received = received
        self.error = error


async def ready(
    loop: asyncio.AbstractEventLoop, *fds: int, write: bool = False
) -> None:
    """Return when one of *fds* can be read from, or written to."""
    waiter = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer)
        if write
        else (loop.add_reader, loop.remove_reader)
    )
    for fd in fds:
        add(fd, _wake, waiter)
    try:
        await waiter
    finally:
        for fd in fds:
            remove(fd)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Port:
    """
    A client's connection.

    Args:
        loop: The loop of this worker.
        sock: Non-blocking; the port owns it from here on.

    Attributes:
        sock: The socket, a `ssl.SSLSocket` once TLS has begun.
        ssl_in_use: Whether TLS is up.

    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self.sock = sock
        self.ssl_in_use = False
        self._partial = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for whoever waits for it."""
        return self.sock.fileno()

    # --- Reading -----------------------------------------------------------------

    async def peek_first_byte(self) -> int:
        """
        Return the first byte, which stays where it is.

        One byte and never more: a wait for the whole of a ClientHello that comes in
        two segments would spin, because the socket stays readable.

        Raises:
            IncompleteRead: The client closed its end without a byte.

        """
        while True:
            try:
                head = self.sock.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                await ready(self._loop, self.fileno())
                continue
            except OSError as error:
                raise IncompleteRead(0, reason(error)) from error
            if not head:
                raise IncompleteRead(0)
            return head[0]

    async def read_exactly(self, count: int) -> bytes:
        """
        Return the next *count* bytes, having taken no other off the connection.

        Raises:
            IncompleteRead: The client closed its end; says how many bytes had come.

        """
        while True:
            data = self.try_read(count)
            if data is not None:
                return data
            await ready(self._loop, self.fileno())

    def try_read(self, count: int) -> bytes | None:
        """
        Return the next *count* bytes if they are there already, else None.

        What has come of them is kept until the rest is there.

        Raises:
            IncompleteRead: The client closed its end; says how many bytes had come.

        """
        # Never more than was asked for. Bytes that came with an SSLRequest must
        # still be in the kernel when TLS takes over: there, a ClientHello sent
        # early works, and plain text that someone slipped in is a bad handshake.
        # In a buffer of ours both go wrong (CVE-2021-23214, cpython#142352).
        while len(self._partial) < count:
            try:
                chunk = self.sock.recv(count - len(self._partial))
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return None
            except OSError as error:
                raise self._incomplete(reason(error)) from error
            if not chunk:
                raise self._incomplete(None)
            self._partial += chunk
        data = bytes(self._partial)
        self._partial.clear()
        return data

    def _incomplete(self, error: str | None) -> IncompleteRead:
        return IncompleteRead(len(self._partial), error)

    def more_waiting(self) -> bool:
        """Whether bytes have come that nobody has asked for yet."""
        if isinstance(self.sock, ssl.SSLSocket):
            return self.sock.pending() > 0
        try:
            return bool(self.sock.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    # --- Writing -----------------------------------------------------------------

    def queue(self, data: bytes) -> None:
        """Have *data* sent with the next `flush`: one write for what belongs together."""
        self._unsent += data

    async def flush(self) -> None:
        """
        Send all that is queued.

        Raises:
            IncompleteRead: The client is gone.

        """
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantWriteError):
                await ready(self._loop, self.fileno(), write=True)
            except ssl.SSLWantReadError:
                await ready(self._loop, self.fileno())
            except OSError as error:
                self._unsent.clear()
                raise IncompleteRead(0, reason(error)) from error
            else:
                del self._unsent[:sent]

    # --- TLS ---------------------------------------------------------------------

    async def start_tls(self, context: ssl.SSLContext) -> ssl.SSLSocket:
        """
        Do the server's side of a handshake on this socket.

        The caller has to send nothing more in clear. TLS reads from the descriptor
        itself, so that whatever the client has sent already meets it.

        Raises:
            ssl.SSLError: It failed, and the alert that was due is sent.
            OSError: The connection failed.

        """
        # With no ticket to send, the server's side is silent after the client's
        # Finished: without TCP_NODELAY on its side the client would then wait for
        # our delayed ACK before its next small packet (40 ms; benchmarks).
        if hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        # Of a connection that is reset already, wrap_socket would take the descriptor
        # and fail: nobody could close it.
        try:
            self.sock.getpeername()
        except OSError as error:
            reset = errno.ECONNRESET
            raise ConnectionResetError(reset, os.strerror(reset)) from error
        tls = context.wrap_socket(
            self.sock,
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        self.sock = tls
        while True:
            try:
                # OpenSSL answers an end that it reads with an alert; PostgreSQL keeps
                # it from OpenSSL and answers nothing (NEG-14, NEG-79).
                if self._has_ended():
                    raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF detected")
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await ready(self._loop, tls.fileno())
            except ssl.SSLWantWriteError:
                await ready(self._loop, tls.fileno(), write=True)
            else:
                self.ssl_in_use = True
                return tls

    def _has_ended(self) -> bool:
        try:
            return not socket.socket.recv(self.sock, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return False

    # --- The end -------------------------------------------------------------------

    async def close(self, *, notify: bool = True) -> None:
        """
        Send what is queued, say goodbye, read away what nobody wants, and close.

        Unread input would make the kernel send an RST, and an RST can eat the last
        message on its way (NEG-69, CAN-09).

        Args:
            notify: Send close_notify, if TLS is up.

        """
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT):
                with contextlib.suppress(IncompleteRead):
                    await self.flush()
        except TimeoutError:
            pass
        finally:
            self.close_now(notify=notify)

    def close_now(self, *, notify: bool = False) -> None:
        """Close without waiting for anything."""
        sock = self.sock
        if sock.fileno() < 0:
            return
        if notify and self.ssl_in_use and isinstance(sock, ssl.SSLSocket):
            # Sends close_notify, then complains that the client's has not come,
            # which PostgreSQL never waits for either (NEG-68).
            with contextlib.suppress(OSError, ValueError):
                sock.unwrap()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_WR)
            left = DRAIN_LIMIT
            while left > 0 and (gone := len(socket.socket.recv(sock, 65536))):
                left -= gone
        sock.close()


def reason(error: OSError) -> str:
    """Return what the log is told of *error*, which ended a connection."""
    if isinstance(error, ssl.SSLEOFError):
        # No close_notify: to PostgreSQL that is a reset (NEG-68).
        return os.strerror(errno.ECONNRESET)
    if isinstance(error, ssl.SSLError):
        return ssl_reason(error)
    if error.errno is not None and error.errno > 0:
        # What asyncio raises has a text of its own in strerror.
        return os.strerror(error.errno)
    return error.strerror or str(error)


def ssl_reason(error: ssl.SSLError) -> str:
    """
    Return OpenSSL's own words: ``wrong version number``.

    Python puts them between ``[SSL: NAME] `` and `` (_ssl.c:1006)``.
    """
    text = str(error.args[1] if len(error.args) > 1 else error)
    _head, _bracket, text = text.rpartition("] ")
    return text.partition(" (_ssl.c")[0]
