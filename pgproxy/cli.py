"""The command line."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import click

from pgproxy import __version__, cli_explain
from pgproxy.auth.hba_advice import advise
from pgproxy.auth.hba_line import Rule
from pgproxy.auth.hba_view import Row, hba_file_rules
from pgproxy.cli_certs import certs
from pgproxy.protocol.errors import Report
from pgproxy.server import lint, log, postmaster
from pgproxy.server.generation import ConfigurationRejected, Generation, Source, load
from pgproxy.server.pid_file import PidFile
from pgproxy.session.admission import PASSWORD_METHODS
from pgproxy.settings.describe import describe

EXIT_FAILED: Final = 1
EXIT_NOT_RUNNING: Final = 3
"""As pg_ctl's status has it (LSB)."""

STOP_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

_directory = click.option(
    "-D",
    "--pgdata",
    "directory",
    metavar="DIR",
    required=True,
    envvar="PGPROXYDATA",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where pgproxy.conf is; relative paths begin here. [env: PGPROXYDATA]",
)
_config_file = click.option(
    "--config-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read this file instead of DIR/pgproxy.conf.",
)
_overrides = click.option(
    "-c",
    "overrides",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set one parameter; wins over the file.",
)


def _source(
    directory: Path, config_file: Path | None, overrides: tuple[str, ...]
) -> Source:
    directory = directory.absolute()
    return Source(
        directory=directory,
        config_file=(config_file or directory / "pgproxy.conf").absolute(),
        overrides=overrides,
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="pgproxy")
def main() -> None:
    """Put TLS, client certificates and pg_hba.conf in front of a PostgreSQL."""


@main.command()
@_directory
@_config_file
@_overrides
def serve(
    directory: Path, config_file: Path | None, overrides: tuple[str, ...]
) -> None:
    """
    Serve in the foreground.

    SIGTERM, SIGINT and SIGQUIT stop it (smart, fast, immediate); SIGHUP reloads.
    """
    try:
        postmaster.serve(_source(directory, config_file, overrides))
    except postmaster.CannotStart:
        sys.exit(EXIT_FAILED)


@main.command()
@_directory
@_config_file
@_overrides
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def check(
    directory: Path,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """
    Say what is wrong with the configuration, and how it is understood.

    The exit status is 1 if pgproxy would not start with it; a warning does not change
    it.
    """
    try:
        generation = load(_source(directory, config_file, overrides))
    except ConfigurationRejected as rejected:
        rules = rejected.rules
        rows = hba_file_rules(rules.lines, rules.problems) if rules else ()
        reports = list(rejected.at_start())
        if as_json:
            _print_json(None, rows, reports)
        else:
            if any(row.file_name for row in rows):
                _print_rules(rows)
            for report in reports:
                _print_report(report)
        sys.exit(EXIT_FAILED)
    lines = generation.policy.hba.lines
    rows = hba_file_rules(lines, ())
    reports = list(_notices(generation, directory.absolute()))
    if as_json:
        _print_json(generation, rows, reports)
        return
    for report in reports:
        _print_report(report)
    _print_settings(generation)
    click.echo()
    _print_rules(rows)
    if any(line.auth_method in PASSWORD_METHODS for line in lines):
        click.echo(
            "\nChannel binding: a backend without TLS cannot offer it. Clients that "
            "require it\nare not served; set channel_binding=prefer there."
        )


@main.command()
@_directory
@_config_file
@_overrides
@cli_explain.options
def explain(
    directory: Path,
    config_file: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    log_record: BinaryIO | None,
    **description: Any,  # noqa: ANN401 - handed on as they are
) -> None:
    """
    Say which line of pg_hba.conf decides for a client, and why no earlier one does.

    The exit status is 1 if the client is refused, and 0 if it is let through to its
    password.
    """
    record = None if log_record is None else log_record.read()
    found = cli_explain.described(record=record, **description)
    source = _source(directory, config_file, overrides)
    try:
        generation = load(source)
    except ConfigurationRejected as rejected:
        for report in rejected.at_start():
            _print_report(report)
        sys.exit(EXIT_FAILED)
    cli_explain.run(generation, source.directory, found, as_json=as_json)


def _notices(generation: Generation, directory: Path) -> Iterator[Report]:
    """Yield what should be known of a configuration that is good."""
    settings = generation.settings
    told = dict.fromkeys(generation.notices)
    if settings.ssl:
        told |= dict.fromkeys(
            lint.lint(settings, directory, datetime.now(UTC), generation.hosts)
        )
    yield from told
    policy = generation.policy
    yield from advise(
        policy.hba.lines, policy.ident, ssl=policy.ssl, ca_loaded=policy.ca_loaded
    )


def _print_json(
    generation: Generation | None, rows: Iterable[Row], reports: Iterable[Report]
) -> None:
    """Print all that `check` has to say; docs/reference/commands.md has its shape."""
    settings = []
    if generation is not None:
        described = describe(generation.settings, generation.sources)
        settings = [
            {"name": row.name, "setting": row.setting, "source": str(row.source)}
            for row in described
            if row.source is not None
        ]
    found = {
        "ok": generation is not None,
        "reports": [
            {
                "severity": report.severity.value,
                "sqlstate": report.sqlstate.value,
                "event": report.event,
                "message": report.message,
                "detail": report.detail,
                "hint": report.hint,
                "context": report.context,
            }
            for report in reports
        ],
        "settings": settings,
        "rules": [
            {
                "rule_number": row.rule_number,
                "file_name": row.file_name,
                "line_number": row.line_number,
                **(dict.fromkeys(_FIELDS) if row.rule is None else asdict(row.rule)),
                "error": row.error,
            }
            for row in rows
        ],
    }
    click.echo(json.dumps(found, indent=2))


_FIELDS: Final = tuple(field.name for field in fields(Rule))


def _print_report(report: Report) -> None:
    parts = [
        (report.severity.value, report.message),
        ("DETAIL", report.detail),
        ("HINT", report.hint),
        ("CONTEXT", report.context),
    ]
    for kind, text in parts:
        if text:
            lines = "\n\t".join(
                log.printable(line.expandtabs()) for line in text.split("\n")
            )
            click.echo(f"{kind}:  {lines}", err=True)


def _print_settings(generation: Generation) -> None:
    rows = describe(generation.settings, generation.sources)
    width = max(len(row.name) for row in rows)
    for row in rows:
        if row.source is not None:
            click.echo(f"{row.name:<{width}} = {row.setting!r:<30}  # {row.source}")


def _print_rules(rows: Iterable[Row]) -> None:
    """Print the rules under the names of the view pg_hba_file_rules."""
    rows = tuple(rows)
    names = {row.file_name for row in rows if row.file_name is not None}
    # As short as files can be told apart.
    top = (
        os.path.commonpath([str(Path(name).parent) for name in names]) if names else ""
    )
    table = [("rule_number", "file_name", "line_number", *_FIELDS, "error")]
    for row in rows:
        said = [""] * len(_FIELDS)
        if row.rule is not None:
            said = [_cell(getattr(row.rule, field)) for field in _FIELDS]
        place = os.path.relpath(row.file_name, top) if row.file_name else ""
        table.append(
            (
                _cell(row.rule_number),
                place,
                _cell(row.line_number),
                *said,
                row.error or "",
            )
        )
    # The view's columns; those that nothing stands in are left out.
    columns = (
        [column for column in zip(*table, strict=True) if any(column[1:])]
        if len(table) > 1
        else list(zip(*table, strict=True))
    )
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        click.echo(log.printable("  ".join(padded).rstrip()))


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value)


