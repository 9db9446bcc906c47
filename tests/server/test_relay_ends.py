"""The relay: each end hears of the other's, and of what came before it."""

import asyncio
import socket
from typing import Any

from pgproxy.server.port import Port
from pgproxy.server.relay import CHUNK
from tests.server.conftest import Run
from tests.support.peers import Peer, in_kernel, until
from tests.support.relay_scene import (
    BULK,
    TLS_1_3,
    Scene,
    error_text,
    fill,
)
from tests.support.tls_files import Folder


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


def test_goodbye_behind_much(run: Run[Any], folder: Folder) -> None:
    """A close_notify that comes right behind a large record, and no FIN with it."""

    async def before(client: Peer, _port: Port) -> None:
        await client.send(BULK[:10_000])
        await client.end_tls()

    async def main() -> None:
        scene = await Scene.make(TLS_1_3, folder, before=before)
        try:
            assert await scene.backend.read_all() == BULK[:10_000]
            assert scene.relay.error is None
        finally:
            scene.close()

    run(main())


def test_garbage_behind_much(run: Run[Any], folder: Folder) -> None:
    """What came before it is delivered, and the reason is OpenSSL's."""

    async def before(client: Peer, _port: Port) -> None:
        await client.send(BULK[:10_000])
        await client.send_raw(b"X" * 50)

    async def main() -> str | None:
        scene = await Scene.make(TLS_1_3, folder, before=before)
        try:
            await scene.end()
            assert await scene.backend.read_all() == BULK[:10_000]
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
