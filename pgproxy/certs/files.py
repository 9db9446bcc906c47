"""Files that are there whole or not at all, and a lock that keeps two runs apart."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644

LOCK: Final = ".lock"


def write(path: Path, data: bytes, *, mode: int, replace: bool = False) -> None:
    """
    Write *data* to *path*: whoever looks sees all of it or nothing.

    Args:
        path: A new file, unless *replace* is set; then one that is there goes, and
            the new one is given its owner and group, as far as we may.
        data: Its content.
        mode: Who may read it. From the first byte on nobody else could.
        replace: Whether a file that is there may go.

    Raises:
        FileExistsError: It is there.
        OSError: It cannot be written.

    """
    try:
        _write(path, data, mode, replace=replace)
    except OSError as error:
        # Of the file that was asked for, and not of the one that is made first.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _write(path: Path, data: bytes, mode: int, *, replace: bool) -> None:
    # mkstemp makes it 0600.
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if replace:
                _give_to_owner_of(path, file.fileno())
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)  # unlike a rename it fails if *path* is there
    finally:
        temporary.unlink(missing_ok=True)


def _give_to_owner_of(path: Path, descriptor: int) -> None:
    """Keep a server's key its own when root renews it; others cannot, and need not."""
    if os.geteuid() == 0 and path.exists():
        found = path.stat()
        os.fchown(descriptor, found.st_uid, found.st_gid)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """
    Keep everybody else who does this out of *folder*; waits while somebody has it.

    The system takes the lock back from a process that ends, however it ends.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
