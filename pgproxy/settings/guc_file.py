"""The files of a configuration: postgresql.conf, and what it includes."""

from dataclasses import dataclass, field
from typing import Final

from pgproxy.protocol.booleans import ascii_lower
from pgproxy.protocol.conffiles import (
    CONF_FILE_MAX_DEPTH,
    ConfFilesError,
    ListDirectory,
    Read,
    absolute_config_location,
    error_text,
    get_conf_files_in_dir,
    is_blank,
)
from pgproxy.protocol.errors import (
    Report,
    Severity,
    SqlState,
    errcode_for_file_access,
)
from pgproxy.settings.guc_scan import parse_line

MAX_SYNTAX_ERRORS: Final = 100
"""After so many in one file, its rest is not read; ``ParseConfigFp``."""

REJECTED: Final = "settings.rejected"
"""The event of whatever keeps a file from being applied."""


@dataclass(frozen=True, slots=True)
class ConfigVariable:
    """One ``name = value``, and where it stands."""

    name: str
    value: str
    sourcefile: str
    sourceline: int


@dataclass(slots=True)
class ConfigFiles:
    """
    What was found in a file, and in the files that it includes.

    Args:
        read: Reads a file.
        list_directory: Lists a directory.
        variables: In the order in which they stand, repetitions too.
        problems: What is wrong, all of it.
        notices: What is not wrong, but worth a line.

    """

    read: Read
    list_directory: ListDirectory
    variables: list[ConfigVariable] = field(default_factory=list)
    problems: list[Report] = field(default_factory=list)
    notices: list[Report] = field(default_factory=list)
    _too_deep: bool = False

    def parse_file(
        self, name: str, *, strict: bool = True, caller: str = "", depth: int = 0
    ) -> None:
        """
        Read the file *name*, and what it includes.

        Args:
            name: As it was written: absolute, or relative to the directory of
                *caller*.
            strict: Whether it has to be there.
            caller: The file that includes it.
            depth: How many files include each other on the way to it.

        Source: ``ParseConfigFile`` in guc-file.l.

        """
        if self._too_deep:  # a loop: every way through it would end here
            return
        if is_blank(name):
            self._complain(f'empty configuration file name: "{name}"')
            return
        if depth > CONF_FILE_MAX_DEPTH:
            self._too_deep = True
            self._complain(
                f'could not open configuration file "{name}": maximum nesting depth '
                "exceeded",
                SqlState.PROGRAM_LIMIT_EXCEEDED,
            )
            return
        path = absolute_config_location(name, caller)
        if path == caller:
            self._complain(f'configuration file recursion in "{caller}"')
            return
        try:
            content = self.read(path)
        except OSError as error:
            if strict:
                self._complain(
                    f'could not open configuration file "{path}": {error_text(error)}',
                    errcode_for_file_access(error),
                )
            else:
                self.notices.append(_skipping(path))
            return
        self._parse_content(content, path, depth)

    def _parse_directory(self, name: str, caller: str, depth: int) -> None:
        """Read the files of a directory, in order; ``ParseConfigDirectory``."""
        try:
            files = get_conf_files_in_dir(name, caller, self.list_directory)
        except ConfFilesError as error:
            self._complain(error.message, error.sqlstate)
            return
        for file in files:
            self.parse_file(file, caller=caller, depth=depth)

    def _parse_content(self, content: bytes, path: str, depth: int) -> None:
        """Read the lines of one file; ``ParseConfigFp`` in guc-file.l."""
        errors = 0
        text = content.decode("utf-8", "surrogateescape")
        for number, line in enumerate(text.split("\n"), 1):
            parsed = parse_line(line)
            if isinstance(parsed, str):
                where = f'near token "{parsed}"' if parsed else "near end of line"
                self._complain(
                    f'syntax error in file "{path}" line {number}, {where}',
                    SqlState.SYNTAX_ERROR,
                )
                errors += 1
                if errors >= MAX_SYNTAX_ERRORS:
                    self._complain(
                        f'too many syntax errors found, abandoning file "{path}"',
                        SqlState.PROGRAM_LIMIT_EXCEEDED,
                    )
                    return
            elif parsed:
                self._store(ConfigVariable(*parsed, path, number), depth)

    def _store(self, variable: ConfigVariable, depth: int) -> None:
        """Keep *variable*, or follow it if it includes something."""
        value, path = variable.value, variable.sourcefile
        match ascii_lower(variable.name):
            case "include_dir":
                self._parse_directory(value, path, depth + 1)
            case "include_if_exists":
                self.parse_file(value, strict=False, caller=path, depth=depth + 1)
            case "include":
                self.parse_file(value, caller=path, depth=depth + 1)
            case _:
                self.variables.append(variable)

    def _complain(
        self, message: str, sqlstate: SqlState = SqlState.INVALID_PARAMETER_VALUE
    ) -> None:
        self.problems.append(
            Report(
                severity=Severity.LOG,
                sqlstate=sqlstate,
                message=message,
                event=REJECTED,
            )
        )


def _skipping(path: str) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
        message=f'skipping missing configuration file "{path}"',
        event="settings.file_skipped",
    )
