"""One process for all: it hears the signals, looks at the files, and serves."""

import asyncio
import signal
import socket
from collections.abc import Sequence

from pgproxy.server import log
from pgproxy.server.reload import WATCH_INTERVAL, Reloader
from pgproxy.server.seats import Seats
from pgproxy.server.signals import (
    MODES,
    SIGNALS,
    Shutdown,
    note_reload,
    note_shutdown,
)
from pgproxy.server.threads import in_daemon_thread
from pgproxy.server.worker import Worker


class Single:
    """
    Serves without processes of its own (``pgproxy.workers = 1``).

    Args:
        reloader: Knows the configuration.
        sockets: Listening and non-blocking.
        seats: Of which there is one worker's.

    """

    def __init__(
        self, reloader: Reloader, sockets: Sequence[socket.socket], seats: Seats
    ) -> None:
        seat = seats.give()
        assert seat is not None, "nobody else has one"
        self._reloader = reloader
        self._worker = Worker(reloader.generation, sockets, seat)
        self._wanted = asyncio.Event()
        self._loading = False

    async def run(self) -> None:
        """Serve until a signal ends it. The signals come in blocked, and go out so."""
        loop = asyncio.get_running_loop()
        for number, mode in MODES.items():
            loop.add_signal_handler(number, self._shut_down, mode)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            async with asyncio.TaskGroup() as tasks:
                reloads = tasks.create_task(self._reload_when_wanted())
                watch = tasks.create_task(self._watch())
                await self._worker.run()
                reloads.cancel()
                watch.cancel()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _shut_down(self, mode: Shutdown) -> None:
        if self._worker.shut_down(mode):
            note_shutdown(mode)

    def _hang_up(self) -> None:
        if not self._worker.is_stopping:
            note_reload()
            self._wanted.set()

    async def _reload_when_wanted(self) -> None:
        """Reload once for all that was asked for since the last time began."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            self._loading = True
            try:
                found = await in_daemon_thread(self._reloader.load)
            finally:
                self._loading = False
            if self._worker.is_stopping:
                continue
            new = self._reloader.accepts(found)
            if new is not None:
                self._worker.generation = new
                log.configure(new.settings.log_format)
                self._reloader.taken(new)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if not self._loading and self._reloader.wanted_by_files():
                self._wanted.set()
