"""The names of PostgreSQL's settings, held against servers where there are any."""

import subprocess

import pytest

from pgproxy.settings.catalogue import GUCS
from pgproxy.settings.postgresql import NAMES, OLD_NAMES
from tests.support.oracles import PG15, PG17, PGPROXY, find


@pytest.mark.parametrize(
    "name",
    [
        "shared_buffers",
        "DateStyle",
        "TimeZone",
        "ssl_groups",
        "io_method",  # new in 18
        "transaction_timeout",  # 17
        "logical_replication_mode",  # 16 alone
        "promote_trigger_file",  # 15
        "session_authorization",  # not shown
        "wal_debug",  # only in a build for it
    ],
)
def test_names(name: str) -> None:
    assert name in NAMES


def test_how_many() -> None:
    """A name that is lost is a postgresql.conf that is refused."""
    assert len(NAMES) == 429


@pytest.mark.parametrize("name", ["include", "pgproxy.log_format", "ssl_ecdh_curve"])
def test_what_is_no_name(name: str) -> None:
    assert name not in NAMES


def test_old_names() -> None:
    """TLS-10."""
    assert OLD_NAMES["ssl_ecdh_curve"] == "ssl_groups"
    assert set(OLD_NAMES.values()) <= NAMES
    assert not set(OLD_NAMES) & NAMES


def test_what_has_no_prefix_is_a_name_of_postgresql() -> None:
    assert {name for name in GUCS if "." not in name} <= NAMES


@pytest.mark.interop
@pytest.mark.parametrize("server", [PGPROXY, PG17, PG15])
def test_what_a_server_knows(server: str) -> None:
    """What is behind pgproxy is an 18."""
    postgres = find(server).bin_dir / "postgres"
    known = subprocess.run(
        [postgres, "--describe-config"], capture_output=True, check=True, text=True
    ).stdout.splitlines()
    names = {line.split("\t")[0] for line in known}
    assert len(names) > 300
    # extension_destdir is a patch of Debian's.
    assert names - set(OLD_NAMES) - {"extension_destdir"} <= NAMES
