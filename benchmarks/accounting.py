"""
What processes cost, as the kernel counts it: CPU time and memory.

The CPU clock of a process counts nanoseconds, those of all its threads, also of threads
that have ended: stunnel has one for each connection. /proc/PID/stat has ticks of ten
milliseconds. `clock_getcpuclockid(3)` makes the clock's number out of the process id;
Python does not have that function, and `cpu_clock` does what it does.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import psutil

PERIOD: Final = 0.02
"""Seconds between two samples."""

CPUCLOCK_SCHED: Final = 2
"""The clock that the scheduler keeps; linux/posix-timers_types.h."""


class AccountingError(Exception):
    """What was measured is not what was to be measured."""


def cpu_clock(pid: int) -> int:
    """Return the number of the clock of process *pid*, for `time.clock_gettime`."""
    return ~pid << 3 | CPUCLOCK_SCHED


class Processes:
    """
    A process and all that descend from it, as they are now.

    Args:
        pid: The first of them.

    """

    def __init__(self, pid: int) -> None:
        self._first = psutil.Process(pid)
        self._all = self._find()

    def _find(self) -> Sequence[psutil.Process]:
        return [self._first, *self._first.children(recursive=True)]

    @property
    def pids(self) -> set[int]:
        """Their process ids."""
        return {process.pid for process in self._all}

    def cpu(self) -> float:
        """Return the seconds of CPU that they have had, and children that ended."""
        return sum(_cpu(process) for process in self._all)

    def memory(self) -> int:
        """
        Return the bytes that they occupy: of a shared page, each has its share.

        What the kernel keeps for their sockets is not in it.
        """
        return sum(int(process.memory_full_info().pss) for process in self._all)

    def check(self) -> None:
        """
        Make sure that nobody has come or gone: their time would be missing.

        Raises:
            AccountingError: Somebody has.

        """
        before, now = self.pids, {process.pid for process in self._find()}
        if before != now:
            raise AccountingError(f"processes {before} have become {now}")


def _cpu(process: psutil.Process) -> float:
    # Children that have ended, and were waited for, count in ticks.
    ended = process.cpu_times()
    own = time.clock_gettime(cpu_clock(process.pid))
    return own + float(ended.children_user + ended.children_system)


class Sampler:
    """
    Notes what *processes* have cost, every now and then, while something goes on.

    ::

        with Sampler(processes) as sampler:
            ...
        seconds = sampler.cpu(began, ended)
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._samples: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._sample()
            self._processes.check()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD):
            self._sample()

    def _sample(self) -> None:
        self._samples.append((time.time(), self._processes.cpu()))

    def cpu(self, began: float, ended: float) -> float:
        """Return the seconds of CPU between two moments, as `time.time` tells them."""
        return at(self._samples, ended) - at(self._samples, began)


def at(points: Sequence[tuple[float, float]], x: float) -> float:
    """
    Return the height, at *x*, of the line from one of *points* to the next.

    Raises:
        AccountingError: *x* is before the first of them, or after the last.

    """
    if not points[0][0] <= x <= points[-1][0]:
        raise AccountingError(f"no sample at {x}: {points[0]} to {points[-1]}")
    after = max(1, bisect_left(points, x, key=lambda point: point[0]))
    (x0, y0), (x1, y1) = points[after - 1], points[after]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
