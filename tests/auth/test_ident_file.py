"""Reading pg_ident.conf: ID-01 to ID-04, ID-06, ID-07."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.ident import IdentLine
from pgproxy.auth.ident_file import IdentFile, load_ident
from pgproxy.auth.lexer import Token
from pgproxy.auth.regex import compile_regex
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import Files, messages

IDENT = "/etc/pg/pg_ident.conf"


def load(text: str | bytes, *, roles: bool = False) -> IdentFile:
    data = text if isinstance(text, bytes) else text.encode()
    files = Files({IDENT: data, "/etc/pg/two": b"a b", "/etc/pg/one": b"a"})
    return load_ident(
        IDENT, read=files.read, list_directory=files.list_directory, roles=roles
    )


def regex(pattern: str, *, quoted: bool = False) -> Token:
    """Return the token of a regular expression."""
    return Token(f"/{pattern}", quoted, compile_regex(pattern))


def good(text: str) -> tuple[IdentLine, ...]:
    file = load(text)
    assert (file.problems, file.notices) == ((), ())
    return file.lines


def test_line() -> None:
    assert good('\nm "CN=a,O=b" "all"') == (
        IdentLine(
            source=IDENT,
            line_number=2,
            usermap="m",
            system_user=Token("CN=a,O=b", quoted=True),
            pg_user=Token("all", quoted=True),
        ),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m s u", [("m", "s", "u")]),
        ("m s u x y,z #", [("m", "s", "u")]),  # ID-02
        ("m s \\\nu", [("m", "s", "u")]),  # ID-01
        ("m s @one", [("m", "s", "a")]),
        ("m s u\nn t v", [("m", "s", "u"), ("n", "t", "v")]),
        ('"" "" ""', [("", "", "")]),
        ('m s "+u"', [("m", "s", "+u")]),  # ID-07
        ("/m s u", [("/m", "s", "u")]),
        ("+m +s u", [("+m", "+s", "u")]),
        ("m all \\1", [("m", "all", "\\1")]),  # ID-10
        ("", []),  # ID-04
        ("# nobody", []),
    ],
)
def test_lines(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [
        (line.usermap, line.system_user.text, line.pg_user.text) for line in good(text)
    ] == expected


def problem(
    message: str,
    hint: str | None = None,
    *,
    sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
    event: str = "ident.line_invalid",
) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=sqlstate,
        message=message,
        hint=hint,
        context=f'line 2 of configuration file "{IDENT}"',
        event=event,
    )


ABSENT = problem("missing entry at end of line")
MULTIPLE = problem("multiple values in ident field")


BAD_REGEX = problem(
    'invalid regular expression "(": parentheses () not balanced',
    sqlstate=SqlState.INVALID_REGULAR_EXPRESSION,
)


def unsupported(pattern: str, position: int) -> Report:
    return problem(
        f'regular expression "{pattern}" is not supported: it has a lookahead '
        f"at position {position}",
        "Write it without that, or list the names.",
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        event="ident.not_implemented",
    )


def members(token: str) -> Report:
    return problem(
        f'"{token}" cannot be matched without the role memberships of the server',
        'Set "pgproxy.role_conninfo", a login that can read them, or list the names.',
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        event="ident.not_implemented",
    )


@pytest.mark.parametrize(
    ("line", "problems"),
    [
        # ID-03
        ("m", [ABSENT]),
        ("m s", [ABSENT]),
        ("m /s", [ABSENT]),
        ("m,n s u", [MULTIPLE]),
        ("m s,t u", [MULTIPLE]),
        ("m s u,v", [MULTIPLE]),
        ("m s @two", [MULTIPLE]),
        ("m,n", [MULTIPLE]),
        ("m s,t", [MULTIPLE]),
        ("m /s u,v", [MULTIPLE]),
        # ID-03: the first one, once all three fields are there.
        ("m /( u", [BAD_REGEX]),
        ('m s "/("', [BAD_REGEX]),
        ("m /( /[", [BAD_REGEX]),
        ("m /(?=x) /(", [BAD_REGEX]),
        ("m /(", [ABSENT]),
        ("m /( u,v", [MULTIPLE]),
        ("/( /x /(", [BAD_REGEX]),
        # What PostgreSQL would take, all of it.
        ("m /a(?=b) u", [unsupported("a(?=b)", 2)]),
        ("m /(?=a) /b(?=c)", [unsupported("(?=a)", 1), unsupported("b(?=c)", 2)]),
        ("m s +staff", [members("+staff")]),
        ("m s +", [members("+")]),
        ("m /(?=a) +staff", [unsupported("(?=a)", 1), members("+staff")]),
    ],
)
def test_bad_line(line: str, problems: list[Report]) -> None:
    """It is told, and the other lines are read."""
    file = load(f"m s u\n{line}\nm s u")
    assert file.problems == tuple(problems)
    assert [good_line.line_number for good_line in file.lines] == [1, 3]


@pytest.mark.parametrize(
    ("line", "system_user", "pg_user"),
    [
        ("m /^(.*)@x$ \\1", regex("^(.*)@x$"), Token("\\1", quoted=False)),
        ('m "/a,b" "/c d"', regex("a,b", quoted=True), regex("c d", quoted=True)),
        ("m / /", regex(""), regex("")),
    ],
)
def test_regular_expressions(line: str, system_user: Token, pg_user: Token) -> None:
    """ID-06, ID-07: in both columns of users, in quotes too."""
    (found,) = good(line)
    assert (found.system_user, found.pg_user) == (system_user, pg_user)


def test_roles() -> None:
    """ID-07: good, if there is somebody to ask."""
    file = load("m s +staff", roles=True)
    assert file.problems == ()
    assert [line.pg_user for line in file.lines] == [Token("+staff", quoted=False)]


def test_files() -> None:
    """What files have to say comes first, and what is skipped is no problem."""
    file = load("m s\ninclude_if_exists none\ninclude none\nm s u")
    assert messages(file.problems) == [
        'could not open file "/etc/pg/none": No such file or directory',
        "missing entry at end of line",
    ]
    assert messages(file.notices) == [
        'skipping missing authentication file "/etc/pg/none"'
    ]


def test_directory() -> None:
    files = Files({IDENT: b"include_dir d", "/etc/pg/d/a.conf": b"m s u"})
    file = load_ident(IDENT, read=files.read, list_directory=files.list_directory)
    assert [line.source for line in file.lines] == ["/etc/pg/d/a.conf"]


def test_missing_file() -> None:
    """ID-04."""
    files = Files({})
    file = load_ident(IDENT, read=files.read, list_directory=files.list_directory)
    assert messages(file.problems) == [
        f'could not open file "{IDENT}": No such file or directory'
    ]


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Lines and problems, whatever the file holds."""
    file = load(b"m s " + data)
    assert all(report.context for report in file.problems)
