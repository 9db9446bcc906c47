"""
Several processes that serve, and the one that looks after them.

The postmaster has no loop and serves nobody: it waits for signals, and forks. What a
worker goes by, it has from the postmaster's memory, so a worker that takes another's
place has exactly what that had, whatever has become of the files.

A reload forks new workers and retires the old ones: they take no more clients, and end
with the last session that they have. So a generation of the configuration is never in
two states, and no key goes from one process to another. nginx does it like this.
"""

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pgproxy.protocol.errors import SqlState, log_line
from pgproxy.server import log
from pgproxy.server.generation import ConfigurationRejected, Generation
from pgproxy.server.reload import WATCH_INTERVAL, Reloader
from pgproxy.server.seats import Seat, Seats
from pgproxy.server.signals import (
    MODES,
    SIGNALS,
    Shutdown,
    note_reload,
    note_shutdown,
)
from pgproxy.server.worker import run_loop
from pgproxy.server.worker_process import RETIRE, WorkerProcess

LOADED: Final = signal.SIGUSR2
"""From the thread that reads the configuration to the one that waits."""

HEARD: Final = SIGNALS | {signal.SIGCHLD, LOADED}

QUICK: Final = 10.0
"""Seconds; a worker that did not live longer is not replaced at once."""

LONGEST_DELAY: Final = 10.0
"""Seconds until a worker is replaced that dies again and again."""

RETIRING: Final = 5.0
"""Seconds that the old workers may take to stop accepting."""

KILL_AFTER: Final = 5.0
"""Seconds that workers may take to end after an immediate shutdown."""


@dataclass(frozen=True, slots=True)
class Process:
    """
    A worker, as its parent knows it.

    Args:
        seat: Its slot.
        born: When it was forked.

    """

    seat: Seat
    born: float


