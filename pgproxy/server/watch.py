"""The files that a configuration was read from, and whether they have changed."""

from collections.abc import Iterable
from pathlib import Path

from pgproxy.server import system

State = tuple[int, int, int] | int
"""Inode, size and time of change (ns) of a file; or the errno of asking for them."""


class Files:
    """
    Reads files, and remembers which.

    What could not be read is remembered too: a file that is missing now may be there
    later. A name that leads elsewhere is a change, so a directory that is exchanged
    as a whole, by a symbolic link, is noticed.
    """

    def __init__(self) -> None:
        self._seen: dict[str, State] = {}

    def read_file(self, path: str) -> bytes:
        """Return what *path* holds."""
        self.note(path)
        return system.read_file(path)

    def list_directory(self, path: str) -> Iterable[str]:
        """Return the names of the files in *path*, folders left out."""
        self.note(path)
        return system.list_directory(path)

    def note(self, path: str | Path) -> None:
        """Remember how *path* is now, before it is read by somebody else."""
        # The first look counts: what changes while it is read has changed.
        self._seen.setdefault(str(path), _state(str(path)))

    def now(self) -> dict[str, State]:
        """Return how all of them are now."""
        return {path: _state(path) for path in self._seen}

    def changed(self) -> tuple[str, ...]:
        """Return the paths of those that are not as they were."""
        return tuple(path for path, seen in self._seen.items() if _state(path) != seen)


def _state(path: str) -> State:
    try:
        info = Path(path).stat()
    except OSError as error:
        return error.errno or -1
    return info.st_ino, info.st_size, info.st_mtime_ns
