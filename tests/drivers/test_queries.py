"""What drivers do once they are in: all of it is the backend's, and passes unseen."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pg8000.native
import psycopg
import pytest
import pytest_asyncio
from psycopg import errors

from tests.support.drivers_base import Login
from tests.support.drivers_clients import (
    Psql,
    Psql15,
    Psql17,
    connect_asyncpg,
    connect_pg8000,
)

pytestmark = pytest.mark.interop

ROWS = 100_000
MEGABYTE = 1 << 20
# Not the same in any two places, so that nothing can be missing or change places.
BIG = b"".join(
    hashlib.sha256(n.to_bytes(4)).digest() for n in range(5 * MEGABYTE // 32)
)


def digest(values: list[tuple[int, str]]) -> str:
    """Return a hash of *values*."""
    return hashlib.sha256(repr(values).encode()).hexdigest()


MANY_ROWS = f"SELECT g, md5(g::text) FROM generate_series(1, {ROWS}) AS g"
MANY_ROWS_DIGEST = digest(
    [
        (n, hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest())
        for n in range(1, ROWS + 1)
    ]
)


@pytest.fixture
def libpq(login: Login) -> Iterator[psycopg.Connection]:
    """Return a session of psycopg."""
    with psycopg.connect(login.conninfo(), autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def aio(login: Login) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Return a session of asyncpg."""
    connection = await connect_asyncpg(login)
    yield connection
    await connection.close()


@pytest.fixture
def python(login: Login) -> Iterator[Any]:
    """Return a session of pg8000."""
    connection = connect_pg8000(login)
    yield connection
    connection.close()


