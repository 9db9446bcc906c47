"""What a worker does that is a process of its own: it hears its postmaster."""

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from typing import Final

from pgproxy.server import log
from pgproxy.server.generation import Generation
from pgproxy.server.seats import Seat
from pgproxy.server.signals import MODES, SIGNALS, Shutdown
from pgproxy.server.worker import Worker

RETIRE: Final = signal.SIGUSR1
"""Take no more clients, and end with the last session."""

ACCEPTS: Final = 1
"""Clients to take at a time, so that the other workers get some, too."""


class WorkerProcess:
    """
    A worker among several.

    Args:
        generation: What it goes by for as long as it lives.
        sockets: Listening and non-blocking, and shared.
        seat: Where it counts its sessions.
        alive: A pipe that ends with the postmaster.
        ack: A pipe that is told when there will be no more clients.

    """

    def __init__(
        self,
        generation: Generation,
        sockets: Sequence[socket.socket],
        seat: Seat,
        *,
        alive: int,
        ack: int,
    ) -> None:
        self._worker = Worker(generation, sockets, seat, ACCEPTS)
        self._alive = alive
        self._ack = ack

    async def run(self) -> None:
        """Serve until a signal ends it. The signals come in blocked."""
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self._worker.run())
        await asyncio.sleep(0)  # now it listens, and can be told to stop
        loop.add_reader(self._alive, self._orphaned, loop)
        for number, mode in MODES.items():
            loop.add_signal_handler(number, self._worker.shut_down, mode)
        loop.add_signal_handler(RETIRE, self._retire)
        # SIGHUP is the postmaster's: with a terminal it goes to all of us.
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*SIGNALS, RETIRE})
        await serving

    def _retire(self) -> None:
        self._worker.retire()
        os.write(self._ack, b".")

    def _orphaned(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop, as a backend of PostgreSQL does whose postmaster is gone."""
        loop.remove_reader(self._alive)
        log.note("postmaster has gone, terminating worker process", "worker.orphaned")
        self._worker.shut_down(Shutdown.FAST)