def _running(directory: Path) -> PidFile:
    try:
        found = PidFile.read(directory.absolute())
    except OSError as error:
        _fail(f"could not open PID file: {error}")
    if found is None:
        _fail(f"no pgproxy is running in {directory}", EXIT_NOT_RUNNING)
    return found


def _signal(found: PidFile, number: signal.Signals, what: str) -> None:
    try:
        os.kill(found.pid, number)
    except OSError as error:
        _fail(f"could not send {what} signal (PID: {found.pid}): {error.strerror}")


def _fail(message: str, status: int = EXIT_FAILED) -> NoReturn:
    click.echo(f"pgproxy: {message}", err=True)
    sys.exit(status)


@main.command()
@_directory
def status(directory: Path) -> None:
    """Say whether pgproxy serves DIR; the exit status is 3 if not."""
    found = _running(directory)
    click.echo(f"pgproxy: server is running (PID: {found.pid})")
    click.echo(
        f"listening on {found.address or 'nothing'}, port {found.port}, "
        f"since {time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(found.started))}"
    )


@main.command()
@_directory
def reload(directory: Path) -> None:
    """
    Have it read its configuration again.

    It takes all of it, or, if anything is wrong, none: the log says which. `pgproxy
    check` says so before.
    """
    found = _running(directory)
    _signal(found, signal.SIGHUP, "reload")
    click.echo(f"pgproxy: server signaled (PID: {found.pid})")


@main.command()
@_directory
@click.option(
    "-m",
    "--mode",
    type=click.Choice(list(STOP_SIGNALS)),
    default="fast",
    show_default=True,
    help="smart waits for sessions to end; fast ends them; immediate does not wait.",
)
@click.option(
    "-t",
    "--timeout",
    metavar="SECONDS",
    default=60,
    show_default=True,
    help="How long to wait until it has stopped.",
)
def stop(directory: Path, mode: str, timeout: int) -> None:
    """Stop it, and wait until it has."""
    found = _running(directory)
    _signal(found, STOP_SIGNALS[mode], "stop")
    deadline = time.monotonic() + timeout
    while PidFile.read(directory.absolute()) == found:
        if time.monotonic() > deadline:
            _fail("server does not shut down")
        time.sleep(0.02)
    click.echo("pgproxy: server stopped")


@main.command()
@click.option("--port", default=6432, show_default=True, help="Port of the proxy.")
def demo(port: int) -> None:
    """
    Show all of it: a PostgreSQL without TLS, certificates, and the proxy before it.

    Ctrl-C stops it and removes what it has made.
    """
    from pgproxy.demo import run  # noqa: PLC0415 - needs the extra `demo`

    run(port)


main.add_command(certs)
