"""The backend's end: which host is connected to, and what is said of those that fail."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgproxy.server.instance import Gone, Instance, Unreachable, connect
from pgproxy.settings.conninfo import BackendConninfo, parse_conninfo
from tests.server.conftest import Run
from tests.support.peers import Peer, in_kernel, tcp_pair, until

REFUSED = "Connection refused"
GARBAGE = "invalid message length: is there a PostgreSQL at this address?"


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """Yield a port that nobody listens on, and nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock, int(sock.getsockname()[1])


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def connected(conninfo: str | BackendConninfo) -> Instance:
    if isinstance(conninfo, str):
        conninfo = parse_conninfo(conninfo)
    return await connect(asyncio.get_running_loop(), conninfo)


async def refused(conninfo: str | BackendConninfo) -> tuple[str, ...]:
    with pytest.raises(Unreachable) as error:
        await connected(conninfo)
    return error.value.reasons


# --- Connecting ---------------------------------------------------------------------


def test_connect(run: Run[Any]) -> None:
    """The address is told in libpq's words; the socket is fit for the relay."""

    async def main() -> None:
        with listening() as (sock, port):
            backend = await connected(f"host=127.0.0.1 port={port}")
            peer, _address = sock.accept()
            with peer:
                assert backend.address == (
                    f'connection to server at "127.0.0.1" (127.0.0.1), port {port}'
                )
                assert not backend.sock.getblocking()
                assert backend.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                await backend.send(b"hello")
                assert peer.recv(9) == b"hello"
            backend.close()

    run(main())


def test_several_hosts(run: Run[Any]) -> None:
    """In their order; the first that answers serves."""

    async def main() -> None:
        with closed_port() as down, listening() as (one, a), listening() as (_two, b):
            hosts, ports = "127.0.0.1,127.0.0.1,127.0.0.1", f"{down},{a},{b}"
            backend = await connected(f"host={hosts} port={ports}")
            assert backend.address.endswith(f"port {a}")
            one.accept()[0].close()
            backend.close()

    run(main())


def test_nobody_answers(run: Run[Any]) -> None:
    """A reason for each address that was tried."""

    async def main() -> None:
        with closed_port() as a, closed_port() as b:
            reasons = await refused(f"host=127.0.0.1,127.0.0.1 port={a},{b}")
            assert reasons == tuple(
                f'connection to server at "127.0.0.1" (127.0.0.1), port {port} '
                f"failed: {REFUSED}"
                for port in (a, b)
            )

    run(main())


