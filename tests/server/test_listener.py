"""Listening: what can be had is had, and what cannot is told in PostgreSQL's words."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pgproxy.protocol.errors import Report, Severity
from pgproxy.server import listener as listener_module
from pgproxy.server import log
from pgproxy.server.listener import Listener, bind
from tests.server.conftest import Run
from tests.support.peers import until


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[Report]:
    reports: list[Report] = []
    monkeypatch.setattr(log, "write", reports.append)
    return reports


@pytest.fixture
def bound(logged: list[Report]) -> Iterator[list[socket.socket]]:
    """Return two listening sockets; what was logged of them is forgotten."""
    sockets = bind(["127.0.0.1"], 0) + bind(["127.0.0.1"], 0)
    logged.clear()
    yield sockets
    for sock in sockets:
        sock.close()


def close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


# --- bind ---------------------------------------------------------------------------


def test_bind(logged: list[Report]) -> None:
    """A port that the system has chosen is told."""
    [sock] = bind(["127.0.0.1"], 0)
    with sock:
        port = sock.getsockname()[1]
        assert not sock.getblocking()
        assert [(one.message, one.event) for one in logged] == [
            (
                f'listening on IPv4 address "127.0.0.1", port {port}',
                "postmaster.listening",
            )
        ]
        with socket.create_connection(sock.getsockname()):
            pass


def test_same_port_for_all(logged: list[Report]) -> None:
    """Also where the system has chosen it."""
    sockets = bind(["127.0.0.1", "127.0.0.2", "127.0.0.3"], 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert len(sockets) == len(logged) == 3
    finally:
        close(sockets)


def test_ipv6(logged: list[Report]) -> None:
    """V6ONLY, so that the two families do not get into each other's way (HBA-67)."""
    sockets = bind(["::1", "127.0.0.1"], 0)
    try:
        if len(sockets) < 2:
            pytest.skip("no IPv6 here")
        assert sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert 'listening on IPv6 address "::1"' in logged[0].message
    finally:
        close(sockets)


def test_all_addresses(logged: list[Report]) -> None:
    """``*`` is what this machine has."""
    sockets = bind(["*"], 0)
    try:
        assert {sock.family for sock in sockets} >= {socket.AF_INET}
        assert any('"0.0.0.0"' in one.message for one in logged)
    finally:
        close(sockets)


def test_port_in_use(logged: list[Report], bound: list[socket.socket]) -> None:
    """With PostgreSQL's advice; the other addresses are had all the same."""
    port = bound[0].getsockname()[1]
    sockets = bind(["127.0.0.1", "127.0.0.2"], port)
    try:
        assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.2"]
        assert logged[0].message == (
            'could not bind IPv4 address "127.0.0.1": Address already in use'
        )
        assert logged[0].hint == (
            f"Is another postmaster already running on port {port}? If not, wait a few "
            "seconds and retry."
        )
        assert logged[0].event == "listener.failed"
    finally:
        close(sockets)


def test_address_that_is_not_ours(logged: list[Report]) -> None:
    """No advice, as waiting does not help."""
    assert bind(["192.0.2.1"], 0) == []
    report, summary = logged
    assert report.message == (
        'could not bind IPv4 address "192.0.2.1": Cannot assign requested address'
    )
    assert report.hint is None
    assert summary.severity is Severity.WARNING
    assert summary.message == 'could not create listen socket for "192.0.2.1"'


@pytest.mark.parametrize("name", ["no-such-host.invalid", "a..b", "x" * 64, "\udce9"])
def test_name_that_is_none(logged: list[Report], name: str) -> None:
    """One that nobody knows, and one that cannot even be asked for."""
    assert bind([name], 6432) == []
    report, summary = logged
    assert summary.message == f'could not create listen socket for "{name}"'
    assert report.message.startswith(
        f'could not translate host name "{name}", service "6432" to address: '
    )


