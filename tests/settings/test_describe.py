"""The settings as pg_settings shows them."""

import pytest

from pgproxy.settings.catalogue import GUCS, Settings
from pgproxy.settings.conf import COMMAND_LINE, Source
from pgproxy.settings.describe import Row, describe
from pgproxy.settings.login_conninfo import read_login_conninfo
from pgproxy.settings.reload import changed_settings

SETTINGS = Settings(port=5432, authentication_timeout=120)
FILE = Source("/data/postgresql.conf", 7)
SOURCES = {"port": COMMAND_LINE, "authentication_timeout": FILE}


@pytest.fixture
def rows() -> dict[str, Row]:
    return {row.name: row for row in describe(SETTINGS, SOURCES)}


def test_every_setting_in_order(rows: dict[str, Row]) -> None:
    assert list(rows) == list(GUCS)


def test_an_integer(rows: dict[str, Row]) -> None:
    row = rows["authentication_timeout"]
    assert (row.setting, row.boot_val, row.unit) == ("2min", "1min", "s")
    assert (row.min_val, row.max_val, row.enumvals) == (1, 600, ())
    assert (row.vartype, row.context) == ("integer", "sighup")
    assert row.short_desc == "Longest time to log in."
    assert row.source == FILE
    assert rows["port"].source is COMMAND_LINE
    assert rows["port"].context == "postmaster"


def test_what_has_no_range(rows: dict[str, Row]) -> None:
    row = rows["ssl_min_protocol_version"]
    assert (row.min_val, row.max_val) == (None, None)
    assert row.enumvals == ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    assert (row.setting, row.boot_val, row.source) == ("TLSv1.2", "TLSv1.2", None)


def test_another_value_than_the_default(rows: dict[str, Row]) -> None:
    assert (rows["port"].setting, rows["port"].boot_val) == ("5432", "6432")


def test_a_password_is_not_shown() -> None:
    """Neither in the table, nor where the log says what a reload has changed."""
    login = read_login_conninfo("pgproxy.role_conninfo", "user=a password=sesame")
    settings = Settings(role_conninfo=login)
    sources = {"pgproxy.role_conninfo": FILE}
    rows = {row.name: row for row in describe(settings, sources)}
    shown = rows["pgproxy.role_conninfo"].setting
    assert shown == "user=a password=********"
    [report] = changed_settings(Settings(), settings, sources)
    assert report.message == f'parameter "pgproxy.role_conninfo" changed to "{shown}"'
    assert "sesame" not in repr((settings, rows, report))
