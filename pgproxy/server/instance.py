"""The backend's end of a session: connect, read message by message, send."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Final

from pgproxy.protocol.errors import CommunicationError
from pgproxy.protocol.framing import first_message
from pgproxy.server.port import ready, reason
from pgproxy.settings.conninfo import BackendConninfo, BackendHost

CHUNK: Final = 65536

PARAMETER_STATUS: Final = b"S"

MAX_UNIX_PATH: Final = 107
"""Bytes of a Unix-domain socket's path; UNIXSOCK_PATH_BUFLEN has one for the NUL."""


class Unreachable(Exception):
    """
    No host of the conninfo could be connected to.

    Args:
        reasons: One for each address that was tried, in libpq's words.

    """

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


class Gone(Exception):
    """
    The backend has closed its end.

    Args:
        error: None for an orderly end.

    """

    def __init__(self, error: str | None = None) -> None:
        super().__init__(error)
        self.error = error


async def connect(
    loop: asyncio.AbstractEventLoop, conninfo: BackendConninfo
) -> "Instance":
    """
    Connect to the first host of *conninfo* that answers.

    Raises:
        Unreachable: None did.

    """
    reasons: list[str] = []
    for host in conninfo.hosts:
        try:
            return await connect_host(loop, host, conninfo.connect_timeout)
        except Unreachable as failed:
            reasons.extend(failed.reasons)
    raise Unreachable(reasons)


async def connect_host(
    loop: asyncio.AbstractEventLoop, host: BackendHost, timeout_s: int | None
) -> "Instance":
    """
    Connect to *host*, at the first of its addresses that answers.

    Args:
        loop: The loop of this worker.
        host: A name, an address, or the folder of a Unix-domain socket.
        timeout_s: Seconds for each address; None for the kernel's patience.

    Raises:
        Unreachable: None did; says why for each.

    """
    path = host.unix_socket
    if path is not None:
        return _connect_unix(loop, path)
    name = host.hostaddr or host.host
    try:
        found = await loop.getaddrinfo(name, host.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        # UnicodeError: it cannot even be asked for.
        why = error.strerror if isinstance(error, OSError) else "no host name"
        raise Unreachable(
            [f'could not translate host name "{name}" to address: {why}']
        ) from error
    reasons: list[str] = []
    for family, _kind, _protocol, _name, address in found:
        where = (
            f'connection to server at "{host.host or host.hostaddr}" ({address[0]}), '
            f"port {host.port}"
        )
        try:
            sock = await _connect_tcp(loop, family, address, timeout_s)
        except TimeoutError:
            reasons.append(f"{where} failed: timeout expired")
        except OSError as error:
            reasons.append(f"{where} failed: {reason(error)}")
        else:
            return Instance(loop, sock, where)
    raise Unreachable(reasons)


async def _connect_tcp(
    loop: asyncio.AbstractEventLoop,
    family: int,
    address: tuple[object, ...],
    timeout_s: int | None,
) -> socket.socket:
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # As libpq: a host that is gone would else keep its sessions for ever.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(timeout_s):
            await loop.sock_connect(sock, address)
        undo.pop_all()
    return sock


def _connect_unix(loop: asyncio.AbstractEventLoop, path: str) -> "Instance":
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        limit = f"maximum {MAX_UNIX_PATH} bytes"
        raise Unreachable([f'Unix-domain socket path "{path}" is too long ({limit})'])
    where = f'connection to server on socket "{path}"'
    try:
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            # It is done at once, or it is not: EAGAIN says that the queue is full. (A
            # loop's sock_connect would wait, and take the socket for connected.)
            # Linux's abstract sockets are written with @ and begin with NUL.
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            undo.pop_all()
    except OSError as error:
        raise Unreachable([f"{where} failed: {reason(error)}"]) from error
    return Instance(loop, sock, where)


class Instance:
    """
    A connection to the backend.

    Attributes:
        sock: Non-blocking, in clear.
        address: Where it leads, in libpq's words.
        unread: What has been read of it and not been taken by `try_message`.

    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, address: str
    ) -> None:
        self._loop = loop
        self.sock = sock
        self.address = address
        self.unread = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for whoever waits for it."""
        return self.sock.fileno()

    def buffered_message(self) -> bytes | None:
        """
        Return the next message if the whole of it has been read already.

        Of ParameterStatus it is all that come one after the other.

        Raises:
            Gone: What the backend says is no message.

        """
        message = self._take()
        if message is not None and message.startswith(PARAMETER_STATUS):
            # A server sends some fourteen in a row, and nobody judges any of them.
            with contextlib.suppress(Gone):  # the next call says so again
                while self.unread.startswith(PARAMETER_STATUS):
                    more = self._take()
                    if more is None:
                        break
                    message += more
        return message

    def _take(self) -> bytes | None:
        try:
            message = first_message(self.unread)
        except CommunicationError as error:
            raise Gone(f"{error}: is there a PostgreSQL at this address?") from error
        if message is not None:
            del self.unread[: len(message)]
        return message

    def try_message(self) -> bytes | None:
        """
        Return the next message if it is there already, else None.

        Raises:
            Gone: The backend has closed its end, or what it says is no message.

        """
        while (message := self.buffered_message()) is None:
            try:
                chunk = self.sock.recv(CHUNK)
            except BlockingIOError:
                return None
            except OSError as error:
                raise Gone(reason(error)) from error
            if not chunk:
                raise Gone
            self.unread += chunk
        return message

    async def send(self, data: bytes) -> None:
        """
        Send *data*.

        Raises:
            Gone: The backend has closed its end.

        """
        try:
            await self._loop.sock_sendall(self.sock, data)
        except OSError as error:
            raise Gone(reason(error)) from error

    async def wait_for_end(self) -> None:
        """Read until the backend closes its end, and forget what it says."""
        with contextlib.suppress(OSError):
            while await self._loop.sock_recv(self.sock, CHUNK):
                pass

    async def readable(self) -> None:
        """Return when there is something to read."""
        await ready(self._loop, self.fileno())

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()
