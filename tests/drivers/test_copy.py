"""COPY: the longest streams there are, in either direction."""

import hashlib
from pathlib import Path

import psycopg
import pytest

from tests.drivers.test_queries import MANY_ROWS, ROWS
from tests.support.drivers_base import Login
from tests.support.drivers_clients import Psql, Psql15, Psql17, connect_asyncpg

pytestmark = pytest.mark.interop

LINES = 100_000
"""Of a kilobyte each: 100 MB."""


def line(number: int) -> bytes:
    """Return a line of COPY's text format; no two are alike."""
    value = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    return b"%d\t%b\n" % (number, value.encode() * 32)


SERIES = (
    "SELECT g, repeat(md5(g::text), 32) AS value "
    f"FROM generate_series(0, {LINES - 1}) AS g"
)


@pytest.fixture(scope="module")
def blocks() -> list[bytes]:
    """Return 100 MB in blocks of a megabyte."""
    return [
        b"".join(map(line, range(start, start + 1000)))
        for start in range(0, LINES, 1000)
    ]


@pytest.fixture(scope="module")
def digest(blocks: list[bytes]) -> str:
    """Return the hash of all of it."""
    return hashlib.sha256(b"".join(blocks)).hexdigest()


def test_100_mb_out(login: Login, digest: str) -> None:
    """What the client gets is what the backend sent, in that order."""
    found, octets = hashlib.sha256(), 0
    with (
        psycopg.connect(login.conninfo()) as connection,
        connection.cursor().copy(f"COPY ({SERIES}) TO STDOUT".encode()) as copy,
    ):
        for data in copy:
            found.update(data)
            octets += len(data)
    assert octets > 100_000_000
    assert found.hexdigest() == digest


def test_100_mb_in(login: Login, blocks: list[bytes]) -> None:
    """What the backend gets is what the client sent: it compares every line."""
    with psycopg.connect(login.conninfo()) as connection:
        connection.execute("CREATE TEMP TABLE t (n int, value text)")
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            for block in blocks:
                copy.write(block)
        same = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE value = repeat(md5(n::text), 32)),"
            " sum(n) FROM t"
        ).fetchone()
    assert same == (LINES, LINES, sum(range(LINES)))


def test_failed_copy(login: Login, blocks: list[bytes]) -> None:
    """The backend complains in the middle of the stream, and is heard."""
    with psycopg.connect(login.conninfo(), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE t (n int, value text)")

        def write() -> None:
            with connection.cursor().copy("COPY t FROM STDIN") as copy:
                copy.write(b"1\tone column\ttoo many\n")
                for block in blocks[:20]:
                    copy.write(block)

        with pytest.raises(psycopg.errors.BadCopyFileFormat):
            write()
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("psql", [Psql15(), Psql17()], ids=lambda psql: psql.name)
def test_psql(login: Login, psql: Psql, tmp_path: Path) -> None:
    r"""``\copy`` to a file, and from that file again."""
    file = tmp_path / "rows"
    script = (
        f"\\copy ({MANY_ROWS}) TO '{file}'\n"
        "CREATE TEMP TABLE t (n int, hash text);\n"
        f"\\copy t FROM '{file}'\n"
        "SELECT count(*), count(*) FILTER (WHERE hash = md5(n::text)) FROM t;\n"
    )
    done = psql.run(login.conninfo(), stdin=script)
    assert (done.stdout, done.stderr) == (f"{ROWS}|{ROWS}\n", "")


@pytest.mark.asyncio
async def test_asyncpg(login: Login, tmp_path: Path) -> None:
    """Out of a query into a file, and from there into a table, in binary."""
    file = tmp_path / "rows"
    connection = await connect_asyncpg(login)
    try:
        assert (
            await connection.copy_from_query(MANY_ROWS, output=file, format="binary")
            == f"COPY {ROWS}"
        )
        await connection.execute("CREATE TEMP TABLE t (n int, hash text)")
        await connection.copy_to_table("t", source=file, format="binary")
        assert (
            await connection.fetchval(
                "SELECT count(*) FILTER (WHERE hash = md5(n::text)) FROM t"
            )
            == ROWS
        )
    finally:
        await connection.close()
