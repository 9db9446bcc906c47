"""
What a server makes of the files of a case.

All servers read the same files, from one folder; their views read them again with each
query, so that nothing has to be reloaded.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pgproxy.auth.hba_line import Rule
from pgproxy.auth.lexer import TEXT
from pgproxy.protocol.errors import Report, SqlState
from pgproxy.testing.postgres import Instance
from tests.differential.cases import HBA, IDENT
from tests.differential.files import Folder, Row
from tests.support import logs, oracles
from tests.support.endpoints import wait_until
from tests.support.pki import Pki

psycopg = pytest.importorskip("psycopg", reason="psycopg asks the views")


def available(*kinds: str) -> list[str]:
    """Return those servers of *kinds* that are here; skips the test without any."""
    found, reasons = list[str](), list[str]()
    for kind in kinds:
        try:
            oracles.find(kind)
        except pytest.skip.Exception as absent:
            reasons.append(str(absent))
        else:
            found.append(kind)
    if not found:
        pytest.skip("; ".join(reasons))
    return found


class Oracle:
    """
    A PostgreSQL, and what it makes of the files in *folder*.

    Args:
        kind: One of `oracles.NATIVE`.
        ssl: Whether TLS is on.

    """

    def __init__(
        self, kind: str, folder: Folder, pki: Pki, *, ssl: bool = True
    ) -> None:
        self.kind = kind
        self.ssl = ssl
        self.folder = folder
        self.instance = Instance(
            oracles.find(kind),
            settings={
                "logging_collector": "on",
                "log_destination": "jsonlog",
                "log_filename": "postgres.log",
                "ssl": "on" if ssl else "off",
                "hba_file": str(folder.path / HBA),
                "ident_file": str(folder.path / IDENT),
                # HBA-51: without one, no line with oauth is good.
                **({"oauth_validator_libraries": "v"} if kind == oracles.PG18 else {}),
            },
            files=pki.server_files() if ssl else {},
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.instance.remove)
            self.instance.start()
            # So that bytes come as they are.
            self.connection = psycopg.connect(
                f"{self.instance.conninfo} client_encoding=SQL_ASCII", autocommit=True
            )
            undo.pop_all()

    def __str__(self) -> str:
        return self.kind if self.ssl else f"{self.kind} without TLS"

    def remove(self) -> None:
        """Stop it."""
        self.connection.close()
        self.instance.remove()

    def _query(self, query: str) -> Iterator[list[Any]]:
        for row in self.connection.execute(query):
            yield [_text(value) for value in row]

    def theirs(self, name: str) -> tuple[Row, ...]:
        """Return the view of the file *name*."""
        # HBA-20: 15 has one file.
        file = (
            f"'{self.folder.path / name}'" if self.kind == oracles.PG15 else "file_name"
        )
        rows = []
        if name == IDENT:
            for source, line, error, *names in self._query(
                f"SELECT {file}, line_number, error, map_name, sys_name, pg_username "
                "FROM pg_ident_file_mappings"
            ):
                said = None if names[0] is None else (names[0], names[1], names[2])
                rows.append(Row(self.folder.place(source, line), said, error))
            return tuple(rows)
        for source, line, error, kind, database, user, *others in self._query(
            f"SELECT {file}, line_number, error, type, database, user_name, address, "
            "netmask, auth_method, options FROM pg_hba_file_rules"
        ):
            address, netmask, method, options = others
            rule = kind and Rule(
                type=kind,
                database=tuple(database),
                user_name=tuple(user),
                address=address,
                netmask=netmask,
                auth_method=method,
                options=tuple(options or ()),
            )
            rows.append(Row(self.folder.place(source, line), rule, error))
        return tuple(rows)

    def reload(self, name: str) -> list[Report]:
        """
        Return what the log says of *name* at a reload.

        A pg_ident.conf has to be one that cannot be loaded.
        """
        log_file = self.instance.data / "log" / "postgres.json"
        mark = logs.size(log_file)
        folder = "" if self.kind == oracles.PG15 else f"{self.folder.path}/"
        end = f"{folder}{IDENT} was not reloaded"
        next(self._query("SELECT pg_reload_conf()"))
        found: list[dict[str, Any]] = []

        def ended() -> bool:
            # A checkpoint is nobody's business here.
            found[:] = [
                keys
                for keys in logs.read(log_file, mark)
                if keys.get("backend_type") == "postmaster"
            ]
            return any(keys["message"] == end for keys in found)

        wait_until(ended, lambda: f"no {end!r} in {found}")
        messages = [keys["message"] for keys in found]
        start = messages.index("received SIGHUP, reloading configuration files") + 1
        stop = messages.index(end)
        if name == HBA:
            bad = f'line 1 of configuration file "{self.folder.path / IDENT}"'
            stop = next(at for at in range(stop) if found[at].get("context") == bad)
        summary = f"{folder}{name} was not reloaded"
        return [
            _report(keys) for keys in found[start:stop] if keys["message"] != summary
        ]


def _report(keys: Mapping[str, str]) -> Report:
    """Return a log line as the report that would make it."""
    return Report(
        severity=logs.LogLine.of(dict(keys)).severity,  # type: ignore[arg-type]
        sqlstate=SqlState(keys.get("state_code", "00000")),
        message=keys["message"],
        hint=keys.get("hint"),
        context=keys.get("context"),
        event="report",
    )


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(*TEXT)
    if isinstance(value, list):
        return [_text(one) for one in value]
    return value
