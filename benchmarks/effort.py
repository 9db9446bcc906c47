"""How much of everything is done, and on which core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Effort:
    """
    How long, how much, how often.

    Args:
        rounds: How often each proxy has its turn, in each scenario.
        seconds: How long pgbench runs in a turn.
        megabytes: What one COPY moves.
        sessions: How many there are at once when nothing goes on.

    """

    rounds: int
    seconds: int
    megabytes: int
    sessions: int


FULL: Final = Effort(rounds=5, seconds=4, megabytes=500, sessions=2000)
"""About a quarter of an hour."""

QUICK: Final = Effort(rounds=3, seconds=1, megabytes=50, sessions=200)
"""Less than two minutes, for what has a target, beside the other proxies."""


@dataclass(frozen=True, slots=True)
class Cores:
    """
    Whose core is whose.

    Args:
        proxy: Only the proxy under test is on this one.
        others: Clients, servers, and what measures.

    """

    proxy: int
    others: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """
        Take the last core for the proxy, and the first for all else.

        Not more than one for all else, so that two machines compare.

        Raises:
            TooFewCoresError: There is one core.

        """
        first, *more = sorted(os.sched_getaffinity(0))
        if not more:
            raise TooFewCoresError(
                "one core for the proxy and one for the rest are needed; there is one"
            )
        return cls(more[-1], frozenset({first}))


class TooFewCoresError(Exception):
    """There is nothing to measure on."""


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """Keep us on *cores*; whoever is started in the meantime stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
