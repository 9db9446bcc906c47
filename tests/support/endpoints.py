"""
Servers under test: PostgreSQL itself, and pgproxy in front of one.

An `Endpoint` is either, so that the same test asks both the same question. Its log
is jsonlog, where each line names the client's port: that is how the lines of one
connection are told from all others, and how "nothing is logged" can be asked.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

from pgproxy.testing.authority import write_private
from pgproxy.testing.postgres import Instance, conf
from tests.support import logs, oracles, wire
from tests.support.client import Client
from tests.support.logs import LogLine
from tests.support.pki import Pki

DEADLINE: Final = 30.0
"""Seconds that a server may take to start, or a line to reach its log."""

ROLES: Final = (
    "SET password_encryption = 'scram-sha-256'",
    "CREATE ROLE ana LOGIN PASSWORD 'secret'",
    "CREATE ROLE sam LOGIN PASSWORD 'secret'",
    "CREATE ROLE pat LOGIN PASSWORD 'secret'",
    "SET password_encryption = 'md5'",
    "CREATE ROLE mo LOGIN PASSWORD 'secret'",
    "CREATE ROLE tom LOGIN",
    "CREATE ROLE rex LOGIN REPLICATION",
    "CREATE SCHEMA AUTHORIZATION rex",
    *(
        f"CREATE ROLE {name} LOGIN"
        for name in ("cleo", "cora", "dina", "testuser", "ssluser", "nossluser")
    ),
    "CREATE ROLE staff",
    "CREATE ROLE dev",
    "GRANT staff TO dev",
    "GRANT dev TO cleo",
    "CREATE ROLE boss LOGIN SUPERUSER",
)
"""
Passwords as SCRAM and as MD5 has them, none, and one for replication.

``pat`` is asked for the password itself, ``sam`` for a certificate too; ``rex`` has a
schema, so that there is something to replicate. The users of the last line are those
of certificates, and those of PostgreSQL's own t/005.
"""

HBA: Final = """\
host all ana 127.0.0.1/32 scram-sha-256
host all mo 127.0.0.1/32 md5
host all eve 127.0.0.1/32 reject
host all all 127.0.0.1/32 trust
host replication rex 127.0.0.1/32 trust
"""
"""pg_hba.conf of a server under test, unless it is given another."""

BACKEND_HBA: Final = """\
local all ana,sam scram-sha-256
local all pat password
local all mo md5
local all all trust
local replication all trust
"""
"""pg_hba.conf behind pgproxy: asks for what pgproxy's own rules promise."""


@dataclass(frozen=True, slots=True)
class Config:
    """
    What a server under test is to be like.

    Args:
        ssl: Whether it answers S.
        ca: Whether it asks clients for certificates.
        hba: Its pg_hba.conf.
        settings: More of postgresql.conf.

    """

    ssl: bool = True
    ca: bool = False
    hba: str = HBA
    settings: Mapping[str, str] = field(default_factory=dict)

    def files(self, pki: Pki) -> Mapping[str, bytes]:
        """Return what has to lie in its data folder."""
        return pki.server_files(ca=self.ca) if self.ssl else {}

    def all_settings(self) -> dict[str, str]:
        """Return what goes into its postgresql.conf."""
        asks = {"ssl_ca_file": "root.crt"} if self.ssl and self.ca else {}
        return {"ssl": "on" if self.ssl else "off", **asks, **self.settings}


class Endpoint(ABC):
    """
    A server that listens on 127.0.0.1.

    Args:
        kind: One of `oracles.SERVERS`.
        port: Its port.
        log_file: Its log, in JSON.

    """

    def __init__(self, kind: str, port: int, log_file: Path) -> None:
        self.kind = kind
        self.port = port
        self.log_file = log_file
        self._marks: WeakKeyDictionary[Client, int] = WeakKeyDictionary()
        """How long the log was when each client came."""

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    def connect(self, source: str | None = None) -> Client:
        """Connect, from the address *source* if need be, and send nothing."""
        # The system gives out a port again, to another connection, within a run.
        mark = logs.size(self.log_file)
        client = Client(self.address, source)
        self._marks[client] = mark
        return client

    def log_of(self, client: Client) -> list[LogLine]:
        """
        Return what was logged of *client*, whose connection has ended.

        The log is in order. So another connection is made to leave a line, and when
        that is there nothing of *client* is still to come.
        """
        with self.connect() as marker:
            marker.send(b"\0\0\0\0")
            marker.read_end()
            wait_until(
                lambda: bool(self._lines_of(marker)),
                lambda: (
                    f"no line of port {marker.local_port} in {self.log_file}:\n"
                    f"{self.log_text()}"
                ),
            )
        return [LogLine.of(keys) for keys in self._lines_of(client)]

    def _lines_of(self, client: Client) -> list[dict[str, Any]]:
        return [
            keys
            for keys in logs.read(self.log_file, self._marks[client])
            if keys.get("remote_port") == client.local_port
        ]

    def log_text(self) -> str:
        """Return the log as it is."""
        return self.log_file.read_text("utf-8", "replace")

    def signal(self, number: signal.Signals) -> None:
        """Send the server's first process a signal."""
        os.kill(self.pid, number)

    @property
    @abstractmethod
    def pid(self) -> int:
        """The server's first process."""

    @abstractmethod
    def remove(self) -> None:
        """Stop it, whatever it does, and remove what it has."""


