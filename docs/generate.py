#!/usr/bin/env python3
"""
Write the pages that are lists of what the code has: run it after a change there.

::

    python docs/generate.py

``tests/test_docs.py`` fails while a page says something else than the code.
"""

import json
import shlex
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from click.testing import CliRunner

from docs import matrix
from pgproxy.cli import main as pgproxy
from pgproxy.session.events import Event
from pgproxy.session.states import TRANSITIONS, State
from pgproxy.settings.catalogue import LogConnections, Settings
from pgproxy.settings.conf import PREFIX
from pgproxy.settings.conninfo import HARMLESS, REFUSED, USED
from pgproxy.settings.describe import Row, describe
from pgproxy.settings.guc import Context
from pgproxy.testing.authority import Authority, write_certificates
from pgproxy.testing.postgres import conf
from tests.matrix import cells

REFERENCE: Final = Path(__file__).parent / "reference"
HOWTO: Final = Path(__file__).parent / "howto"

MARK: Final = "<!-- Written by docs/generate.py; change the code, not this page. -->"

CONTEXTS: Final[Mapping[Context, str]] = {
    Context.POSTMASTER: "start",
    Context.SIGHUP: "reload",
}

SETTINGS_HEAD: Final = """\
Settings stand in `pgproxy.conf`, in the syntax of `postgresql.conf`: quotes, comments,
units, `include`, `include_if_exists` and `include_dir` as there. `-c NAME=VALUE` on the
command line wins over the file. `pgproxy check -D DIR` prints how they are understood.

A setting with a name of PostgreSQL's means what it means there. What PostgreSQL does
not have begins with `pgproxy.`. A setting of PostgreSQL's, or of an extension, that is not
listed here is accepted, has no effect, and is named in one NOTICE; any other name is an
error. So a `postgresql.conf` can be given to pgproxy as it is: read the NOTICE.

**Applies at** says what it takes to change a setting: a `reload` (`pgproxy reload`, or
SIGHUP), or a new `start`. A reload takes all of the new configuration or, if anything is
wrong, none of it: see [Differences](differences.md#configuration).

The name of a file is relative to the folder that `-D` names; that of an included file, to
the file that includes it.
"""

CONNINFO: Final = """\
The value is a connection string as libpq has it, in either form:

```pgproxy.conf
pgproxy.backend_conninfo = 'host=/run/postgresql port=5432'
pgproxy.backend_conninfo = 'postgresql://db1.internal:5432,db2.internal:5433/'
```

Hosts are tried in their order, until one can be connected to. No environment variable and
no service file is read. TLS to the backend is not implemented.
"""

SESSION_HEAD: Final = """\
A session is one connection of a client. Whatever happens to it is an **event**; in each
**state** only some events can happen, and each leads to one of a few states. What is not
on this page cannot happen: the code has the same table, and asks it at every step.
"""

STATES: Final[Mapping[State, str]] = {
    State.NEW: "The client has connected; its first byte is waited for.",
    State.STARTUP: "A start-up packet is read, in clear or inside TLS.",
    State.TLS: "The TLS handshake is under way.",
    State.AUTHORIZING: "Who asks is known; pg_hba.conf is asked whether they may.",
    State.BACKEND: "They may, as far as it is decided here; the backend is connected to.",
    State.LOGIN: "Client and backend talk about the login, message by message.",
    State.RELAY: "The login is done; bytes are copied both ways.",
    State.CANCEL: "A CancelRequest is passed on.",
    State.CLOSED: "Over.",
}


def pages() -> Iterator[tuple[Path, str]]:
    """Yield every page that is written here, and what it has to say."""
    yield REFERENCE / "settings.md", settings_page()
    yield REFERENCE / "session.md", session_page()
    yield REFERENCE / "handshake-matrix.md", matrix_page()
    yield HOWTO / "who-gets-in.md", who_gets_in_page()


# --- Settings --------------------------------------------------------------------------


