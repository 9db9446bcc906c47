"""Replication: logical and physical, which pg_hba.conf tells apart (HBA-74)."""

import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

from tests.support import oracles
from tests.support.drivers_base import TIMEOUT, Login
from tests.support.drivers_clients import ENVIRONMENT, run
from tests.support.drivers_servers import HBA, LogWatch
from tests.support.endpoints import Endpoint, wait_until
from tests.support.oracles import PG15, PG17, PGPROXY
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

LINES = HBA.splitlines()
LOGICAL_LINE = 1 + LINES.index("host      all rex  127.0.0.1/32 trust")
PHYSICAL_LINE = 1 + LINES.index("host      replication rex 127.0.0.1/32 trust")

CHANGE = "table rex.t: INSERT: n[integer]:1 word[text]:'one'"


def succeed(kind: str, program: str, *arguments: str | Path) -> str:
    """Run a program of the PostgreSQL *kind*, and return what it says."""
    done = run(oracles.find(kind), program, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def way_in(line: int) -> list[str]:
    """Return what is logged of a walsender that comes in by *line* of pg_hba.conf."""
    where = f"(pg_hba.conf:{line})"
    return [
        "SSLRequest accepted",
        f'connection authenticated: user="rex" method=trust {where}',
        "replication connection authorized: user=rex SSL enabled (protocol=TLSv1.3)",
    ]


@pytest.fixture
def rex(login: Login) -> Login:
    """Return how to log in as the role for replication."""
    return login.but(user="rex")


@pytest.fixture
def table(rex: Login) -> Iterator[psycopg.Connection]:
    """Return a session in which there is a table ``t``."""
    with psycopg.connect(rex.conninfo(), autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS t")
        connection.execute("CREATE TABLE t (n int PRIMARY KEY, word text)")
        yield connection
        connection.execute("DROP TABLE t")


def test_logical(server: Endpoint, rex: Login, table: psycopg.Connection) -> None:
    """A slot, a change, the change as the slot tells it; then a status the other way."""
    watch = LogWatch(server)
    conninfo = rex.conninfo(replication="database")
    with psycopg.connect(conninfo, autocommit=True) as walsender:
        pgconn = walsender.pgconn
        created = pgconn.exec_(
            b"CREATE_REPLICATION_SLOT changes TEMPORARY LOGICAL test_decoding"
        )
        assert created.status == ExecStatus.TUPLES_OK, created.error_message
        table.execute("INSERT INTO t VALUES (1, 'one')")
        started = pgconn.exec_(b"START_REPLICATION SLOT changes LOGICAL 0/0")
        assert started.status == ExecStatus.COPY_BOTH, started.error_message
        changes: list[str] = []
        start = 0
        while not changes or not changes[-1].startswith("COMMIT"):
            data = bytes(pgconn.get_copy_data(0)[1])
            if data.startswith(b"w"):
                # XLogData: start, end, clock; then what the plugin says.
                (start,) = struct.unpack_from(">q", data, 1)
                changes.append(data[25:].decode())
        assert changes[1] == CHANGE
        # Standby status update: written, flushed, applied, clock; and "answer me".
        pgconn.put_copy_data(b"r" + struct.pack(">qqqqb", start, start, start, 0, 1))
        pgconn.flush()
        while not bytes(pgconn.get_copy_data(0)[1]).startswith(b"k"):
            pass
        pgconn.put_copy_end()
        while pgconn.get_copy_data(0)[0] > 0:
            pass
        ended = [result.status for result in iter(pgconn.get_result, None)]
        assert ended[-1] == ExecStatus.COMMAND_OK
    assert watch.connection().way_in[:3] == way_in(LOGICAL_LINE)


@pytest.mark.parametrize("kind", [PG15, PG17])
def test_pg_recvlogical(rex: Login, table: psycopg.Connection, kind: str) -> None:
    """The program, of versions that know TLS."""
    base = ["-d", rex.conninfo(), "--slot", f"recvlogical_{kind}"]
    succeed(kind, "pg_recvlogical", *base, "--create-slot", "-P", "test_decoding")
    try:
        table.execute("INSERT INTO t VALUES (1, 'one')")
        row = table.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
        until = ["-f", "-", "--endpos", row[0]]
        said = succeed(kind, "pg_recvlogical", *base, "--start", "--no-loop", *until)
    finally:
        succeed(kind, "pg_recvlogical", *base, "--drop-slot")
    assert CHANGE in said.splitlines()


def test_identify_system(server: Endpoint, rex: Login) -> None:
    """A physical walsender has no database (NEG-53), and a line of its own."""
    watch = LogWatch(server)
    conninfo = rex.conninfo(replication="true")
    with psycopg.connect(conninfo, autocommit=True) as walsender:
        system = walsender.pgconn.exec_(b"IDENTIFY_SYSTEM")
        assert system.status == ExecStatus.TUPLES_OK, system.error_message
        assert system.get_value(0, 1) == b"1"
        assert system.get_value(0, 3) is None
    assert watch.connection().way_in == way_in(PHYSICAL_LINE)


def back_up(kind: str, conninfo: str, folder: Path) -> None:
    """Take a base backup with its WAL, over two connections, and verify it."""
    options = ["--checkpoint=fast", "--wal-method=stream", "--no-sync"]
    succeed(kind, "pg_basebackup", "-d", conninfo, "-D", folder, *options)
    succeed(kind, "pg_verifybackup", "-e", folder)


def test_base_backup_without_tls(proxy: Endpoint, pki: Pki, tmp_path: Path) -> None:
    """PostgreSQL 18, whose programs here are built without TLS."""
    login = Login(port=proxy.port, root_file=pki.root_file, user="rex")
    back_up(PGPROXY, login.conninfo(sslmode="disable"), tmp_path / "b")


@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
def test_base_backup(proxy17: Endpoint, pki: Pki, tmp_path: Path, direct: bool) -> None:
    """PostgreSQL 17, in TLS."""
    login = Login(port=proxy17.port, root_file=pki.root_file, user="rex", direct=direct)
    back_up(PG17, login.conninfo(), tmp_path / "backup")


def test_pg_receivewal(proxy17: Endpoint, pki: Pki, tmp_path: Path) -> None:
    """The WAL as it is written, until somebody presses Ctrl-C."""
    conninfo = Login(port=proxy17.port, root_file=pki.root_file, user="rex").conninfo()
    program = str(oracles.find(PG17).bin_dir / "pg_receivewal")
    options = ["--no-loop", "--no-sync", "-d", conninfo, "-D", str(tmp_path)]
    with (
        subprocess.Popen([program, *options], env=ENVIRONMENT) as process,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):

        def has_come() -> bool:
            # Each time anew: it may not have begun to listen.
            connection.execute(
                "SELECT pg_logical_emit_message(true, 'test', 'find ' || 'me')"
            )
            return any(b"find me" in file.read_bytes() for file in tmp_path.iterdir())

        try:
            wait_until(has_come, lambda: "pg_receivewal writes nothing")
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
