"""Reads pg_ident.conf: every line or none, and every complaint at once."""

from dataclasses import dataclass

from pgproxy.auth.auth_file import AuthLine, ListDirectory, Read, tokenize_auth_file
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.lexer import Token
from pgproxy.protocol.errors import Report, Severity, SqlState


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentFile:
    """
    pg_ident.conf as read.

    Args:
        lines: Its lines, in order. Not to be used if there are *problems*.
        problems: What is wrong with it, all of it.
        notices: What the log should say, though the file is good.

    """

    lines: tuple[IdentLine, ...]
    problems: tuple[Report, ...]
    notices: tuple[Report, ...]


def load_ident(path: str, *, read: Read, list_directory: ListDirectory) -> IdentFile:
    """
    Read the maps in *path* and in what it includes.

    A file without any is a good file (ID-04).

    Args:
        path: Absolute.
        read: How to read a file.
        list_directory: How to list a directory.

    Source: ``load_ident`` in hba.c.

    """
    file = tokenize_auth_file(path, read=read, list_directory=list_directory)
    lines: list[IdentLine] = []
    problems = list(file.problems)
    for auth_line in file.lines:
        parsed = _parse(auth_line)
        if isinstance(parsed, IdentLine):
            lines.append(parsed)
        else:
            problems += parsed
    return IdentFile(lines=tuple(lines), problems=tuple(problems), notices=file.notices)


def _parse(line: AuthLine) -> IdentLine | list[Report]:
    """
    Return what *line* says, or what is wrong with it.

    Fields behind the third are not looked at (ID-02).

    Source: ``parse_ident_line`` in hba.c.
    """
    tokens: list[Token] = []
    for field in line.fields[:3]:
        if len(field) > 1:
            return [_report(line, "multiple values in ident field")]
        tokens += field
    if len(tokens) < 3:
        return [_report(line, "missing entry at end of line")]
    usermap, system_user, pg_user = tokens
    reports = [
        _report(
            line,
            f'regular expression "{user.text[1:]}" in pg_ident.conf is not supported '
            "by this build",
            hint="Give each user a line of its own.",
        )
        for user in (system_user, pg_user)
        if user.text.startswith("/")  # even quoted (ID-06, ID-07)
    ]
    if pg_user.text.startswith("+") and not pg_user.quoted:
        reports.append(
            _report(
                line,
                f'members of role "{pg_user.text[1:]}" in pg_ident.conf are not '
                "supported by this build",
                hint="Give each member of the role a line of its own.",
            )
        )
    if reports:
        return reports
    return IdentLine(
        source=line.source,
        line_number=line.line_number,
        usermap=usermap.text,
        system_user=system_user,
        pg_user=pg_user,
    )


def _report(line: AuthLine, message: str, hint: str | None = None) -> Report:
    """Return a complaint about *line*; what has a hint is what is not implemented."""
    return Report(
        severity=Severity.LOG,
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED if hint else SqlState.CONFIG_FILE_ERROR,
        message=message,
        hint=hint,
        context=line.context,
        event="ident.not_implemented" if hint else "ident.line_invalid",
    )
