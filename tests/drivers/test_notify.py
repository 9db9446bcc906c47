"""LISTEN and NOTIFY: what the backend says without having been asked."""

import asyncio

import psycopg
import pytest

from tests.support.drivers_base import TIMEOUT, Login
from tests.support.drivers_clients import Psql17, connect_asyncpg, connect_pg8000

pytestmark = pytest.mark.interop

# pg_notify takes up to 7999 bytes.
PAYLOADS = ["hello", "", "x" * 7999]


def notify(login: Login) -> None:
    """Send `PAYLOADS` to the channel ``news``, as somebody else."""
    with psycopg.connect(login.but(user="tom").conninfo()) as connection:
        for payload in PAYLOADS:
            connection.execute("SELECT pg_notify('news', %s)", [payload])


def test_psycopg(login: Login) -> None:
    """An idle session is woken."""
    with psycopg.connect(login.conninfo(), autocommit=True) as connection:
        connection.execute("LISTEN news")
        notify(login)
        heard = connection.notifies(timeout=TIMEOUT, stop_after=len(PAYLOADS))
        assert [one.payload for one in heard] == PAYLOADS


@pytest.mark.asyncio
async def test_asyncpg(login: Login) -> None:
    """An idle session is woken."""
    heard: asyncio.Queue[object] = asyncio.Queue()
    connection = await connect_asyncpg(login)
    try:
        await connection.add_listener(
            "news",
            lambda _connection, _pid, _channel, payload: heard.put_nowait(payload),
        )
        await asyncio.to_thread(notify, login)
        async with asyncio.timeout(TIMEOUT):
            assert [await heard.get() for _ in PAYLOADS] == PAYLOADS
    finally:
        await connection.close()


def test_pg8000(login: Login) -> None:
    """It looks when it asks something itself."""
    connection = connect_pg8000(login)
    try:
        connection.run("LISTEN news")
        notify(login)
        connection.run("SELECT 1")
        assert [payload for _pid, _channel, payload in connection.notifications] == (
            PAYLOADS
        )
    finally:
        connection.close()


def test_psql(login: Login) -> None:
    """It looks after each command of its own."""
    script = "LISTEN news;\nNOTIFY news, 'hello';\n"
    done = Psql17().run(login.conninfo(), stdin=script)
    assert 'Asynchronous notification "news" with payload "hello"' in done.stdout
