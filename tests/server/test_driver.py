"""One session on real sockets: what is performed, how it is interrupted, what is left."""

import asyncio
import errno
import gc
import ipaddress
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pgproxy.protocol.errors import Report
from pgproxy.server import log, lookups, system
from pgproxy.server.driver import Driver, Hooks
from pgproxy.server.generation import Generation, Source, load
from pgproxy.server.lookups import Lookups
from pgproxy.server.port import Port
from pgproxy.server.relay import ErrorWatch
from pgproxy.session.events import CAC, Accepted, Terminated, TimedOut
from pgproxy.session.states import (
    AUTHORIZING,
    CLOSED,
    LOGIN,
    RELAY,
    STARTUP,
    TLS,
    State,
)
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support import wire
from tests.support.peers import Peer, in_kernel, tcp_pair, until
from tests.support.tls_files import Folder

OK = wire.message(b"R", b"\0\0\0\0")
READY = wire.message(b"Z", b"I")
CLEARTEXT = wire.message(b"R", b"\0\0\0\3")

NO_SETTINGS: Mapping[str, str] = {}

Backend = Callable[[Peer], Coroutine[Any, Any, None]]


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@dataclass
class Stage:
    """
    What a session needs round it.

    Args:
        folder: Its configuration.
        backend: What the backend does with each connection.
        logged: What the log was told, and with which keys.

    """

    folder: Path
    backend: Backend
    logged: list[tuple[Report, Mapping[str, object]]] = field(default_factory=list)

    def generation(self, port: int, **settings: str) -> Generation:
        """Read the configuration, with the backend at *port*."""
        settings = {
            "pgproxy.backend_conninfo": f"host=127.0.0.1 port={port}",
            "log_disconnections": "on",
            **settings,
        }
        return load(
            Source(
                directory=self.folder,
                config_file=self.folder / "pgproxy.conf",
                overrides=tuple(f"{name}={value}" for name, value in settings.items()),
            )
        )

    async def serve(self, listening: socket.socket) -> None:
        """Play the backend for whoever connects."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                sock, _address = await loop.sock_accept(listening)
                sock.setblocking(False)
                tasks.create_task(self._one(Peer(sock)))

    async def _one(self, peer: Peer) -> None:
        with peer:
            await self.backend(peer)

    def messages(self) -> list[str]:
        """Return what the log was told, in short."""
        return [report.message for report, _keys in self.logged]


Test = Callable[["Scene"], Coroutine[Any, Any, None]]


@dataclass
class Scene:
    """A client, and the session that serves it."""

    stage: Stage
    client: Peer
    driver: Driver
    running: asyncio.Task[None]

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self.driver.session.state

    async def reach(self, state: State) -> None:
        """Wait until the session stands there."""
        await until(lambda: self.state is state)


@pytest.fixture
def stage(tmp_path: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Stage:
    assert folder.path == tmp_path
    (tmp_path / "pgproxy.conf").write_text("ssl = on\n")
    (tmp_path / "pg_hba.conf").write_text(
        "host all ana all password\nhost all eve all reject\nhost all all all trust\n"
    )
    made = Stage(tmp_path, welcome)
    monkeypatch.setattr(
        log, "write", lambda report, keys=None: made.logged.append((report, keys or {}))
    )
    return made


async def welcome(peer: Peer) -> None:
    """Let the client in, and answer everything with what it said."""
    await peer.receive()
    await peer.send(OK + READY)
    while data := await peer.receive():
        await peer.send(b"echo " + data)


def play(
    run: Run[Any],
    stage: Stage,
    test: Test,
    settings: Mapping[str, str] = NO_SETTINGS,
    admit: CAC = CAC.OK,
) -> None:
    """Run *test* on a session; in the end nothing may be left of it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            generation = stage.generation(listening.getsockname()[1], **settings)
            client, server = tcp_pair()
            # What a loop has one of is opened when it is first needed.
            await loop.getaddrinfo("127.0.0.1", 1)
            ErrorWatch.of(loop)
            gc.collect()  # of the loops before
            before = descriptors() - len((client, server))
            backend = loop.create_task(stage.serve(listening))
            driver = Driver(
                loop,
                generation,
                Port(loop, server),
                Accepted("127.0.0.1", 5000, ipaddress.ip_address("127.0.0.1")),
                Hooks(admit=lambda _driver: admit, lookups=Lookups()),
            )
            scene = Scene(stage, Peer(client), driver, loop.create_task(driver.run()))
            try:
                with scene.client:
                    await test(scene)
                    await asyncio.wait_for(scene.running, 5)
                assert scene.state is CLOSED
            finally:
                backend.cancel()
                await asyncio.wait([backend])
            assert descriptors() == before

    run(main())


