"""
``pgproxy.workers``: who takes the place of whom, and what they share.

Shutdown and reload are tested with several workers where they are tested with one:
test_shutdown.py, test_reload.py, test_reload_load.py.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgproxy.testing.authority import write_private
from tests.server.test_reload import NOTHING, RELOADED, reload
from tests.support import wire
from tests.support.client import Client
from tests.support.endpoints import Config, Farm, PgproxyEndpoint, log_in, wait_until
from tests.support.oracles import PGPROXY

pytestmark = pytest.mark.interop

EVERYBODY = "host all all all trust\n"
COUNT = 3


@pytest.fixture
def server(farm: Farm) -> Iterator[PgproxyEndpoint]:
    settings = {"pgproxy.workers": str(COUNT), "max_connections": "12"}
    with farm.private(PGPROXY, Config(hba=EVERYBODY, settings=settings)) as endpoint:
        assert isinstance(endpoint, PgproxyEndpoint)
        wait_until(lambda: len(children(endpoint.pid)) == COUNT, endpoint.log_text)
        yield endpoint


def children(pid: int) -> set[int]:
    """Return the processes that *pid* has begun and that have not ended."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(child) for child in text.split() if not is_dead(int(child))}


def is_dead(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def session(server: PgproxyEndpoint) -> Client:
    client = server.connect()
    log_in(client.request_tls())
    return client


def owner(server: PgproxyEndpoint, client: Client) -> int:
    """Return the worker that has this client's connection."""
    port = client.sock.getpeername()[1]
    wanted = f":{client.local_port:04X}", f":{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines():
        fields = line.split()
        if fields[2].endswith(wanted[0]) and fields[1].endswith(wanted[1]):
            link = f"socket:[{fields[9]}]"
    for pid in children(server.pid):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if str(entry.readlink()) == link:
                return pid
    raise AssertionError("nobody has it")


def works(client: Client) -> bool:
    client.send(wire.query("select 1"))
    return bool(client.read_until("Z"))


def test_all_of_them_serve(server: PgproxyEndpoint) -> None:
    """Clients that come one after the other are not all for one of them."""
    clients = [session(server) for _ in range(12)]
    assert all(works(client) for client in clients)
    assert len({owner(server, client) for client in clients}) > 1
    for client in clients:
        client.sock.close()


def test_one_that_dies_is_replaced(server: PgproxyEndpoint) -> None:
    """Its sessions are lost, those of the others go on, and the log says how."""
    clients = [session(server) for _ in range(9)]
    before = children(server.pid)
    victim = owner(server, clients[0])
    os.kill(victim, signal.SIGKILL)
    wait_until(
        lambda: victim not in children(server.pid) and len(children(server.pid)) == 3,
        server.log_text,
    )
    assert len(children(server.pid) - before) == 1
    died = f"worker process (PID {victim}) was terminated by signal 9: Killed"
    assert died in server.log_text()
    # What it had counted is forgotten: there is room for as many as it had.
    lost = 0
    for client in clients:
        try:
            works(client)
        except (OSError, AssertionError):
            lost += 1
    assert 1 <= lost < 9
    again = [session(server) for _ in range(3 + lost)]
    assert all(works(client) for client in again)
    for client in (*clients, *again):
        client.sock.close()


def test_one_that_dies_again_and_again_waits(server: PgproxyEndpoint) -> None:
    """The first is replaced at once; then it takes longer each time."""
    began = time.monotonic()
    for _ in range(4):
        victim = min(children(server.pid))
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda: len(children(server.pid) - {victim}) == COUNT,  # noqa: B023
            server.log_text,
        )
    assert time.monotonic() - began > 0.4 + 0.8 + 1.6
    assert server.log_text().count("was terminated by signal 9: Killed") == 4
    assert works(session(server))


