"""A client, a backend, and the relay between them."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pgproxy.server.port import Port, reason
from pgproxy.server.relay import Relay
from tests.support import client as tls_client
from tests.support.peers import Peer, tcp_pair
from tests.support.tls_files import Folder

LARGE = 20_000_000
TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS_1_3 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)

KINDS: dict[str, Any] = {"plain": None, "1.2": TLS_1_2, "1.3": TLS_1_3}


class Counting(Relay):
    """A relay that counts how often it is woken up."""

    __slots__ = ("wakes",)

    def __init__(self, *args: Any) -> None:
        self.wakes = 0
        super().__init__(*args)

    def _forward_to_backend(self) -> None:
        self.wakes += 1
        super()._forward_to_backend()

    def _drain_to_backend(self) -> None:
        self.wakes += 1
        super()._drain_to_backend()

    def _forward_to_client(self) -> None:
        self.wakes += 1
        super()._forward_to_client()

    def _drain_to_client(self) -> None:
        self.wakes += 1
        super()._drain_to_client()


@dataclass
class Scene:
    """
    A client, a backend, and the relay between them, which is running.

    Args:
        client: Its end of the connection.
        backend: Likewise.
        relay: Between them.
        port: The relay's end of the client's connection.
        running: Done when the relay is.

    """

    client: Peer
    backend: Peer
    relay: Counting
    port: Port
    running: asyncio.Task[None]
    _backend: socket.socket = field(repr=False)

    @classmethod
    async def make(
        cls,
        versions: Any,
        folder: Folder,
        *,
        small: bool = False,
        for_client: bytes = b"",
        before: Callable[[Peer, Port], Any] | None = None,
        prepare: Callable[[Peer, Peer, Port, socket.socket], Any] | None = None,
    ) -> "Scene":
        loop = asyncio.get_running_loop()
        client, server = tcp_pair(small=small)
        backend, ours = tcp_pair(small=small)
        peer, port = Peer(client), Port(loop, server)
        if versions is not None:
            context = tls_client.context(versions=versions)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(peer.start_tls(context))
                await port.start_tls(folder.context())
        if before is not None:
            await before(peer, port)
        if prepare is not None:
            await prepare(peer, Peer(backend), port, ours)
        relay = Counting(loop, port.sock, ours, for_client)
        running = loop.create_task(relay.run())
        return cls(peer, Peer(backend), relay, port, running, ours)

    async def end(self) -> None:
        """Wait for the relay's end, and do then what the session does."""
        await self.running
        self._backend.close()
        await self.port.close()

    def close(self) -> None:
        """Close what a test has left open."""
        self.running.cancel()
        self.port.close_now()
        for sock in (self.client.sock, self.backend.sock, self._backend):
            sock.close()


async def settle(scene: Scene) -> None:
    """Let everything happen that can happen by itself."""
    quiet, seen = 0, -1
    while quiet < 20:
        await asyncio.sleep(0.001)
        quiet = quiet + 1 if scene.relay.wakes == seen else 0
        seen = scene.relay.wakes


def pattern(size: int) -> bytes:
    """Return bytes of which no part is like another at a likely distance."""
    return b"".join(
        hashlib.sha256(n.to_bytes(4)).digest() for n in range(size // 32 + 1)
    )[:size]


BULK = pattern(LARGE)


async def fill(sender: Peer) -> int:
    """Send until nothing more is taken; return how many bytes were."""
    sent = 0
    data = pattern(8192)
    while True:
        sending = asyncio.get_running_loop().create_task(sender.send(data))
        _done, waiting = await asyncio.wait([sending], timeout=0.3)
        if waiting:
            sending.cancel()
            await asyncio.wait([sending])
            return sent
        sent += len(data)


def error_text(scene: Scene) -> str | None:
    """Return what the log will say of the end."""
    return None if scene.relay.error is None else reason(scene.relay.error)
