"""The name service: asked beside everything else, for a limited time (HBA-68)."""

import asyncio
import errno
import socket
import threading
from ipaddress import ip_address
from typing import Any

import pytest

from pgproxy.auth.hba import LookupFailed
from pgproxy.server import lookups, system
from pgproxy.server.lookups import (
    MOST_THREADS,
    Lookups,
    LookupTimedOut,
    forward_lookup,
    reverse_lookup,
)
from tests.server.conftest import Run

LOOPBACK = ip_address("127.0.0.1")
# RFC 5737: nobody has it, and no resolver is asked in vain for long.
NOBODY = ip_address("192.0.2.1")


def test_localhost(run: Run[Any]) -> None:
    """What /etc/hosts says, there and back."""

    async def both() -> tuple[object, object]:
        asked = Lookups()
        name = await asked.remote_hostname(LOOPBACK, 60)
        assert isinstance(name, str)
        return name, await asked.remote_addresses(name, 60)

    name, addresses = run(both())
    assert "localhost" in name
    assert LOOPBACK in addresses


def fails(*_arguments: object) -> None:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the C library (HBA-69)."""
    monkeypatch.setattr(socket, "getnameinfo", fails)
    monkeypatch.setattr(socket, "getaddrinfo", fails)
    expected = LookupFailed("Name or service not known")
    assert reverse_lookup(NOBODY) == expected
    assert forward_lookup("no.such.host.invalid") == expected


def test_the_system_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """EAI_SYSTEM, which Python raises as the error of the system that it is."""

    def no_files(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "getnameinfo", no_files)
    monkeypatch.setattr(socket, "getaddrinfo", no_files)
    expected = LookupFailed("System error")
    assert reverse_lookup(NOBODY) == expected
    assert forward_lookup("localhost") == expected


def test_a_name_that_is_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name service says may be anything; it matches no line."""

    def odd(*_arguments: object) -> None:
        b"\xff.example".decode()

    monkeypatch.setattr(socket, "getnameinfo", odd)
    assert reverse_lookup(NOBODY) == LookupFailed("the name is not valid UTF-8")


def test_no_thread_left(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an error of ours; but no slot is lost by it."""

    async def test() -> None:
        asked = Lookups()
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            for _ in range(2 * MOST_THREADS):
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    await asked.remote_hostname(LOOPBACK, 60)
        assert isinstance(await asked.remote_hostname(LOOPBACK, 60), str)

    run(test())


def no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_names_are_bytes() -> None:
    """What is no host name is not found, and nothing breaks."""
    for name in ("n\udce9.example", "a" * 70 + ".example", "x..y", ""):
        assert isinstance(forward_lookup(name), LookupFailed | frozenset)


def test_scope_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """HBA-64."""
    found = [(socket.AF_INET6, 1, 6, "", ("fe80::1%lo", 0, 0, 1))] * 3
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments: found)
    assert forward_lookup("x") == frozenset({ip_address("fe80::1")})


def test_interfaces(run: Run[Any]) -> None:
    found = run(Lookups().interfaces())
    assert LOOPBACK in {interface.address for interface in found}
    assert {i.address for i in found} == {i.address for i in system.interfaces()}


def test_a_name_service_that_hangs(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Each question fails when its time is over, and the threads do not add up.

    Others go on meanwhile; and when it answers again, all is well again.
    """
    go, threads = threading.Event(), []

    def hang(_address: object) -> str:
        threads.append(threading.current_thread())
        assert go.wait(60)
        return "late.example"

    monkeypatch.setattr(lookups, "reverse_lookup", hang)

    async def many() -> None:
        asked = Lookups()
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(asked.remote_hostname(NOBODY, 0.2))
                for _ in range(2 * MOST_THREADS)
            ]
            # The loop is free.
            assert isinstance(await asked.interfaces(), tuple)
        for task in waiting:
            assert task.result() == LookupTimedOut("timed out after 0.2 s")
        assert len(threads) == MOST_THREADS
        go.set()
        assert await asked.remote_hostname(NOBODY, 60) == "late.example"

    run(many())
