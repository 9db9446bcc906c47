"""Reads pg_ident.conf: every line or none, and every complaint at once."""

from dataclasses import dataclass

from pgproxy.auth.auth_file import AuthLine, tokenize_auth_file
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.lexer import Token
from pgproxy.auth.name_token import NameRefused, roles_unknown, with_regex
from pgproxy.protocol.conffiles import ListDirectory, Read
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


def load_ident(
    path: str, *, read: Read, list_directory: ListDirectory, roles: bool = False
) -> IdentFile:
    """
    Read the maps in *path* and in what it includes.

    A file without any is a good file (ID-04).

    Args:
        path: Absolute.
        read: How to read a file.
        list_directory: How to list a directory.
        roles: Whether there will be somebody to ask who is a member of which role:
            without, ``+role`` is refused.

    Source: ``load_ident`` in hba.c.

    """
    file = tokenize_auth_file(path, read=read, list_directory=list_directory)
    lines: list[IdentLine] = []
    problems = list(file.problems)
    for auth_line in file.lines:
        parsed = _parse(auth_line, roles=roles)
        if isinstance(parsed, IdentLine):
            lines.append(parsed)
        else:
            problems += parsed
    return IdentFile(lines=tuple(lines), problems=tuple(problems), notices=file.notices)


def _parse(line: AuthLine, *, roles: bool) -> IdentLine | list[Report]:
    """
    Return what *line* says, or what is wrong with it.

    Fields behind the third are not looked at (ID-02), and regular expressions only
    when all three are there (ID-03).

    Source: ``parse_ident_line`` in hba.c.
    """
    tokens: list[Token] = []
    for field in line.fields[:3]:
        if len(field) > 1:
            return [_invalid(line, "multiple values in ident field")]
        tokens += field
    if len(tokens) < 3:
        return [_invalid(line, "missing entry at end of line")]
    usermap, system_user, pg_user = tokens
    names: list[Token] = []
    refusals: list[NameRefused] = []
    for token in (system_user, pg_user):
        try:
            names.append(with_regex(token))
        except NameRefused as refused:
            if refused.hint is None:
                return [_invalid(line, refused.message, refused.sqlstate)]
            refusals.append(refused)
    if pg_user.is_member_check() and not roles:
        refusals.append(roles_unknown(pg_user))
    if refusals:
        return [_not_implemented(line, refused) for refused in refusals]
    return IdentLine(
        source=line.source,
        line_number=line.line_number,
        usermap=usermap.text,
        system_user=names[0],
        pg_user=names[1],
    )


def _invalid(
    line: AuthLine, message: str, sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR
) -> Report:
    """Return PostgreSQL's complaint about *line*."""
    return Report(
        severity=Severity.LOG,
        sqlstate=sqlstate,
        message=message,
        context=line.context,
        event="ident.line_invalid",
    )


def _not_implemented(line: AuthLine, refused: NameRefused) -> Report:
    """Return what is said of a *line* that PostgreSQL would take."""
    return Report(
        severity=Severity.LOG,
        sqlstate=refused.sqlstate,
        message=refused.message,
        hint=refused.hint,
        context=line.context,
        event="ident.not_implemented",
    )
