"""Who may be whom: ID-05 to ID-16."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hba import Facts
from pgproxy.auth.ident import IdentLine, Mapped, check_usermap
from pgproxy.auth.ident_file import load_ident
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import Files, messages

IDENT = "/etc/pg/pg_ident.conf"
NOTHING = Facts()


def lines(text: str) -> tuple[IdentLine, ...]:
    """Return the lines of a file that is good."""
    files = Files({IDENT: text.encode()})
    file = load_ident(IDENT, read=files.read, list_directory=files.list_directory)
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
