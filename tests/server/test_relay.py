"""The relay: nothing is lost, nothing is held, and each end hears of the other's."""

import asyncio
import hashlib
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgproxy.server.libssl import TRIED_ON
from pgproxy.server.port import Port, reason
from pgproxy.server.relay import CHUNK, Relay
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support.peers import Peer, in_kernel, tcp_pair, until
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


@pytest.fixture(params=KINDS)
def play(
    request: pytest.FixtureRequest, run: Run[Any], folder: Folder
) -> Callable[..., Any]:
    """Return what runs a test on a scene: in clear, and over both versions of TLS."""

    def act(test: Callable[[Scene], Any], **options: Any) -> Any:
        async def main() -> Any:
            scene = await Scene.make(KINDS[request.param], folder, **options)
            try:
                return await test(scene)
            finally:
                scene.close()

        return run(main())

    return act


async def settle(scene: Scene) -> None:
    """Let everything happen that can happen by itself."""
    quiet, seen = 0, -1
    while quiet < 20:
        await asyncio.sleep(0.001)
        quiet = quiet + 1 if scene.relay.wakes == seen else 0
        seen = scene.relay.wakes


def test_both_ways(play: Any) -> None:
    """Small messages, in turn; and the counts that the log is told."""

    async def test(scene: Scene) -> None:
        for n in range(1, 20):
            await scene.client.send(b"Q" * n)
            assert await scene.backend.read(n) == b"Q" * n
            await scene.backend.send(b"D" * 3 * n)
            assert await scene.client.read(3 * n) == b"D" * 3 * n
        assert scene.relay.octets_from_client == 190
        assert scene.relay.octets_from_backend == 570
        assert not scene.running.done()

    play(test)


def pattern(size: int) -> bytes:
    """Return bytes of which no part is like another at a likely distance."""
    return b"".join(
        hashlib.sha256(n.to_bytes(4)).digest() for n in range(size // 32 + 1)
    )[:size]


BULK = pattern(LARGE)


def test_bulk(play: Any) -> None:
    """20 MB arrive as they were, in both directions at once (BUG-41)."""

    async def send(sender: Peer) -> None:
        for at in range(0, LARGE, 1 << 20):
            await sender.send(BULK[at : at + (1 << 20)])

    async def test(scene: Scene) -> None:
        async with asyncio.TaskGroup() as tasks:
            for sender in (scene.client, scene.backend):
                tasks.create_task(send(sender))
            there = tasks.create_task(scene.backend.read(LARGE))
            back = tasks.create_task(scene.client.read(LARGE))
        right = hashlib.sha256(BULK).digest()
        assert hashlib.sha256(there.result()).digest() == right
        assert hashlib.sha256(back.result()).digest() == right

    play(test)


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


@pytest.mark.parametrize("slow", ["client", "backend"])
def test_backpressure(play: Any, slow: str) -> None:
    """Who does not read stops the sender, and costs one chunk and no time (PRX-12)."""

    async def test(scene: Scene) -> None:
        sender = scene.backend if slow == "client" else scene.client
        taken = await fill(sender)
        assert CHUNK < taken < 4_000_000
        relay = scene.relay
        held = relay._for_client if slow == "client" else relay._for_backend
        assert 0 < len(held) <= CHUNK
        await settle(scene)
        before = relay.wakes
        for _ in range(50):
            await asyncio.sleep(0)
        assert relay.wakes == before
        receiver = scene.client if slow == "client" else scene.backend
        received = await receiver.read(taken)
        assert received == (pattern(8192) * (taken // 8192))

    play(test, small=True)


def test_slow_client_does_not_stop_its_own_words(play: Any) -> None:
    """The two directions are independent: a Cancel or a Terminate gets through."""

    async def test(scene: Scene) -> None:
        await fill(scene.backend)
        await scene.client.send(b"X\0\0\0\x04")
        assert await scene.backend.read(5) == b"X\0\0\0\x04"

    play(test, small=True)


def test_read_ahead(play: Any) -> None:
    """What was read of the backend before the relay comes first, and is counted."""

    async def test(scene: Scene) -> None:
        await scene.backend.send(b" and behind")
        assert await scene.client.read(len(BULK[:300_000]) + 11) == (
            BULK[:300_000] + b" and behind"
        )
        assert scene.relay.octets_from_backend == 300_011

    play(test, small=True, for_client=BULK[:300_000])


async def several_in_one(client: Peer, port: Port) -> None:
    await client.send(b"password" + b"query 1" + b"query 2")
    assert await port.read_exactly(8) == b"password"


def test_left_inside_tls(play: Any) -> None:
    """What sits in TLS's buffer when the relay begins is forwarded at once (BUG-37)."""

    async def test(scene: Scene) -> None:
        assert await scene.backend.read(14) == b"query 1query 2"

    play(test, before=several_in_one)


def test_left_inside_tls_behind_a_busy_client(play: Any) -> None:
    """And it is not forgotten while the client is slow."""

    async def test(scene: Scene) -> None:
        assert await scene.backend.read(14) == b"query 1query 2"
        assert await scene.client.read(1_000_000) == BULK[:1_000_000]

    play(test, before=several_in_one, small=True, for_client=BULK[:1_000_000])


# --- Ends ---------------------------------------------------------------------------


def error_text(scene: Scene) -> str | None:
    """Return what the log will say of the end."""
    return None if scene.relay.error is None else reason(scene.relay.error)


async def goodbye(client: Peer) -> None:
    if client.tls is None:
        client.fin()
    else:
        await client.end_tls()


def test_client_closes(play: Any) -> None:
    """PRX-11: the backend hears of it, and what it still says is delivered."""

    async def test(scene: Scene) -> None:
        await scene.client.send(b"the last query")
        await goodbye(scene.client)
        assert await scene.backend.read_all() == b"the last query"
        assert not scene.running.done()
        await scene.backend.send(BULK[:500_000])
        scene.backend.sock.close()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())
            assert await scene.client.read_all() == BULK[:500_000]
        assert scene.relay.error is None
        assert not scene.client.reset

    play(test)


def test_backend_closes(play: Any) -> None:
    """PRX-11: first what it has said, then close_notify and the end."""

    async def test(scene: Scene) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())

            async def die() -> None:
                await scene.backend.send(BULK[:2_000_000])
                scene.backend.sock.close()

            tasks.create_task(die())
            assert await scene.client.read_all() == BULK[:2_000_000]
        assert not scene.client.reset
        assert scene.client.notified == (scene.client.tls is not None)
        assert scene.relay.error is None

    play(test, small=True)


def test_backend_closes_one_side(play: Any) -> None:
    """A backend that says no more is a backend that is gone."""

    async def test(scene: Scene) -> None:
        scene.backend.fin()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())
            assert await scene.client.read_all() == b""
        assert await scene.backend.read_all() == b""

    play(test)


