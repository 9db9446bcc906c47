"""``pgproxy.pid``: who serves a directory, as postmaster.pid says it."""

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

NAME: Final = "pgproxy.pid"


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
        """Return who serves *directory*; None if nobody does."""
        try:
            lines = (directory / NAME).read_text().splitlines()
            pid, path, started, port, address = lines[:5]
            found = cls(
                pid=int(pid),
                directory=Path(path),
                started=int(started),
                port=int(port),
                address=address,
            )
        except (OSError, ValueError):
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
        path = directory / NAME
        handle, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=directory)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
            check_free(directory)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()  # left by a process that is no more
            try:
                os.link(name, path)
            except FileExistsError:
                check_free(directory)
                raise
        finally:
            Path(name).unlink()
        return mine

    def remove(self) -> None:
        """Remove the file, if it is still ours."""
        current = PidFile.read(self.directory)
        if current is not None and current.pid == self.pid:
            (self.directory / NAME).unlink(missing_ok=True)


def check_free(directory: Path) -> None:
    """
    Make sure that nobody serves *directory*.

    Raises:
        AlreadyRunning: Somebody does.

    """
    running = PidFile.read(directory)
    if running is not None and running.pid != os.getpid():
        raise AlreadyRunning(running.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
