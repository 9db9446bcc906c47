"""How figures are made of what pgbench logs and the kernel counts."""

import pytest

from benchmarks.accounting import AccountingError, Sampler
from benchmarks.clients import Transaction
from benchmarks.effort import FULL, QUICK, Effort
from benchmarks.scenarios import SCENARIOS, Connect, Idle, over


class Steady(Sampler):
    """A sampler of something that always costs half of a core."""

    def __init__(self) -> None:
        """Without processes to sample."""

    def cpu(self, began: float, ended: float) -> float:
        return (ended - began) / 2


def log() -> list[Transaction]:
    """Return ten seconds with a hundred transactions each, the first second slow."""
    return [
        Transaction(n % 4, 1000 + n / 100, 0.5 if n <= 100 else 0.004)
        for n in range(1001)
    ]


def test_over() -> None:
    """A hundred a second, half of a core: 5 ms each; the beginning does not count."""
    assert over(log(), Steady(), 1e3) == {
        "cpu": pytest.approx(5.0),
        "rate": pytest.approx(100.0),
        "p50": pytest.approx(4.0),
        "p99": pytest.approx(4.0),
    }


def test_over_something_that_is_no_proxy() -> None:
    assert "cpu" not in over(log(), None, 1e3)


def test_over_nothing() -> None:
    """Pgbench has spent its time with logging in."""
    with pytest.raises(AccountingError, match="next to nothing"):
        over([], None, 1e3)


def test_rounds() -> None:
    """Idle sessions want proxies without a past."""
    connect = Connect("connect", "", client_certificates=False)
    assert connect.rounds(FULL) == (1, FULL.rounds)
    assert Idle().rounds(FULL) == (2, 1)
    assert Idle().rounds(Effort(1, 1, 1, 1)) == (1, 1)


def test_quick_is_quick() -> None:
    for name in ("rounds", "seconds", "megabytes", "sessions"):
        assert getattr(QUICK, name) < getattr(FULL, name)


def test_keys() -> None:
    assert len({scenario.key for scenario in SCENARIOS}) == len(SCENARIOS)