def test_client_vanishes(play: Any) -> None:
    """A reset of the client's tears down the backend's (PRX-11)."""

    async def test(scene: Scene) -> None:
        scene.client.rst()
        await scene.end()
        assert error_text(scene) == "Connection reset by peer"
        assert await scene.backend.read_all() == b""

    play(test)


def test_client_vanishes_while_it_is_sent_to(play: Any) -> None:
    """Also one that was not reading any more."""

    async def test(scene: Scene) -> None:
        await fill(scene.backend)
        scene.client.rst()
        await scene.end()
        assert error_text(scene) in {"Connection reset by peer", "Broken pipe"}
        await scene.backend.read_all()

    play(test, small=True)


def test_no_close_notify(play: Any) -> None:
    """NEG-68: in TLS, an end without close_notify counts as a reset."""

    async def test(scene: Scene) -> None:
        scene.client.fin()
        if scene.client.tls is None:
            assert await scene.backend.read_all() == b""
            assert scene.relay.error is None
            return
        await scene.end()
        assert error_text(scene) == "Connection reset by peer"
        assert await scene.backend.read_all() == b""

    play(test)


def test_backend_vanishes(play: Any) -> None:
    """A reset of the backend's ends the client's, and is not the client's fault."""

    async def test(scene: Scene) -> None:
        await scene.backend.send(b"the last word")
        assert await scene.client.read(13) == b"the last word"
        scene.backend.rst()
        await scene.end()
        assert scene.relay.error is None
        assert await scene.client.read_all() == b""
        assert not scene.client.reset

    play(test)


def test_backend_vanishes_while_it_is_sent_to(play: Any) -> None:
    """The client was in the middle of a COPY."""

    async def test(scene: Scene) -> None:
        await fill(scene.client)
        scene.backend.rst()
        await scene.end()
        assert scene.relay.error is None

    play(test, small=True)


def test_last_words_of_a_backend_that_is_gone(play: Any) -> None:
    """It has closed, the client still sends: the FATAL is delivered all the same."""

    async def test(scene: Scene) -> None:
        await scene.backend.send(b"FATAL")
        scene.backend.sock.close()
        for _ in range(10):
            try:
                await scene.client.send(b"insert")
            except OSError:
                break
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())
            assert await scene.client.read_all() == b"FATAL"

    play(test)


