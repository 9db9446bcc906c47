"""The settings as pg_settings shows them."""

from pgproxy.settings.catalogue import GUCS, Settings
from pgproxy.settings.conf import COMMAND_LINE, Source
from pgproxy.settings.describe import describe

SETTINGS = Settings(port=5432, authentication_timeout=120)
FILE = Source("/data/postgresql.conf", 7)
ROWS = {
    row.name: row
    for row in describe(
        SETTINGS, {"port": COMMAND_LINE, "authentication_timeout": FILE}
    )
}


def test_every_setting_in_order() -> None:
    assert list(ROWS) == list(GUCS)


def test_an_integer() -> None:
    row = ROWS["authentication_timeout"]
    assert (row.setting, row.boot_val, row.unit) == ("2min", "1min", "s")
    assert (row.min_val, row.max_val, row.enumvals) == (1, 600, ())
    assert (row.vartype, row.context) == ("integer", "sighup")
    assert row.short_desc == "Longest time to log in."
    assert row.source == FILE
    assert ROWS["port"].source is COMMAND_LINE
    assert ROWS["port"].context == "postmaster"


def test_what_has_no_range() -> None:
    row = ROWS["ssl_min_protocol_version"]
    assert (row.min_val, row.max_val) == (None, None)
    assert row.enumvals == ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
    assert (row.setting, row.boot_val, row.source) == ("TLSv1.2", "TLSv1.2", None)


def test_another_value_than_the_default() -> None:
    assert (ROWS["port"].setting, ROWS["port"].boot_val) == ("5432", "6432")
