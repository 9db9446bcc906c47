"""The memberships: read once for many, kept for a while, never guessed."""

import asyncio
import builtins
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgproxy.auth.roles import Roles
from pgproxy.server import roles as roles_module
from pgproxy.server.generation import ConfigurationRejected, Source, load
from pgproxy.server.roles import (
    DriverMissingError,
    RoleCache,
    RolesUnknownError,
    check_driver,
    read_roles,
    roles_of,
)
from pgproxy.server.threads import in_daemon_thread
from pgproxy.settings.login_conninfo import LoginConninfo
from pgproxy.testing.postgres import Instance, free_port
from tests.server.conftest import Run

CONNINFO = LoginConninfo((("host", "x"),))


def test_rows() -> None:
    """Bytes, as SQL_ASCII has them; a role with nothing has a row of its own."""
    roles = roles_of(
        [(b"ana", b"dev"), (b"ana", b"staff"), (b"dev", None), (b"n\xe9", b"\xff")]
    )
    assert roles.is_member("ana", "dev")
    assert roles.is_member("ana", "staff")
    assert roles.is_member("dev", "dev")
    assert roles.is_member("n\udce9", "\udcff")
    assert not roles.is_member("staff", "staff")


class Catalogue:
    """A backend that is asked, and waits until it may answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.broken = False
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()

    def read(self, conninfo: LoginConninfo) -> Roles:
        assert conninfo is CONNINFO
        self.asked += 1
        self.is_asked.set()
        assert self.may_answer.wait(60)
        if self.broken:
            raise RolesUnknownError("out of order")
        return Roles({f"role {self.asked}": []})


def ask(test: Callable[[RoleCache, Catalogue], Any], run: Run[Any], ttl: float) -> None:
    catalogue = Catalogue()
    run(test(RoleCache(CONNINFO, ttl, catalogue.read), catalogue))


def test_kept(run: Run[Any]) -> None:
    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        first = await cache.get()
        assert await cache.get() is first
        assert catalogue.asked == 1

    ask(test, run, 3600)


def test_not_kept(run: Run[Any]) -> None:
    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        assert await cache.get() is not await cache.get()
        assert catalogue.asked == 2

    ask(test, run, 0)


@pytest.mark.parametrize("ttl", [0, 3600])
@pytest.mark.parametrize("broken", [False, True])
def test_one_query_for_all_that_wait(run: Run[Any], ttl: float, broken: bool) -> None:
    """The first asks; those who came before it was sent get what it gets."""

    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        catalogue.broken = broken
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(outcome(cache)) for _ in range(50)]
        answers = {task.result() for task in waiting}
        # Whoever comes to the lock after the first was sent asks once more, for all.
        assert catalogue.asked <= 2
        assert len(answers) <= 2
        assert ("out of order" in answers) is broken

    ask(test, run, ttl)


async def outcome(cache: RoleCache) -> Roles | str:
    try:
        return await cache.get()
    except RolesUnknownError as error:
        return str(error)


def test_a_failure_is_not_remembered(run: Run[Any]) -> None:
    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        catalogue.broken = True
        assert await outcome(cache) == "out of order"
        catalogue.broken = False
        assert isinstance(await outcome(cache), Roles)
        assert catalogue.asked == 2

    ask(test, run, 3600)


def test_one_that_gives_up_does_not_spoil_it_for_the_others(run: Run[Any]) -> None:
    """A session whose time is over leaves; the query goes on, and is the only one."""

    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        catalogue.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(cache.get())
            patient = tasks.create_task(cache.get())
            assert await in_daemon_thread(catalogue.is_asked.wait, 60)
            impatient.cancel()
            await asyncio.wait([impatient])
            catalogue.may_answer.set()
        assert impatient.cancelled()
        assert isinstance(patient.result(), Roles)
        assert catalogue.asked == 1

    ask(test, run, 3600)


@pytest.mark.parametrize("broken", [False, True])
def test_a_backend_that_hangs(run: Run[Any], broken: bool) -> None:
    """However many come and give up: one thread, and no error without an owner."""

    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, told: complaints.append(told))
        catalogue.may_answer.clear()
        catalogue.broken = broken
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(cache.get(), 0.01)
        assert catalogue.asked == 1
        catalogue.broken = False
        catalogue.may_answer.set()
        assert isinstance(await outcome(cache), Roles)
        gc.collect()
        assert complaints == []

    ask(test, run, 0)


def test_an_error_of_ours_is_nobodys_answer(run: Run[Any]) -> None:
    """It comes to who asked, as it is, and is not remembered."""
    answers: list[object] = [ZeroDivisionError("a bug"), Roles({})]

    def read(_conninfo: LoginConninfo) -> Roles:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Roles)
        return answer

    async def test() -> None:
        cache = RoleCache(CONNINFO, 3600, read)
        with pytest.raises(ZeroDivisionError, match="a bug"):
            await cache.get()
        assert isinstance(await cache.get(), Roles)

    run(test())


# --- What is read --------------------------------------------------------------------


def reader_of(backend: Instance, **more: str) -> LoginConninfo:
    where = {
        "host": str(backend.socket_dir),
        "port": str(backend.port),
        "user": "tom",
        "dbname": "postgres",
        **more,
    }
    return LoginConninfo(tuple(where.items()))


@contextmanager
def superuser(backend: Instance) -> Iterator[Any]:
    with psycopg.connect(backend.conninfo, autocommit=True) as connection:
        yield connection


@pytest.mark.interop
def test_read_roles(backend: Instance) -> None:
    """All of them, by the bytes of their names, whatever the login sets for itself."""
    with superuser(backend) as connection:
        connection.execute('CREATE ROLE "zo\u00eb"; GRANT staff TO "zo\u00eb"')
        connection.execute("ALTER ROLE tom SET client_encoding = latin1")
        connection.execute("ALTER ROLE tom SET search_path = nowhere")
        connection.execute("ALTER ROLE tom SET statement_timeout = 1")
        try:
            roles = read_roles(reader_of(backend, options="-c work_mem=1MB"))
        finally:
            connection.execute('ALTER ROLE tom RESET ALL; DROP ROLE "zo\u00eb"')
    assert roles.is_member("zo\u00eb", "staff")
    assert roles.is_member("cleo", "staff")
    assert roles.is_member("staff", "staff")
    assert not roles.is_member("staff", "cleo")
    assert not roles.is_member("boss", "staff")
    assert not roles.is_member("nobody", "nobody")


@pytest.mark.interop
def test_read_roles_fails(backend: Instance) -> None:
    """In libpq's words, without the password, for whatever reason it does."""
    for more, reason in (
        ({"user": "no_such_role"}, 'role "no_such_role" does not exist'),
        ({"dbname": "no_such_db"}, 'database "no_such_db" does not exist'),
        ({"host": "127.0.0.1", "port": str(free_port())}, "refused"),
        ({"sslmode": "wrong"}, 'invalid sslmode value: "wrong"'),
        ({"replication": "true"}, "permission denied to start WAL sender"),
    ):
        conninfo = reader_of(backend, **more, password="sesame")
        with pytest.raises(RolesUnknownError, match=reason) as raised:
            read_roles(conninfo)
        assert "sesame" not in str(raised.value)