class TestPsycopg:
    def test_many_rows(self, libpq: psycopg.Connection) -> None:
        rows = libpq.execute(MANY_ROWS).fetchall()
        assert digest(rows) == MANY_ROWS_DIGEST

    @pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
    def test_big_value_both_ways(self, libpq: psycopg.Connection, binary: bool) -> None:
        placeholder = "%b" if binary else "%t"
        query = f"SELECT {placeholder}::bytea".encode()
        row = libpq.cursor(binary=binary).execute(query, [BIG]).fetchone()
        assert row == (BIG,)

    def test_cursor_on_the_server(self, libpq: psycopg.Connection) -> None:
        with libpq.transaction(), libpq.cursor("rows") as cursor:
            cursor.execute(MANY_ROWS)
            cursor.itersize = 10_000
            assert digest(list(cursor)) == MANY_ROWS_DIGEST

    def test_prepared(self, libpq: psycopg.Connection) -> None:
        for n in range(10):
            row = libpq.execute("SELECT %s + 1", [n], prepare=True).fetchone()
            assert row == (n + 1,)
        names = libpq.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
        assert names == (1,)

    def test_pipeline(self, libpq: psycopg.Connection) -> None:
        """Many questions before the first answer."""
        with libpq.pipeline():
            cursors = [libpq.execute("SELECT %s::int", [n]) for n in range(500)]
        assert [one.fetchone() for one in cursors] == [(n,) for n in range(500)]

    def test_error_in_pipeline(self, libpq: psycopg.Connection) -> None:
        """What stands behind it is skipped; the session goes on."""
        libpq.execute("CREATE TEMP TABLE t (n int)")

        def ask() -> None:
            with libpq.pipeline():
                libpq.execute("INSERT INTO t VALUES (1)")
                libpq.execute("SELECT 1/0")
                libpq.execute("INSERT INTO t VALUES (2)")

        with pytest.raises(errors.DivisionByZero):
            ask()
        assert libpq.execute("SELECT count(*) FROM t").fetchone() == (0,)

    def test_pipeline_full_both_ways(self, libpq: psycopg.Connection) -> None:
        """Neither side waits for the other while both have much to say (PRX-12)."""
        half = BIG[: MEGABYTE // 2]
        with libpq.pipeline():
            cursors = [
                libpq.execute("SELECT %b::bytea", [half], binary=True)
                for _ in range(20)
            ]
        assert all(cursor.fetchone() == (half,) for cursor in cursors)

    def test_transactions(self, libpq: psycopg.Connection) -> None:
        libpq.execute("CREATE TEMP TABLE t (n int PRIMARY KEY)")
        with libpq.transaction():
            libpq.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(errors.UniqueViolation), libpq.transaction():
                libpq.execute("INSERT INTO t VALUES (2), (1)")
            libpq.execute("INSERT INTO t VALUES (3)")
        with libpq.transaction(force_rollback=True):
            libpq.execute("INSERT INTO t VALUES (4)")
        rows = libpq.execute("SELECT n FROM t ORDER BY n").fetchall()
        assert rows == [(1,), (3,)]

    @pytest.mark.parametrize(
        ("sql", "sqlstate", "message"),
        [
            ("SELEC 1", "42601", 'syntax error at or near "SELEC"'),
            ("SELECT 1/0", "22012", "division by zero"),
            ("SELECT * FROM nowhere", "42P01", 'relation "nowhere" does not exist'),
            ("SELECT pg_read_file('x')", "42501", "permission denied for function "),
        ],
    )
    def test_errors(
        self, libpq: psycopg.Connection, sql: str, sqlstate: str, message: str
    ) -> None:
        """With all their fields; and the session goes on."""
        with pytest.raises(psycopg.Error) as caught:
            libpq.execute(sql.encode())
        diag = caught.value.diag
        assert (diag.severity_nonlocalized, diag.sqlstate) == ("ERROR", sqlstate)
        assert (diag.message_primary or "").startswith(message)
        assert diag.source_file
        assert libpq.execute("SELECT 1").fetchone() == (1,)

    def test_notices(self, libpq: psycopg.Connection) -> None:
        said: list[str | None] = []
        libpq.add_notice_handler(lambda diag: said.append(diag.message_primary))
        libpq.execute("DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")
        assert said == ["by the way"]


class TestAsyncpg:
    @pytest.mark.asyncio
    async def test_many_rows(self, aio: "asyncpg.Connection[asyncpg.Record]") -> None:
        rows = await aio.fetch(MANY_ROWS)
        assert digest([(row[0], row[1]) for row in rows]) == MANY_ROWS_DIGEST

    @pytest.mark.asyncio
    async def test_big_value_both_ways(
        self, aio: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        assert await aio.fetchval("SELECT $1::bytea", BIG) == BIG

    @pytest.mark.asyncio
    async def test_prepared(self, aio: "asyncpg.Connection[asyncpg.Record]") -> None:
        statement = await aio.prepare("SELECT $1::int + 1")
        assert [await statement.fetchval(n) for n in range(10)] == [*range(1, 11)]

    @pytest.mark.asyncio
    async def test_executemany(self, aio: "asyncpg.Connection[asyncpg.Record]") -> None:
        await aio.execute("CREATE TEMP TABLE t (n int)")
        await aio.executemany("INSERT INTO t VALUES ($1)", [(n,) for n in range(5000)])
        assert await aio.fetchval("SELECT sum(n) FROM t") == sum(range(5000))

    @pytest.mark.asyncio
    async def test_transactions(
        self, aio: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        await aio.execute("CREATE TEMP TABLE t (n int)")
        transaction = aio.transaction()
        await transaction.start()
        await aio.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(asyncpg.DivisionByZeroError) as caught:
            await aio.fetchval("SELECT 1/0")
        assert caught.value.sqlstate == "22012"
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await aio.fetchval("SELECT 1")
        await transaction.rollback()
        assert await aio.fetchval("SELECT count(*) FROM t") == 0


class TestPg8000:
    def test_many_rows(self, python: Any) -> None:
        rows = python.run(MANY_ROWS)
        assert digest([(row[0], row[1]) for row in rows]) == MANY_ROWS_DIGEST

    def test_big_value_both_ways(self, python: Any) -> None:
        assert python.run("SELECT CAST(:value AS bytea)", value=BIG) == [[BIG]]

    def test_prepared(self, python: Any) -> None:
        statement = python.prepare("SELECT CAST(:n AS int) + 1")
        assert [statement.run(n=n)[0][0] for n in range(10)] == [*range(1, 11)]
        statement.close()

    def test_errors(self, python: Any) -> None:
        python.run("BEGIN")
        with pytest.raises(pg8000.native.DatabaseError) as caught:
            python.run("SELECT 1/0")
        assert caught.value.args[0]["C"] == "22012"
        with pytest.raises(pg8000.native.DatabaseError) as caught:
            python.run("SELECT 1")
        assert caught.value.args[0]["C"] == "25P02"
        python.run("ROLLBACK")
        assert python.run("SELECT 1") == [[1]]


@pytest.mark.parametrize("psql", [Psql15(), Psql17()], ids=lambda psql: psql.name)
class TestPsql:
    def test_script(self, login: Login, psql: Psql) -> None:
        script = (
            "CREATE TEMP TABLE t (n int);\n"
            "INSERT INTO t SELECT * FROM generate_series(1, 1000);\n"
            "BEGIN; DELETE FROM t; ROLLBACK;\n"
            "SELECT count(*), sum(n) FROM t;\n"
        )
        done = psql.run(login.conninfo(), stdin=script)
        assert (done.stdout, done.stderr) == ("1000|500500\n", "")

    def test_many_rows(self, login: Login, psql: Psql) -> None:
        done = psql.run(login.conninfo(), "-c", MANY_ROWS)
        lines = (line.partition("|") for line in done.stdout.splitlines())
        assert digest([(int(n), text) for n, _, text in lines]) == MANY_ROWS_DIGEST

    def test_error(self, login: Login, psql: Psql) -> None:
        script = "\\set VERBOSITY verbose\nSELECT 1/0;\n"
        done = psql.run(login.conninfo(), stdin=script)
        assert done.returncode == 3
        assert "ERROR:  22012: division by zero" in done.stderr

    def test_reconnect(self, login: Login, psql: Psql) -> None:
        r"""``\c`` logs in again before it leaves."""
        script = "\\c template1\nSELECT current_database();\n"
        done = psql.run(login.conninfo(), stdin=script)
        assert (done.stdout, done.stderr) == ("template1\n", "")