def settings_page() -> str:
    """Return the page of all settings, in the order of `Settings`."""
    rows = describe(Settings(), {})
    ours = [row for row in rows if row.name.startswith(PREFIX)]
    theirs = [row for row in rows if row not in ours]
    return _page(
        "# Settings",
        MARK,
        SETTINGS_HEAD,
        "## PostgreSQL's own",
        _settings_table(theirs),
        "## Only pgproxy's",
        _settings_table(ours),
        "## What can stand in log_connections",
        _log_connections(),
        "## What can stand in pgproxy.backend_conninfo",
        CONNINFO,
        _conninfo_options(),
    )


def _log_connections() -> str:
    return (
        f"A list of {_code(LogConnections)}; or `all`; or a boolean, as up to PostgreSQL 17: `on` is all "
        f"but `{LogConnections.SETUP_DURATIONS}`. "
        f"`{LogConnections.SETUP_DURATIONS}` is accepted and logs nothing yet."
    )


def _conninfo_options() -> str:
    used = [(_code(sorted(USED)), "used")]
    harmless = [
        (_code([name]), f"accepted as {_code(values)}, the rest refused: {reason}")
        for name, (values, _refused, reason) in HARMLESS.items()
    ]
    by_reason: dict[str, list[str]] = {}
    for name, reason in REFUSED.items():
        by_reason.setdefault(reason, []).append(name)
    refused = [
        (_code(names), f"refused: {reason}") for reason, names in by_reason.items()
    ]
    return _table(("Options", ""), [*used, *harmless, *refused])


def _settings_table(rows: Iterable[Row]) -> str:
    return _table(
        ("Name", "Type", "Default", "Applies at", ""),
        [
            (
                f"`{row.name}`",
                _type(row),
                _code([row.boot_val]),
                CONTEXTS[row.context],
                row.short_desc,
            )
            for row in rows
        ],
    )


def _type(row: Row) -> str:
    match row.vartype:
        case "enum":
            return ", ".join(
                f"`{value}`" if value else "empty" for value in row.enumvals
            )
        case "integer":
            unit = f" {row.unit}" if row.unit else ""
            return f"integer, {row.min_val} to {row.max_val}{unit}"
        case _:
            return row.vartype


# --- The session -----------------------------------------------------------------------


def session_page() -> str:
    """Return the page of all states, drawn and as a table."""
    anywhere = _anywhere()
    return _page(
        "# The states of a session",
        MARK,
        SESSION_HEAD,
        _diagram(anywhere),
        "Left out of the drawing, because they end a session wherever they happen: "
        + _code(event.__name__ for event in anywhere)
        + ".",
        "## States",
        _table(
            ("State", "What it means"),
            [(f"`{state.name}`", STATES[state]) for state in State],
        ),
        "## What leads from where to where",
        _table(
            ("In", "this happens", "which is", "and leads to"),
            [
                (f"`{before.name}`", f"`{event.__name__}`", _summary(event), _names(to))
                for (before, event), to in TRANSITIONS.items()
                if event not in anywhere
            ],
        ),
        "## What ends a session in more than one state",
        _table(
            ("This happens", "which is", "in"),
            [
                (f"`{event.__name__}`", _summary(event), _names(states))
                for event, states in anywhere.items()
            ],
        ),
    )


def _anywhere() -> Mapping[type[Event], Sequence[State]]:
    """Return the events that lead to CLOSED from several states, and to nothing else."""
    found: dict[type[Event], list[State]] = {}
    elsewhere = set()
    for (before, event), to in TRANSITIONS.items():
        found.setdefault(event, []).append(before)
        if to != {State.CLOSED}:
            elsewhere.add(event)
    return {
        event: states
        for event, states in found.items()
        if len(states) > 1 and event not in elsewhere
    }


