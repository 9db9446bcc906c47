"""
The files of a case in a folder, and what pgproxy makes of them.

A row is what a view has of one line; pgproxy is asked for rows too.
"""

import posixpath
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pgproxy.auth.auth_file import tokenize_auth_file
from pgproxy.auth.hba_file import HbaFile, load_hba
from pgproxy.auth.hba_line import HbaLine, Rule
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.ident_file import IdentFile, load_ident
from pgproxy.auth.lexer import Field, logical_lines, next_token
from pgproxy.protocol.errors import Report
from pgproxy.server import system
from pgproxy.testing.installation import make_folder, own
from pgproxy.testing.postgres import own_write
from tests.differential.cases import HBA, IDENT
from tests.differential.writer import Case

Place = tuple[str, int]
"""A file, relative to the folder of all, and a line in it."""

Said = Rule | tuple[str, str, str] | None
"""What a line says; of pg_ident.conf the three names; None: something is wrong."""

LETS_IN: Final = b"local all all trust\n"
"""With this a server starts, and lets us ask."""

BAD_IDENT: Final = b"bad\n"
"""What the log says of it is the end of what it says of pg_hba.conf."""

DIRECTORY: Final = "include_dir"


@dataclass(frozen=True, slots=True)
class Row:
    """
    A row of a view: one line of a file.

    Args:
        place: Where it stands.
        said: What it says.
        error: What is wrong with it, or should be known.

    """

    place: Place
    said: Said
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    What pgproxy makes of the files of a case.

    Args:
        rows: Of each line that a view would have, and in its order; but those that a
            problem of reading has left out.
        unread: What could not be read, likewise.
        fields: Of each line, as it was cut.
        reports: Problems and notices, as the log has them.
        refused: Why we do not take a line that PostgreSQL takes.
        notices: How many of the reports are no problems.

    """

    rows: tuple[Row, ...]
    unread: tuple[Row, ...]
    fields: Mapping[Place, tuple[Field, ...]]
    reports: tuple[Report, ...]
    refused: Mapping[Place, str]
    notices: int

    @property
    def loads(self) -> bool:
        """Whether PostgreSQL would load it, as far as we can tell."""
        return not self.unread and all(
            row.said is not None or row.place in self.refused for row in self.rows
        )


class Folder:
    """Where the files of one case are at a time."""

    def __init__(self) -> None:
        self.path = make_folder("pgproxy-cases-")
        self._files: list[Path] = []
        self.put(Case(0, HBA, {HBA: LETS_IN}, Counter()))

    def put(self, case: Case) -> None:
        """Have the files of *case*, and no others."""
        for path in self._files:
            path.unlink()
        self._files.clear()
        other = IDENT if case.name == HBA else HBA
        files = {other: LETS_IN if other == HBA else BAD_IDENT, **case.files}
        for name, content in files.items():
            for folder in reversed(Path(name).parents[:-1]):
                path = self.path / folder
                if not path.exists():
                    path.mkdir()
                    own(path)
            self._files.append(own_write(self.path / name, content))

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path)

    def place(self, file: str, line: int) -> Place:
        """Return a place, relative to the folder."""
        return posixpath.relpath(file, self.path), line

    def places(self, context: str | None) -> tuple[Place, ...]:
        """Return what a CONTEXT says, the nearest first."""
        found = []
        for one in (context or "").split("\n"):
            number, _, file = one.removeprefix("line ").partition(
                " of configuration file "
            )
            if file:
                found.append(self.place(file.strip('"'), int(number)))
        return tuple(found)

    def _from_the_line(self, places: tuple[Place, ...]) -> tuple[Place, ...]:
        """
        Leave out of *places* those within files that an ``@`` stands for.

        To a view, they are of the line with the ``@``.
        """
        for at in range(len(places) - 1, 0, -1):
            if not self._word(places[at]).startswith("include"):
                return places[at:]
        return places or (("", 0),)

    def _word(self, place: Place) -> str:
        """Return the first word of a line."""
        for number, line in logical_lines((self.path / place[0]).read_bytes()):
            token = next_token(line, 0)[0]
            if number == place[1] and token is not None:
                return token.text
        raise AssertionError(place)

    def ours(self, name: str, *, ssl: bool = True) -> Answer:
        """Return what pgproxy makes of the file *name*."""
        path = str(self.path / name)
        lines = tokenize_auth_file(
            path, read=system.read_file, list_directory=system.list_directory
        ).lines
        file: HbaFile | IdentFile
        if name == HBA:
            file = load_hba(
                path,
                ssl=ssl,
                roles=True,
                parse_address=system.parse_address,
                read=system.read_file,
                list_directory=system.list_directory,
            )
        else:
            file = load_ident(
                path,
                roles=True,
                read=system.read_file,
                list_directory=system.list_directory,
            )
        said: dict[Place, list[Said]] = {}
        for line in file.lines:
            place = self.place(line.source, line.line_number)
            said.setdefault(place, []).append(_said(line))
        unread: dict[tuple[Place, ...], Row] = {}
        errors: dict[Place, str] = {}
        refused: dict[Place, str] = {}
        for report in (*file.notices, *file.problems):
            places = self.places(report.context)
            if report.event == "auth_file.unreadable":
                # Of what is wrong within an @file, the view has the first.
                led = self._from_the_line(places)
                message = report.message
                if led in unread and led == places and self._word(led[0]) == DIRECTORY:
                    # And of a directory it has all of them.
                    message = f"{unread.pop(led).error}\n{message}"
                unread.setdefault(led, Row(led[0], None, message))
            elif report.event.endswith(".not_implemented"):
                refused[places[0]] = report.message
            elif places and report.event != "auth_file.skipped":
                errors[places[0]] = report.message
        rows = []
        for auth_line in lines:
            place = self.place(auth_line.source, auth_line.line_number)
            here = said.get(place)
            rows.append(Row(place, here.pop(0) if here else None, errors.get(place)))
        return Answer(
            rows=tuple(rows),
            unread=tuple(unread.values()),
            fields={self.place(o.source, o.line_number): o.fields for o in lines},
            reports=(*file.notices, *file.problems),
            refused=refused,
            notices=len(file.notices),
        )


def _said(line: HbaLine | IdentLine) -> Said:
    if isinstance(line, IdentLine):
        return line.usermap, line.system_user.text, line.pg_user.text
    # The view never has it.
    options = [o for o in line.rule.options if not o.startswith("clientname=")]
    return replace(line.rule, options=tuple(options))
