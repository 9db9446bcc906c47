"""A run as text: tables, and the page docs/benchmarks.md."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from benchmarks.results import Figure, Measured, Run
from benchmarks.summary import (
    OURS,
    Outcome,
    Ratio,
    Spread,
    Verdict,
    outcomes,
    ratio,
    ratios,
)

DASH: Final = "\N{EN DASH}"
"""Between two ends; and where there is no figure."""

BUSY: Final = 0.5
"""The load of a machine that has something else to do."""

MARK: Final = (
    "<!-- Written by `make bench`; the numbers are those of benchmarks.json. -->"
)

HEAD: Final = """\
pgproxy beside others that terminate TLS for PostgreSQL, all of them in one run. Each has its
turn in each round, one right after the other, so that a machine that becomes slower becomes
slower for all. Numbers of different runs, or of different machines, do not compare; ratios do.

The proxy under test has a core of its own; clients and servers share another, and mostly
that one is the limit. So the figure that tells most about a proxy is **the CPU time that it
needs**, as the kernel counts it, with all threads and children.

![The ratios of this page, drawn](benchmarks.svg)
"""

READING: Final = """\
Each cell has the median of the rounds, and in brackets the least and the most. A **ratio**
is pgproxy's figure divided by the other's, round by round. Where less is better, a ratio
below 1 is good for pgproxy; where more is better, one above 1. It is set in bold where all
rounds agree that pgproxy is better.
"""

METHOD: Final = """\
* pgproxy runs as one would run it: a `pg_hba.conf` of a dozen lines, connections and
  disconnections logged as JSON. PgBouncer is in session mode, where it is a proxy with TLS;
  the connections to PostgreSQL that it has it uses again, and its clients wait for no login
  there. stunnel reads no login at all. What is not said here is their default.
* All keys are ECDSA on P-256, there is one certificate in each chain, and before each
  scenario the handshake of each system is looked at: a difference ends the run.
* Transactions are those of pgbench's log, without the first tenth of a run, when clients log
  in, and the last twentieth. With new connections the latency is the time from one
  transaction to the next of the same client, who connects in between.
* COPY moves lines of 1,000 bytes; what comes in is read, parsed, and not kept.
* Memory is the proportional set size of all processes; what the kernel keeps for sockets is
  not in it. PostgreSQL has a process for each session.
"""


def page(run: Run) -> str:
    """Return the whole page."""
    return "\n".join(
        [
            "# Benchmarks",
            "",
            MARK,
            "",
            HEAD,
            "## Where and what",
            "",
            *_where(run),
            "",
            *[f"* {note}" for note in _notes(run)],
            "",
            "## What is not better",
            "",
            *_not_better(run),
            "",
            "## Targets",
            "",
            *_targets(run),
            "",
            "## All figures",
            "",
            READING,
            tables(run),
            "## How it is measured",
            "",
            METHOD,
            (
                "How long a `pg_hba.conf` of ten thousand lines takes is in "
                "[another page](reference/benchmarks.md)."
            ),
            "",
        ]
    )


def text(run: Run) -> str:
    """Return what is printed after a run."""
    return "\n".join([*_where(run), "", tables(run), *_targets(run), ""])


def tables(run: Run) -> str:
    """Return a table for each scenario."""
    return "\n".join(_table_of(run, measured) for measured in run.measured)


def _table_of(run: Run, measured: Measured) -> str:
    peers = [key for key in run.systems if key != OURS]
    head = ["", run.systems.get(OURS, OURS)]
    for peer in peers:
        head += [run.systems[peer], "ratio"]
    rows = []
    for figure in measured.figures:
        row = [figure.title, _cell(measured, OURS, figure)]
        for peer in peers:
            compared = ratio(measured, figure, peer)
            row += [_cell(measured, peer, figure), _ratio(compared)]
        rows.append(row)
    lines = "\n".join(table(head, rows))
    return f"### {measured.title}\n\n{lines}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table in Markdown."""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


def _cell(measured: Measured, system: str, figure: Figure) -> str:
    values = measured.values(system, figure.key)
    if not values:
        return DASH
    spread = Spread.of(values)
    return f"{number(spread.median)} ({number(spread.low)}{DASH}{number(spread.high)})"


def _ratio(compared: Ratio | None) -> str:
    if compared is None:
        return DASH
    text = f"{compared.spread.median:.2f}"
    return f"**{text}**" if compared.verdict is Verdict.BETTER else text


def number(value: float) -> str:
    """Return *value* with three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def _where(run: Run) -> Iterator[str]:
    effort = ", ".join(f"{value:,} {name}" for name, value in run.effort.items())
    facts = {
        "when": run.when,
        "command": f"`{run.command}`",
        "effort": effort,
        **run.machine,
        "TLS": ", ".join(run.tls.values()),
        **{run.systems.get(key, key): value for key, value in run.versions.items()},
    }
    return table(("", ""), facts.items())


def _notes(run: Run) -> Iterator[str]:
    """Yield what a reader has to know before the numbers."""
    if float(run.machine.get("load before", 0)) > BUSY:
        yield (
            "**The machine was not quiet**: something else ran when this run began, so "
            "the spreads are wide, and the medians may be wrong."
        )
    yield from run.notes


def _not_better(run: Run) -> Iterator[str]:
    everything = list(ratios(run))
    worse = [one for one in everything if one.verdict is Verdict.WORSE]
    level = [one for one in everything if one.verdict is Verdict.LEVEL]
    yield (
        f"Of {len(everything)} comparisons, pgproxy is better in "
        f"{len(everything) - len(worse) - len(level)}, worse in {len(worse)}, and in "
        f"{len(level)} the rounds do not agree."
    )
    for title, some in (("Worse", worse), ("Too close to tell", level)):
        if some:
            yield f"\n{title}:\n"
            yield from _sentences(run, some)


def _sentences(run: Run, compared: Iterable[Ratio]) -> Iterator[str]:
    """Yield a line for each figure of a scenario, with all peers that it is about."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in compared:
        spread = one.spread
        found.setdefault((one.measured.title, one.figure.title), []).append(
            f"{spread.median:.2f} ({spread.low:.2f}{DASH}{spread.high:.2f}) "
            f"times that of {run.systems[one.peer]}"
        )
    for (scenario, figure), peers in found.items():
        yield f"* {scenario}: {_lower(figure)}: {', '.join(peers)}"


def _lower(title: str) -> str:
    """Return *title* as it stands in a sentence: CPU and MB remain what they are."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def _targets(run: Run) -> Iterator[str]:
    return table(
        ("", "Figure", "Compared with", "Target", "Found", "Met"),
        [_target(run, one) for one in outcomes(run)],
    )


def _target(run: Run, one: Outcome) -> Sequence[str]:
    sign = "<=" if one.figure.better == "less" else ">="
    peer = one.target.peer
    return (
        one.measured.title,
        one.figure.title,
        DASH if peer is None else run.systems[peer],
        f"{sign} {one.target.limit:g}",
        f"{one.found:.2f}",
        "yes" if one.met else "**no**",
    )