@pytest.mark.interop
def test_read_roles_takes_too_long(
    backend: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the backend gives up, and if it does not, the thread."""
    conninfo = reader_of(backend)
    with superuser(backend) as connection, connection.transaction():
        connection.execute("LOCK TABLE pg_auth_members IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(RolesUnknownError, match=r"^no answer within 0\.2 s$"):
            read_roles(conninfo, 0.2)
        monkeypatch.setattr(roles_module, "SESSION", "-c statement_timeout=200ms")
        with pytest.raises(RolesUnknownError, match="due to statement timeout"):
            read_roles(conninfo)
    assert read_roles(conninfo).is_member("tom", "tom")


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra, and who needs it is told."""
    check_driver()
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "psycopg":
            raise ImportError("no module named psycopg")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DriverMissingError, match="psycopg"):
        check_driver()


def test_no_driver_and_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said when the files are read: what is missing, for which line, and how."""

    def missing() -> None:
        raise DriverMissingError("No module named 'psycopg'")

    monkeypatch.setattr("pgproxy.server.generation.check_driver", missing)
    (tmp_path / "pg_hba.conf").write_text("host all +staff all trust\n")
    conf = tmp_path / "pgproxy.conf"
    conf.write_text("\npgproxy.role_conninfo = 'user=reader password=sesame'\n")
    with pytest.raises(ConfigurationRejected) as raised:
        load(Source(directory=tmp_path, config_file=conf))
    [fault] = raised.value.faults
    [problem] = fault.problems
    assert problem.message == (
        '"pgproxy.role_conninfo" needs a driver that is not installed'
    )
    assert problem.detail == "No module named 'psycopg'"
    assert problem.hint == "Install it: pip install 'pgproxy[roles]'"
    assert problem.context is not None
    assert "line 2" in problem.context
    assert str(conf) in problem.context
    assert "sesame" not in repr(raised.value.faults)
    # Who has no such login needs no driver; but then such a line is an error.
    conf.write_text("")
    with pytest.raises(ConfigurationRejected) as raised:
        load(Source(directory=tmp_path, config_file=conf))
    assert "pgproxy.role_conninfo" in repr(raised.value.faults)
