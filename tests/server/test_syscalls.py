"""
How often the relay asks the kernel for something: a figure that no noise touches.

At most one recv and one send for each chunk on the plain side, and on the other no more
than OpenSSL needs: two reads for a record (its head, and the rest), one write.
"""

import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.client import Client
from tests.support.endpoints import Config, Farm, PgproxyEndpoint, log_in
from tests.support.oracles import PGPROXY, absent

pytestmark = pytest.mark.interop

ROUNDS = 50
_CALL = re.compile(r"^\d+ +(\w+)\(")


@pytest.fixture
def server(farm: Farm) -> Iterator[PgproxyEndpoint]:
    """Return one that logs, traces and has rules: nothing of that may be seen here."""
    if shutil.which("strace") is None:
        absent("strace is not installed")
    hba = "".join(f"host db{n} all all trust\n" for n in range(100))
    settings = {
        "log_connections": "all",
        "log_disconnections": "on",
        "pgproxy.watch_files": "off",
    }
    config = Config(hba=hba + "host all all all trust\n", settings=settings)
    with farm.private(PGPROXY, config) as endpoint:
        assert isinstance(endpoint, PgproxyEndpoint)
        yield endpoint


def calls(
    server: PgproxyEndpoint, folder: Path, act: Callable[[], object]
) -> Counter[str]:
    """Return which system calls the server makes while *act* runs."""
    found = folder / "calls"
    command = ["strace", "-f", "-o", str(found), "-p", str(server.pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if "attached" not in first:
        tracer.wait(10)
        pytest.skip(f"strace may not look: {first}")
    try:
        act()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        tracer.stderr.close()
    matches = map(_CALL.match, found.read_text().splitlines())
    return Counter(match[1] for match in matches if match)


def ask(client: Client, sql: str, times: int) -> Callable[[], None]:
    def act() -> None:
        for _ in range(times):
            client.send(wire.query(sql))
            client.read_until("Z")

    return act


def test_small_queries(server: PgproxyEndpoint, tmp_path: Path) -> None:
    """One chunk each way: two wake-ups, and not a call that finds nothing."""
    with server.connect() as client:
        log_in(client.request_tls())
        found = calls(server, tmp_path, ask(client, "select 1", ROUNDS))
    assert found.pop("epoll_pwait", 0) + found.pop("epoll_wait", 0) <= 2 * ROUNDS + 2
    assert found == {
        "read": 2 * ROUNDS,
        "sendto": ROUNDS,
        "recvfrom": ROUNDS,
        "write": ROUNDS,
    }


def test_much_to_the_client(server: PgproxyEndpoint, tmp_path: Path) -> None:
    """A write for each record; a recv for each chunk that is there."""
    size = 3_000_000
    with server.connect() as client:
        log_in(client.request_tls())
        sql = f"select repeat('x', {size})"
        ask(client, sql, 1)()
        found = calls(server, tmp_path, ask(client, sql, 1))
    full_records = size // 16384 + 1
    # A chunk may end with a record that is not full, and a write may find no room.
    assert found["write"] <= full_records + 2 * found["recvfrom"]
    assert found["recvfrom"] <= 2 * found["epoll_wait"] + 2 * found["epoll_pwait"]
    assert found["sendto"] == 1
    assert found["read"] <= 4


def test_much_from_the_client(server: PgproxyEndpoint, tmp_path: Path) -> None:
    """Two reads for each record that the client makes; what is read is sent at once."""
    size = 1_000_000
    with server.connect() as client:
        log_in(client.request_tls())
        sql = f"select length('{'x' * size}')"
        found = calls(server, tmp_path, ask(client, sql, 1))
    records = size // 16384 + 2
    waits = found["epoll_wait"] + found["epoll_pwait"]
    assert found["read"] <= 2 * records + waits
    # As often again, where the backend had no room.
    assert found["sendto"] <= 2 * records
    assert found["write"] == found["recvfrom"] <= 2
