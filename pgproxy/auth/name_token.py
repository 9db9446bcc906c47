"""What a name in pg_hba.conf or pg_ident.conf may be, besides a name."""

from dataclasses import replace

from pgproxy.auth.lexer import Token
from pgproxy.auth.regex import (
    InvalidRegularExpression,
    UnsupportedRegularExpression,
    compile_regex,
)
from pgproxy.protocol.errors import SqlState


class NameRefused(ValueError):
    """
    A token that cannot be used.

    Args:
        message: What is wrong with it.
        hint: What to do about it; None where PostgreSQL refuses it too.

    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def sqlstate(self) -> SqlState:
        """What PostgreSQL's complaint has, or that of what is only PostgreSQL's."""
        if self.hint is None:
            return SqlState.INVALID_REGULAR_EXPRESSION
        return SqlState.FEATURE_NOT_SUPPORTED


def with_regex(token: Token) -> Token:
    """
    Return *token* with its regular expression, if it begins with a slash.

    Even if that slash is in quotes (HBA-77, ID-06, ID-07).

    Raises:
        NameRefused: It is none (HBA-44, ID-03), or one that only PostgreSQL can run.

    Source: ``regcomp_auth_token`` in hba.c.

    """
    if not token.text.startswith("/"):
        return token
    pattern = token.text[1:]
    try:
        return replace(token, regex=compile_regex(pattern))
    except InvalidRegularExpression as error:
        message = f'invalid regular expression "{pattern}": {error}'
        raise NameRefused(message) from None
    except UnsupportedRegularExpression as error:
        raise NameRefused(
            f'regular expression "{pattern}" is not supported: {error}',
            hint="Write it without that, or list the names.",
        ) from None


def roles_unknown(token: Token) -> NameRefused:
    """Return the complaint about *token*, which asks who is a member of which role."""
    return NameRefused(
        f'"{token.text}" cannot be matched without the role memberships of the server',
        hint='Set "pgproxy.role_conninfo", a login that can read them, or list the '
        "names.",
    )
