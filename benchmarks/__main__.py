"""``python -m benchmarks``: measure pgproxy beside its peers, and say what came of it."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from benchmarks import chart, report
from benchmarks.accounting import AccountingError
from benchmarks.clients import ClientError
from benchmarks.effort import FULL, QUICK, TooFewCoresError
from benchmarks.install import install
from benchmarks.preparing import BY_DEFAULT, IN_SHORT, SYSTEMS, bench
from benchmarks.results import Run
from benchmarks.running import TlsDiffersError, measure
from benchmarks.scenarios import SCENARIOS
from benchmarks.summary import TARGETS
from benchmarks.systems import StartError
from pgproxy.testing.installation import NotInstalledError, ProgramError

FAILURES: Final = (
    AccountingError,
    ClientError,
    NotInstalledError,
    ProgramError,
    StartError,
    TlsDiffersError,
    TooFewCoresError,
)
"""What ends a run, and is told in a sentence."""

OUT: Final = Path(".cache/benchmarks")
"""Where a run is left; it is no part of the repository."""

BY_NAME: Final = {scenario.key: scenario for scenario in SCENARIOS}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--quick",
    is_flag=True,
    help="What has a target, beside the other proxies, in two minutes.",
)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(BY_NAME)),
    help="Measure this scenario alone; can be repeated.",
)
@click.option(
    "--proxies",
    help=f"What to compare, of {', '.join(SYSTEMS)}.  [default: {', '.join(BY_DEFAULT)}]",
)
@click.option("--rounds", type=click.IntRange(1), help="How often each has its turn.")
@click.option("--seconds", type=click.IntRange(1), help="How long pgbench runs.")
@click.option("--megabytes", type=click.IntRange(10), help="What one COPY moves.")
@click.option("--sessions", type=click.IntRange(1, 2100), help="How many are idle.")
@click.option(
    "--backend",
    type=click.Choice(["tcp", "unix"]),
    default="tcp",
    show_default=True,
    help="How proxies reach the PostgreSQL behind them.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=OUT,
    show_default=True,
    help="Where benchmarks.json, .md and .svg go.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the JSON here as well.",
)
@click.option(
    "--from",
    "stored",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: write page and chart of this JSON.",
)
def main(
    *,
    quick: bool,
    only: Sequence[str],
    proxies: str | None,
    backend: str,
    out: Path,
    json_file: Path | None,
    stored: Path | None,
    **amounts: int | None,
) -> None:
    """Measure pgproxy beside PgBouncer, stunnel, and PostgreSQL's own TLS."""
    if stored is not None:
        run = Run.read(stored)
    else:
        install()
        given = {name: value for name, value in amounts.items() if value is not None}
        effort = replace(QUICK if quick else FULL, **given)
        scenarios = [BY_NAME[name] for name in only or _scenarios(quick=quick)]
        chosen = _systems(proxies) if proxies else IN_SHORT if quick else BY_DEFAULT
        command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
        try:
            with bench(chosen, effort, unix=backend == "unix") as prepared:
                run = measure(prepared, scenarios, command, click.echo)
        except FAILURES as error:
            raise click.ClickException(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.json").write_text(run.to_json())
    (out / "benchmarks.md").write_text(report.page(run))
    (out / "benchmarks.svg").write_text(chart.svg(run))
    if json_file is not None:
        json_file.write_text(run.to_json())
    click.echo(report.text(run))
    click.echo(f"In {out}: benchmarks.json, benchmarks.md, benchmarks.svg")


def _scenarios(*, quick: bool) -> Sequence[str]:
    """Return what to measure: all of it, or only what has a target."""
    with_target = {target.scenario for target in TARGETS}
    return [name for name in BY_NAME if not quick or name in with_target]


def _systems(names: str) -> Sequence[str]:
    chosen = names.split(",")
    if unknown := set(chosen) - set(SYSTEMS):
        raise click.BadParameter(f"{unknown}, of {SYSTEMS}")
    return chosen


if __name__ == "__main__":
    main()