def _diagram(left_out: Iterable[type[Event]]) -> str:
    edges: dict[tuple[State, State], list[str]] = {}
    for (before, event), to in TRANSITIONS.items():
        if event not in left_out:
            for after in _in_order(to):
                edges.setdefault((before, after), []).append(event.__name__)
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {State.NEW.name}",
            *(
                f"    {before.name} --> {after.name}: {', '.join(events)}"
                for (before, after), events in edges.items()
            ),
            f"    {State.CLOSED.name} --> [*]",
            "```",
        ]
    )


def _summary(event: type[Event]) -> str:
    """Return the first paragraph of the docstring, without reST's marks."""
    text = (event.__doc__ or "").strip().split("\n\n", 1)[0]
    return " ".join(text.replace("``", "`").split())


def _names(states: Iterable[State]) -> str:
    return _code(state.name for state in _in_order(states))


def _in_order(states: Iterable[State]) -> list[State]:
    return [state for state in State if state in set(states)]


# --- The handshake matrix --------------------------------------------------------------


def matrix_page() -> str:
    """Return the page of what becomes of certificates, in the order of `cells`."""
    return _page(
        "# The handshake matrix",
        MARK,
        matrix.HEAD,
        _table(
            ("Certificate", "The client is told", "The log says"), matrix.overview()
        ),
        "## What the client sees",
        _table(("It is told", "Client", "TLS", "It says"), matrix.views()),
        matrix.DOTS,
        matrix.TLS_1_3,
        "## What was tried",
        matrix.CELLS,
        _block("pgproxy.conf", conf(cells.SETTINGS)),
        _block("pg_hba.conf", cells.HBA),
        matrix.FILES,
        "## By hand",
        matrix.BY_HAND,
        _block("sh", matrix.COMMAND),
        *(part for state in cells.STATES for part in _state(state)),
    )


def _state(state: cells.State) -> Iterator[str]:
    yield f"## {state.name}"
    yield _text(state.meaning)
    yield _text(f"**What to do:** {state.advice}")
    yield _block("text", "\n".join(map(matrix.logged, state.outcome.log)))


# --- Who gets in, and why --------------------------------------------------------------

CONF: Final = """\
ssl = on
ssl_ca_file = 'root.crt'
pgproxy.log_format = json
"""

RULES: Final = """\
hostssl  sales,hr  all      10.1.0.0/16   scram-sha-256
hostssl  app       all      10.0.0.0/8    cert map=staff
host     all       all      10.0.0.0/8    scram-sha-256
hostssl  app       carl     10.2.3.4/32   md5
host     all       monitor  192.0.2.0/24  trust
"""

MAPS: Final = r"""
staff  /^(.*)@example\.com$  \1
""".lstrip()

BROKEN: Final = """\
hostssl  app  all  10.0.0.0/8  certificate
host     all  all  10.0.0.0/33 reject
host     all  all  all         scram-sha-256
"""

RECORD: Final = {
    "event": "session.refused",
    "error_severity": "FATAL",
    "state_code": "28000",
    "user": "Monitor",
    "dbname": "app",
    "remote_host": "192.0.2.7",
    "remote_port": 51234,
    "ssl": False,
}

WHO_HEAD: Final = """\
Two commands answer it from the files, with the code that decides when pgproxy serves:
[`pgproxy check`](../reference/commands.md#pgproxy-check) shows how the rules are
understood, and [`pgproxy explain`](../reference/commands.md#pgproxy-explain) says what
becomes of one client.

The examples are about these files:
"""