# --- A session, from the first byte to the last -------------------------------------


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_session(run: Run[Any], stage: Stage, tls: bool) -> None:
    """TLS, login, relay, goodbye; and the line that tells how long it was."""

    async def test(scene: Scene) -> None:
        client = scene.client
        if tls:
            await client.send(wire.SSL_REQUEST)
            assert await client.read(1) == b"S"
            await client.start_tls(tls_client.context())
        await client.send(wire.startup())
        assert await client.read(len(OK + READY)) == OK + READY
        await client.send(b"query")
        assert await client.read(10) == b"echo query"
        if tls:
            await client.end_tls()
        else:
            client.fin()
        assert await client.read_all() == b""
        assert client.notified == tls

    play(run, stage, test)
    [(report, keys)] = stage.logged
    assert report.event == "session.closed"
    assert report.message.startswith("disconnection: session time: 0:00:0")
    assert report.message.endswith(
        " user=tom database=postgres host=127.0.0.1 port=5000"
    )
    assert dict(keys) == {
        "user": "tom",
        "dbname": "postgres",
        "remote_host": "127.0.0.1",
        "remote_port": 5000,
        "ssl": tls,
        "octets_from_client": 5,
        "octets_from_backend": 10,
    }


def test_refused(run: Run[Any], stage: Stage) -> None:
    """The backend never hears of it; there was no session to tell the length of."""

    async def never(_peer: Peer) -> None:
        raise AssertionError("nobody should come")

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="eve"))
        [refusal] = wire.split(await scene.client.read_all())
        assert refusal.fields["C"] == "28000"
        assert not scene.client.reset

    stage.backend = never
    play(run, stage, test)
    [message] = stage.messages()
    assert message.startswith("pg_hba.conf rejects connection")


@pytest.mark.parametrize(
    ("admit", "code"), [(CAC.TOOMANY, "53300"), (CAC.SHUTDOWN, "57P03")]
)
def test_not_admitted(run: Run[Any], stage: Stage, admit: CAC, code: str) -> None:
    """NEG-60: the worker says so."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup())
        [refusal] = wire.split(await scene.client.read_all())
        assert (refusal.fields["C"], refusal.fields["M"]) == (code, admit.value)

    play(run, stage, test, admit=admit)


async def ask_password(peer: Peer) -> None:
    await peer.receive()
    await peer.send(CLEARTEXT)
    assert await peer.read(12) == wire.message(b"p", b"secret\0")
    await peer.send(OK)
    await peer.send(READY)
    assert await peer.read(14) == b"query 1query 2"
    await peer.send(b"answer")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_pipelined_behind_the_password(run: Run[Any], stage: Stage, tls: bool) -> None:
    """BUG-37: queries in the record of the password wait for their turn, and get it."""

    async def test(scene: Scene) -> None:
        client = scene.client
        if tls:
            await client.send(wire.SSL_REQUEST)
            assert await client.read(1) == b"S"
            await client.start_tls(tls_client.context())
        await client.send(wire.startup(user="ana"))
        assert await client.read(len(CLEARTEXT)) == CLEARTEXT
        await client.send(wire.message(b"p", b"secret\0") + b"query 1" + b"query 2")
        expected = OK + READY + b"answer"
        assert await client.read(len(expected)) == expected
        assert await client.read_all() == b""

    stage.backend = ask_password
    play(run, stage, test)


async def says_much_at_once(peer: Peer) -> None:
    await peer.receive()
    await peer.send(OK + wire.message(b"S", b"a\0b\0") * 20 + READY + b"x" * 200_000)


def test_read_ahead(run: Run[Any], stage: Stage) -> None:
    """What the backend says behind ReadyForQuery is not lost to the relay."""
    expected = OK + wire.message(b"S", b"a\0b\0") * 20 + READY + b"x" * 200_000

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup())
        assert await scene.client.read_all() == expected

    stage.backend = says_much_at_once
    play(run, stage, test)


# --- Interruptions ------------------------------------------------------------------


async def silence(peer: Peer) -> None:
    await peer.read_all()


def in_state(state: State) -> Callable[[Scene], Coroutine[Any, Any, None]]:
    """Return what brings a session there."""

    async def act(scene: Scene) -> None:
        if state is TLS:
            await scene.client.send(wire.SSL_REQUEST)
        elif state is not STARTUP:
            await scene.client.send(wire.startup())
        else:
            await scene.client.send(b"\0")
        await scene.reach(state)

    return act


@pytest.mark.parametrize("state", [STARTUP, TLS, LOGIN])
def test_timed_out(run: Run[Any], stage: Stage, state: State) -> None:
    """NEG-65, NEG-66: the client gets no word; the log does, once it is a login."""

    async def test(scene: Scene) -> None:
        await in_state(state)(scene)
        scene.driver.interrupt(TimedOut())
        assert await scene.client.read_all() == (b"S" if state is TLS else b"")
        assert not scene.client.reset

    stage.backend = silence
    play(run, stage, test)
    expected = ["canceling authentication due to timeout"] if state is LOGIN else []
    assert stage.messages() == expected


class Resolver:
    """A name service that says nothing until it may."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.may_answer = threading.Event(), threading.Event()
        monkeypatch.setattr(lookups, "reverse_lookup", self.reverse_lookup)

    def reverse_lookup(self, _address: object) -> str:
        self.asked.set()
        assert self.may_answer.wait(60)
        return "elsewhere.example"


