"""What may change with a reload, and what may not."""

import pytest

from pgproxy.protocol.errors import Severity, SqlState
from pgproxy.settings.catalogue import LogFormat, Settings
from pgproxy.settings.conf import COMMAND_LINE
from pgproxy.settings.conninfo import parse_conninfo
from pgproxy.settings.reload import changed_postmaster_settings, changed_settings

OLD = Settings()


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        Settings(),
        Settings(ssl=True, ssl_ca_file="ca.crt", authentication_timeout=5),
        Settings(log_format=LogFormat.JSON),
        Settings(backend_conninfo=parse_conninfo("host=/run")),
    ],
)
def test_what_may_change(new: Settings) -> None:
    assert changed_postmaster_settings(OLD, new) == ()


@pytest.mark.parametrize(
    ("new", "names"),
    [
        (Settings(port=5432), ["port"]),
        (Settings(listen_addresses=()), ["listen_addresses"]),
        (Settings(max_connections=1), ["max_connections"]),
        (Settings(hba_file="x"), ["hba_file"]),
        (Settings(ident_file="x"), ["ident_file"]),
        (
            Settings(ssl=True, hba_file="x", port=1, max_connections=1),
            ["port", "max_connections", "hba_file"],
        ),
    ],
)
def test_what_may_not(new: Settings, names: list[str]) -> None:
    reports = changed_postmaster_settings(OLD, new)
    assert [report.message for report in reports] == [
        f'parameter "{name}" cannot be changed without restarting the server'
        for name in names
    ]
    for report in reports:
        assert report.sqlstate is SqlState.CANT_CHANGE_RUNTIME_PARAM
        assert report.sqlstate.value == "55P02"
        assert report.severity is Severity.LOG
        assert report.event == "settings.restart_needed"


def test_what_has_changed() -> None:
    """TLS-22: in PostgreSQL's words, and not what stayed the same."""
    new = Settings(ssl=True, ssl_ca_file="ca.crt", authentication_timeout=5)
    sources = {"ssl": COMMAND_LINE, "port": COMMAND_LINE, "ssl_ca_file": COMMAND_LINE}
    reports = changed_settings(OLD, new, sources)
    assert [report.message for report in reports] == [
        (
            'parameter "authentication_timeout" removed from configuration file, reset to '
            "default"
        ),
        'parameter "ssl" changed to "on"',
        'parameter "ssl_ca_file" changed to "ca.crt"',
    ]
    assert {report.severity for report in reports} == {Severity.LOG}
    assert {report.event for report in reports} == {"settings.changed"}
    assert changed_settings(new, new, sources) == ()
