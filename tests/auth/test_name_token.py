"""Names that are more than names: HBA-44, HBA-77, HBA-80, ID-03."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.lexer import Token
from pgproxy.auth.name_token import NameRefused, roles_unknown, with_regex
from pgproxy.protocol.errors import SqlState


@pytest.mark.parametrize(
    "token",
    [
        Token("a", quoted=False),
        Token("", quoted=True),
        Token("a/b", quoted=False),
        Token("+a", quoted=False),
    ],
)
def test_name(token: Token) -> None:
    assert with_regex(token) is token


@pytest.mark.parametrize("quoted", [True, False])
def test_regular_expression(quoted: bool) -> None:
    """HBA-77: without its slash; in quotes too."""
    token = with_regex(Token("/^a/b$", quoted))
    assert (token.text, token.quoted) == ("/^a/b$", quoted)
    assert token.matches("a/b")
    assert not token.matches("/^a/b$")


@pytest.mark.parametrize(
    ("text", "message", "hint", "sqlstate"),
    [
        (
            "/(",
            'invalid regular expression "(": parentheses () not balanced',
            None,
            SqlState.INVALID_REGULAR_EXPRESSION,
        ),
        (
            "//a(?=b)",
            (
                'regular expression "/a(?=b)" is not supported: it has a lookahead at '
                "position 3"
            ),
            "Write it without that, or list the names.",
            SqlState.FEATURE_NOT_SUPPORTED,
        ),
    ],
)
def test_refused(text: str, message: str, hint: str | None, sqlstate: SqlState) -> None:
    """HBA-44, ID-03; HBA-78."""
    with pytest.raises(NameRefused) as caught:
        with_regex(Token(text, quoted=False))
    refused = caught.value
    assert str(refused) == refused.message == message
    assert (refused.hint, refused.sqlstate) == (hint, sqlstate)


def test_roles_unknown() -> None:
    """HBA-80: what to do is what matters."""
    refused = roles_unknown(Token("+staff", quoted=False))
    assert refused.message.startswith('"+staff" cannot be matched')
    assert "pgproxy.role_conninfo" in (refused.hint or "")
    assert refused.sqlstate is SqlState.FEATURE_NOT_SUPPORTED


@given(st.text())
def test_any_text(text: str) -> None:
    """It is a name, a regular expression, or refused with a reason."""
    token = Token(text, quoted=False)
    try:
        assert (with_regex(token).regex is None) is not text.startswith("/")
    except NameRefused as refused:
        assert text.startswith("/")
        assert refused.message  # noqa: PT017 - either is fine
