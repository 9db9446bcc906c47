"""What the name service knows of a client, asked where nobody has to wait for it."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from pgproxy.auth.address import Interface, IPAddress
from pgproxy.auth.hba import LookupFailed
from pgproxy.auth.lexer import TEXT
from pgproxy.server import system
from pgproxy.server.threads import daemon_thread, in_daemon_thread

MOST_THREADS: Final = 16
"""
Questions at a time.

A thread that hangs in the C library cannot be stopped. When all of them do, the next
question fails when its time is over, and no more threads are made.
"""

T = TypeVar("T")


class LookupTimedOut(LookupFailed):
    """The name service has not answered in time."""


class Lookups:
    """
    Asks the system in threads of its own, each question for a limited time.

    None of them is a thread that the loop needs: a name service that hangs stops
    neither other sessions nor the connection to a backend that has a name.
    """

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(MOST_THREADS)

    async def remote_hostname(
        self, address: IPAddress, timeout_s: float
    ) -> str | LookupFailed:
        """Return what *address* is called; ``pg_getnameinfo_all`` (HBA-68)."""
        return await self._ask(partial(reverse_lookup, address), timeout_s)

    async def remote_addresses(
        self, name: str, timeout_s: float
    ) -> frozenset[IPAddress] | LookupFailed:
        """Return which addresses *name* has (HBA-68)."""
        return await self._ask(partial(forward_lookup, name), timeout_s)

    async def interfaces(self) -> tuple[Interface, ...]:
        """
        Return the addresses of this machine (HBA-70).

        Raises:
            OSError: They cannot be told.

        """
        return await in_daemon_thread(system.interfaces)

    async def _ask(
        self, question: Callable[[], T | LookupFailed], timeout_s: float
    ) -> T | LookupFailed:
        loop = asyncio.get_running_loop()

        def ask() -> T | LookupFailed:
            try:
                return question()
            finally:
                # Not before the thread is done with it, however long that takes.
                with contextlib.suppress(RuntimeError):  # the loop is no more
                    loop.call_soon_threadsafe(self._slots.release)

        try:
            async with asyncio.timeout(timeout_s):
                await self._slots.acquire()
                return await self._begin(ask)
        except TimeoutError:
            return LookupTimedOut(f"timed out after {timeout_s:g} s")

    def _begin(self, ask: Callable[[], T]) -> asyncio.Future[T]:
        try:
            return daemon_thread(ask)
        except RuntimeError:  # then nobody else gives the slot back
            self._slots.release()
            raise


def reverse_lookup(address: IPAddress) -> str | LookupFailed:
    """Return the name of *address*; a number is none (``NI_NAMEREQD``)."""
    try:
        name, _service = socket.getnameinfo((str(address), 0), socket.NI_NAMEREQD)
    except OSError as error:
        return _failed(error)
    except UnicodeDecodeError:  # Python gives out none but UTF-8
        return LookupFailed("the name is not valid UTF-8")
    return name


def forward_lookup(name: str) -> frozenset[IPAddress] | LookupFailed:
    """Return the addresses of *name*, without scopes."""
    try:
        found = socket.getaddrinfo(name.encode(*TEXT), None)
    except OSError as error:
        return _failed(error)
    return frozenset(
        ipaddress.ip_address(str(address[0]).partition("%")[0])
        for _family, _kind, _protocol, _name, address in found
    )


def _failed(error: OSError) -> LookupFailed:
    """Return it in the words of ``gai_strerror``."""
    if isinstance(error, socket.gaierror):
        return LookupFailed(error.strerror or str(error))
    return LookupFailed("System error")  # EAI_SYSTEM, which Python takes apart
