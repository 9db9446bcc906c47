"""Listening sockets: bind, and accept without end."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import log

AddrInfo = tuple[int, int, int, str, tuple[str | int | bytes, ...]]
"""What getaddrinfo returns: family, type, protocol, name, address."""

BACKLOG: Final = 1024

ACCEPTS_PER_WAKE: Final = 64
"""So that a flood of new clients does not starve the sessions there are."""

PAUSE: Final = 0.1
"""Seconds without accepting when the system is out of descriptors."""

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def bind(addresses: Iterable[str], port: int) -> list[socket.socket]:
    """
    Listen on *port* of every one of *addresses* that can be had.

    What cannot be had is logged, in PostgreSQL's words; an empty list means that
    nothing could.

    Args:
        addresses: Names or addresses; ``*`` is all that this machine has.
        port: 0 lets the system choose one, the same for all addresses.

    Source: ``ListenServerPort`` in pqcomm.c.

    """
    sockets: list[socket.socket] = []
    for name in addresses:
        had = len(sockets)
        for family, kind, protocol, _name, address in _look_up(name, port):
            sock = _listen(family, kind, protocol, (str(address[0]), port))
            if sock is not None:
                port = sock.getsockname()[1]
                sockets.append(sock)
        if len(sockets) == had:
            log.write(
                Report(
                    severity=Severity.WARNING,
                    sqlstate=SqlState.SUCCESSFUL_COMPLETION,
                    message=f'could not create listen socket for "{name}"',
                    event="listener.failed",
                )
            )
    return sockets


def _look_up(name: str, port: int) -> Sequence[AddrInfo]:
    try:
        return socket.getaddrinfo(
            None if name == "*" else name,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (OSError, UnicodeError) as error:
        # UnicodeError: it cannot even be asked for.
        why = error.strerror if isinstance(error, OSError) else "no host name"
        log.note(
            f'could not translate host name "{name}", service "{port}" to '
            f"address: {why}",
            "listener.failed",
        )
        return []


def _listen(
    family: int, kind: int, protocol: int, address: tuple[str, int]
) -> socket.socket | None:
    host, port = address
    version = "IPv6" if family == socket.AF_INET6 else "IPv4"
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        message = f'could not create {version} socket for address "{host}"'
        log.note(f"{message}: {error.strerror}", "listener.failed")
        return None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As PostgreSQL, so that pg_hba.conf sees addresses as they are (HBA-67).
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        log.note(
            f'could not bind {version} address "{host}": {error.strerror}',
            "listener.failed",
            hint=f"Is another postmaster already running on port {port}? If not, "
            "wait a few seconds and retry."
            if error.errno == errno.EADDRINUSE
            else None,
        )
        return None
    log.note(
        f'listening on {version} address "{host}", port {sock.getsockname()[1]}',
        "postmaster.listening",
    )
    return sock


class Listener:
    """
    Accepts clients on *sockets* and hands each to *welcome*.

    Args:
        loop: The loop of this worker.
        sockets: Non-blocking and listening; closed with the listener.
        welcome: Takes a client's socket, non-blocking, and its address.
        accepts: How many clients to take at a time, before others have their turn.

    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sockets: Sequence[socket.socket],
        welcome: Callable[[socket.socket, tuple[str, int]], None],
        accepts: int = ACCEPTS_PER_WAKE,
    ) -> None:
        self._loop = loop
        self._sockets = list(sockets)
        self._welcome = welcome
        self._accepts = accepts

    def start(self) -> None:
        """Accept from here on."""
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Stop listening."""
        for sock in self._sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock.fileno())
                sock.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(self._accepts):
            try:
                sock, address = listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.note(
                    f"could not accept new connection: {error.strerror}",
                    "listener.failed",
                )
                if error.errno in EXHAUSTED:
                    self._pause(listening)
                    return
                continue  # that client has gone again; the next may be there
            sock.setblocking(False)
            # It may have gone again, and then there is nothing to set.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._welcome(sock, (str(address[0]), int(address[1])))

    def _pause(self, listening: socket.socket) -> None:
        # The socket stays readable: to go on at once would spin.
        self._loop.remove_reader(listening.fileno())
        self._loop.call_later(PAUSE, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening.fileno(), self._accept, listening)
