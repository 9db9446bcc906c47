"""What the numbers of a run amount to: medians, spreads, ratios, targets."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

from benchmarks.results import Better, Figure, Measured, Run

OURS: Final = "pgproxy"
"""Who is compared with all the others."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds, the extremes, and how many rounds those were."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return that of *values*, of which there is at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least of *values* that *share* of them do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)
    return ordered[max(0, int(rank) - 1)]


class Verdict(Enum):
    """How ours compares with theirs."""

    BETTER = "better"
    WORSE = "worse"
    LEVEL = "too close to tell"


@dataclass(frozen=True, slots=True)
class Ratio:
    """
    Ours divided by theirs, round by round.

    Each round is divided by the one that came right before or after it: if the
    machine becomes slower in the course of a run, both have become slower.
    """

    measured: Measured
    figure: Figure
    peer: str
    spread: Spread

    @property
    def verdict(self) -> Verdict:
        """Say who is better, if all rounds agree, and they are more than one."""
        return verdict(self.spread, self.figure.better)


def verdict(ratio: Spread, better: Better) -> Verdict:
    """Say what *ratio* means for a figure of which less, or more, is better."""
    if ratio.low <= 1 <= ratio.high or ratio.rounds == 1:
        return Verdict.LEVEL
    return Verdict.BETTER if (ratio.high < 1) == (better == "less") else Verdict.WORSE


def ratio(measured: Measured, figure: Figure, peer: str) -> Ratio | None:
    """Return ours to that of *peer*; None if one of them does not have the figure."""
    ours = measured.values(OURS, figure.key)
    theirs = measured.values(peer, figure.key)
    if not ours or not theirs or 0 in theirs:
        return None
    quotients = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(measured, figure, peer, Spread.of(quotients))


def ratios(run: Run) -> Iterator[Ratio]:
    """Yield all of them, in the order of the tables."""
    for measured in run.measured:
        for figure in measured.figures:
            for peer in run.systems:
                if peer != OURS and (found := ratio(measured, figure, peer)):
                    yield found


@dataclass(frozen=True, slots=True)
class Target:
    """
    What is to be reached.

    Args:
        scenario: In which.
        figure: Its key.
        peer: In comparison with whom; None: the figure itself.
        limit: The ratio, or the figure, that is just good enough.

    """

    scenario: str
    figure: str
    peer: str | None
    limit: float


TARGETS: Final = (
    Target("select-1", "cpu", "pgbouncer", 1.0),
    Target("select-1", "cpu", "stunnel", 0.6),
    Target("select-16", "cpu", "pgbouncer", 1.0),
    Target("select-16", "cpu", "stunnel", 0.6),
    Target("select-64", "cpu", "pgbouncer", 1.1),
    Target("select-64", "cpu", "stunnel", 0.5),
    Target("select-16", "rate", "stunnel", 1.2),
    Target("copy-out", "cpu", "pgbouncer", 0.5),
    Target("copy-out", "cpu", "stunnel", 0.9),
    Target("copy-in", "cpu", "pgbouncer", 0.5),
    Target("copy-in", "cpu", "stunnel", 0.9),
    Target("copy-out", "rate", "pgbouncer", 1.5),
    Target("copy-out", "rate", "stunnel", 1.0),
    Target("connect", "cpu", "pgbouncer", 1.3),
    Target("connect", "cpu", "stunnel", 0.6),
    Target("connect-cert", "cpu", "pgbouncer", 1.3),
    Target("connect-cert", "cpu", "stunnel", 0.6),
    Target("idle", "memory", None, 16),
    Target("idle", "memory", "stunnel", 0.25),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A target, what came of it, and whether that is good enough."""

    target: Target
    measured: Measured
    figure: Figure
    found: float

    @property
    def met(self) -> bool:
        """Whether the median is good enough."""
        if self.figure.better == "less":
            return self.found <= self.target.limit
        return self.found >= self.target.limit


def outcomes(run: Run) -> Iterator[Outcome]:
    """Yield what came of each target that the run has figures for."""
    for target in TARGETS:
        for measured in run.measured:
            if measured.key != target.scenario:
                continue
            figure = next(one for one in measured.figures if one.key == target.figure)
            found = _found(target, measured, figure)
            if found is not None:
                yield Outcome(target, measured, figure, found)


def _found(target: Target, measured: Measured, figure: Figure) -> float | None:
    if target.peer is not None:
        compared = ratio(measured, figure, target.peer)
        return None if compared is None else compared.spread.median
    values = measured.values(OURS, figure.key)
    return Spread.of(values).median if values else None
