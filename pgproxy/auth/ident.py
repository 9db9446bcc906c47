"""pg_ident.conf: which users of the system may be which users of the database."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgproxy.auth.hba import Facts, Needs, check_role
from pgproxy.auth.lexer import Token
from pgproxy.auth.regex import InvalidRegularExpression
from pgproxy.protocol.errors import Report, SqlState, log_line


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentLine:
    """
    One line of pg_ident.conf.

    Args:
        source: The file that it stands in.
        line_number: Its first physical line, counted from 1.
        usermap: The name of the map; lines with one name are alternatives.
        system_user: Who the client has shown to be: a CN or a DN, or a regular
            expression for them (ID-06).
        pg_user: Whom it may be in the database: a name, ``all``, ``+role`` or a
            regular expression (ID-07).

    """

    source: str
    line_number: int
    usermap: str
    system_user: Token
    pg_user: Token


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    Whether a user may be the one it wants to be.

    Args:
        ok: Whether it may.
        log: What the log is told if not; the client learns nothing of it (ID-16).
        line: The line of pg_ident.conf that says yes, or that ended the search.

    """

    ok: bool
    log: tuple[Report, ...] = ()
    line: IdentLine | None = None


def check_usermap(
    lines: Iterable[IdentLine],
    usermap: str | None,
    system_user: str,
    pg_role: str,
    facts: Facts,
) -> Mapped | Needs:
    r"""
    Say whether *system_user* may be *pg_role*.

    Without a map they must be the same, byte for byte. With one, the first line that
    says yes decides; one whose ``\1`` has nothing to stand for ends the search
    (ID-05, ID-12, ID-14, ID-15).

    Args:
        lines: All lines of pg_ident.conf.
        usermap: The map to look at; None or empty: none.
        system_user: Who the client has shown to be.
        pg_role: Whom it wants to be.
        facts: What is known of the world.

    Source: ``check_usermap``, ``check_ident_usermap`` in hba.c.

    """
    if not usermap:
        if system_user == pg_role:
            return Mapped(ok=True)
        message = (
            f"provided user name ({pg_role}) and authenticated user name "
            f"({system_user}) do not match"
        )
        return Mapped(ok=False, log=(log_line(message, event="usermap.different"),))
    unknown: Needs | None = None
    for line in lines:
        if line.usermap != usermap or not line.system_user.matches(system_user):
            continue
        pg_user = _expand(line, system_user)
        if isinstance(pg_user, Report):
            return unknown or Mapped(ok=False, log=(pg_user,), line=line)
        found = check_role((pg_user,), pg_role, facts)
        if found is True:
            # Had an earlier line that could not be judged said yes, so would this.
            return Mapped(ok=True, line=line)
        if isinstance(found, Needs):
            unknown = found
    message = (
        f'no match in usermap "{usermap}" for user "{pg_role}" authenticated as '
        f'"{system_user}"'
    )
    return unknown or Mapped(
        ok=False, log=(log_line(message, event="usermap.no_match"),)
    )


def _expand(line: IdentLine, system_user: str) -> Token | Report:
    r"""
    Return whom *line* lets in, with ``\1`` replaced; or why that cannot be.

    What comes out is a name, whatever it looks like (ID-08 to ID-13).
    """
    regex, pg_user = line.system_user.regex, line.pg_user
    if regex is None or pg_user.regex is not None or pg_user.is_member_check():
        return pg_user
    before, backreference, after = pg_user.text.partition(r"\1")
    if not backreference:
        return pg_user
    try:
        group = regex.capture(system_user)
    except InvalidRegularExpression as error:
        return log_line(
            f'regular expression match for "{line.system_user.text[1:]}" failed: '
            f"{error}",
            event="usermap.match_failed",
            sqlstate=SqlState.INVALID_REGULAR_EXPRESSION,
        )
    if group is None:
        return log_line(
            f'regular expression "{line.system_user.text[1:]}" has no subexpressions '
            f'as requested by backreference in "{pg_user.text}"',
            event="usermap.no_subexpression",
            sqlstate=SqlState.INVALID_REGULAR_EXPRESSION,
        )
    return Token(before + group + after, quoted=True)
