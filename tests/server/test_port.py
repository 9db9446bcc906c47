"""The client's end: exact reads, TLS on what is in the kernel, an orderly close."""

import asyncio
import ssl
from typing import Any

import pytest

from pgproxy.server import port as port_module
from pgproxy.server.port import DRAIN_LIMIT, IncompleteRead, Port, ssl_reason
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support import wire
from tests.support.peers import Peer, in_kernel, tcp_pair, until
from tests.support.tls_files import Folder


def pair(*, small: bool = False) -> tuple[Peer, Port]:
    """Return a client and the port it is connected to."""
    client, server = tcp_pair(small=small)
    return Peer(client), Port(asyncio.get_running_loop(), server)


async def tls_pair(folder: Folder, **client: Any) -> tuple[Peer, Port]:
    """Return a client and a port with TLS between them."""
    peer, port = pair()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(peer.start_tls(tls_client.context(**client)))
        await port.start_tls(folder.context())
    return peer, port


# --- Reading ------------------------------------------------------------------------


def test_exact_read(run: Run[Any]) -> None:
    """What was not asked for stays in the kernel, where TLS will meet it."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            await peer.send(b"12345678")
            assert await port.read_exactly(4) == b"1234"
            assert in_kernel(port.sock) == 4
            assert port.more_waiting()
            assert await port.read_exactly(3) == b"567"
            assert await port.read_exactly(1) == b"8"
            assert in_kernel(port.sock) == 0
            assert not port.more_waiting()
            port.close_now()

    run(main())


def test_byte_by_byte(run: Run[Any]) -> None:
    """A packet may come in any number of segments (NEG-09)."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(port.read_exactly(5))
                for byte in b"12345":
                    assert not reading.done()
                    await peer.send(bytes([byte]))
                    await until(lambda: not in_kernel(port.sock))
            assert reading.result() == b"12345"
            port.close_now()

    run(main())


def test_try_read(run: Run[Any]) -> None:
    """What has come is kept until the rest is there."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            assert port.try_read(3) is None
            await peer.send(b"12")
            await until(lambda: in_kernel(port.sock) == 2)
            assert port.try_read(3) is None
            assert in_kernel(port.sock) == 0
            await peer.send(b"34")
            await until(lambda: in_kernel(port.sock) == 2)
            assert port.try_read(3) == b"123"
            assert port.try_read(1) == b"4"
            port.close_now()

    run(main())


def test_peek(run: Run[Any]) -> None:
    """The first byte is looked at and left where it is."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            async with asyncio.TaskGroup() as tasks:
                peeking = tasks.create_task(port.peek_first_byte())
                await asyncio.sleep(0)
                assert not peeking.done()
                await peer.send(b"\x16\x03")
            assert peeking.result() == 0x16
            assert in_kernel(port.sock) == 2
            port.close_now()

    run(main())