class Workers:
    """
    Serves with *count* processes.

    Args:
        reloader: Knows the configuration.
        sockets: Listening and non-blocking; every worker accepts on all of them.
        seats: One for each worker.
        count: How many there are to be.

    """

    def __init__(
        self,
        reloader: Reloader,
        sockets: Sequence[socket.socket],
        seats: Seats,
        count: int,
    ) -> None:
        self._reloader = reloader
        self._sockets = sockets
        self._seats = seats
        self._count = count
        self._serving: dict[int, Process] = {}
        self._retired: dict[int, Process] = {}
        self._mode: Shutdown | None = None
        self._deaths = 0
        self._replace_at = 0.0
        self._kill_at = 0.0
        self._loading: threading.Thread | None = None
        self._found: Generation | ConfigurationRejected | None = None
        self._wanted = False
        # Nobody ever writes to it. It ends when the postmaster does, however it does.
        self._alive, self._life = os.pipe()
        # A byte from each worker that takes no more clients.
        self._acks, self._ack = os.pipe()

    def run(self) -> None:
        """Look after the workers until a signal ends all of them."""
        # Ignored signals may be dropped even while they are blocked.
        for number in (signal.SIGCHLD, LOADED):
            signal.signal(number, lambda *_: None)
        # A worker may be told to retire before it has begun, and then that waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEARD | {RETIRE})
        watch_at = time.monotonic() + WATCH_INTERVAL
        while self._mode is None or self._serving or self._retired:
            self._fill()
            wait = watch_at - time.monotonic()
            if self._replace_at:
                wait = min(wait, self._replace_at - time.monotonic())
            heard = signal.sigtimedwait(HEARD, max(wait, 0.0))
            if heard is not None:
                self._hear(signal.Signals(heard.si_signo))
            if time.monotonic() >= watch_at:
                watch_at = time.monotonic() + WATCH_INTERVAL
                self._look_around()

    def _hear(self, number: signal.Signals) -> None:
        if number in MODES:
            self._shut_down(MODES[number])
        elif number is signal.SIGHUP:
            if self._mode is None:
                note_reload()
                self._load()
        elif number is LOADED:
            self._take()
        self._bury()

    def _look_around(self) -> None:
        if self._kill_at and time.monotonic() >= self._kill_at:
            self._signal_all(signal.SIGKILL)
        elif (
            self._mode is None
            and self._loading is None
            and self._reloader.wanted_by_files()
        ):
            self._load()

    # --- Workers --------------------------------------------------------------------

    def _fill(self) -> None:
        """Fork the workers that are missing, unless they die too quickly."""
        if self._mode is not None or self._loading is not None:
            return  # a fork with a thread in it is no good; it will not be long
        if time.monotonic() < self._replace_at:
            return
        self._replace_at = 0.0
        try:
            while len(self._serving) < self._count:
                self._serving.update([self._fork(self._reloader.generation)])
        except OSError as error:
            self._could_not_fork(error)
            self._replace_at = time.monotonic() + 1.0

    def _fork(self, generation: Generation) -> tuple[int, Process]:
        """
        Begin a worker.

        Raises:
            OSError: The system has no process left, or there is no seat.

        """
        seat = self._seats.give()
        if seat is None:
            raise OSError(0, "too many workers that see off their last sessions")
        try:
            pid = os.fork()
        except OSError:
            self._seats.take_back(seat)
            raise
        if pid == 0:
            self._be_worker(generation, seat)
        return pid, Process(seat, time.monotonic())

    def _be_worker(self, generation: Generation, seat: Seat) -> None:
        """Serve, in the child, and never return."""
        status = 1
        try:
            os.close(self._life)
            os.close(self._acks)
            for number in (signal.SIGCHLD, LOADED):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, LOADED})
            process = WorkerProcess(
                generation, self._sockets, seat, alive=self._alive, ack=self._ack
            )
            run_loop(process.run)
            status = 0
        except BaseException:  # noqa: BLE001 - nobody else will hear of it
            log.bug({})
        finally:
            # Nothing of the postmaster's may run in here: no finally, no atexit.
            sys.stderr.flush()
            os._exit(status)

    def _could_not_fork(self, error: OSError) -> None:
        log.write(
            log_line(
                f"could not fork worker process: {error.strerror}",
                event="worker.not_started",
                sqlstate=SqlState.INTERNAL_ERROR,
            )
        )

    def _bury(self) -> None:
        """Take leave of the workers that have ended."""
        # Each by its number: the command that knows the passphrase is a child, too,
        # and somebody else waits for it.
        for pid in (*self._serving, *self._retired):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if not gone:
                continue
            process = self._serving.pop(pid, None)
            if process is not None and self._mode is None:
                _tell_of_death(pid, status)
                self._put_off(process)
            elif process is None:
                process = self._retired.pop(pid)
                if status and self._mode is None:
                    _tell_of_death(pid, status)
            self._seats.take_back(process.seat)

    def _put_off(self, process: Process) -> None:
        """Decide when there is to be another in the place of *process*."""
        lived = time.monotonic() - process.born
        self._deaths = 0 if lived > QUICK else self._deaths + 1
        # The first at once: its sessions are lost, and new ones come.
        delay = min(LONGEST_DELAY, 0.1 * 2**self._deaths) if self._deaths > 1 else 0.0
        self._replace_at = time.monotonic() + delay

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in (*self._serving, *self._retired):
            os.kill(pid, number)

    def _shut_down(self, mode: Shutdown) -> None:
        if self._mode is not None and mode.value <= self._mode.value:
            return
        self._mode = mode
        note_shutdown(mode)
        for sock in self._sockets:
            sock.close()
        self._signal_all(next(n for n, known in MODES.items() if known is mode))
        if mode is Shutdown.IMMEDIATE:
            self._kill_at = time.monotonic() + KILL_AFTER

    # --- Reload ---------------------------------------------------------------------

    def _load(self) -> None:
        """Read the configuration in a thread, so that signals are heard meanwhile."""
        self._wanted = True
        if self._loading is not None:
            return
        self._wanted = False
        self._loading = threading.Thread(target=self._load_here, daemon=True)
        self._loading.start()

    def _load_here(self) -> None:
        try:
            self._found = self._reloader.load()
        except Exception:  # noqa: BLE001 - the old configuration serves on
            log.bug({})
        finally:
            os.kill(os.getpid(), LOADED)

    def _take(self) -> None:
        if self._loading is None:
            return  # somebody else has sent it
        self._loading.join()
        self._loading = None
        found, self._found = self._found, None
        if self._mode is not None:
            return
        new = None if found is None else self._reloader.accepts(found)
        if new is not None:
            log.configure(new.settings.log_format)
            if self._replace_all(new):
                self._reloader.taken(new)
        if self._wanted:
            self._load()

    def _replace_all(self, new: Generation) -> bool:
        """Have *new* workers take the place of all; return whether it could be done."""
        fresh: dict[int, Process] = {}
        try:
            while len(fresh) < self._count:
                fresh.update([self._fork(new)])
        except OSError as error:
            self._could_not_fork(error)
            log.note("nothing was reloaded", "settings.rejected")
            for pid in fresh:
                os.kill(pid, signal.SIGTERM)
            self._retired.update(fresh)
            return False
        old, self._serving = self._serving, fresh
        self._retired.update(old)
        self._await_retirement(tuple(old))
        self._replace_at = 0.0
        return True

    def _await_retirement(self, old: Collection[int]) -> None:
        """
        Return when none of the *old* takes clients any more.

        Whoever connects after the log has told of the new configuration goes by it.
        """
        while select.select([self._acks], [], [], 0)[0]:
            os.read(self._acks, 4096)  # of somebody who was late the last time
        for pid in old:
            os.kill(pid, RETIRE)
        deadline, done = time.monotonic() + RETIRING, 0
        while done < len(old) and time.monotonic() < deadline:
            ready, _, _ = select.select([self._acks], [], [], 0.1)
            if ready:
                done += len(os.read(self._acks, 4096))
            self._bury()
            # One that has died, or has nobody to see off, may have said nothing.
            done = max(done, sum(pid not in self._retired for pid in old))


def _tell_of_death(pid: int, status: int) -> None:
    code = os.waitstatus_to_exitcode(status)
    how = f"exited with exit code {code}"
    if code < 0:
        how = f"was terminated by signal {-code}: {signal.strsignal(-code)}"
    log.note(f"worker process (PID {pid}) {how}", "worker.died")
