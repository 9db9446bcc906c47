"""The relay: nothing is lost, and nothing is held beyond one chunk."""

import asyncio
import hashlib
import sys
from typing import Any

import pytest

from pgproxy.server.libssl import TRIED_ON
from pgproxy.server.port import Port
from pgproxy.server.relay import CHUNK
from tests.server.conftest import Run
from tests.support.peers import Peer
from tests.support.relay_scene import (
    BULK,
    LARGE,
    TLS_1_3,
    Scene,
    fill,
    pattern,
    settle,
)
from tests.support.tls_files import Folder


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
