"""One process: a loop, a listener, its sessions, and how they end."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from pgproxy.server.driver import Driver, Hooks
from pgproxy.server.generation import Generation
from pgproxy.server.listener import ACCEPTS_PER_WAKE, Listener
from pgproxy.server.lookups import Lookups
from pgproxy.server.port import Port
from pgproxy.server.seats import Seat
from pgproxy.server.signals import Shutdown
from pgproxy.server.system import peer_address
from pgproxy.session.events import CAC, Accepted, Terminated

CLOSING_TIME: Final = 5.0
"""Seconds that the last messages of a fast shutdown may take to be delivered."""


class Worker:
    """
    Serves clients on *sockets*.

    Args:
        generation: The configuration to begin with.
        sockets: Listening and non-blocking.
        seat: Where it counts its sessions.
        accepts: How many clients to take at a time.

    """

    def __init__(
        self,
        generation: Generation,
        sockets: Sequence[socket.socket],
        seat: Seat,
        accepts: int = ACCEPTS_PER_WAKE,
    ) -> None:
        self.generation = generation
        self._sockets = sockets
        self._seat = seat
        self._accepts = accepts
        self._drivers: set[Driver] = set()
        self._admitted: set[Driver] = set()
        self._mode: Shutdown | None = None
        self._retired = False
        self._hooks = Hooks(admit=self._admit, lookups=Lookups())
        self._loop: asyncio.AbstractEventLoop
        self._listener: Listener
        self._tasks: asyncio.TaskGroup
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until a shutdown is complete."""
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(
            self._loop, self._sockets, self._welcome, self._accepts
        )
        async with asyncio.TaskGroup() as self._tasks:
            self._listener.start()
            await self._stop.wait()
            self._listener.close()
            for driver in tuple(self._drivers):
                driver.interrupt(Terminated())
            deadline = 0.0 if self._mode is Shutdown.IMMEDIATE else CLOSING_TIME
            closing = self._loop.call_later(deadline, self._abort)
        closing.cancel()

    @property
    def is_stopping(self) -> bool:
        """Whether a shutdown has begun."""
        return self._mode is not None

    def shut_down(self, mode: Shutdown) -> bool:
        """Stop in this *mode*; return whether that is more urgent than before."""
        if self._mode is not None and mode.value <= self._mode.value:
            return False
        self._mode = mode
        if mode is Shutdown.IMMEDIATE:
            self._abort()
        if mode is not Shutdown.SMART or not self._admitted:
            self._stop.set()
        return True

    def retire(self) -> None:
        """Take no more clients, see off those there are, and stop."""
        self._listener.close()
        self._retired = True
        if not self._drivers:
            self._stop.set()

    def _abort(self) -> None:
        for driver in tuple(self._drivers):
            driver.abort()

    def _admit(self, driver: Driver) -> CAC:
        if self._mode is not None:
            return CAC.SHUTDOWN
        if not self._seat.admit():
            return CAC.TOOMANY
        self._admitted.add(driver)
        return CAC.OK

    def _welcome(self, sock: socket.socket, address: tuple[str, int]) -> None:
        host, ip = peer_address(address[0])
        driver = Driver(
            self._loop,
            self.generation,
            Port(self._loop, sock),
            Accepted(host=host, port=address[1], address=ip),
            self._hooks,
        )
        self._drivers.add(driver)
        self._tasks.create_task(self._see_through(driver))

    async def _see_through(self, driver: Driver) -> None:
        try:
            await driver.run()
        finally:
            self._drivers.discard(driver)
            if driver in self._admitted:
                self._admitted.discard(driver)
                self._seat.release()
            if self._mode is not None and not self._admitted:
                self._stop.set()
            if self._retired and not self._drivers:
                self._stop.set()


def run_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run *main* on uvloop; where that is missing, on asyncio's own loop."""
    try:
        import uvloop  # noqa: PLC0415 - its only door

        factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    except ImportError:
        factory = asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