class NativeEndpoint(Endpoint):
    """PostgreSQL itself."""

    def __init__(self, kind: str, config: Config, pki: Pki) -> None:
        settings = {
            "logging_collector": "on",
            "log_destination": "jsonlog",
            "log_filename": "postgres.log",
            **config.all_settings(),
        }
        self.instance = Instance(
            oracles.find(kind),
            settings=settings,
            hba=config.hba,
            files=config.files(pki),
            sql=ROLES,
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.instance.remove)
            self.instance.start()
            undo.pop_all()
        log_file = self.instance.data / "log" / "postgres.json"
        super().__init__(kind, self.instance.port, log_file)

    @property
    def pid(self) -> int:
        """The postmaster."""
        return self.instance.pid

    def remove(self) -> None:
        """Stop it, and remove its data."""
        self.instance.remove()


class PgproxyEndpoint(Endpoint):
    """pgproxy, a process of its own, in front of *backend*."""

    def __init__(self, config: Config, pki: Pki, backend: Instance) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pgproxy-test-"))
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": "0",
            "pgproxy.backend_conninfo": (
                f"host={backend.socket_dir} port={backend.port}"
            ),
            "pgproxy.log_format": "json",
            **config.all_settings(),
        }
        (self.folder / "pgproxy.conf").write_text(conf(settings))
        (self.folder / "pg_hba.conf").write_text(config.hba)
        (self.folder / "pg_ident.conf").touch()
        for name, content in config.files(pki).items():
            write_private(self.folder / name, content)
        log_file = self.folder / "log"
        self.process = self._start(log_file)
        super().__init__("pgproxy", 0, log_file)
        with contextlib.ExitStack() as undo:
            undo.callback(self.remove)
            pid_file = self.folder / "pgproxy.pid"
            wait_until(
                lambda: pid_file.exists() or self.process.poll() is not None,
                lambda: f"pgproxy does not start:\n{self.log_text()}",
            )
            assert self.process.poll() is None, self.log_text()
            self.port = int(pid_file.read_text().splitlines()[3])
            undo.pop_all()

    def _start(self, log_file: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pgproxy", "serve", "-D", str(self.folder)]
        with log_file.open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=oracles.CHECKOUT,
            )

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self.process.pid

    def remove(self) -> None:
        """Stop it, and remove its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Farm:
    """
    The servers of a run: each is started when it is first asked for, and stays.

    Args:
        pki: What they show.
        backend: Returns the PostgreSQL behind pgproxy.

    """

    def __init__(self, pki: Pki, backend: Callable[[], Instance]) -> None:
        self.pki = pki
        self._backend = backend
        self._running: list[tuple[str, Config, Endpoint]] = []

    def get(self, kind: str, config: Config) -> Endpoint:
        """Return the server *kind* that is like *config*, for many tests."""
        for known_kind, known_config, endpoint in self._running:
            if (known_kind, known_config) == (kind, config):
                return endpoint
        endpoint = self._make(kind, config)
        self._running.append((kind, config, endpoint))
        return endpoint

    @contextlib.contextmanager
    def private(self, kind: str, config: Config) -> Iterator[Endpoint]:
        """Start a server for one test, which may spoil it."""
        endpoint = self._make(kind, config)
        try:
            yield endpoint
        finally:
            endpoint.remove()

    def _make(self, kind: str, config: Config) -> Endpoint:
        if kind == oracles.PGPROXY:
            return PgproxyEndpoint(config, self.pki, self._backend())
        return NativeEndpoint(kind, config, self.pki)

    def remove(self) -> None:
        """Stop all of them."""
        # Most of it is waiting.
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda running: running[2].remove(), self._running))


@dataclass(frozen=True, slots=True)
class Servers:
    """
    One kind of server, made to measure.

    ::

        with servers(ssl=False).connect() as client:
            ...
    """

    kind: str
    farm: Farm

    def __call__(
        self, *, ssl: bool = True, ca: bool = False, hba: str = HBA, **settings: str
    ) -> Endpoint:
        """Return a server that many tests share; do not spoil it."""
        return self.farm.get(self.kind, Config(ssl, ca, hba, settings))

    def private(
        self, *, ssl: bool = True, ca: bool = False, hba: str = HBA, **settings: str
    ) -> contextlib.AbstractContextManager[Endpoint]:
        """Return one for this test alone."""
        return self.farm.private(self.kind, Config(ssl, ca, hba, settings))


def wait_until(happened: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Wait for what only a look can tell: a file, a line in it."""
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.01)


def log_in(client: Client, packet: bytes | None = None) -> list[wire.Message]:
    """Send a StartupMessage for which no password is asked; return the welcome."""
    client.send(wire.startup() if packet is None else packet)
    return client.read_until("Z")