def test_every_address_of_a_name(run: Run[Any]) -> None:
    """A name with several addresses: each is tried, and each is told."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with closed_port() as down, listening() as (sock, port):

            async def both(_host: str, port: int, **_more: Any) -> list[Any]:
                return [
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port)),
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
                ]

            class Loop:
                getaddrinfo = staticmethod(both)
                sock_connect = staticmethod(loop.sock_connect)

            found: Any = Loop()
            conninfo = parse_conninfo(f"host=db port={down}")
            with pytest.raises(Unreachable) as error:
                await connect(found, conninfo)
            assert error.value.reasons == tuple(
                f'connection to server at "db" ({address}), port {down} failed: '
                f"{REFUSED}"
                for address in ("127.0.0.2", "127.0.0.1")
            )
            # Only on 127.0.0.1 somebody listens.
            conninfo = parse_conninfo(f"host=db port={port}")
            backend = await connect(found, conninfo)
            assert "(127.0.0.1)" in backend.address
            sock.accept()[0].close()
            backend.close()

    run(main())


def test_hostaddr(run: Run[Any]) -> None:
    """With hostaddr there is nothing to look up; the name is only told."""

    async def main() -> None:
        with closed_port() as port:
            [reason] = await refused(f"host=db.invalid hostaddr=127.0.0.1 port={port}")
            assert reason.startswith(
                f'connection to server at "db.invalid" (127.0.0.1), port {port} failed'
            )
            [reason] = await refused(f"hostaddr=127.0.0.1 port={port}")
            assert reason.startswith('connection to server at "127.0.0.1" (127.0.0.1)')

    run(main())


@pytest.mark.parametrize(
    "name",
    [
        "no-such-host.invalid",
        "a..b",  # cannot even be asked for
        "x" * 64,
        "\udce9",
    ],
)
def test_unknown_host(run: Run[Any], name: str) -> None:
    """A name that nobody knows, and one that can be no name."""

    async def main() -> None:
        [reason] = await refused(f"host={name} port=1")
        assert reason.startswith(f'could not translate host name "{name}" to address: ')

    run(main())


def test_timeout(run: Run[Any]) -> None:
    """connect_timeout: a host that drops what is sent to it."""

    async def main() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            with contextlib.ExitStack() as clients:
                # The kernel answers no more once the queue is full.
                for _ in range(4):
                    client = clients.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(full.getsockname())
                [reason] = await refused(
                    f"host=127.0.0.1 port={port} connect_timeout=1"
                )
                assert reason == (
                    'connection to server at "127.0.0.1" (127.0.0.1), '
                    f"port {port} failed: timeout expired"
                )

    run(main())


def test_cancelled(run: Run[Any]) -> None:
    """authentication_timeout has passed meanwhile: no descriptor is left."""

    async def main() -> int:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            with contextlib.ExitStack() as clients:
                for _ in range(4):
                    client = clients.enter_context(socket.socket())
                    client.setblocking(False)
                    client.connect_ex(full.getsockname())
                before = descriptors()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await connected(f"host=127.0.0.1 port={full.getsockname()[1]}")
                return descriptors() - before

    assert run(main()) == 0


# --- Unix-domain sockets ------------------------------------------------------------


@pytest.fixture
def socket_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


def test_unix_socket(run: Run[Any], socket_dir: Path) -> None:
    """A host that begins with a slash is a folder."""

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            path = socket_dir / ".s.PGSQL.5433"
            sock.bind(str(path))
            sock.listen()
            backend = await connected(f"host={socket_dir} port=5433")
            assert backend.address == f'connection to server on socket "{path}"'
            assert not backend.sock.getblocking()
            peer, _address = sock.accept()
            with peer:
                await backend.send(b"hello")
                assert peer.recv(9) == b"hello"
            backend.close()

    run(main())


def test_abstract_socket(run: Run[Any]) -> None:
    """Linux's, which have no file."""
    name = f"pgproxy-test-{os.getpid()}"

    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"\0{name}/.s.PGSQL.5432")
            sock.listen()
            backend = await connected(f"host=@{name}")
            sock.accept()[0].close()
            backend.close()

    run(main())


def test_no_unix_socket(run: Run[Any], socket_dir: Path) -> None:
    """The server is not running locally."""
    where = f'connection to server on socket "{socket_dir}/.s.PGSQL.5432" failed: '

    async def main() -> None:
        assert await refused(f"host={socket_dir}") == (
            f"{where}No such file or directory",
        )
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(f"{socket_dir}/.s.PGSQL.5432")
            assert await refused(f"host={socket_dir}") == (f"{where}{REFUSED}",)

    run(main())


def test_unix_socket_with_a_long_path(run: Run[Any]) -> None:
    """Libpq's words; the system has none."""
    folder = "/" + "x" * 107
    path = f"{folder}/.s.PGSQL.5432"

    async def main() -> None:
        assert await refused(f"host={folder}") == (
            f'Unix-domain socket path "{path}" is too long (maximum 107 bytes)',
        )

    run(main())


def test_unix_socket_that_is_busy(run: Run[Any], socket_dir: Path) -> None:
    """Its queue is full: that is no connection, and the next host may have room."""

    async def main() -> None:
        with (
            socket.socket(socket.AF_UNIX) as sock,
            contextlib.ExitStack() as clients,
            listening() as (next_host, port),
        ):
            path = f"{socket_dir}/.s.PGSQL.{port}"
            sock.bind(path)
            sock.listen(0)
            for _ in range(3):
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect_ex(path)
            [reason] = await refused(f"host={socket_dir} port={port}")
            assert reason == (
                f'connection to server on socket "{path}" failed: '
                "Resource temporarily unavailable"
            )
            backend = await connected(f"host={socket_dir},127.0.0.1 port={port}")
            assert "127.0.0.1" in backend.address
            next_host.accept()[0].close()
            backend.close()

    run(main())


