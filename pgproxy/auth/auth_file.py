"""An authentication file, cut into lines of tokens, with all that it includes."""

from dataclasses import dataclass, field
from typing import Final

from pgproxy.auth.lexer import TEXT, Field, Token, Words, fields, logical_lines
from pgproxy.protocol.conffiles import (
    CONF_FILE_MAX_DEPTH,
    ConfFilesError,
    ListDirectory,
    Read,
    absolute_config_location,
    error_text,
    get_conf_files_in_dir,
)
from pgproxy.protocol.errors import (
    Report,
    Severity,
    SqlState,
    errcode_for_file_access,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthLine:
    """
    One line that says something, as ``TokenizedAuthLine`` in libpq/hba.h.

    Args:
        source: The file that it stands in.
        line_number: Its first physical line, counted from 1 (HBA-09).
        raw_line: Its text: joined, and otherwise as written.
        fields: Its fields, with every ``@file`` replaced. Never empty.

    """

    source: str
    line_number: int
    raw_line: str
    fields: tuple[Field, ...]

    @property
    def context(self) -> str:
        """Where it stands, as PostgreSQL's CONTEXT says it."""
        return _context(self.source, self.line_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFile:
    """
    An authentication file as read.

    Args:
        lines: The lines, those of included files in their place (HBA-20).
        problems: Why the file cannot be used. A line with a problem is not in *lines*.
        notices: What the log should say, though it changes nothing.

    """

    lines: tuple[AuthLine, ...]
    problems: tuple[Report, ...] = ()
    notices: tuple[Report, ...] = ()


def tokenize_auth_file(
    path: str, *, read: Read, list_directory: ListDirectory
) -> AuthFile:
    """
    Read the file *path*, and what it includes.

    A line of exactly two fields that begins with ``include``, ``include_if_exists``
    or ``include_dir`` is replaced by the lines of a file (HBA-16 to HBA-18), a token
    ``@file`` by the tokens of one (HBA-13). Their paths are relative to the directory
    of the file that names them.

    PostgreSQL forgets the rest of a file that it can open and then cannot read (a
    directory is one). Here that is a problem: rules are never lost.

    Args:
        path: Absolute, so that the messages say which file it is.
        read: How to read a file.
        list_directory: How to list a directory.

    Source: ``tokenize_auth_file`` in hba.c.

    """
    reader = _Reader(read=read, list_directory=list_directory)
    lines = list(reader.read_file(path, 0, ()))
    return AuthFile(
        lines=tuple(lines),
        problems=tuple(reader.problems),
        notices=tuple(reader.notices),
    )


_Where = tuple[str, ...]
"""The lines that led to a file, the nearest first: one CONTEXT line each."""


@dataclass(kw_only=True)
class _Reader:
    """Collects what is wrong; a line is good if nothing was added meanwhile."""

    read: Read
    list_directory: ListDirectory
    words: Words = field(default_factory=Words)
    problems: list[Report] = field(default_factory=list)
    notices: list[Report] = field(default_factory=list)

    def read_file(
        self, path: str, depth: int, where: _Where, *, missing_ok: bool = False
    ) -> list[AuthLine]:
        """Return the good lines of *path*."""
        data = self.open(path, depth, where, missing_ok=missing_ok)
        lines: list[AuthLine] = []
        for number, raw in logical_lines(data):
            line = raw.decode(*TEXT)
            here: _Where = (_context(path, number), *where)
            before = len(self.problems)
            found = fields(line, self.words)
            if "@" in line:
                found = self.expand_all(found, path, depth, here)
            if not found or len(self.problems) > before:
                continue
            if len(found) == 2 and (word := found[0][0].text) in _DIRECTIVES:
                lines += self.include(word, found[1][0].text, path, depth, here)
                continue
            lines.append(
                AuthLine(source=path, line_number=number, raw_line=line, fields=found)
            )
        return lines

    def expand_all(
        self, found: tuple[Field, ...], path: str, depth: int, here: _Where
    ) -> tuple[Field, ...]:
        """
        Return *found* with the tokens of a file in the place of each ``@file``.

        A field that an empty file empties is gone (HBA-14). The first problem ends it.

        Source: ``next_field_expand`` in hba.c; HBA-13.
        """
        before = len(self.problems)
        expanded: list[Field] = []
        for tokens in found:
            inner: list[Token] = []
            for token in tokens:
                name = token.text[1:]
                if token.text.startswith("@") and name and not token.quoted:
                    inner += self.expand(name, path, depth, here)
                    if len(self.problems) > before:
                        return ()
                else:
                    inner.append(token)
            if inner:
                expanded.append(tuple(inner))
        return tuple(expanded)

    def expand(self, name: str, path: str, depth: int, here: _Where) -> list[Token]:
        """Return all tokens of the file that ``@name`` stands for."""
        inner = self.read_file(absolute_config_location(name, path), depth + 1, here)
        return [token for line in inner for tokens in line.fields for token in tokens]

    def include(
        self, word: str, name: str, path: str, depth: int, here: _Where
    ) -> list[AuthLine]:
        """Return the lines that the directive *word* stands for."""
        if word != "include_dir":
            return self.read_file(
                absolute_config_location(name, path),
                depth + 1,
                here,
                missing_ok=word == "include_if_exists",
            )
        try:
            files = get_conf_files_in_dir(name, path, self.list_directory)
        except ConfFilesError as error:
            self.problem(error.message, here, error.sqlstate)
            return []
        return [line for f in files for line in self.read_file(f, depth + 1, here)]

    def open(self, path: str, depth: int, where: _Where, *, missing_ok: bool) -> bytes:
        """Return what is in *path*: nothing if there is a problem (HBA-15, HBA-19)."""
        if depth > CONF_FILE_MAX_DEPTH:
            self.problem(
                f'could not open file "{path}": maximum nesting depth exceeded', where
            )
            return b""
        try:
            return self.read(path)
        except OSError as error:
            if missing_ok and isinstance(error, FileNotFoundError):
                self.notices.append(
                    Report(
                        severity=Severity.LOG,
                        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
                        message=f'skipping missing authentication file "{path}"',
                        context="\n".join(where),
                        event="auth_file.skipped",
                    )
                )
                return b""
            # C opens a directory, and only then fails to read it.
            verb = "read" if isinstance(error, IsADirectoryError) else "open"
            self.problem(
                f'could not {verb} file "{path}": {error_text(error)}',
                where,
                errcode_for_file_access(error),
            )
            return b""

    def problem(
        self,
        message: str,
        where: _Where,
        sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
    ) -> None:
        """Take note of what cannot be read."""
        self.problems.append(
            Report(
                severity=Severity.LOG,
                sqlstate=sqlstate,
                message=message,
                context="\n".join(where) or None,
                event="auth_file.unreadable",
            )
        )


_DIRECTIVES: Final = frozenset({"include", "include_if_exists", "include_dir"})


def _context(source: str, line_number: int) -> str:
    return f'line {line_number} of configuration file "{source}"'