def who_gets_in_page() -> str:
    """Return the page of examples; what the commands print, they have printed."""
    with tempfile.TemporaryDirectory() as folder:
        example = _Example(Path(folder))
        return _page(
            "# Who gets in, and why",
            MARK,
            WHO_HEAD,
            _block("pgproxy.conf", CONF),
            _block("pg_hba.conf", RULES),
            _block("pg_ident.conf", MAPS),
            "## What the rules say",
            _text(
                "Warnings first, then what is set, then the rules, with the columns of "
                "PostgreSQL's view `pg_hba_file_rules`. A line that can never match, "
                "because an earlier one takes all that it could, is told; and it is told "
                "only where that is certain."
            ),
            example.run("pgproxy check -D /etc/pgproxy"),
            "## What becomes of a client",
            _text(
                "Each line before the one that decides, and why it does not match; then "
                "what follows. Of a certificate only the names are read."
            ),
            example.run(
                "pgproxy explain -D /etc/pgproxy --user ana --database app "
                "--address 10.0.0.7 --cert ana.crt"
            ),
            _text(
                "The certificate of somebody else; what the client is told is less than "
                "what the log is told:"
            ),
            example.run(
                "pgproxy explain -D /etc/pgproxy --user bob --database app "
                "--address 10.0.0.7 --cert ana.crt"
            ),
            _text(
                "Without TLS the same client comes to another line, as the first that "
                "matches decides:"
            ),
            example.run(
                "pgproxy explain -D /etc/pgproxy --user ana --database app "
                "--address 10.0.0.7 --no-ssl"
            ),
            _text(
                "The exit status is 0 if the client is let through to its method, and 1 "
                "if it is refused. So a test of your rules is a few lines of shell."
            ),
            "## What became of a client",
            _text(
                "With `pgproxy.log_format = json`, each line of the log has what is "
                "needed to ask again. This one is in `record.json`:"
            ),
            _block("json", json.dumps(RECORD, indent=2)),
            example.run("pgproxy explain -D /etc/pgproxy --log-record record.json"),
            _text(
                "The rules are those of now: if they have changed since, so may the "
                "answer. `--json` has the same for programs; "
                "[its shape](../reference/commands.md#pgproxy-explain) is in the reference."
            ),
            "## What is wrong with a file",
            _text(
                "A file with a bad line is refused as a whole. `check` shows which lines "
                "are good, and what is wrong with the others. With this `pg_hba.conf`:"
            ),
            _block("text", BROKEN),
            example.broken("pgproxy check -D /etc/pgproxy"),
        )


class _Example:
    """
    A folder with a configuration, in which commands are run.

    Args:
        folder: It; on the page it is called ``/etc/pgproxy``.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ca = Authority.root("Example CA")
        write_certificates(folder / "root.crt", ca.certificate)
        ca.server("db.example.com").write(folder / "server.crt", folder / "server.key")
        ca.client("ana@example.com").write(folder / "ana.crt", folder / "ana.key")
        (folder / "pgproxy.conf").write_text(CONF)
        (folder / "pg_hba.conf").write_text(RULES)
        (folder / "pg_ident.conf").write_text(MAPS)
        (folder / "record.json").write_text(json.dumps(RECORD))

    def run(self, command: str) -> str:
        """Return *command* and what it prints, as a block."""
        words = []
        for word in shlex.split(command)[1:]:
            inside = self._folder / word
            words.append(str(inside) if inside.is_file() else word)
        at = words.index("/etc/pgproxy")
        words[at] = str(self._folder)
        done = CliRunner(env={"PGPROXYDATA": None}).invoke(pgproxy, words)
        text = done.output.replace(str(self._folder), "/etc/pgproxy")
        return _block("console", f"$ {command}\n{text}")

    def broken(self, command: str) -> str:
        """Return the same of a file with mistakes."""
        (self._folder / "pg_hba.conf").write_text(BROKEN)
        return self.run(command)


def _block(kind: str, text: str) -> str:
    return f"```{kind}\n{text.rstrip()}\n```"


# --- Markdown --------------------------------------------------------------------------


def _page(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _text(text: str) -> str:
    return textwrap.fill(text, 90, break_long_words=False, break_on_hyphens=False)


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" if word else "empty" for word in words)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |"
        for line in lines
    )


def main() -> None:
    """Write all pages."""
    for path, text in pages():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
