"""``pgproxy.pid``: who serves a directory, as postmaster.pid says it."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

NAME: Final = "pgproxy.pid"

MAX_PID: Final = 2**31 - 1
"""``pid_t`` has no room for more."""


class AlreadyRunning(Exception):
    """
    Another process serves the directory.

    Args:
        pid: Its process id.

    """

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """
    What the file holds, a line each.

    ::

        process id
        data directory
        when it was started, in seconds since the epoch
        port
        first address that it listens on; may be empty

    Source: ``pidfile.h``; the lines in the middle that only PostgreSQL needs are
    left out.
    """

    pid: int
    directory: Path
    started: int
    port: int
    address: str

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """
        Return who serves *directory*; None if nobody does.

        Raises:
            OSError: There is a file, and it cannot be read.

        """
        try:
            lines = os.fsdecode((directory / NAME).read_bytes()).split("\n")
            pid, path, started, port, address = lines[:5]
            found = cls(
                pid=int(pid),
                directory=Path(path),
                started=int(started),
                port=int(port),
                address=address,
            )
        except (FileNotFoundError, ValueError):
            return None
        return found if _is_alive(found.pid) else None

    @classmethod
    def create(cls, directory: Path, port: int, address: str) -> Self:
        """
        Write the file: whole, or not at all.

        Raises:
            AlreadyRunning: Somebody serves *directory*.
            OSError: The file cannot be written.

        """
        mine = cls(
            pid=os.getpid(),
            directory=directory,
            started=int(time.time()),
            port=port,
            address=address,
        )
        text = f"{mine.pid}\n{directory}\n{mine.started}\n{port}\n{address}\n"
        with _locked(directory):
            check_free(directory)
            handle, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=directory)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(os.fsencode(text))
                # It may have been left by a process that is no more.
                Path(name).replace(directory / NAME)
            except BaseException:
                Path(name).unlink()
                raise
        return mine

    def remove(self) -> None:
        """Remove the file, if it is still ours."""
        current = PidFile.read(self.directory)
        if current is not None and current.pid == self.pid:
            (self.directory / NAME).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    # Of two that are started at once, both may find the file of one that is no more.
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def check_free(directory: Path) -> None:
    """
    Make sure that nobody serves *directory*.

    Raises:
        AlreadyRunning: Somebody does.
        OSError: Nobody can tell.

    """
    running = PidFile.read(directory)
    if running is not None and running.pid != os.getpid():
        raise AlreadyRunning(running.pid)


def _is_alive(pid: int) -> bool:
    if not 0 < pid <= MAX_PID:  # below, kill means groups of processes
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
