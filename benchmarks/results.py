"""What a run found: every figure of every round, and what it was found on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, Self

Better = Literal["less", "more"]

Round = Mapping[str, float]
"""The figures of one turn of one system, by their keys."""

DIGITS: Final = 6
"""Significant digits that are worth storing."""


@dataclass(frozen=True, slots=True)
class Figure:
    """
    One thing that a scenario measures.

    Args:
        key: What it is called in JSON.
        title: What it is called in a table, with its unit.
        better: Whether less of it is better, or more.

    """

    key: str
    title: str
    better: Better


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What came of one scenario.

    Args:
        key: The scenario's name on the command line.
        title: Its name for people.
        figures: What was measured.
        rounds: The rounds of each system, by its key; the n-th of all of them
            followed each other.

    """

    key: str
    title: str
    figures: Sequence[Figure]
    rounds: Mapping[str, Sequence[Round]]

    def values(self, system: str, figure: str) -> list[float]:
        """Return a figure of *system*, round by round; empty if it does not have it."""
        rounds = self.rounds.get(system, ())
        return [one[figure] for one in rounds if figure in one]


@dataclass(frozen=True, slots=True)
class Run:
    """
    A run.

    Args:
        when: When it began, ISO 8601.
        command: What was typed.
        machine: What it ran on.
        versions: Of all that took part.
        effort: How much of everything.
        tls: What was negotiated, the same everywhere.
        systems: The titles of those that were compared, by their keys.
        notes: What a reader has to know: what was left out, what differs.
        measured: What came of each scenario.

    """

    when: str
    command: str
    machine: Mapping[str, str]
    versions: Mapping[str, str]
    effort: Mapping[str, int]
    tls: Mapping[str, str]
    systems: Mapping[str, str]
    notes: Sequence[str]
    measured: Sequence[Measured]

    def to_json(self) -> str:
        """Return it as `from_json` takes it."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` has written."""
        keys = json.loads(text)
        measured = [
            Measured(
                **{**one, "figures": [Figure(**figure) for figure in one["figures"]]}
            )
            for one in keys.pop("measured")
        ]
        return cls(**keys, measured=measured)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return what is in the file *path*."""
        return cls.from_json(path.read_text("utf-8"))


def rounded(figures: Round) -> Round:
    """Return *figures* without digits that mean nothing."""
    return {key: float(f"{value:.{DIGITS}g}") for key, value in figures.items()}
