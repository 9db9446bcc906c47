"""pg_ident.conf: ID-01 to ID-18."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.ident import IdentFile, IdentLine, check_usermap, load_ident
from pgproxy.auth.lexer import Token
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import Files, messages

IDENT = "/etc/pg/pg_ident.conf"


def load(text: str | bytes) -> IdentFile:
    data = text if isinstance(text, bytes) else text.encode()
    files = Files({IDENT: data, "/etc/pg/two": b"a b", "/etc/pg/one": b"a"})
    return load_ident(IDENT, read=files.read, list_directory=files.list_directory)


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


def regex(text: str) -> Report:
    return problem(
        f'regular expression "{text}" in pg_ident.conf is not supported by this build',
        "Give each user a line of its own.",
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        event="ident.not_implemented",
    )


def members(role: str) -> Report:
    return problem(
        f'members of role "{role}" in pg_ident.conf are not supported by this build',
        "Give each member of the role a line of its own.",
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
        # ID-06, ID-07: not implemented.
        ("m /^s$ u", [regex("^s$")]),
        ('m "/^s$" u', [regex("^s$")]),
        ("m s /u", [regex("u")]),
        ('m s "/u"', [regex("u")]),
        ("m /s /u", [regex("s"), regex("u")]),
        ("m s +staff", [members("staff")]),
        ("m s +", [members("")]),
        ("m /s +staff", [regex("s"), members("staff")]),
    ],
)
def test_bad_line(line: str, problems: list[Report]) -> None:
    """It is told, and the other lines are read."""
    file = load(f"m s u\n{line}\nm s u")
    assert file.problems == tuple(problems)
    assert [good_line.line_number for good_line in file.lines] == [1, 3]


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


MAPS = good(
    "m ana  app\n"
    "m ana  web\n"
    "m bob  all\n"
    'm eve  "all"\n'
    "n ana  root\n"
    '"" ana root\n'
    "m all  \\1\n"
    "m Root +x\n".replace("+x", '"+x"')
)


@pytest.mark.parametrize(
    ("usermap", "system_user", "pg_role", "report"),
    [
        # ID-14: byte for byte.
        (None, "ana", "ana", None),
        ("", "ana", "ana", None),
        (
            None,
            "ana",
            "Ana",
            "provided user name (Ana) and authenticated user name (ana) do not match",
        ),
        (
            "",
            "ana",
            "root",
            "provided user name (root) and authenticated user name (ana) do not match",
        ),
        # ID-05: all lines of the map, in order.
        ("m", "ana", "app", None),
        ("m", "ana", "web", None),
        ("n", "ana", "root", None),
        (
            "m",
            "ana",
            "root",
            'no match in usermap "m" for user "root" authenticated as "ana"',
        ),
        (
            "m",
            "ana",
            "ana",
            'no match in usermap "m" for user "ana" authenticated as "ana"',
        ),
        (
            "m",
            "Ana",
            "app",
            'no match in usermap "m" for user "app" authenticated as "Ana"',
        ),
        (
            "M",
            "ana",
            "app",
            'no match in usermap "M" for user "app" authenticated as "ana"',
        ),
        # ID-07
        ("m", "bob", "anybody", None),
        ("m", "eve", "all", None),
        (
            "m",
            "eve",
            "anybody",
            'no match in usermap "m" for user "anybody" authenticated as "eve"',
        ),
        ("m", "Root", "+x", None),
        # There is no keyword for system users, and no \1 without an expression.
        ("m", "all", "\\1", None),
        (
            "m",
            "all",
            "all",
            'no match in usermap "m" for user "all" authenticated as "all"',
        ),
    ],
)
def test_check_usermap(
    usermap: str | None, system_user: str, pg_role: str, report: str | None
) -> None:
    same, reports = check_usermap(MAPS, usermap, system_user, pg_role)
    assert same is (report is None)
    assert messages(reports) == ([] if report is None else [report])


@pytest.mark.parametrize(
    ("usermap", "event"), [(None, "usermap.different"), ("m", "usermap.no_match")]
)
def test_log_line(usermap: str | None, event: str) -> None:
    """ID-16: for the log, and for nobody else."""
    _same, (report,) = check_usermap((), usermap, "a", "b")
    assert report.severity is Severity.LOG
    assert report.sqlstate is SqlState.SUCCESSFUL_COMPLETION
    assert (report.detail, report.hint, report.context) == (None, None, None)
    assert report.event == event


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Lines and problems, whatever the file holds."""
    file = load(b"m s " + data)
    assert all(report.context for report in file.problems)


@given(st.text(), st.text())
def test_without_a_map(system_user: str, pg_role: str) -> None:
    same, reports = check_usermap(MAPS, None, system_user, pg_role)
    assert same is (system_user == pg_role) is not bool(reports)
