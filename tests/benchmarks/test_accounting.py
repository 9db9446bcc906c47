"""What the kernel says that processes cost, beside what they say themselves."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

import pytest

from benchmarks.accounting import AccountingError, Processes, Sampler, at

BURN: Final = """
import os, sys, threading, time

def burn(seconds, clock):
    began = clock()
    while clock() < began + seconds:
        pass

def say(number=0.0):
    print(number, flush=True)
    sys.stdin.readline()

"""
"""What all children begin with."""

TICKS: Final = 0.03
"""Seconds: children that have ended are counted in hundredths."""


class Child:
    """A program that says a number now and then, and waits to be told to go on."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def hear(self) -> float:
        """Return what it says next."""
        return float(self._out.readline())

    def go_on(self) -> float:
        """Have it go on, and return what it says then."""
        self._in.write("\n")
        self._in.flush()
        return self.hear()


@contextmanager
def child(program: str) -> Iterator[Child]:
    """Run *program*, and end it in the end."""
    with subprocess.Popen(
        [sys.executable, "-c", BURN + program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


def test_cpu_of_a_process() -> None:
    with child("say(); burn(0.2, time.process_time); say(time.process_time())") as one:
        one.hear()
        processes = Processes(one.pid)
        before = processes.cpu()
        own = one.go_on()
        assert processes.cpu() == pytest.approx(own, abs=0.005)
        assert processes.cpu() - before > 0.199


def test_cpu_of_threads_that_have_ended() -> None:
    program = """
say()
thread = threading.Thread(target=burn, args=(0.2, time.thread_time))
thread.start()
thread.join()
say()
"""
    with child(program) as one:
        one.hear()
        processes = Processes(one.pid)
        before = processes.cpu()
        one.go_on()
        assert 0.2 <= processes.cpu() - before < 0.3


def test_cpu_of_a_child_that_is_there() -> None:
    program = """
if os.fork() == 0:
    burn(0.2, time.process_time)
    say(time.process_time())
else:
    os.wait()
"""
    with child(program) as one:
        own = one.hear()
        assert own <= Processes(one.pid).cpu() < own + 0.2
        assert len(Processes(one.pid).pids) == 2


def test_cpu_of_a_child_that_has_ended() -> None:
    program = """
if os.fork() == 0:
    burn(0.2, time.process_time)
    os._exit(0)
os.wait()
say(time.process_time())
"""
    with child(program) as one:
        own = one.hear()
        cpu = Processes(one.pid).cpu()
        assert cpu - own == pytest.approx(0.2, abs=TICKS)


def test_who_has_come_is_noticed() -> None:
    program = """
say()
if os.fork() == 0:
    say()
    os._exit(0)
os.wait()
"""
    with child(program) as one:
        one.hear()
        processes = Processes(one.pid)
        processes.check()
        one.go_on()
        with pytest.raises(AccountingError):
            processes.check()


def test_memory() -> None:
    with child("say(); hoard = bytearray(os.urandom(50_000_000)); say()") as one:
        one.hear()
        before = Processes(one.pid).memory()
        one.go_on()
        grown = Processes(one.pid).memory() - before
    assert grown == pytest.approx(50_000_000, rel=0.05)


def test_sampler() -> None:
    """What is between two moments counts, and nothing before or after."""
    program = """
say(time.time())
burn(0.15, time.process_time)
began = time.time()
burn(0.2, time.process_time)
ended = time.time()
say(began)
say(ended)
burn(0.1, time.process_time)
say()
"""
    with child(program) as one:
        one.hear()
        with Sampler(Processes(one.pid)) as sampler:
            began = one.go_on()
            ended = one.go_on()
            one.go_on()
    assert sampler.cpu(began, ended) == pytest.approx(0.2, abs=0.04)
    with pytest.raises(AccountingError):
        sampler.cpu(began - 60, ended)
    with pytest.raises(AccountingError):
        sampler.cpu(began, ended + 60)


@pytest.mark.parametrize(
    ("x", "y"), [(0, 0), (1, 10), (2, 20), (3, 20), (4, 20), (5, 50), (6, 80)]
)
def test_at(x: float, y: float) -> None:
    assert at([(0, 0), (2, 20), (4, 20), (6, 80)], x) == y


@pytest.mark.parametrize("x", [-0.1, 6.1])
def test_nothing_is_made_up(x: float) -> None:
    with pytest.raises(AccountingError):
        at([(0, 0), (2, 20), (6, 80)], x)
