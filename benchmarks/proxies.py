"""pgproxy, PgBouncer and stunnel: configured, started on their core, stopped."""

import os
import re
import ssl
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from socket import create_connection
from typing import ClassVar, Final

from benchmarks import configurations
from benchmarks.certificates import Certificates
from benchmarks.configurations import Setup
from benchmarks.effort import pinned
from benchmarks.install import PACKAGES, find
from benchmarks.systems import Running, StartError, System, SystemMissingError
from pgproxy.testing.authority import write_private
from pgproxy.testing.installation import make_folder, own, unprivileged_user
from pgproxy.testing.postgres import free_port

DEADLINE: Final = 30.0
"""Seconds that a proxy is given to listen, or to end."""

CHECKOUT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a proxy stands.

    Args:
        core: It runs on this one, alone.
        backend_host: The plain PostgreSQL: 127.0.0.1, or the folder of its socket.
        backend_port: Its port.
        certificates: What it shows, and trusts.

    """

    core: int
    backend_host: str
    backend_port: int
    certificates: Certificates


class Proxy(System):
    """A proxy in front of the plain PostgreSQL."""

    is_proxy = True
    unprivileged: ClassVar[bool] = False
    """Whether it refuses to be root."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @abstractmethod
    def files(self, setup: Setup, folder: Path) -> Mapping[str, str]:
        """Return its configuration, by the names of its files in *folder*."""

    @abstractmethod
    def command(self, folder: Path) -> Sequence[str | Path]:
        """Return how it is started, in the foreground."""

    @contextmanager
    def running(self, *, client_certificates: bool) -> Iterator[Running]:
        """Start it, and stop it in the end."""
        place = self._place
        setup = Setup(
            free_port(), place.backend_host, place.backend_port, client_certificates
        )
        folder = make_folder("pgproxy-bench-")
        try:
            for name, content in place.certificates.server_files().items():
                self._write(folder / name, content)
            for name, text in self.files(setup, folder).items():
                self._write(folder / name, text.encode())
            process = self._start(folder)
            try:
                _wait_for(setup.port, process, folder / "log")
                yield Running(setup.port, process.pid)
            finally:
                process.kill()
                process.wait(DEADLINE)
        finally:
            rmtree(folder, ignore_errors=True)

    def _write(self, path: Path, content: bytes) -> None:
        write_private(path, content)
        if self.unprivileged:
            own(path)

    def _start(self, folder: Path) -> "subprocess.Popen[bytes]":
        user = unprivileged_user() if self.unprivileged else None
        with pinned(frozenset({self._place.core})), (folder / "log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - a program of our choice
                self.command(folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                # pgproxy is that of this checkout, wherever another is installed.
                env={
                    "PATH": os.defpath,
                    "LC_ALL": "C",
                    "PYTHONPATH": str(CHECKOUT),
                },
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                extra_groups=[] if user else None,
            )


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise StartError(f"{process.args!r} does not listen: {log.read_text()}")


class Pgproxy(Proxy):
    """pgproxy with what one would have: rules, a log of connections, in JSON."""

    key = "pgproxy"
    title = "pgproxy"
    bare = False

    def version(self) -> str:
        """Return that of this checkout, and of what it runs on."""
        return (
            f"pgproxy {version('pgproxy')} ({_commit()}), "
            f"Python {sys.version.split()[0]}, uvloop {version('uvloop')}, "
            f"{ssl.OPENSSL_VERSION}"
        )

    def files(self, setup: Setup, folder: Path) -> Mapping[str, str]:
        """Return pgproxy.conf, pg_hba.conf and pg_ident.conf."""
        return configurations.pgproxy(setup, bare=self.bare)

    def command(self, folder: Path) -> Sequence[str | Path]:
        """Return the command that serves *folder*."""
        return [sys.executable, "-m", "pgproxy", "serve", "-D", folder]


class PgproxyBare(Pgproxy):
    """pgproxy with one rule and no log of connections, to see what those cost."""

    key = "pgproxy-bare"
    title = "pgproxy, one rule and no log of connections"
    bare = True


class PgBouncer(Proxy):
    """PgBouncer in session mode."""

    key = "pgbouncer"
    title = "PgBouncer"
    unprivileged = True
    differs = (
        "clients with a certificate are checked against no CRL, which it does not have; "
        "it uses its connections to PostgreSQL again."
    )

    def version(self) -> str:
        """Return that of PgBouncer and of its OpenSSL."""
        said = _said(_program("pgbouncer"), "--version")
        return _joined(said, r"^PgBouncer .+", r"^tls: (.+)")

    def files(self, setup: Setup, folder: Path) -> Mapping[str, str]:
        """Return pgbouncer.ini and users.txt."""
        return configurations.pgbouncer(setup, folder)

    def command(self, folder: Path) -> Sequence[str | Path]:
        """Return the command that runs it with *folder*."""
        return [_program("pgbouncer"), folder / "pgbouncer.ini"]


class Stunnel(Proxy):
    """stunnel, which speaks just enough of PostgreSQL's protocol to begin TLS."""

    key = "stunnel"
    title = "stunnel"
    differs = "a client's certificate is checked, and the name in it not compared."

    def version(self) -> str:
        """Return that of stunnel and of its OpenSSL."""
        said = _said(_program("stunnel"), "-version")
        library = r"^(?:Running +|Compiled/running +)with (.+)"
        return _joined(said, r"^stunnel \S+", library)

    def files(self, setup: Setup, folder: Path) -> Mapping[str, str]:
        """Return stunnel.conf."""
        return configurations.stunnel(setup)

    def command(self, folder: Path) -> Sequence[str | Path]:
        """Return the command that runs it with *folder*."""
        return [_program("stunnel"), folder / "stunnel.conf"]


PROXIES: Final[Sequence[type[Proxy]]] = (Pgproxy, PgBouncer, Stunnel, PgproxyBare)


def _program(name: str) -> Path:
    found = find(name)
    if found is None:
        raise SystemMissingError(
            f"{name} is not here: apt-get install {PACKAGES[name]}"
        )
    return found


def _said(*command: str | Path) -> str:
    done = subprocess.run(  # noqa: S603 - a program of our choice
        command, capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    return done.stdout + done.stderr


def _joined(said: str, *patterns: str) -> str:
    """Return what of *said* fits each of the *patterns*, with commas between."""
    found = (re.search(pattern, said, re.MULTILINE) for pattern in patterns)
    return ", ".join(one[one.lastindex or 0] for one in found if one is not None)


def _commit() -> str:
    """Return the commit of this checkout, if it is one."""
    git = find("git")
    if git is None or not (CHECKOUT / ".git").exists():
        return "no checkout"
    command = (git, "-C", CHECKOUT, "describe", "--always", "--dirty", "--exclude=*")
    return _said(*command).strip()
