"""How it stops: smart, fast, immediate; who may still come in, and who is told what."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.client import CLEAN, Client
from tests.support.endpoints import (
    Config,
    Farm,
    PgproxyEndpoint,
    log_in,
    wait_until,
)
from tests.support.oracles import CHECKOUT, PGPROXY
from tests.support.stub import StubBackend

pytestmark = pytest.mark.interop

EVERYBODY = "host all all all trust\n"


@pytest.fixture(params=["1", "3"], ids=["one process", "three workers"])
def server(farm: Farm, request: pytest.FixtureRequest) -> Iterator[PgproxyEndpoint]:
    """Return a pgproxy that this test may stop."""
    settings = {"pgproxy.workers": request.param}
    config = Config(hba=EVERYBODY, settings=settings)
    with farm.private(PGPROXY, config) as endpoint:
        assert isinstance(endpoint, PgproxyEndpoint)
        yield endpoint


def send(server: PgproxyEndpoint, number: signal.Signals, noted: str) -> None:
    server.signal(number)
    wait_until(lambda: noted in server.log_text(), server.log_text)


def ended(server: PgproxyEndpoint) -> bool:
    """Wait until it has ended by itself; it takes its pid file along."""
    assert server.process.wait(20) == 0, server.log_text()
    assert not (server.folder / "pgproxy.pid").exists()
    assert "internal.error" not in server.log_text()
    return "pgproxy is shut down" in server.log_text()


def session(server: PgproxyEndpoint) -> Client:
    client = server.connect()
    log_in(client.request_tls())
    return client


def works(client: Client) -> bool:
    client.send(wire.query("select 1"))
    return bool(client.read_until("Z"))


def test_smart(server: PgproxyEndpoint) -> None:
    """NEG-60: who is in stays in, who comes is told 57P03, and then it ends."""
    with session(server) as old:
        send(server, signal.SIGTERM, "received smart shutdown request")
        assert works(old)
        with server.connect() as new:
            new.request_tls()
            new.send(wire.startup())
            messages, end = new.read_messages()
            assert end == CLEAN
            fields = messages[0].fields
            assert (fields["C"], fields["M"]) == (
                "57P03",
                "the database system is shutting down",
            )
        server.signal(signal.SIGHUP)  # there is nothing to reload for
        assert works(old)
        old.send(wire.message(b"X"))
        old.read_end()
    assert ended(server)
    assert "received SIGHUP" not in server.log_text()


def test_smart_still_cancels(server: PgproxyEndpoint) -> None:
    """NEG-61: a query in progress may be what the shutdown waits for."""
    with session(server) as old:
        old.send(wire.query("select pg_backend_pid()"))
        old.read_until("Z")
        send(server, signal.SIGTERM, "received smart shutdown request")
        with server.connect() as canceller:
            canceller.request_tls()
            canceller.send(wire.cancel(1, b"1234"))
            assert canceller.read_end() == (b"", CLEAN)


def test_smart_without_sessions(server: PgproxyEndpoint) -> None:
    """It ends at once."""
    server.signal(signal.SIGTERM)
    assert ended(server)


def test_fast(server: PgproxyEndpoint) -> None:
    """A relay does not know where a message ends: it closes, and says so in TLS."""
    with session(server) as client:
        send(server, signal.SIGINT, "received fast shutdown request")
        assert client.read_end() == (b"", CLEAN)
    assert ended(server)


def test_fast_tells_who_is_logging_in(farm: Farm) -> None:
    """57P01, as PostgreSQL; before the start-up packet nobody is told."""
    with StubBackend(silent=True) as stub:
        more = {"pgproxy.backend_conninfo": stub.conninfo}
        config = Config(hba=EVERYBODY, settings=more)
        with farm.private(PGPROXY, config) as server:
            assert isinstance(server, PgproxyEndpoint)
            with server.connect() as early, server.connect() as late:
                early.request_tls()
                late.request_tls()
                late.send(wire.startup())
                stub.wait_for_client()
                server.signal(signal.SIGINT)
                messages, end = late.read_messages()
                assert end == CLEAN
                fields = messages[0].fields
                assert (fields["C"], fields["M"]) == (
                    "57P01",
                    "terminating connection due to administrator command",
                )
                assert early.read_end()[0] == b""
            assert ended(server)


def test_immediate(server: PgproxyEndpoint) -> None:
    """Gone; whoever is connected sees the end of the connection."""
    with session(server) as client:
        server.signal(signal.SIGQUIT)
        assert client.read_end()[0] == b""
    assert ended(server)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGQUIT])
def test_a_second_signal_is_more_urgent(
    second: signal.Signals, server: PgproxyEndpoint
) -> None:
    """Smart waits for ever; whoever cannot wait says so."""
    with session(server) as client:
        send(server, signal.SIGTERM, "received smart shutdown request")
        server.signal(second)
        client.read_end()
    assert ended(server)


def test_a_second_signal_is_not_less_urgent(server: PgproxyEndpoint) -> None:
    """Fast stays fast."""
    with session(server) as client:
        send(server, signal.SIGINT, "received fast shutdown request")
        server.signal(signal.SIGTERM)
        client.read_end()
    assert ended(server)
    assert "smart" not in server.log_text()


def start(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pgproxy", "serve", "-D", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_one_server_for_a_directory(server: PgproxyEndpoint) -> None:
    """The second one says who is there already, and leaves it alone."""
    second = start(server.folder)
    assert second.returncode == 1
    found = [line for line in second.stderr.splitlines() if "lock file" in line]
    assert '"lock file \\"pgproxy.pid\\" already exists"' in found[0]
    assert f"(PID {server.pid})" in found[0]
    with session(server) as client:
        assert works(client)


def test_a_pid_file_that_was_left_behind(server: PgproxyEndpoint) -> None:
    """Its process is no more: the next server takes its place."""
    pid_file = server.folder / "pgproxy.pid"
    text = pid_file.read_text()
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    assert pid_file.read_text() == text
    again = server._start(server.folder / "log2")
    try:
        wait_until(lambda: pid_file.read_text() != text, server.log_text)
        assert pid_file.read_text().splitlines()[0] == str(again.pid)
        again.send_signal(signal.SIGTERM)
        assert again.wait(20) == 0
        assert not pid_file.exists()
    finally:
        again.kill()
        again.wait()
