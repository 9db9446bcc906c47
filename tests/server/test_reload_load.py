"""
Many reloads under load: nobody is turned away, nothing leaks, no generations mix.

PGPROXY_RELOADS says how many (``make soak-reload``: a thousand).
"""

import os
import signal
import ssl
import threading
import time
from pathlib import Path
from typing import Final

import pytest

from pgproxy.testing.authority import write_private
from tests.support import wire
from tests.support.client import context
from tests.support.endpoints import Config, Farm, PgproxyEndpoint, log_in, wait_until
from tests.support.oracles import PGPROXY

pytestmark = pytest.mark.interop

RELOADS: Final = int(os.environ.get("PGPROXY_RELOADS", "25"))
CLIENTS: Final = 4
RELOADED: Final = '"configuration was reloaded"'

# In each generation the rules and the certificate belong together: whoever sees the
# certificate of one may be this user, and none of the other.
USERS: Final = ("tom", "cleo")


class Load:
    """Clients that connect, log in and leave, as fast as they can."""

    def __init__(self, server: PgproxyEndpoint, owners: dict[bytes, str]) -> None:
        self.server = server
        self.owners = owners
        self.stop = threading.Event()
        self.connections = 0
        self.wrong: list[str] = []
        self._lock = threading.Lock()

    def run(self) -> None:
        while not self.stop.is_set():
            try:
                problem = self.once()
            except Exception as error:  # noqa: BLE001 - each is one too many
                problem = repr(error)
            with self._lock:
                self.connections += 1
                if problem is not None:
                    self.wrong.append(problem)

    def once(self) -> str | None:
        with self.server.connect() as client:
            client.request_tls(context())
            assert client.tls is not None
            shown = client.tls.getpeercert(binary_form=True)
            assert shown is not None
            client.send(wire.startup(user=self.owners[shown], database="postgres"))
            message = client.read_until("Z")[-1]
            client.send(wire.message(b"X"))
            client.read_end()
            return None if message.kind == "Z" else f"{message.fields}"


def resources(pid: int) -> tuple[int, int]:
    """Return how many descriptors, and how much memory (KiB), a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    memory = int(status.partition("VmRSS:")[2].split()[0])
    return len(os.listdir(f"/proc/{pid}/fd")), memory  # noqa: PTH208 - names enough


@pytest.mark.timeout(60 + RELOADS * 3)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_reloads_under_load(
    farm: Farm, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    """TLS-92 to TLS-95, HBA-53: whole generations, one after the other."""
    made = {user: farm.pki.root.server("localhost", "127.0.0.1") for user in USERS}
    owners = {}
    for user, credentials in made.items():
        pem = credentials.certificate_pem().decode()
        end = "-----END CERTIFICATE-----\n"
        owners[ssl.PEM_cert_to_DER_cert(pem.partition(end)[0] + end)] = user
    config = Config(
        hba="host all all all trust\n", settings={"pgproxy.workers": workers}
    )
    with farm.private(PGPROXY, config) as server:
        assert isinstance(server, PgproxyEndpoint)

        def change(number: int) -> None:
            user = USERS[number % 2]
            credentials = made[user]
            write_private(server.folder / "server.crt", credentials.certificate_pem())
            write_private(server.folder / "server.key", credentials.key_pem())
            (server.folder / "pg_hba.conf").write_text(f"host all {user} all trust\n")
            before = server.log_text().count(RELOADED)
            server.signal(signal.SIGHUP)
            wait_until(
                lambda: server.log_text().count(RELOADED) > before, server.log_text
            )

        change(0)
        load = Load(server, owners)
        threads = [threading.Thread(target=load.run) for _ in range(CLIENTS)]
        with server.connect() as witness:
            witness.request_tls(context())
            log_in(witness, wire.startup(user=USERS[0], database="postgres"))
            for thread in threads:
                thread.start()
            began = time.monotonic()
            try:
                for number in range(1, RELOADS + 1):
                    change(number)
                    if number == max(10, RELOADS // 10):
                        early = resources(server.pid)
            finally:
                load.stop.set()
                for thread in threads:
                    thread.join()
            seconds = time.monotonic() - began
            # A session that was there before the first of them is still there.
            witness.send(wire.query("select 1"))
            witness.read_until("Z")
            late = resources(server.pid)
            assert "was terminated by signal" not in server.log_text()
        assert load.wrong == []
        assert load.connections > CLIENTS
        assert late[0] <= early[0] + 2 * CLIENTS, (early, late)
        assert late[1] <= early[1] * 1.15 + 4096, (early, late)
        said = (
            f"{RELOADS} reloads in {seconds:.0f} s, {load.connections} connections "
            f"({load.connections / seconds:.0f}/s), none lost; descriptors "
            f"{early[0]} -> {late[0]}, memory {early[1]} -> {late[1]} KiB"
        )
        if "PGPROXY_RELOADS" in os.environ:
            with capsys.disabled():
                print(f"\n{said}")  # noqa: T201 - for who runs it by hand
