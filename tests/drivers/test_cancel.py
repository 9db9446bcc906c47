"""Cancelling a query, in clear and in TLS, with short keys and with long ones."""

import asyncio
import os
import pty
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import psycopg
import pytest

from tests.support.drivers_base import TIMEOUT, Login
from tests.support.drivers_clients import (
    ENVIRONMENT,
    Psql,
    Psql15,
    Psql17,
    connect_asyncpg,
)
from tests.support.drivers_servers import LogWatch
from tests.support.endpoints import Endpoint, wait_until

pytestmark = pytest.mark.interop

SLEEP = "SELECT pg_sleep(60)"
CANCELED = "canceling statement due to user request"

ASKED = ["SSLRequest accepted"]
DIRECT = ["direct SSL connection accepted"]


def wait_for_sleep(login: Login, name: str) -> None:
    """Wait until the session that calls itself *name* sleeps."""
    with psycopg.connect(login.conninfo(), autocommit=True) as observer:

        def sleeps() -> bool:
            row = observer.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE application_name = %s AND wait_event = 'PgSleep'",
                [name],
            ).fetchone()
            return row == (1,)

        wait_until(sleeps, lambda: f"{name} does not sleep")


@pytest.mark.parametrize("protocol", ["3.0", "3.2"])
@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
@pytest.mark.parametrize(
    ("cancel", "in_tls"),
    [
        (psycopg.Connection.cancel, False),
        (psycopg.Connection.cancel_safe, True),
    ],
    ids=["PQcancel", "PQcancelBlocking"],
)
def test_psycopg(
    server: Endpoint,
    login: Login,
    cancel: Callable[[psycopg.Connection], None],
    in_tls: bool,
    direct: bool,
    protocol: str,
) -> None:
    """
    PQcancel asks in clear, its successor the way the session came (CAN-08).

    A session of protocol 3.2 has a key of 32 bytes, and no other than that one will
    do (CAN-03).
    """
    settings = {"max_protocol_version": protocol, "application_name": "sleeper"}
    conninfo = login.but(direct=direct).conninfo(**settings)
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(conninfo, autocommit=True) as connection,
    ):
        assert (
            connection.info.full_protocol_version
            == {"3.0": 30000, "3.2": 30002}[protocol]
        )
        query = pool.submit(connection.execute, SLEEP)
        wait_for_sleep(login, "sleeper")
        watch = LogWatch(server)
        cancel(connection)
        with pytest.raises(psycopg.errors.QueryCanceled, match=CANCELED) as caught:
            query.result(TIMEOUT)
        assert caught.value.sqlstate == "57014"
        in_clear: list[str] = []
        way = (DIRECT if direct else ASKED) if in_tls else in_clear
        assert watch.connection().way_in == way
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
@pytest.mark.asyncio
async def test_asyncpg(server: Endpoint, login: Login, direct: bool) -> None:
    """It always asks for TLS first, even if the session did not (CAN-05)."""
    connection = await connect_asyncpg(login.but(direct=direct))
    try:
        await connection.execute("SET application_name = 'sleeper'")
        async with asyncio.TaskGroup() as tasks:
            query = tasks.create_task(connection.fetchval(SLEEP))
            await asyncio.to_thread(wait_for_sleep, login, "sleeper")
            watch = LogWatch(server)
            query.cancel()
            await asyncio.wait([query], timeout=TIMEOUT)
        assert query.cancelled()
        # It is only ready again when the backend has told of the end.
        assert await connection.fetchval("SELECT 1") == 1
        (cancel,) = await asyncio.to_thread(watch.connections)
        assert cancel.way_in == ASKED
    finally:
        await connection.close()


@pytest.mark.asyncio
async def test_asyncpg_timeout(login: Login) -> None:
    """A time limit of the driver is a cancel request, too."""
    connection = await connect_asyncpg(login)
    try:
        with pytest.raises(TimeoutError):
            await connection.fetchval(SLEEP, timeout=0.1)
        assert await connection.fetchval("SELECT 1") == 1
        assert isinstance(connection, asyncpg.Connection)
    finally:
        await connection.close()


@pytest.mark.parametrize("psql", [Psql15(), Psql17()], ids=lambda psql: psql.name)
def test_psql(server: Endpoint, login: Login, psql: Psql) -> None:
    """Ctrl-C: from a signal handler only PQcancel can be called, in clear (CAN-08)."""
    command = psql.command(login.conninfo(application_name="sleeper"), "-n")
    # In a terminal, because out of a script it leaves after Ctrl-C.
    terminal, slave = pty.openpty()
    with subprocess.Popen(
        [*command, "-P", "pager=off", "-v", "VERBOSITY=verbose"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=ENVIRONMENT,
    ) as process:
        os.close(slave)
        try:
            os.write(terminal, f"{SLEEP};\n".encode())
            wait_for_sleep(login, "sleeper")
            watch = LogWatch(server)
            process.send_signal(signal.SIGINT)
            os.write(terminal, b"SELECT 'on it ' || 'goes';\n\\q\n")
            process.wait(TIMEOUT)
        finally:
            process.kill()
    said = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert f"ERROR:  57014: {CANCELED}" in said
    assert "on it goes" in said
    assert watch.connection().way_in == []


def test_only_its_own(login: Login) -> None:
    """The key says whose query it is that ends (CAN-03)."""
    with (
        ThreadPoolExecutor() as pool,
        psycopg.connect(login.conninfo(application_name="first")) as first,
        psycopg.connect(login.conninfo(application_name="second")) as second,
    ):
        queries = [pool.submit(one.execute, SLEEP) for one in (first, second)]
        for name in ("first", "second"):
            wait_for_sleep(login, name)
        for n, one in ((1, second), (0, first)):
            one.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                queries[n].result(TIMEOUT)
            assert not any(query.running() for query in queries[n:])
            assert all(query.running() for query in queries[:n])