def test_limit_is_that_of_all(server: PgproxyEndpoint) -> None:
    """PRX-05: max_connections of all together, whoever has them."""
    clients = [session(server) for _ in range(12)]
    with server.connect() as late:
        late.request_tls()
        late.send(wire.startup())
        messages, _end = late.read_messages()
        assert messages[0].fields["C"] == "53300"
    clients.pop().sock.close()
    wait_until(lambda: comes_in(server), server.log_text)
    for client in clients:
        client.sock.close()


def comes_in(server: PgproxyEndpoint) -> bool:
    with server.connect() as client:
        client.request_tls()
        client.send(wire.startup(user="tom", database="postgres"))
        client.send(wire.message(b"X"))
        messages, _end = client.read_messages()
        return messages[-1].kind == "Z"


def test_reload_replaces_them(server: PgproxyEndpoint) -> None:
    """A session goes on in the worker that it has; that ends when it does."""
    old = children(server.pid)
    with session(server) as client:
        mine = owner(server, client)
        (server.folder / "pg_hba.conf").write_text("host all nobody all trust\n")
        reload(server, RELOADED)
        wait_until(lambda: children(server.pid) & old == {mine}, server.log_text)
        assert len(children(server.pid)) == COUNT + 1
        assert works(client)
        with server.connect() as other:
            other.request_tls()
            other.send(wire.startup(user="tom", database="postgres"))
            messages, _end = other.read_messages()
            assert messages[0].fields["C"] == "28000"
    wait_until(lambda: not children(server.pid) & old, server.log_text)
    assert "worker process" not in server.log_text(), "nothing to tell of that"


def test_passphrase_at_a_reload(server: PgproxyEndpoint, farm: Farm) -> None:
    """The command is the postmaster's child, and no worker is taken for it."""
    made = farm.pki.root.server("localhost", "127.0.0.1")
    write_private(server.folder / "server.crt", made.certificate_pem())
    write_private(server.folder / "server.key", made.key_pem(b"secret"))
    conf = server.folder / "pgproxy.conf"
    text = conf.read_text()
    more = (
        "ssl_passphrase_command_supports_reload = on\nssl_passphrase_command = '{}'\n"
    )
    conf.write_text(text + more.format("echo secret"))
    for _ in range(3):
        reload(server, RELOADED)
        with session(server) as client:
            assert works(client)
    conf.write_text(text + more.format("echo secret; exit 3"))
    assert "child process exited with exit code 3" in reload(server, NOTHING)
    wait_until(lambda: len(children(server.pid)) == COUNT, server.log_text)
    assert "worker process" not in server.log_text()
    assert "internal.error" not in server.log_text()


def test_a_client_that_is_not_done_yet(server: PgproxyEndpoint) -> None:
    """Who has connected is served by the old worker, wherever it stands."""
    with server.connect() as early:
        early.send(wire.SSL_REQUEST)
        assert early.read(1) == b"S"
        reload(server, RELOADED)
        log_in(early.start_tls())
        assert works(early)


def test_without_a_postmaster(server: PgproxyEndpoint) -> None:
    """The workers end when it has gone, as PostgreSQL's backends do."""
    workers = children(server.pid)
    with session(server) as client:
        os.kill(server.pid, signal.SIGKILL)
        client.read_end()
    wait_until(lambda: all(is_dead(pid) for pid in workers), server.log_text)
    assert re.search("postmaster has gone", server.log_text())


def test_a_postmaster_that_goes_at_once(server: PgproxyEndpoint) -> None:
    """Workers that have hardly begun hear of it, too."""
    reload(server, RELOADED)
    workers = children(server.pid)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: all(is_dead(pid) for pid in workers), server.log_text)


def test_signal_of_a_terminal(server: PgproxyEndpoint) -> None:
    """Ctrl+C goes to all of them; each hears it twice, and that is all."""
    for pid in (*children(server.pid), server.pid):
        os.kill(pid, signal.SIGINT)
    assert server.process.wait(20) == 0, server.log_text()
    assert server.log_text().count("received fast shutdown request") == 1
    assert "internal.error" not in server.log_text()