MUCH = BULK[: CHUNK + 5_000] + b"COMMIT"
"""More than one chunk, and not more than the kernel holds for who does not read."""


async def backend_says_much_and_vanishes(
    _client: Peer, backend: Peer, _port: Port, ours: socket.socket
) -> None:
    await backend.send(MUCH)
    await until(lambda: in_kernel(ours) == len(MUCH))
    backend.rst()


def test_all_of_a_backend_that_is_gone(play: Any) -> None:
    """An error behind the data is told once; the data is more than one chunk."""

    async def test(scene: Scene) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())
            assert await scene.client.read_all() == MUCH
        assert scene.relay.error is None

    play(test, prepare=backend_says_much_and_vanishes)


async def client_says_much_and_vanishes(
    client: Peer, _backend: Peer, port: Port, _ours: socket.socket
) -> None:
    await client.send(MUCH)
    await until(lambda: in_kernel(port.sock) >= len(MUCH))
    client.rst()


def test_all_of_a_client_that_is_gone(play: Any) -> None:
    """Its COMMIT was sent, and so it is delivered."""

    async def test(scene: Scene) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(scene.end())
            assert await scene.backend.read_all() == MUCH
        assert error_text(scene) == "Connection reset by peer"

    play(test, prepare=client_says_much_and_vanishes)


def test_garbage_in_tls(run: Run[Any], folder: Folder) -> None:
    """What is no TLS ends the session, with OpenSSL's reason."""

    async def main() -> str | None:
        scene = await Scene.make(TLS_1_3, folder)
        try:
            await scene.client.send_raw(b"X" * 50)
            await scene.end()
            return error_text(scene)
        finally:
            scene.close()

    assert run(main()) == "wrong version number"


def test_cancelled(play: Any) -> None:
    """A fast shutdown: nothing is left in the loop."""

    async def test(scene: Scene) -> None:
        await scene.client.send(b"x")
        await scene.backend.read(1)
        scene.running.cancel()
        await asyncio.wait([scene.running])
        loop = asyncio.get_running_loop()
        for fd in (scene.port.fileno(), scene._backend.fileno()):
            assert not loop.remove_reader(fd)
            assert not loop.remove_writer(fd)

    play(test)


# --- KeyUpdate ----------------------------------------------------------------------

can_update = pytest.mark.skipif(
    sys.version_info[:2] not in TRIED_ON, reason="there is no API for KeyUpdate"
)


@can_update
def test_key_update(run: Run[Any], folder: Folder) -> None:
    """NEG-84: the library answers, and the relay does not notice."""

    async def main() -> None:
        scene = await Scene.make(TLS_1_3, folder)
        try:
            for _ in range(3):
                await scene.client.update_key()
                await scene.client.send(b"query")
                assert await scene.backend.read(5) == b"query"
                await scene.backend.send(b"data")
                assert await scene.client.read(4) == b"data"
        finally:
            scene.close()

    run(main())


@can_update
def test_key_update_in_full_duplex(run: Run[Any], folder: Folder) -> None:
    """BUG-41: asked for while both directions are full."""
    size = 2_000_000

    async def main() -> None:
        scene = await Scene.make(TLS_1_3, folder, small=True)

        async def ask() -> None:
            await scene.client.send(BULK[: size // 2])
            await scene.client.update_key()
            await scene.client.send(BULK[size // 2 : size])

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ask())
                tasks.create_task(scene.backend.send(BULK[:size]))
                there = tasks.create_task(scene.backend.read(size))
                back = tasks.create_task(scene.client.read(size))
            assert there.result() == BULK[:size]
            assert back.result() == BULK[:size]
        finally:
            scene.close()

    run(main())


@can_update
def test_key_update_of_who_does_not_read(run: Run[Any], folder: Folder) -> None:
    """
    Who asks for a key and takes no answer costs no time, and loses nothing.

    Asked twice in a row, OpenSSL gives up: it has put off one answer until it can
    write, and fails to do so with the next (``bad length``).
    """

    async def main() -> None:
        scene = await Scene.make(TLS_1_3, folder, small=True)
        try:
            taken = await fill(scene.backend)
            await scene.client.update_key()
            await scene.client.send(b"query")
            assert await scene.backend.read(5) == b"query"
            await settle(scene)
            before = scene.relay.wakes
            for _ in range(50):
                await asyncio.sleep(0)
            assert scene.relay.wakes == before
            assert await scene.client.read(taken) == pattern(8192) * (taken // 8192)
            await scene.backend.send(b"data")
            assert await scene.client.read(4) == b"data"
            assert scene.relay.error is None
        finally:
            scene.close()

    run(main())
