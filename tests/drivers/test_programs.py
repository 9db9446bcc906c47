"""PostgreSQL's own programs: many sessions at once, and long ones."""

import re
from pathlib import Path

import psycopg
import pytest

from tests.support import oracles
from tests.support.drivers_base import Login
from tests.support.drivers_clients import run
from tests.support.drivers_servers import LogWatch
from tests.support.endpoints import Endpoint
from tests.support.oracles import PG17
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

CLIENTS = 16


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Return a script for pgbench, with answers of very different lengths."""
    path = tmp_path / "script.sql"
    path.write_text(
        "\\set size random(1, 100000)\nSELECT length(repeat('x', :size)), "
        "repeat('y', :size);\nBEGIN;\nSELECT :size;\nEND;\n"
    )
    return path


@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(proxy_login: Login, script: Path, mode: str, direct: bool) -> None:
    """Sessions side by side do not get into each other's way."""
    login = proxy_login.but(direct=direct)
    scale = ["-c", str(CLIENTS), "-j", "2", "-t", "20", "-M", mode]
    done = run(
        oracles.find(PG17),
        *("pgbench", "-n", "-f", str(script), *scale, login.conninfo()),
    )
    assert done.returncode == 0, done.stderr
    assert processed(done.stdout) == (CLIENTS * 20, CLIENTS * 20)


def test_pgbench_that_logs_in_each_time(
    proxy: Endpoint, proxy_login: Login, script: Path
) -> None:
    """A login for each transaction, and several at a time."""
    watch = LogWatch(proxy)
    scale = ["-C", "-c", str(CLIENTS), "-j", "2", "-t", "10"]
    done = run(
        oracles.find(PG17),
        *("pgbench", "-n", "-f", str(script), *scale, proxy_login.conninfo()),
    )
    assert done.returncode == 0, done.stderr
    assert processed(done.stdout) == (CLIENTS * 10, CLIENTS * 10)
    logins = [one for one in watch.connections() if "authorized" in one.messages[-1]]
    # One more, with which it looks around first.
    assert len(logins) == CLIENTS * 10 + 1


def processed(said: str) -> tuple[int, int]:
    """Return how many transactions were processed, and how many there should be."""
    found = re.search(r"actually processed: (\d+)/(\d+)", said)
    assert found, said
    return int(found[1]), int(found[2])


def test_pg_dump(proxy17: Endpoint, pki: Pki, tmp_path: Path) -> None:
    """Two sessions that share a snapshot; and what they have read, written again."""
    login = Login(port=proxy17.port, root_file=pki.root_file, user="rex")
    where, conninfo, folder = oracles.find(PG17), login.conninfo(), tmp_path / "dump"
    rows = "SELECT count(*), md5(string_agg(word, '' ORDER BY n)) FROM dumped"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE dumped AS SELECT n, repeat(md5(n::text), 10) AS word "
            "FROM generate_series(1, 20000) AS n"
        )
        before = connection.execute(rows).fetchone()
        options = ["-Fd", "-j", "2", "-n", "rex", "-f", str(folder)]
        done = run(where, "pg_dump", *options, "-d", conninfo)
        assert done.returncode == 0, done.stderr
        connection.execute("DROP TABLE dumped")
        options = ["-j", "2", "-t", "dumped", "-d", conninfo]
        done = run(where, "pg_restore", *options, str(folder))
        assert done.returncode == 0, done.stderr
        assert connection.execute(rows).fetchone() == before
        connection.execute("DROP TABLE dumped")


def test_pg_isready(server: Endpoint, login: Login) -> None:
    """It asks for a session, and leaves when it is asked for a password."""
    done = run(oracles.find(PG17), "pg_isready", "-d", login.conninfo())
    assert done.stdout == f"127.0.0.1:{server.port} - accepting connections\n"
