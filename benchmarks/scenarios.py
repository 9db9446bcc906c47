"""What is measured, and how."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import ClassVar, Final

import psycopg

from benchmarks.accounting import AccountingError, Processes, Sampler
from benchmarks.clients import Clients, Transaction, cycles
from benchmarks.effort import Effort
from benchmarks.results import Figure, Round
from benchmarks.servers import ROW
from benchmarks.summary import percentile

EDGE: Final = 0.1
"""The share of a run of pgbench that is left out at its beginning; half at its end."""

LOGINS: Final = 50
"""How many clients log in in a second, one after the other, if nothing is fast."""

PIECE: Final = 10_000
"""Lines that a client copies at a time, while another is timed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """
    A turn of a system in a scenario.

    Args:
        clients: Who connect to it.
        pid: Its first process.
        is_proxy: Whether all that it costs is a proxy's cost.
        effort: How much is to be done.
        lines: A file of lines to copy.

    """

    clients: Clients
    pid: int
    is_proxy: bool
    effort: Effort
    lines: Path

    @contextmanager
    def sampler(self) -> Iterator[Sampler | None]:
        """Sample what a proxy costs in the meantime; nothing, if it is none."""
        if not self.is_proxy:
            yield None
            return
        with Sampler(Processes(self.pid)) as sampler:
            yield sampler

    def duration(self, *, more: int = 0) -> tuple[str, str]:
        """Return how pgbench is told how long; some seconds *more* than usual."""
        return "-T", str(self.effort.seconds + more)


class Scenario(ABC):
    """Something to measure."""

    key: str
    title: str
    figures: Sequence[Figure]
    client_certificates: bool = False
    most_rounds: ClassVar[int | None] = None
    """Where more would not tell more."""
    anew: ClassVar[bool] = False
    """Whether systems are started anew for each round."""

    def rounds(self, effort: Effort) -> tuple[int, int]:
        """Return how often the systems are started, and the rounds of each start."""
        rounds = min(effort.rounds, self.most_rounds or effort.rounds)
        return (rounds, 1) if self.anew else (1, rounds)

    @abstractmethod
    def run(self, turn: Turn) -> Round:
        """Do it once, and return the figures."""


def _latencies(what: str) -> tuple[Figure, Figure]:
    return (
        Figure("p50", f"{what}, median, ms", "less"),
        Figure("p99", f"{what}, 99 %, ms", "less"),
    )


