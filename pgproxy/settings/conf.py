"""From postgresql.conf and the command line to `Settings`, or to what is wrong."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pgproxy.protocol.booleans import ascii_lower
from pgproxy.protocol.conffiles import ListDirectory, Read
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.settings.catalogue import GUCS, Settings
from pgproxy.settings.guc import Guc
from pgproxy.settings.guc_file import REJECTED, ConfigFiles, ConfigVariable
from pgproxy.settings.postgresql import NAMES, OLD_NAMES
from pgproxy.settings.values import InvalidValue

PREFIX: Final = "pgproxy."
"""What the names begin with that PostgreSQL does not have."""

CLOSE_ENOUGH: Final = 0.75
"""How alike two names are, from 0 to 1, for one to be taken for the other."""

_CUSTOM_NAME = re.compile(
    r"[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*"
    r"(?:\.[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)+"
)
"""``valid_custom_variable_name`` of guc.c: of an extension, maybe of one to come."""

_KNOWN: Final = {ascii_lower(name): name for name in (*NAMES, *GUCS)}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from: a line of a file, or (both None) the command line."""

    sourcefile: str | None = None
    sourceline: int | None = None

    def __str__(self) -> str:
        if self.sourcefile is None:
            return "command-line option -c"
        return f'line {self.sourceline} of configuration file "{self.sourcefile}"'


COMMAND_LINE: Final = Source()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """
    A configuration that can be used.

    Args:
        settings: All of it.
        sources: Where each value comes from, by the name of the setting; what is
            not in it has its default.
        notices: What the log should say of it.

    """

    settings: Settings
    sources: Mapping[str, Source]
    notices: tuple[Report, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """
    A configuration that cannot be used.

    PostgreSQL applies what it can of such a file when it reloads it (TLS-22). Here
    the whole is refused: the proxy never runs with half of what was written.

    Args:
        problems: All that is wrong with it.
        notices: As in `Loaded`.

    """

    problems: tuple[Report, ...]
    notices: tuple[Report, ...] = ()


def load(
    path: str,
    *,
    read: Read,
    list_directory: ListDirectory,
    overrides: Iterable[str] = (),
) -> Loaded | Rejected:
    """
    Read the configuration file at *path*, and all that it includes.

    Args:
        path: The file; absolute, unless *read* knows what it is relative to.
        read: Returns the content of a file; may raise OSError.
        list_directory: Returns the names in a directory, but those of directories;
            may raise OSError.
        overrides: The ``name=value`` of each ``-c`` on the command line. They win
            over the file, and the last over those before it.

    Source: ``ProcessConfigFileInternal`` in guc.c.

    """
    files = ConfigFiles(read, list_directory)
    files.parse_file(path)
    reader = _Reader(files.problems, files.notices)
    last: dict[str, ConfigVariable] = {}
    for variable in files.variables:
        name = _canonical(variable.name)
        # As in PostgreSQL, the last one counts, and those before it are not even
        # looked at.
        last.pop(name, None)
        last[name] = variable
    for name, variable in last.items():
        source = Source(variable.sourcefile, variable.sourceline)
        reader.take(name, variable.name, variable.value, source)
    for text in overrides:
        reader.take_override(text)
    return reader.result()


def _canonical(name: str) -> str:
    """Return *name* in the spelling of its setting, if there is one."""
    lower = ascii_lower(name)
    return _KNOWN.get(OLD_NAMES.get(lower, lower), lower)


class _Reader:
    """Turns names and texts into the values of settings."""

    def __init__(self, problems: list[Report], notices: list[Report]) -> None:
        self._problems = problems
        self._notices = notices
        self._values: dict[str, object] = {}
        self._sources: dict[str, Source] = {}
        self._unused: dict[str, None] = {}

    def take(self, name: str, written: str, text: str, source: Source) -> None:
        """Set *name*, which is *written* so where it comes from, to *text*."""
        if setting := GUCS.get(name):
            self._set(setting, text, source)
        elif name in NAMES or (
            _CUSTOM_NAME.fullmatch(name) and not name.startswith(PREFIX)
        ):
            self._unused[name] = None
        else:
            self._complain(
                f'unrecognized configuration parameter "{written}"'
                + (
                    ""
                    if source is COMMAND_LINE
                    else f' in file "{source.sourcefile}" line {source.sourceline}'
                ),
                source,
                sqlstate=SqlState.UNDEFINED_OBJECT,
                hint=_perhaps(name),
                context=str(source) if source is COMMAND_LINE else None,
            )

    def take_override(self, text: str) -> None:
        """Read one ``name=value`` of the command line; ``ParseLongOption``."""
        written, equals, value = text.partition("=")
        written = written.replace("-", "_")
        if equals:
            self.take(_canonical(written), written, value, COMMAND_LINE)
        else:
            self._complain(
                f"-c {text} requires a value",
                COMMAND_LINE,
                sqlstate=SqlState.SYNTAX_ERROR,
            )

    def _set(self, setting: Guc, text: str, source: Source) -> None:
        try:
            self._values[setting.attribute] = setting.parse(text)
        except InvalidValue as error:
            self._complain(
                error.message,
                source,
                detail=error.detail,
                hint=error.hint,
                context=str(source),
            )
        self._sources[setting.name] = source

    def _complain(
        self,
        message: str,
        source: Source,
        *,
        sqlstate: SqlState = SqlState.INVALID_PARAMETER_VALUE,
        detail: str | None = None,
        hint: str | None = None,
        context: str | None = None,
    ) -> None:
        # A bad command line ends the server; of a bad file, that follows.
        fatal = source is COMMAND_LINE
        self._problems.append(
            Report(
                severity=Severity.FATAL if fatal else Severity.LOG,
                sqlstate=sqlstate,
                message=message,
                detail=detail,
                hint=hint,
                context=context,
                event=REJECTED,
            )
        )

    def result(self) -> Loaded | Rejected:
        """Return what came of it all."""
        if self._unused:
            names = ", ".join(f'"{name}"' for name in self._unused)
            self._notices.append(
                Report(
                    severity=Severity.NOTICE,
                    sqlstate=SqlState.SUCCESSFUL_COMPLETION,
                    message=f"pgproxy has no use for these parameters: {names}",
                    event="settings.unused",
                )
            )
        notices = tuple(self._notices)
        if self._problems:
            return Rejected(problems=tuple(self._problems), notices=notices)
        # What parse returned has the type of the field that it is for.
        settings = Settings(**self._values)  # type: ignore[arg-type]
        return Loaded(
            settings=settings,
            sources=self._sources,
            notices=notices,
        )


def _perhaps(name: str) -> str | None:
    """Return a hint at the name that *name* may have been meant to be."""
    for twin in (PREFIX + name, name.removeprefix(PREFIX)):
        if twin in GUCS:
            return f'Perhaps you meant the parameter "{twin}".'
    close = get_close_matches(name, _KNOWN, n=1, cutoff=CLOSE_ENOUGH)
    return f'Perhaps you meant the parameter "{_KNOWN[close[0]]}".' if close else None
