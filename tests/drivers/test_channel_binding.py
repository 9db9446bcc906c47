"""
Channel binding, which a proxy that ends TLS cannot pass on (SCR-07 to SCR-09).

PostgreSQL offers SCRAM-SHA-256-PLUS inside TLS; the backend behind pgproxy, which is
spoken to in clear, does not.
"""

import signal

import psycopg
import pytest

from tests.support.drivers_base import Login
from tests.support.drivers_clients import (
    Psql,
    Psql15,
    Psql17,
    connect_asyncpg,
    connect_pg8000,
)
from tests.support.drivers_servers import Connection, LogWatch
from tests.support.endpoints import Endpoint, wait_until
from tests.support.oracles import PGPROXY

pytestmark = pytest.mark.interop

NOT_OFFERED = (
    "channel binding is required, but server did not offer an authentication method "
    "that supports channel binding"
)


def forget(server: Endpoint) -> None:
    """Have it tell again what it tells once of each user: a reload does."""
    before = len(server.log_text())
    server.signal(signal.SIGHUP)
    wait_until(
        lambda: "configuration was reloaded" in server.log_text()[before:],
        server.log_text,
    )


def is_explained(connection: Connection) -> bool:
    """Whether the log says what is missing, and what to do about it."""
    return any(
        line.severity == "LOG"
        and "SCRAM without channel binding" in line.message
        and "channel_binding=prefer" in (line.hint or "")
        for line in connection.lines
    )


@pytest.mark.parametrize("mode", ["disable", "prefer"])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_not_required(login: Login, mode: str, version: str) -> None:
    """A client that could, and one that would not (SCR-07, SCR-08)."""
    conninfo = login.conninfo(
        channel_binding=mode,
        ssl_min_protocol_version=version,
        ssl_max_protocol_version=version,
    )
    with psycopg.connect(conninfo) as connection:
        assert connection.pgconn.used_password


def test_required(server: Endpoint, login: Login) -> None:
    """The client gives up, in its own words; the log has ours (SCR-09)."""
    watch = LogWatch(server)
    conninfo = login.conninfo(channel_binding="require")
    if server.kind != PGPROXY:
        with psycopg.connect(conninfo) as connection:
            assert connection.pgconn.used_password
        assert not is_explained(watch.connection())
        return
    forget(server)
    for told in (True, False):  # once is enough, and a monitor knocks all day
        watch = LogWatch(server)
        with pytest.raises(psycopg.OperationalError, match=NOT_OFFERED):
            psycopg.connect(conninfo)
        assert is_explained(watch.connection()) is told


@pytest.mark.parametrize("psql", [Psql15(), Psql17()], ids=lambda psql: psql.name)
def test_required_by_psql(proxy: Endpoint, proxy_login: Login, psql: Psql) -> None:
    """Older ones say the same."""
    forget(proxy)
    watch = LogWatch(proxy)
    done = psql.run(proxy_login.conninfo(channel_binding="require"), "-c", "SELECT 1")
    assert done.returncode == 2
    assert NOT_OFFERED in done.stderr
    assert is_explained(watch.connection())


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("mo", "required but not supported by server's authentication request"),
        ("tom", "required, but server authenticated client without channel binding"),
    ],
)
def test_required_of_other_methods(
    server: Endpoint, login: Login, user: str, text: str
) -> None:
    """That is between the client and the line, and no other with PostgreSQL (SCR-15)."""
    watch = LogWatch(server)
    conninfo = login.but(user=user).conninfo(channel_binding="require")
    with pytest.raises(psycopg.OperationalError, match=f"channel binding {text}"):
        psycopg.connect(conninfo)
    assert not is_explained(watch.connection())


def test_wrong_password_is_not_explained_so(
    proxy: Endpoint, proxy_login: Login
) -> None:
    """Who went on with SCRAM does not miss anything."""
    watch = LogWatch(proxy)
    login = proxy_login.but(password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication"):
        psycopg.connect(login.conninfo())
    assert not is_explained(watch.connection())


def test_pg8000(login: Login) -> None:
    """It binds where it can, and says so where the server cannot (SCR-16)."""
    connection = connect_pg8000(login)
    try:
        assert connection.run("SELECT 1") == [[1]]
    finally:
        connection.close()


@pytest.mark.asyncio
async def test_asyncpg(login: Login) -> None:
    """It never binds: its flag is ``n`` (SCR-16)."""
    connection = await connect_asyncpg(login)
    try:
        assert await connection.fetchval("SELECT 1") == 1
    finally:
        await connection.close()
