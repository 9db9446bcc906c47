"""
Throw-away PostgreSQL instances, for the demo and for tests.

::

    with Instance(installation.embedded(), settings={"wal_level": "logical"}) as backend:
        ...  # at backend.host, backend.port, and in backend.socket_dir

An instance has a folder of its own: its data, its log and its Unix socket. It listens
on 127.0.0.1, trusts whoever comes (unless it is given other rules), and cares for
nothing beyond its own end: fsync is off.
"""

import atexit
import contextlib
import functools
import shutil
import signal
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pgproxy.testing.installation import (
    Installation,
    ProgramError,
    make_folder,
    own,
    run_unprivileged,
)

ShutdownMode = Literal["smart", "fast", "immediate"]

TRUST: Final = "local all all trust\nhost all all 127.0.0.1/32 trust\n"
"""pg_hba.conf: whoever is on this machine."""

INITDB: Final = (
    *("-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C"),
    *("--no-sync", "--no-instructions"),
    # Data folders are copied: 1 MB of WAL, not 16.
    "--wal-segsize=1",
)

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "50",
    "autovacuum": "off",
    "lc_messages": "C",
    "log_timezone": "UTC",
}

START_ATTEMPTS: Final = 5
"""A port that was free a moment ago may have been taken since."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def quote(value: str) -> str:
    """Return *value* as postgresql.conf takes it, in quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def conf(settings: Mapping[str, str]) -> str:
    """Return *settings* as the lines of a postgresql.conf."""
    return "".join(f"{name} = {quote(value)}\n" for name, value in settings.items())


class Instance:
    """
    One PostgreSQL: made by initdb, started, stopped, and removed.

    Args:
        installation: Whose programs to use.
        settings: For postgresql.conf, on top of `SETTINGS`.
        hba: The content of pg_hba.conf.
        ident: The content of pg_ident.conf.
        files: More files for the data folder, mode 0600: certificates, keys.
        sql: Statements to run before the first start, one line each.

    """

    host: Final = "127.0.0.1"

    def __init__(
        self,
        installation: Installation,
        *,
        settings: Mapping[str, str] | None = None,
        hba: str = TRUST,
        ident: str = "",
        files: Mapping[str, bytes] | None = None,
        sql: Iterable[str] = (),
    ) -> None:
        self.installation = installation.reachable()
        template = _template(self.installation, tuple(sql))
        self.settings = dict(settings or {})
        self.folder = make_folder("pgproxy-")
        self.data = self.folder / "data"
        self.log_file = self.folder / "log"
        self.socket_dir = self.folder
        self.port = 0
        self._started = False
        # cp, as it keeps the owner and knows how to copy sparse files.
        run_unprivileged("cp", "-Rp", template, self.data)
        own_write(self.log_file, b"")
        self.write("pg_hba.conf", hba.encode())
        self.write("pg_ident.conf", ident.encode())
        for name, content in (files or {}).items():
            self.write(name, content)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.remove()

    @property
    def conninfo(self) -> str:
        """Where it is, for libpq: its Unix socket, as the superuser."""
        return f"host={self.socket_dir} port={self.port} user=postgres dbname=postgres"

    def write(self, name: str, content: bytes) -> Path:
        """Write the file *name* of the data folder, mode 0600, owned by PostgreSQL."""
        return own_write(self.data / name, content)

    def configure(self, **settings: str) -> None:
        """Change *settings*; a start or a reload makes them count."""
        self.settings |= settings
        fixed = {
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir),
        }
        text = conf({**SETTINGS, **fixed, **self.settings})
        self.write("postgresql.conf", text.encode())

    def start(self) -> None:
        """
        Start it, and wait until it lets clients in.

        Raises:
            ProgramError: It does not start; has what its log says.

        """
        for attempt in range(START_ATTEMPTS):
            if not self._started:
                self.port = free_port()
            self.configure()
            mark = len(self.log())
            try:
                self._pg_ctl("start", "-l", self.log_file)
            except ProgramError as error:
                said = self.log()[mark:]
                if "Address already in use" in said and attempt < START_ATTEMPTS - 1:
                    continue
                raise ProgramError(f"{error}\n{said}") from error
            self._started = True
            return

    def stop(self, mode: ShutdownMode = "immediate") -> None:
        """Stop it, and wait for its end; no word if it does not run."""
        if (self.data / "postmaster.pid").exists():
            self._pg_ctl("stop", "-m", mode)

    def restart(self) -> None:
        """Stop it the ordinary way, and start it again on the same port."""
        self.stop("fast")
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send the postmaster a signal: SIGHUP to reload, SIGTERM to stop."""
        name = number.name.removeprefix("SIG")
        self.installation.run("pg_ctl", "kill", name, str(self.pid))

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def log(self) -> str:
        """Return what its log says so far."""
        return self.log_file.read_text("utf-8", "surrogateescape")

    def remove(self) -> None:
        """Stop it at once and remove all that it has."""
        with contextlib.suppress(ProgramError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _pg_ctl(self, action: str, *arguments: str | Path) -> None:
        options: tuple[str | Path, ...] = ("-D", self.data, "-w", "-t", "60")
        self.installation.run("pg_ctl", action, *options, *arguments, cwd=self.folder)


def own_write(path: Path, content: bytes) -> Path:
    """Write a file, mode 0600, that belongs to the user PostgreSQL runs as."""
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_bytes(content)
    return own(path)


@functools.cache
def _template(installation: Installation, sql: tuple[str, ...]) -> Path:
    """
    Make a data folder to copy from: initdb takes a second, a copy a tenth of it.

    Statements run in single-user mode, which needs no client program.
    """
    folder = make_folder("pgproxy-template-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data = folder / "data"
    if sql:
        run_unprivileged("cp", "-Rp", _template(installation, ()), data)
        said = installation.run(
            *("postgres", "--single", "-D", data, "-F", "postgres"),
            stdin="".join(f"{line}\n" for line in sql),
            cwd=folder,
        )
        if "ERROR:" in said:
            raise ProgramError(said)
    else:
        installation.run("initdb", "-D", data, *INITDB, cwd=folder)
    return data
