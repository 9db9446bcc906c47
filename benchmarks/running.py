"""A run: each scenario, and in it round after round, each system in turn."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.certificates import CIPHER, VERSION, Certificates
from benchmarks.clients import Clients
from benchmarks.effort import Effort
from benchmarks.results import Measured, Round, Run, rounded
from benchmarks.scenarios import Scenario, Turn
from benchmarks.systems import Running, System

WARM_UP: Final = 200
"""Transactions of one client before the first round: caches, code, page faults."""

Tls = Mapping[str, str]
"""What was negotiated, as `Clients.handshake` tells it."""

Say = Callable[[str], None]


class TlsDiffersError(Exception):
    """The systems do not speak the same TLS, so they cannot be compared."""


@dataclass(frozen=True, slots=True)
class Bench:
    """
    All that is there while it is measured.

    Args:
        systems: What is compared.
        programs: The folder of pgbench and psql.
        certificates: What everybody shows and trusts.
        effort: How much is done.
        lines: A file for COPY.
        machine: What all this runs on.
        notes: What a reader has to know.

    """

    systems: Sequence[System]
    programs: Path
    certificates: Certificates
    effort: Effort
    lines: Path
    machine: Mapping[str, str]
    notes: Sequence[str]

    def clients(self, scenario: Scenario, running: Running) -> Clients:
        """Return the clients of a system, as *scenario* wants them."""
        return Clients(
            self.programs,
            self.certificates,
            running.port,
            shown=scenario.client_certificates,
        )

    def turn(self, scenario: Scenario, system: System, running: Running) -> Turn:
        """Return what *scenario* needs to measure *system*."""
        return Turn(
            self.clients(scenario, running),
            running.pid,
            system.is_proxy,
            self.effort,
            self.lines,
        )


def measure(bench: Bench, scenarios: Sequence[Scenario], command: str, say: Say) -> Run:
    """
    Run *scenarios*, and return what they found.

    Args:
        bench: All that is needed.
        scenarios: What to measure.
        command: What was typed.
        say: Tells somebody how far we are.

    Raises:
        TlsDiffersError: Not everybody spoke the same TLS.

    """
    when = dt.datetime.now(dt.UTC)
    spoken: list[Tls] = []
    measured = []
    for scenario in scenarios:
        found, tls = _measure(bench, scenario, say)
        measured.append(found)
        spoken.append(tls)
    return Run(
        when=when.isoformat(timespec="minutes"),
        command=command,
        machine=bench.machine,
        versions={system.key: system.version() for system in bench.systems},
        effort=asdict(bench.effort),
        tls=spoken[0],
        systems={system.key: system.title for system in bench.systems},
        notes=bench.notes,
        measured=measured,
    )


def _measure(bench: Bench, scenario: Scenario, say: Say) -> tuple[Measured, Tls]:
    rounds: dict[str, list[Round]] = {system.key: [] for system in bench.systems}
    starts, per_start = scenario.rounds(bench.effort)
    for start in range(starts):
        # Not those of the scenario before: none has anything left of that in it.
        with _started(bench, scenario) as running:
            tls = _ready(bench, scenario, running)
            for number in range(per_start):
                say(f"{scenario.title}: round {start * per_start + number + 1}")
                for system in bench.systems:
                    turn = bench.turn(scenario, system, running[system.key])
                    rounds[system.key].append(rounded(scenario.run(turn)))
    return Measured(scenario.key, scenario.title, list(scenario.figures), rounds), tls


@contextmanager
def _started(bench: Bench, scenario: Scenario) -> Iterator[Mapping[str, Running]]:
    with ExitStack() as stack:
        yield {
            system.key: stack.enter_context(
                system.running(client_certificates=scenario.client_certificates)
            )
            for system in bench.systems
        }


def _ready(bench: Bench, scenario: Scenario, running: Mapping[str, Running]) -> Tls:
    """Make sure that all speak the same TLS, which is returned; and warm them up."""
    clients = {key: bench.clients(scenario, one) for key, one in running.items()}
    tls = same({key: one.handshake() for key, one in clients.items()})
    for one in clients.values():
        one.pgbench("-t", str(WARM_UP), "-n", "-S")
    return tls


def same(found: Mapping[str, Tls]) -> Tls:
    """
    Return the TLS that all systems speak.

    Args:
        found: What each of them speaks.

    Raises:
        TlsDiffersError: They differ, or it is not what they were told to speak.

    """
    first, *others = found.values()
    expected = {"version": VERSION, "cipher": CIPHER}
    if any(other != first for other in others) or not expected.items() <= first.items():
        said = "; ".join(f"{key}: {facts}" for key, facts in found.items())
        raise TlsDiffersError(f"expected {expected}, and no differences; found {said}")
    return first
