"""The backend's end of a session: connect, read message by message, send."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pgproxy.protocol.errors import CommunicationError
from pgproxy.protocol.framing import first_message
from pgproxy.server.port import ready
from pgproxy.settings.conninfo import BackendConninfo, BackendHost

CHUNK: Final = 65536


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
        where = f'connection to server on socket "{path}" failed'
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Linux's abstract sockets are written with @ and begin with NUL.
        address = "\0" + path[1:] if path.startswith("@") else path
        return await _try(loop, sock, address, where, timeout_s)
    try:
        found = await loop.getaddrinfo(
            host.hostaddr or host.host, host.port, type=socket.SOCK_STREAM
        )
    except OSError as error:
        name = host.hostaddr or host.host
        reason = f'could not translate host name "{name}" to address: {error.strerror}'
        raise Unreachable([reason]) from error
    reasons: list[str] = []
    for family, kind, protocol, _name, sockaddr in found:
        where = (
            f'connection to server at "{host.host or host.hostaddr}" ({sockaddr[0]}), '
            f"port {host.port} failed"
        )
        try:
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return await _try(loop, sock, sockaddr, where, timeout_s)
        except Unreachable as failed:
            reasons.extend(failed.reasons)
        except OSError as error:
            reasons.append(f"{where}: {error.strerror}")
    raise Unreachable(reasons)


async def _try(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    address: object,
    where: str,
    timeout_s: int | None,
) -> "Instance":
    sock.setblocking(False)
    connecting: Callable[..., Awaitable[None]] = loop.sock_connect
    try:
        async with asyncio.timeout(timeout_s):
            await connecting(sock, address)
    except TimeoutError as error:
        sock.close()
        raise Unreachable([f"{where}: timeout expired"]) from error
    except OSError as error:
        sock.close()
        raise Unreachable([f"{where}: {error.strerror}"]) from error
    except BaseException:
        sock.close()
        raise
    return Instance(loop, sock, where.removesuffix(" failed"))


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

        Raises:
            Gone: What the backend says is no message.

        """
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
                raise Gone(error.strerror) from error
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
            raise Gone(error.strerror) from error

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