class Pgbench(Scenario):
    """
    Transactions of pgbench's, over connections that stay.

    Args:
        key: Its name.
        title: Its name for people.
        clients: How many at once.
        arguments: What pgbench is told.

    """

    figures = (
        Figure("cpu", "CPU of the proxy per transaction, µs", "less"),
        Figure("rate", "Transactions per second", "more"),
        *_latencies("Latency"),
    )

    def __init__(self, key: str, title: str, clients: int, *arguments: str) -> None:
        self.key, self.title = key, title
        self._clients = clients
        self._arguments = ("-M", "prepared", "-c", str(clients), *arguments)

    def run(self, turn: Turn) -> Round:
        """Run pgbench for the seconds that there are."""
        # To pgbench, the time in which they log in is part of the time it is given.
        duration = turn.duration(more=self._clients // LOGINS)
        with turn.sampler() as sampler:
            log = turn.clients.pgbench(*duration, *self._arguments)
        return over(log, sampler, 1e6)


class Connect(Scenario):
    """New connections: TLS handshake, login, a query, close."""

    figures = (
        Figure("cpu", "CPU of the proxy per connection, ms", "less"),
        Figure("rate", "Connections per second", "more"),
        *_latencies("Connect, ask, close"),
    )

    def __init__(self, key: str, title: str, *, client_certificates: bool) -> None:
        self.key, self.title = key, title
        self.client_certificates = client_certificates

    def run(self, turn: Turn) -> Round:
        """Have four clients connect, again and again."""
        # With one thread they would wait for each other's handshakes.
        arguments = ("-C", "-c", "4", "-j", "4", "-n", "-S")
        with turn.sampler() as sampler:
            log = turn.clients.pgbench(*turn.duration(), *arguments)
        return over(cycles(log), sampler, 1e3)


def over(log: Sequence[Transaction], sampler: Sampler | None, unit: float) -> Round:
    """
    Return rate and latencies, and the CPU per transaction in *unit* parts of a second.

    The beginning, when all clients log in, and the end do not count.
    """
    if len(log) < 2:
        raise AccountingError(f"pgbench has done next to nothing: {log}")
    first, last = log[0].ended, log[-1].ended
    began = first + (last - first) * EDGE
    ended = last - (last - first) * EDGE / 2
    counted = [one.latency for one in log if began < one.ended <= ended]
    return {
        **_cpu(sampler, began, ended, unit / len(counted)),
        "rate": len(counted) / (ended - began),
        "p50": percentile(counted, 0.50) * 1e3,
        "p99": percentile(counted, 0.99) * 1e3,
    }


def _cpu(sampler: Sampler | None, began: float, ended: float, unit: float) -> Round:
    """Return the figure of the CPU that was used, where it is a proxy's."""
    return {} if sampler is None else {"cpu": sampler.cpu(began, ended) * unit}


class Copy(Scenario):
    """
    COPY of many megabytes, over a connection that is there.

    Args:
        key: Its name.
        title: Its name for people.
        command: What psql is told; ``{lines}`` is a file of lines.

    """

    figures = (
        Figure("cpu", "CPU of the proxy per MB, ms", "less"),
        Figure("rate", "MB per second", "more"),
    )

    def __init__(self, key: str, title: str, command: str) -> None:
        self.key, self.title = key, title
        self._command = command

    def run(self, turn: Turn) -> Round:
        """Copy it all, once."""
        with turn.clients.psql() as psql, turn.sampler() as sampler:
            began = time.time()
            psql.run(self._command.format(lines=turn.lines))
            ended = time.time()
        megabytes = turn.effort.megabytes
        return {
            **_cpu(sampler, began, ended, 1e3 / megabytes),
            "rate": megabytes / (ended - began),
        }


class Idle(Scenario):
    """Sessions that are there, have asked once, and now do nothing."""

    key = "idle"
    title = "Idle sessions"
    figures = (
        Figure("memory", "Memory per session, KiB", "less"),
        Figure("base", "Memory without sessions, MiB", "less"),
    )
    most_rounds = 2
    # Memory that was freed is not always given back, and would be used again.
    anew = True

    def run(self, turn: Turn) -> Round:
        """Open them all, look, and close them."""
        environment = turn.clients.environment()
        conninfo = (
            f"host=localhost hostaddr=127.0.0.1 port={environment['PGPORT']} "
            f"user={environment['PGUSER']} dbname={environment['PGDATABASE']} "
            f"sslmode=verify-full sslrootcert={environment['PGSSLROOTCERT']} "
            f"gssencmode=disable ssl_min_protocol_version=TLSv1.3"
        )
        # The first session brings what all need: code, caches.
        psycopg.connect(conninfo).close()
        base = Processes(turn.pid).memory()
        with ExitStack() as sessions:
            for _ in range(turn.effort.sessions):
                session = psycopg.connect(conninfo, autocommit=True)
                sessions.callback(session.close)
                session.execute("select 1")
            # Looked for again: sessions of PostgreSQL are processes.
            memory = Processes(turn.pid).memory()
        return {
            "memory": (memory - base) / turn.effort.sessions / 1024,
            "base": base / 1024**2,
        }


class Beside(Scenario):
    """A client that asks small questions, while another copies without a pause."""

    key = "beside-copy"
    title = "A light client beside one that copies"
    figures = (
        *_latencies("Latency of the light one"),
        Figure("rate", "MB per second of the other", "more"),
    )

    def run(self, turn: Turn) -> Round:
        """Time the one, and count what the other gets done."""
        with turn.clients.psql() as psql:
            stop, pieces = Event(), list[float]()
            command = f"\\copy (table copied limit {PIECE}) to /dev/null"

            def copy() -> None:
                while not stop.is_set():
                    pieces.append(psql.run(command))

            copier = Thread(target=copy)
            copier.start()
            try:
                arguments = ("-M", "prepared", "-c", "1", "-n", "-S")
                log = turn.clients.pgbench(*turn.duration(), *arguments)
            finally:
                stop.set()
                copier.join()
        latencies = [one.latency for one in log]
        return {
            "p50": percentile(latencies, 0.50) * 1e3,
            "p99": percentile(latencies, 0.99) * 1e3,
            "rate": len(pieces) * PIECE * ROW / 1e6 / sum(pieces),
        }


SCENARIOS: Final[Sequence[Scenario]] = (
    Pgbench("select-1", "Select-only, prepared, 1 client", 1, "-n", "-S"),
    Pgbench("select-16", "Select-only, prepared, 16 clients", 16, "-n", "-S"),
    Pgbench("select-64", "Select-only, prepared, 64 clients", 64, "-n", "-S"),
    Pgbench("tpcb-16", "TPC-B-like, prepared, 16 clients", 16),
    Copy("copy-out", "COPY out", "\\copy copied to /dev/null"),
    # Read and parsed, and not kept: the disk is not what is measured.
    Copy("copy-in", "COPY in", "\\copy copied from '{lines}' where false"),
    Connect("connect", "New connections", client_certificates=False),
    Connect(
        "connect-cert",
        "New connections with a client certificate, and a CRL",
        client_certificates=True,
    ),
    Idle(),
    Beside(),
)