@pytest.fixture
def resolver(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    (stage.folder / "pg_hba.conf").write_text(
        "host all ana name.example trust\nhost all bob all trust\n"
    )
    made = Resolver(monkeypatch)
    yield made
    made.may_answer.set()


def test_a_slow_lookup_delays_nobody_else(
    run: Run[Any], stage: Stage, resolver: Resolver
) -> None:
    """HBA-68: while one waits for the name service, another comes and goes."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="ana"))
        await until(resolver.asked.is_set)
        other, server = tcp_pair()
        driver = Driver(
            asyncio.get_running_loop(),
            scene.driver._generation,
            Port(asyncio.get_running_loop(), server),
            Accepted("127.0.0.1", 5001, ipaddress.ip_address("127.0.0.1")),
            scene.driver._hooks,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(driver.run())
            with Peer(other) as peer:
                await peer.send(wire.startup(user="bob"))
                assert await peer.read(len(OK + READY)) == OK + READY
        assert scene.state is AUTHORIZING
        resolver.may_answer.set()
        [refusal] = wire.split(await scene.client.read_all())
        assert refusal.fields["C"] == "28000"

    play(run, stage, test)
    assert stage.logged[-1][0].detail == (
        'Client IP address resolved to "elsewhere.example", forward lookup not checked.'
    )


def test_a_lookup_takes_too_long(
    run: Run[Any], stage: Stage, resolver: Resolver
) -> None:
    """It counts as failed, and the log says what took so long (HBA-69)."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="ana"))
        [refusal] = wire.split(await scene.client.read_all())
        assert refusal.fields["C"] == "28000"

    play(run, stage, test, {"pgproxy.hostname_lookup_timeout": "100ms"})
    assert resolver.asked.is_set()
    slow, refused = (report for report, _keys in stage.logged)
    assert slow.event == "lookup.timed_out"
    assert slow.message == (
        'looking up the host name of client "127.0.0.1" timed out after 0.1 s'
    )
    assert refused.detail == (
        "Could not resolve client IP address to a host name: timed out after 0.1 s."
    )


def test_log_hostname(run: Run[Any], stage: Stage, resolver: Resolver) -> None:
    """TLS-19: the lookup comes first, and its time is not the client's."""

    async def test(scene: Scene) -> None:
        await until(resolver.asked.is_set)
        clock = vars(scene.driver)["_timer"]
        assert clock is None
        resolver.may_answer.set()
        await scene.client.send(wire.startup(user="bob"))
        assert await scene.client.read(len(OK + READY)) == OK + READY
        clock = vars(scene.driver)["_timer"]
        assert clock is not None
        scene.client.fin()
        await scene.client.read_all()

    play(run, stage, test, {"log_hostname": "on", "log_connections": "receipt"})
    (received, _keys), (closed, keys) = stage.logged
    assert received.message == "connection received: host=elsewhere.example port=5000"
    assert closed.message.endswith(" host=elsewhere.example port=5000")
    # For `pgproxy explain`, which needs the address.
    assert (keys["remote_host"], keys["client_addr"]) == (
        "elsewhere.example",
        "127.0.0.1",
    )


def test_log_hostname_takes_too_long(
    run: Run[Any], stage: Stage, resolver: Resolver
) -> None:
    """TLS-19: then it is the address, and the log says why."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="bob"))
        assert await scene.client.read(len(OK + READY)) == OK + READY
        scene.client.fin()
        await scene.client.read_all()

    slow = {"pgproxy.hostname_lookup_timeout": "100ms"}
    play(run, stage, test, {"log_hostname": "on", **slow})
    slow_lookup, closed = stage.logged
    assert resolver.asked.is_set()
    assert slow_lookup[0].event == "lookup.timed_out"
    assert closed[1]["remote_host"] == "127.0.0.1"
    assert "client_addr" not in closed[1]


@pytest.mark.parametrize("event", [TimedOut(), Terminated()])
def test_interrupted_in_a_lookup(
    run: Run[Any], stage: Stage, resolver: Resolver, event: TimedOut | Terminated
) -> None:
    """No session waits for the name service when it is to end."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="ana"))
        await until(resolver.asked.is_set)
        scene.driver.interrupt(event)
        answer = wire.split(await scene.client.read_all())
        codes = [message.fields["C"] for message in answer]
        assert codes == (["57P01"] if isinstance(event, Terminated) else [])

    play(run, stage, test)


def test_interfaces_that_cannot_be_told(
    run: Run[Any], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HBA-70: it is logged, and such a line does not match."""

    def fails() -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(system, "interfaces", fails)
    (stage.folder / "pg_hba.conf").write_text("host all all samehost trust\n")

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup(user="ana"))
        [refusal] = wire.split(await scene.client.read_all())
        assert refusal.fields["C"] == "28000"

    play(run, stage, test)
    assert stage.messages()[0] == (
        "error enumerating network interfaces: Permission denied"
    )


def test_authentication_timeout(run: Run[Any], stage: Stage) -> None:
    """The clock runs by itself; who is logged in is not concerned."""

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.startup())
        await scene.reach(RELAY)
        await asyncio.sleep(1.2)
        assert scene.state is RELAY
        scene.client.fin()

    play(run, stage, test, {"authentication_timeout": "1"})

    async def slow(scene: Scene) -> None:
        assert await scene.client.read_all() == b""

    play(run, stage, slow, {"authentication_timeout": "1"})


@pytest.mark.parametrize("state", [STARTUP, TLS, LOGIN, RELAY])
def test_terminated(run: Run[Any], stage: Stage, state: State) -> None:
    """A fast shutdown: 57P01 where it can be understood, and nowhere else."""

    async def test(scene: Scene) -> None:
        await in_state(state)(scene)
        received = await scene.client.read(len(OK + READY)) if state is RELAY else b""
        scene.driver.interrupt(Terminated())
        scene.driver.interrupt(Terminated())
        received = await scene.client.read_all()
        if state is LOGIN:
            [refusal] = wire.split(received)
            assert refusal.fields["C"] == "57P01"
        else:
            assert received == (b"S" if state is TLS else b"")

    stage.backend = welcome if state is RELAY else silence
    play(run, stage, test)


def test_interrupted_before_it_began(run: Run[Any], stage: Stage) -> None:
    """A client that came in the moment of the shutdown is not forgotten."""

    async def test(scene: Scene) -> None:
        scene.driver.interrupt(Terminated())
        assert await scene.client.read_all() == b""

    play(run, stage, test)


@pytest.mark.parametrize("state", [STARTUP, TLS, LOGIN, RELAY])
def test_aborted(run: Run[Any], stage: Stage, state: State) -> None:
    """An immediate shutdown: without a word, and without a trace."""

    async def main(scene: Scene) -> None:
        await in_state(state)(scene)
        scene.driver.abort()
        await asyncio.wait([scene.running])
        assert scene.running.cancelled()

    async def test() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            generation = stage.generation(listening.getsockname()[1])
            client, server = tcp_pair()
            backend = loop.create_task(stage.serve(listening))
            driver = Driver(
                loop,
                generation,
                Port(loop, server),
                Accepted("127.0.0.1", 5000, ipaddress.ip_address("127.0.0.1")),
                Hooks(admit=lambda _driver: CAC.OK, lookups=Lookups()),
            )
            scene = Scene(stage, Peer(client), driver, loop.create_task(driver.run()))
            with scene.client:
                await main(scene)
                assert server.fileno() == -1
                backend.cancel()
                await asyncio.wait([backend])

    stage.backend = welcome if state is RELAY else silence
    run(test())
    assert stage.messages() == []


def test_interrupted_in_its_last_moment(
    run: Run[Any], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not take its refusal does not keep a shutdown waiting."""

    async def test(scene: Scene) -> None:
        flushing = asyncio.Event()

        flush = scene.driver._port.flush

        async def stuck() -> None:
            if scene.state is CLOSED:
                flushing.set()
                await asyncio.Event().wait()
            await flush()

        monkeypatch.setattr(scene.driver._port, "flush", stuck)
        await scene.client.send(wire.startup(user="eve"))
        await flushing.wait()
        scene.driver.interrupt(Terminated())

    play(run, stage, test)


# --- Bugs, and cancel requests ------------------------------------------------------


def test_bug(run: Run[Any], stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours ends the session it is in, with its trace, and no other."""
    bugs: list[Mapping[str, object]] = []
    monkeypatch.setattr(log, "bug", bugs.append)

    async def test(scene: Scene) -> None:
        def broken(_question: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(scene.driver, "_answer", broken)
        await scene.client.send(wire.startup())
        assert await scene.client.read_all() == b""
        await asyncio.wait([scene.running])
        scene.driver.session.state = CLOSED

    play(run, stage, test)
    [keys] = bugs
    assert keys["user"] == "tom"


def test_cancel(run: Run[Any], stage: Stage) -> None:
    """CAN-09: every host is asked, and the client waits until they are done."""
    received: list[bytes] = []
    closing = asyncio.Event()

    async def note(peer: Peer) -> None:
        received.append(await peer.receive())
        await closing.wait()

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.cancel(7, b"key!"))
        await until(lambda: len(received) == 1)
        assert not in_kernel(scene.client.sock)
        assert not scene.running.done()
        closing.set()
        assert await scene.client.read_all() == b""
        assert not scene.client.reset

    stage.backend = note
    play(run, stage, test)
    assert received == [wire.cancel(7, b"key!")]
    assert stage.messages() == []


def test_cancel_of_several_hosts(run: Run[Any], stage: Stage) -> None:
    """One that is down is told, and the others are asked all the same."""
    received: list[bytes] = []

    async def note(peer: Peer) -> None:
        received.append(await peer.receive())

    async def test(scene: Scene) -> None:
        await scene.client.send(wire.cancel(7, b"key!"))
        assert await scene.client.read_all() == b""

    with socket.socket() as down, socket.socket() as up:
        down.bind(("127.0.0.1", 0))
        up.bind(("127.0.0.1", 0))
        up.listen()
        up.setblocking(False)
        ports = [sock.getsockname()[1] for sock in (up, down, up)]

        async def both(scene: Scene) -> None:
            serving = asyncio.get_running_loop().create_task(scene.stage.serve(up))
            await test(scene)
            serving.cancel()
            await asyncio.wait([serving])

        stage.backend = note
        hosts = ",".join(["127.0.0.1"] * 3)
        conninfo = f"host={hosts} port={','.join(map(str, ports))}"
        play(run, stage, both, {"pgproxy.backend_conninfo": conninfo})
    assert received == [wire.cancel(7, b"key!")] * 2
    [message] = stage.messages()
    assert message == (
        "could not forward cancel request: connection to server at "
        f'"127.0.0.1" (127.0.0.1), port {ports[1]} failed: Connection refused'
    )
