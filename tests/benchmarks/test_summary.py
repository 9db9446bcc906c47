"""Medians, spreads, ratios, verdicts, targets."""

import pytest

from benchmarks.results import Better, Measured, Run, rounded
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import (
    TARGETS,
    Spread,
    Verdict,
    outcomes,
    percentile,
    ratio,
    ratios,
    verdict,
)
from tests.benchmarks.runs import CPU, IDLE, MEMORY, RATE, RUN, SELECT


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([3.0], Spread(3, 3, 3, 1)),
        ([3.0, 1.0], Spread(2, 1, 3, 2)),
        ([9.0, 1.0, 2.0], Spread(2, 1, 9, 3)),
    ],
)
def test_spread(values: list[float], spread: Spread) -> None:
    assert Spread.of(values) == spread


@pytest.mark.parametrize(
    ("share", "value"),
    [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)],
)
def test_percentile(share: float, value: float) -> None:
    """Nearest rank: one of the values, and in no order."""
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_percentile_of_one() -> None:
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("low", "high", "rounds", "better", "says"),
    [
        (0.8, 0.9, 3, "less", Verdict.BETTER),
        (0.8, 0.9, 3, "more", Verdict.WORSE),
        (1.1, 1.2, 3, "less", Verdict.WORSE),
        (1.1, 1.2, 3, "more", Verdict.BETTER),
        (0.9, 1.1, 3, "less", Verdict.LEVEL),
        (0.9, 1.0, 3, "more", Verdict.LEVEL),
        # One round agrees with itself.
        (0.8, 0.8, 1, "less", Verdict.LEVEL),
    ],
)
def test_verdict(
    low: float, high: float, rounds: int, better: Better, says: Verdict
) -> None:
    assert verdict(Spread((low + high) / 2, low, high, rounds), better) is says


def test_ratio_of_rounds_that_belong_together() -> None:
    """0.8, 0.5 and 0.92; the ratio of the medians would be 0.88."""
    found = ratio(SELECT, CPU, "pgbouncer")
    assert found is not None
    assert found.spread.median == pytest.approx(0.8)
    assert found.spread.low == pytest.approx(0.5)
    assert found.spread.high == pytest.approx(22 / 24)
    assert found.verdict is Verdict.BETTER


@pytest.mark.parametrize(
    ("measured", "peer"),
    [
        (SELECT, "native"),
        (SELECT, "stunnel"),
        (
            Measured("x", "x", [CPU], {"pgproxy": [{"cpu": 1}], "zero": [{"cpu": 0}]}),
            "zero",
        ),
    ],
)
def test_no_ratio(measured: Measured, peer: str) -> None:
    assert ratio(measured, CPU, peer) is None


def test_ratios() -> None:
    """In the order of the tables; what somebody does not have is left out."""
    found = [(one.measured.key, one.figure, one.peer) for one in ratios(RUN)]
    assert found == [
        ("select-16", CPU, "pgbouncer"),
        ("select-16", RATE, "pgbouncer"),
        ("select-16", RATE, "native"),
        ("idle", MEMORY, "pgbouncer"),
        ("idle", MEMORY, "native"),
    ]


def test_outcomes() -> None:
    found = [
        (one.target.scenario, one.target.figure, one.target.peer, one.met)
        for one in outcomes(RUN)
    ]
    assert found == [
        ("select-16", "cpu", "pgbouncer", True),
        ("idle", "memory", None, False),
    ]
    assert [one.found for one in outcomes(RUN)][1] == 17.25


def test_every_target_is_of_a_figure() -> None:
    """What nobody measures would be missed by nobody."""
    there = {(one.key, figure.key) for one in SCENARIOS for figure in one.figures}
    assert {(target.scenario, target.figure) for target in TARGETS} <= there


def test_json() -> None:
    assert Run.from_json(RUN.to_json()) == RUN


def test_rounded() -> None:
    assert rounded({"a": 1.23456789, "b": 123456789.0}) == {
        "a": 1.23457,
        "b": 1.23457e8,
    }


def test_values_of_whoever_was_not_there() -> None:
    assert IDLE.values("stunnel", "memory") == []