@pytest.mark.parametrize("host", ["/tmp", "127.0.0.1"])
def test_no_descriptor_left(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Out of descriptors is one more reason."""

    def refuse(*_arguments: Any) -> None:
        raise OSError(24, "Too many open files")

    async def main() -> None:
        # Before the loop needs a socket of its own.
        conninfo = parse_conninfo(f"host={host}")
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 1)
        monkeypatch.setattr(socket, "socket", refuse)
        [reason] = await refused(conninfo)
        monkeypatch.undo()
        assert reason.endswith("failed: Too many open files")

    run(main())


# --- Messages -----------------------------------------------------------------------


def pair() -> tuple[Peer, Instance]:
    """Return a backend and our end of the connection to it."""
    backend, ours = tcp_pair()
    return Peer(backend), Instance(asyncio.get_running_loop(), ours, "here")


def test_messages(run: Run[Any]) -> None:
    """One by one, however they come; what is behind them is kept for the relay."""

    async def main() -> None:
        backend, ours = pair()
        with backend:
            assert ours.try_message() is None
            first, second = b"R\0\0\0\x08\0\0\0\0", b"Z\0\0\0\x05I"
            for byte in first:
                assert ours.buffered_message() is None
                assert ours.try_message() is None
                await backend.send(bytes([byte]))
                await ours.readable()
            assert ours.try_message() == first
            await backend.send(first + second + b"T\0")
            await until(lambda: in_kernel(ours.sock) == 17)
            assert ours.buffered_message() is None
            assert ours.try_message() == first
            assert ours.buffered_message() == second
            assert ours.buffered_message() is None
            assert bytes(ours.unread) == b"T\0"
            ours.close()

    run(main())


async def first_message(ours: Instance) -> bytes:
    while (message := ours.try_message()) is None:
        await ours.readable()
    return message


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", GARBAGE),
        (b"R\0\0\0\3", GARBAGE),
        (b"R\xff\xff\xff\xff", GARBAGE),
        (b"R\0\x20\0\0", GARBAGE),  # 2 MB
        (b"", None),
        (b"R\0\0\0\x08\0", None),
    ],
)
def test_end(run: Run[Any], says: bytes, error: str | None) -> None:
    """An end is told apart from what is no PostgreSQL."""

    async def main() -> str | None:
        backend, ours = pair()
        with backend:
            await backend.send(says)
            backend.fin()
            with pytest.raises(Gone) as gone:
                await first_message(ours)
            ours.close()
            return gone.value.error

    assert run(main()) == error


def test_reset(run: Run[Any]) -> None:
    """A backend that crashed."""

    async def main() -> tuple[str | None, str | None]:
        backend, ours = pair()
        backend.rst()
        await ours.readable()
        with pytest.raises(Gone) as reading:
            ours.try_message()
        with pytest.raises(Gone) as writing:
            await ours.send(b"x")
        ours.close()
        return reading.value.error, writing.value.error

    assert run(main()) == ("Connection reset by peer", "Broken pipe")


def test_send_to_a_busy_backend(run: Run[Any]) -> None:
    """All of it, when there is room."""

    async def main() -> None:
        backend, ours = pair()
        with backend:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ours.send(b"x" * 10_000_000))
                assert len(await backend.read(10_000_000)) == 10_000_000
            ours.close()

    run(main())


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_wait_for_end(run: Run[Any], how: str) -> None:
    """CAN-09: whatever it says, and however it ends."""

    async def main() -> None:
        backend, ours = pair()
        with backend:
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(ours.wait_for_end())
                await backend.send(b"E\0\0\0\4")
                await until(lambda: not in_kernel(ours.sock))
                assert not waiting.done()
                getattr(backend, how)()
            ours.close()

    run(main())
