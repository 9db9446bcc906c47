"""
Names of a test's own: what is started in here sees another /etc/hosts.

Linux gives each thread its own view of the mounted files, if it asks for one, and a
process has that of the thread that starts it. So nothing outside is changed.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

CLONE_NEWNS: Final = 0x00020000
MS_BIND: Final = 0x1000
MS_PRIVATE: Final = 0x40000
MS_REC: Final = 0x4000

RESOLVER: Final[Mapping[str, str]] = {
    # No name service beyond the file is asked.
    "nsswitch.conf": "hosts: files\n",
    # Of two lines with one name, the first counts: so an address can have a name that
    # has another address.
    "host.conf": "multi off\n",
}


@contextlib.contextmanager
def private_hosts(folder: Path, hosts: str) -> Iterator[Executor]:
    """
    Yield a thread; processes that are started in it see *hosts* as /etc/hosts.

    Skips the test where that takes rights that we do not have.
    """
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(_enter, folder, {"hosts": hosts, **RESOLVER}).result()
        except OSError as error:
            pytest.skip(f"no /etc/hosts of our own: {error}")
        yield thread


def _enter(folder: Path, files: Mapping[str, str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: int | bytes | None) -> None:
        if getattr(libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)

    call("unshare", CLONE_NEWNS)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    for name, text in files.items():
        mine, system = folder / name, Path("/etc") / name
        mine.write_text(text)
        mine.chmod(0o644)
        call("mount", bytes(mine), bytes(system), None, MS_BIND, None)
