"""The memberships: read once for many, kept for a while, never guessed."""

import asyncio
import builtins
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pgproxy.auth.roles import Roles
from pgproxy.server.roles import (
    DriverMissingError,
    RoleCache,
    RolesUnknownError,
    check_driver,
    roles_of,
)
from pgproxy.server.threads import in_daemon_thread
from pgproxy.settings.login_conninfo import LoginConninfo
from tests.server.conftest import Run

CONNINFO = LoginConninfo((("host", "x"),))


def test_rows() -> None:
    """Bytes, as SQL_ASCII has them; a role with nothing has a row of its own."""
    roles = roles_of(
        [(b"ana", b"dev"), (b"ana", b"staff"), ("dev", None), (b"n\xe9", b"\xff")]
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
    """A session whose time is over leaves; the next one asks."""

    async def test(cache: RoleCache, catalogue: Catalogue) -> None:
        catalogue.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            impatient = tasks.create_task(cache.get())
            patient = tasks.create_task(cache.get())
            assert await in_daemon_thread(catalogue.is_asked.wait, 60)
            impatient.cancel()
            catalogue.may_answer.set()
        assert impatient.cancelled()
        assert isinstance(patient.result(), Roles)
        assert catalogue.asked == 2

    ask(test, run, 3600)


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
