"""How sessions end: by the client, by the backend, and by accident."""

import subprocess

import asyncpg
import psycopg
import pytest

from tests.support.drivers_base import Login
from tests.support.drivers_clients import ENVIRONMENT, Psql17, connect_asyncpg
from tests.support.drivers_servers import LogWatch
from tests.support.endpoints import Endpoint, wait_until

pytestmark = pytest.mark.interop

NAME = "the one who leaves"


def wait_for_sessions(login: Login, *, condition: str = "true", count: int) -> None:
    """Wait until the backend has *count* sessions called `NAME`."""
    with psycopg.connect(login.conninfo(), autocommit=True) as observer:

        def is_so() -> bool:
            row = observer.execute(
                f"SELECT count(*) FROM pg_stat_activity "
                f"WHERE application_name = '{NAME}' AND {condition}".encode()
            ).fetchone()
            return row == (count,)

        wait_until(is_so, lambda: f"there are not {count} sessions")


def terminate(login: Login, pid: int) -> None:
    """Have the backend end the session *pid*."""
    with psycopg.connect(login.conninfo(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
def test_close(server: Endpoint, login: Login, direct: bool) -> None:
    """Nothing is left behind, and nothing complained of."""
    watch = LogWatch(server)
    conninfo = login.but(direct=direct).conninfo(application_name=NAME)
    psycopg.connect(conninfo).close()
    wait_for_sessions(login, count=0)
    assert "connection authorized" in watch.connections()[0].messages[-1]


@pytest.mark.parametrize(
    ("sql", "condition"),
    [
        ("BEGIN", "state = 'idle in transaction'"),
        (
            "SET client_connection_check_interval = '50ms'; SELECT pg_sleep(60)",
            "wait_event = 'PgSleep'",
        ),
    ],
    ids=["in a transaction", "in a query"],
)
@pytest.mark.parametrize("mode", ["disable", "verify-full"])
def test_killed_client(login: Login, mode: str, sql: str, condition: str) -> None:
    """
    The backend learns that its client is gone, and lets go of what it holds.

    In the middle of a query it only learns it if it looks, and there is nobody in
    between who would keep up appearances.
    """
    login = login.but(user="tom")
    conninfo = login.conninfo(application_name=NAME, sslmode=mode)
    psql = Psql17().command(conninfo)
    with subprocess.Popen(
        psql, stdin=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(f"{sql};\n")
            process.stdin.flush()
            wait_for_sessions(login, condition=condition, count=1)
        finally:
            process.kill()
    wait_for_sessions(login, count=0)


def test_terminated(login: Login) -> None:
    """The backend's last words reach the client (PRX-11)."""
    with psycopg.connect(login.conninfo(), autocommit=True) as connection:
        terminate(login, connection.info.backend_pid)
        with pytest.raises(psycopg.errors.AdminShutdown) as caught:
            connection.execute("SELECT 1")
        assert caught.value.sqlstate == "57P01"
        assert connection.closed


@pytest.mark.asyncio
async def test_terminated_asyncpg(login: Login) -> None:
    """The same, for a client that listens all the time."""
    connection = await connect_asyncpg(login)
    async with connection.transaction():
        pass
    pid = connection.get_server_pid()
    with pytest.raises(
        (asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)
    ):
        await connection.execute(f"SELECT pg_terminate_backend({pid})")
    assert connection.is_closed()


def test_idle_too_long(login: Login) -> None:
    """A client that says nothing is told when it speaks."""
    conninfo = login.conninfo(application_name=NAME)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET idle_session_timeout = '20ms'")
        wait_for_sessions(login, count=0)
        with pytest.raises(psycopg.errors.IdleSessionTimeout):
            connection.execute("SELECT 1")


@pytest.mark.parametrize(
    ("rows", "condition", "error"),
    [
        (1000, "wait_event = 'PgSleep'", psycopg.errors.AdminShutdown),
        (200_000, "wait_event = 'ClientWrite'", psycopg.OperationalError),
    ],
    ids=["the backend waits", "the client is slow"],
)
def test_terminated_while_it_reads(
    login: Login, rows: int, condition: str, error: type[psycopg.Error]
) -> None:
    """
    What was sent before is delivered, and then the last words.

    A backend that is stuck with what it has to say may have none
    (ProcessClientWriteInterrupt in postgres.c), but it is gone.
    """
    copy_out = (
        f"COPY (SELECT repeat('x', 1000) FROM generate_series(1, {rows}) "
        "UNION ALL SELECT pg_sleep(60)::text) TO STDOUT"
    )
    conninfo = login.conninfo(application_name=NAME)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        pid, received = connection.info.backend_pid, 0

        def read() -> None:
            nonlocal received
            with connection.cursor().copy(copy_out.encode()) as copy:
                for data in copy:
                    if not received:
                        wait_for_sessions(login, condition=condition, count=1)
                        terminate(login, pid)
                    received += len(data)

        with pytest.raises(error):
            read()
        if error is psycopg.errors.AdminShutdown:
            assert received == rows * 1001
