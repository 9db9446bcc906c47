"""Who may be whom: ID-05 to ID-16."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hba import Facts, Memberships, Needs, Roles
from pgproxy.auth.ident import IdentLine, Mapped, check_usermap
from pgproxy.auth.ident_file import load_ident
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import Files, messages

IDENT = "/etc/pg/pg_ident.conf"
NOTHING = Facts()


def lines(text: str) -> tuple[IdentLine, ...]:
    """Return the lines of a file that is good."""
    files = Files({IDENT: text.encode()})
    file = load_ident(
        IDENT, roles=True, read=files.read, list_directory=files.list_directory
    )
    assert file.problems == ()
    return file.lines


def mapped(
    maps: Iterable[IdentLine],
    usermap: str | None,
    system_user: str,
    pg_role: str,
    facts: Facts = NOTHING,
) -> tuple[bool, tuple[Report, ...]]:
    """Return the answer, which is one."""
    found = check_usermap(maps, usermap, system_user, pg_role, facts)
    assert isinstance(found, Mapped)
    return found.ok, found.log


MAPS = lines(
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
    same, reports = mapped(MAPS, usermap, system_user, pg_role)
    assert same is (report is None)
    assert messages(reports) == ([] if report is None else [report])


REGEX_MAPS = lines(
    "m /^(.*)@a\\.com$ \\1\n"
    "m /^(.*)@b\\.com$ x\\1y\\1\n"
    'm /^(.*)@c\\.com$ "\\1"\n'
    "m /^[^@]*@d\\.com$ \\1\n"
    "m /^(x)?e@ \\1\n"
    "m /^f@ /^f[0-9]$\n"
    "m /^h@(.*)$ \\2\n"
    "m /^i@ i\n"
    'm "/^j, (.*)$" \\1\n'
    "m /^late@ \\1\n"
    "m all late\n"
)
NO_SUBEXPRESSION = (
    'regular expression "{}" has no subexpressions as requested by backreference in '
    '"\\1"'
)


@pytest.mark.parametrize(
    ("system_user", "pg_role", "report"),
    [
        # ID-06, ID-08
        ("ana@a.com", "ana", None),
        ("ana@a.com", "Ana", "no match"),
        ("ana@axcom", "ana", "no match"),
        ("ana@b.com", "xanay\\1", None),  # only the first
        ("ana@b.com", "xanayana", "no match"),
        ("ana@c.com", "ana", None),
        # ID-09: what comes out is a name.
        ("all@a.com", "all", None),
        ("all@a.com", "ana", "no match"),
        ("+staff@a.com", "ana", "no match"),
        ("+staff@a.com", "+staff", None),
        ("/a@a.com", "a", "no match"),
        ("/a@a.com", "/a", None),
        # ID-11
        ("@a.com", "", None),
        ("h@x", "\\2", None),
        ("h@x", "x", "no match"),
        # ID-12
        ("ana@d.com", "ana", NO_SUBEXPRESSION.format("^[^@]*@d\\.com$")),
        ("e@", "", NO_SUBEXPRESSION.format("^(x)?e@")),
        ("xe@", "x", None),
        # ID-07
        ("f@", "f7", None),
        ("f@", "f77", "no match"),
        ("i@", "i", None),
        ("j, b", "b", None),
    ],
)
def test_regex(system_user: str, pg_role: str, report: str | None) -> None:
    ok, reports = mapped(REGEX_MAPS, "m", system_user, pg_role)
    assert ok is (report is None)
    if report == "no match":
        report = (
            f'no match in usermap "m" for user "{pg_role}" authenticated as '
            f'"{system_user}"'
        )
    assert messages(reports) == ([] if report is None else [report])


def test_a_missing_subexpression_ends_the_search() -> None:
    r"""ID-12: although a later line would say yes; the log has no other line."""
    ok, (report,) = mapped(REGEX_MAPS, "m", "late@", "late")
    assert not ok
    assert report.sqlstate is SqlState.INVALID_REGULAR_EXPRESSION
    assert report.severity is Severity.LOG
    assert report.event == "usermap.no_subexpression"


def test_a_match_that_fails_ends_the_search() -> None:
    r"""ID-13: although a later line would say yes; the log has no other line."""
    maps = lines("m /^(a)*$ \\1\nm /. eve")
    ok, (report,) = mapped(maps, "m", "a" * 20_000, "eve")
    assert not ok
    assert report.sqlstate is SqlState.INVALID_REGULAR_EXPRESSION
    assert report.severity is Severity.LOG
    assert report.event == "usermap.match_failed"
    assert report.message == (
        'regular expression match for "^(a)*$" failed: '
        "regular expression is too complex"
    )


def test_a_regex_of_a_database_user_is_no_backreference() -> None:
    r"""ID-08: in a regular expression ``\1`` is its own."""
    maps = lines("m /^(a)$ +\\1")
    staff = Facts(roles=Roles({"b": ["\\1"]}))
    assert mapped(maps, "m", "a", "b", staff) == (True, ())


def test_members() -> None:
    """ID-07: the roles are asked for when the map comes to them, and not before."""
    maps = lines('m ana +staff\nn ana "+staff"\nm bob bob\nm bob +x\nm bob eve')
    staff = Facts(roles=Roles({"app": ["staff"], "staff": []}))
    assert check_usermap(maps, "m", "ana", "app", NOTHING) == Needs(Memberships())
    assert mapped(maps, "m", "ana", "app", staff) == (True, ())
    ok, (report,) = mapped(maps, "m", "ana", "other", staff)
    assert (ok, report.event) == (False, "usermap.no_match")
    # Another line says yes without them, before or behind.
    assert mapped(maps, "m", "bob", "bob") == (True, ())
    assert mapped(maps, "m", "bob", "eve") == (True, ())
    assert check_usermap(maps, "m", "bob", "app", NOTHING) == Needs(Memberships())
    assert mapped(maps, "n", "ana", "+staff") == (True, ())


def test_members_before_a_missing_subexpression() -> None:
    """What an earlier line would have said decides, so it is asked for first."""
    maps = lines("m /a +staff\nm /a \\1")
    assert check_usermap(maps, "m", "a", "b", NOTHING) == Needs(Memberships())
    assert mapped(maps, "m", "a", "b", Facts(roles=Roles({"b": ["staff"]})))[0]
    _ok, (report,) = mapped(maps, "m", "a", "b", Facts(roles=Roles({})))
    assert report.event == "usermap.no_subexpression"


def test_which_line() -> None:
    """Who explains can say which line it was."""
    (first, _second) = maps = lines("m a b\nm c d")
    assert check_usermap(maps, "m", "a", "b", NOTHING) == Mapped(ok=True, line=first)
    found = check_usermap(maps, "m", "a", "d", NOTHING)
    assert isinstance(found, Mapped)
    assert found.line is None


@pytest.mark.parametrize(
    ("usermap", "event"), [(None, "usermap.different"), ("m", "usermap.no_match")]
)
def test_log_line(usermap: str | None, event: str) -> None:
    """ID-16: for the log, and for nobody else."""
    _same, (report,) = mapped((), usermap, "a", "b")
    assert report.severity is Severity.LOG
    assert report.sqlstate is SqlState.SUCCESSFUL_COMPLETION
    assert (report.detail, report.hint, report.context) == (None, None, None)
    assert report.event == event


@given(st.text(), st.text())
def test_without_a_map(system_user: str, pg_role: str) -> None:
    same, reports = mapped(MAPS, None, system_user, pg_role)
    assert same is (system_user == pg_role) is not bool(reports)