def test_no_such_family(logged: list[Report], monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without IPv6."""

    def refuse(*_arguments: Any) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    assert bind(["127.0.0.1"], 0) == []
    assert logged[0].message == (
        'could not create IPv4 socket for address "127.0.0.1": Address family not '
        "supported by protocol"
    )


# --- Listener -----------------------------------------------------------------------


class Welcomed:
    """Keeps what a listener hands over."""

    def __init__(self) -> None:
        self.clients: list[tuple[socket.socket, tuple[str, int]]] = []

    def __call__(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.clients.append((sock, address))

    def close(self) -> None:
        for sock, _address in self.clients:
            sock.close()


def test_accept(run: Run[Any], bound: list[socket.socket]) -> None:
    """On all sockets; a client's is fit for what comes."""

    async def main() -> None:
        welcome = Welcomed()
        listening = Listener(asyncio.get_running_loop(), bound, welcome)
        listening.start()
        clients = [socket.create_connection(sock.getsockname()) for sock in bound]
        await until(lambda: len(welcome.clients) == len(clients))
        for sock, address in welcome.clients:
            assert not sock.getblocking()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert address in [client.getsockname() for client in clients]
        listening.close()
        listening.close()
        for sock in bound:
            assert sock.fileno() == -1
        for client in clients:
            client.close()
        welcome.close()

    run(main())


def test_many_at_once(run: Run[Any], bound: list[socket.socket]) -> None:
    """More than are accepted at one go: none is forgotten."""
    count = listener_module.ACCEPTS_PER_WAKE + 10

    async def main() -> None:
        welcome = Welcomed()
        clients = [
            socket.create_connection(bound[0].getsockname()) for _ in range(count)
        ]
        listening = Listener(asyncio.get_running_loop(), bound, welcome)
        listening.start()
        await until(lambda: len(welcome.clients) == count)
        listening.close()
        for client in clients:
            client.close()
        welcome.close()

    run(main())


class Failing:
    """A listening socket whose accept fails a few times."""

    def __init__(self, sock: socket.socket, *errors: int) -> None:
        self._sock = sock
        self._errors = list(errors)
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def accept(self) -> Any:
        self.calls += 1
        if self._errors:
            number = self._errors.pop(0)
            raise OSError(number, "it failed")
        return self._sock.accept()


@pytest.mark.parametrize(
    ("number", "pauses"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOBUFS, True),
        (errno.ENOMEM, True),
        (errno.ECONNABORTED, False),
    ],
)
def test_accept_fails(
    run: Run[Any],
    bound: list[socket.socket],
    logged: list[Report],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    pauses: bool,
) -> None:
    """Out of descriptors: a pause, not a loop; that client is served afterwards."""
    monkeypatch.setattr(listener_module, "PAUSE", 0.05)

    async def main() -> None:
        welcome = Welcomed()
        sock: Any = Failing(bound[0], number)
        listening = Listener(asyncio.get_running_loop(), [sock], welcome)
        listening.start()
        with socket.create_connection(bound[0].getsockname()):
            await until(lambda: sock.calls > 0)
            if pauses:
                for _ in range(10):
                    await asyncio.sleep(0)
                assert sock.calls == 1
            await until(lambda: bool(welcome.clients))
        listening.close()
        welcome.close()

    run(main())
    assert [report.message for report in logged] == [
        "could not accept new connection: it failed"
    ]


def test_closed_in_a_pause(
    run: Run[Any], bound: list[socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shutdown meanwhile: the pause has nothing to go on with."""
    monkeypatch.setattr(listener_module, "PAUSE", 0.02)

    async def main() -> None:
        welcome = Welcomed()
        sock: Any = Failing(bound[0], errno.EMFILE)
        listening = Listener(asyncio.get_running_loop(), [sock], welcome)
        listening.start()
        with socket.create_connection(bound[0].getsockname()):
            await until(lambda: sock.calls > 0)
            listening.close()
            await asyncio.sleep(0.05)
        assert welcome.clients == []

    run(main())


def test_client_that_is_gone_again(run: Run[Any], bound: list[socket.socket]) -> None:
    """A reset in the queue is that client's, and the next one is served."""

    async def main() -> None:
        welcome = Welcomed()
        gone = socket.create_connection(bound[0].getsockname())
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
        client = socket.create_connection(bound[0].getsockname())
        listening = Listener(asyncio.get_running_loop(), bound, welcome)
        listening.start()
        await until(lambda: client.getsockname() in [one[1] for one in welcome.clients])
        listening.close()
        client.close()
        welcome.close()

    run(main())