@pytest.mark.parametrize("sent", [b"", b"1", b"123"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_incomplete(run: Run[Any], sent: bytes, how: str) -> None:
    """How many bytes had come decides what is logged (NEG-05 to NEG-08)."""

    async def main() -> tuple[int, str | None]:
        peer, port = pair()
        with peer:
            await peer.send(sent)
            await until(lambda: in_kernel(port.sock) == len(sent))
            assert port.try_read(4) is None
            getattr(peer, how)()
            with pytest.raises(IncompleteRead) as gone:
                await port.read_exactly(4)
            port.close_now()
            return gone.value.received, gone.value.error

    error = None if how == "fin" else "Connection reset by peer"
    assert run(main()) == (len(sent), error)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_peek_at_the_end(run: Run[Any], how: str) -> None:
    """A client that sends nothing at all."""

    async def main() -> tuple[int, str | None]:
        peer, port = pair()
        with peer:
            getattr(peer, how)()
            with pytest.raises(IncompleteRead) as gone:
                await port.peek_first_byte()
            port.close_now()
            return gone.value.received, gone.value.error

    error = None if how == "fin" else "Connection reset by peer"
    assert run(main()) == (0, error)


def test_more_waiting_after_reset(run: Run[Any]) -> None:
    """Whoever is gone has nothing waiting."""

    async def main() -> bool:
        peer, port = pair()
        peer.rst()
        waiting = port.more_waiting()
        port.close_now()
        return waiting

    assert run(main()) is False


# --- TLS ----------------------------------------------------------------------------


def test_hello_in_pieces(
    folder: Folder, run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ClientHello cut at every byte still works, and no cut makes the loop spin."""
    waits = 0
    real = port_module.ready

    async def counted(*args: Any, **kwargs: Any) -> None:
        nonlocal waits
        waits += 1
        await real(*args, **kwargs)

    monkeypatch.setattr(port_module, "ready", counted)

    async def main() -> int:
        peer, port = pair()
        with peer:
            async with asyncio.TaskGroup() as tasks:
                shaking = tasks.create_task(port.start_tls(folder.context()))
                hello = peer.begin_tls(tls_client.context())
                for byte in hello:
                    await peer.send_raw(bytes([byte]))
                    await until(lambda: not in_kernel(port.sock))
                await peer.finish_tls()
            assert shaking.result().version() == "TLSv1.3"
            await port.close()
            return len(hello)

    size = run(main())
    assert 1 < waits <= size + 4


@pytest.mark.parametrize("behind", [b"", b"G", wire.startup()])
def test_early_bytes(folder: Folder, run: Run[Any], behind: bytes) -> None:
    """What came with the request meets TLS, and never anything else (NEG-37)."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            await peer.send_raw(wire.SSL_REQUEST + peer.begin_tls(tls_client.context()))
            assert await port.read_exactly(8) == wire.SSL_REQUEST
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(peer.finish_tls())
                await port.start_tls(folder.context())
            assert not port.more_waiting()
            port.close_now()
        peer, port = pair()
        with peer:
            await peer.send_raw(wire.SSL_REQUEST + wire.startup() + behind)
            assert await port.read_exactly(8) == wire.SSL_REQUEST
            with pytest.raises(ssl.SSLError, match="WRONG_VERSION_NUMBER"):
                await port.start_tls(folder.context())
            assert not port.ssl_in_use
            port.close_now()

    run(main())


def test_exact_read_in_tls(folder: Folder, run: Run[Any]) -> None:
    """Of one record, the rest waits inside TLS, where the kernel knows nothing."""

    async def main() -> None:
        peer, port = await tls_pair(folder)
        with peer:
            await peer.send(b"12345678")
            assert await port.read_exactly(4) == b"1234"
            assert in_kernel(port.sock) == 0
            assert port.more_waiting()
            assert port.try_read(5) is None
            await peer.send(b"9")
            assert await port.read_exactly(5) == b"56789"
            assert not port.more_waiting()
            await port.close()

    run(main())


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("close_notify", None),
        ("fin", "Connection reset by peer"),
        ("rst", "Connection reset by peer"),
        ("garbage", "wrong version number"),
        ("alert", "sslv3 alert bad certificate"),
    ],
)
def test_ends_of_tls(
    folder: Folder, run: Run[Any], how: str, error: str | None
) -> None:
    """NEG-68: without close_notify, the end of a connection counts as a reset."""

    async def main() -> tuple[int, str | None]:
        # TLS 1.2, where an alert can be sent in clear, as Finished has not been.
        peer, port = await tls_pair(folder)
        with peer:
            await peer.send(b"12")
            assert await port.read_exactly(1) == b"1"
            match how:
                case "close_notify":
                    await peer.end_tls()
                case "garbage":
                    await peer.send_raw(b"X" * 100)
                case "alert":
                    await peer.send_raw(bytes.fromhex("15 0303 0002 022a"))
                case _:
                    getattr(peer, how)()
            with pytest.raises(IncompleteRead) as gone:
                await port.read_exactly(4)
            port.close_now()
            return gone.value.received, gone.value.error

    received, said = run(main())
    assert received == 1
    if how == "alert":  # in the middle of TLS 1.3 it is not even a record
        assert said
    else:
        assert said == error


# --- Writing ------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_flush(folder: Folder, run: Run[Any], tls: bool) -> None:
    """A client that reads slowly gets all of it, and in order."""
    data = bytes(range(256)) * 40_000

    async def main() -> bytes:
        peer, port = await tls_pair(folder) if tls else pair(small=True)
        with peer:
            port.queue(data[:1000])
            port.queue(data[1000:])
            assert in_kernel(peer.sock) == 0
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(port.flush())
                received = await peer.read(len(data))
            await port.close()
            assert await peer.read_all() == b""
            return received

    assert run(main()) == data


def test_queued_is_one_segment(run: Run[Any]) -> None:
    """What belongs together is written together."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            for byte in b"12345":
                port.queue(bytes([byte]))
            await port.flush()
            assert await peer.receive() == b"12345"
            await port.flush()
            port.close_now()

    run(main())


def test_flush_to_nobody(run: Run[Any]) -> None:
    """The client is gone; what was queued for it is forgotten."""

    async def main() -> str | None:
        peer, port = pair(small=True)
        async with asyncio.TaskGroup() as tasks:
            port.queue(b"x" * (1 << 22))
            flushing = tasks.create_task(expect_gone(port))
            await until(lambda: bool(in_kernel(peer.sock)))
            peer.rst()
        await port.flush()
        port.close_now()
        return flushing.result()

    assert run(main()) in {"Connection reset by peer", "Broken pipe"}


async def expect_gone(port: Port) -> str | None:
    with pytest.raises(IncompleteRead) as gone:
        await port.flush()
    return gone.value.error


# --- The end ------------------------------------------------------------------------


@pytest.mark.parametrize("unread", [0, 1, DRAIN_LIMIT // 2])
def test_close_is_a_fin(run: Run[Any], unread: int) -> None:
    """What the client has sent and nobody wants must not eat our last word (NEG-69)."""

    async def main() -> tuple[bytes, bool]:
        peer, port = pair()
        with peer:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(peer.send(b"x" * unread))
                await until(lambda: in_kernel(port.sock) >= min(unread, 10_000))
                port.queue(b"the last word")
                await port.close()
            return await peer.read_all(), peer.reset

    assert run(main()) == (b"the last word", False)


@pytest.mark.parametrize(("limit", "left"), [(1, 100_000 - 65_536), (100_000, 0)])
def test_drain_is_bounded(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch, limit: int, left: int
) -> None:
    """A client that sends without end does not keep us."""
    monkeypatch.setattr(port_module, "DRAIN_LIMIT", limit)

    async def main() -> int:
        peer, port = pair()
        with peer, port.sock.dup() as same:
            await peer.send(b"x" * 100_000)
            await until(lambda: in_kernel(port.sock) == 100_000)
            await port.close()
            return in_kernel(same)

    assert run(main()) == left


@pytest.mark.parametrize("notify", [False, True])
@pytest.mark.parametrize("unread", [b"", b"x"])
def test_close_notify(
    folder: Folder, run: Run[Any], notify: bool, unread: bytes
) -> None:
    """NEG-67: said on every end but the one in the start-up phase (NEG-65)."""

    async def main() -> tuple[bytes, bool, bool]:
        peer, port = await tls_pair(folder)
        with peer:
            if unread:
                await peer.send(unread)
                await until(lambda: bool(in_kernel(port.sock)))
            port.queue(b"the last word")
            await port.close(notify=notify)
            try:
                return await peer.read_all(), peer.notified, peer.reset
            except ssl.SSLEOFError:
                return b"the last word", peer.notified, peer.reset

    assert run(main()) == (b"the last word", notify, False)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_close_does_not_wait_for_ever(
    folder: Folder, run: Run[Any], monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    """A client that takes nothing has a limited time to take the last word."""
    monkeypatch.setattr(port_module, "FLUSH_TIMEOUT", 0.05)

    async def main() -> int:
        peer, port = await tls_pair(folder) if tls else pair(small=True)
        with peer:
            port.queue(b"x" * (1 << 26))
            await port.close()
            return port.fileno()

    assert run(main()) == -1


def test_close_of_who_is_gone(folder: Folder, run: Run[Any]) -> None:
    """Nothing to say to, and no error."""

    async def main() -> None:
        for peer, port in (pair(), await tls_pair(folder)):
            peer.rst()
            port.queue(b"anyone?")
            await port.close()
            assert port.fileno() == -1

    run(main())


def test_close_twice(run: Run[Any]) -> None:
    """The second time there is nothing left to do."""

    async def main() -> None:
        peer, port = pair()
        with peer:
            port.close_now()
            port.close_now(notify=True)
            await port.close()
            assert await peer.read_all() == b""

    run(main())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ssl.SSLError(
                1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:10)"
            ),
            "wrong version number",
        ),
        (
            ssl.SSLError(1, "[X509] no certificate or crl found (_ssl.c:4149)"),
            "no certificate or crl found",
        ),
        (ssl.SSLError(1, "unknown error (_ssl.c:3900)"), "unknown error"),
    ],
)
def test_ssl_reason(error: ssl.SSLError, reason: str) -> None:
    """OpenSSL's words, out of what Python puts round them."""
    assert ssl_reason(error) == reason
