"""A run as a page and as a drawing."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from benchmarks import report
from benchmarks.report import number
from benchmarks.results import Run
from tests.benchmarks.runs import RUN, SELECT

DOCS: Final = Path(__file__).parents[2] / "docs"


def section(page: str, heading: str) -> str:
    """Return what stands under *heading*."""
    return page.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def test_figures() -> None:
    assert section(report.page(RUN), "All figures").split("### ")[1] == (
        "Select-only, prepared, 16 clients\n\n"
        "|  | pgproxy | PgBouncer | ratio | PostgreSQL | ratio |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| CPU of the proxy per transaction, µs | 22.0 (20.0\N{EN DASH}25.0) "
        "| 25.0 (24.0\N{EN DASH}50.0) | **0.80** "
        "| \N{EN DASH} | \N{EN DASH} |\n"
        "| Transactions per second | 29,000 (28,000\N{EN DASH}30,000) "
        "| 29,000 (28,500\N{EN DASH}30,000) | 0.98 "
        "| 60,000 (58,000\N{EN DASH}70,000) | 0.50 |\n\n"
    )


def test_not_better() -> None:
    """What is worse, and what cannot be told; nothing that is better."""
    said = section(report.page(RUN), "What is not better")
    assert said.strip().splitlines() == [
        (
            "Of 5 comparisons, pgproxy is better in 2, worse in 2, and in 1 the rounds do "
            "not agree."
        ),
        "",
        "Worse:",
        "",
        (
            "* Select-only, prepared, 16 clients: transactions per second: 0.50 "
            "(0.40\N{EN DASH}0.50) times that of PostgreSQL"
        ),
        (
            "* Idle sessions: memory per session, KiB: 1.43 (1.42\N{EN DASH}1.45) "
            "times that of PgBouncer"
        ),
        "",
        "Too close to tell:",
        "",
        (
            "* Select-only, prepared, 16 clients: transactions per second: 0.98 "
            "(0.97\N{EN DASH}1.03) times that of PgBouncer"
        ),
    ]


def test_nothing_to_compare_with() -> None:
    """Pgproxy alone, where no peer is installed."""
    alone = replace(SELECT, rounds={"pgproxy": SELECT.rounds["pgproxy"]})
    run = replace(RUN, systems={"pgproxy": "pgproxy"}, measured=[alone])
    assert "Of 0 comparisons" in report.page(run)


def test_targets() -> None:
    said = section(report.page(RUN), "Targets")
    assert "| PgBouncer | <= 1 | 0.80 | yes |" in said
    assert "| \N{EN DASH} | <= 16 | 17.25 | **no** |" in said


def test_where_and_notes() -> None:
    said = section(report.page(RUN), "Where and what")
    assert "| command | `python -m benchmarks --quick` |" in said
    assert "| effort | 3 rounds, 2,000 sessions |" in said
    assert "| TLS | TLSv1.3, TLS_AES_256_GCM_SHA384 |" in said
    assert "* stunnel is left out: stunnel is not here" in said


@pytest.mark.parametrize(("load", "busy"), [("0.49", False), ("0.51", True)])
def test_busy_machine(load: str, *, busy: bool) -> None:
    run = replace(RUN, machine={"load before": load})
    assert ("**The machine was not quiet**" in report.page(run)) is busy


def test_several_peers_in_one_line() -> None:
    """And the line above says of how many figures."""
    slow = replace(SELECT, rounds={**SELECT.rounds, "pgbouncer": [{"rate": 9e4}] * 3})
    said = section(report.page(replace(RUN, measured=[slow])), "What is not better")
    (line,) = (line for line in said.splitlines() if line.startswith("*"))
    assert "times that of PgBouncer, 0.50" in line
    assert line.endswith("times that of PostgreSQL")


def test_what_is_printed() -> None:
    said = report.text(RUN)
    assert "### Idle sessions" in said
    assert "**no**" in said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (100.0, "100"),
        (25.04, "25.0"),
        (1.234, "1.23"),
        (0.0512, "0.0512"),
        (0.0, "0"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_page_is_that_of_its_numbers() -> None:
    """Run ``python -m benchmarks --from docs/benchmarks.json --out docs`` if it fails."""
    run = Run.read(DOCS / "benchmarks.json")
    assert (DOCS / "benchmarks.md").read_text("utf-8") == report.page(run)


def test_chart() -> None:
    """Whose ratios they are, of what, and a dot for each; the same at every time."""
    pytest.importorskip("matplotlib")
    from benchmarks import chart  # noqa: PLC0415 - needs matplotlib

    drawn = chart.svg(RUN)
    said = " ".join(ET.fromstring(drawn).itertext())
    assert "pgproxy to PgBouncer" in said
    assert "pgproxy to PostgreSQL" in said
    assert "Idle sessions" in said
    assert "stunnel" not in said
    assert chart.svg(RUN) == drawn
