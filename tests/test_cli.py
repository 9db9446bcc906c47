"""The command line: what each command says, and its exit status."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pgproxy import __version__, cli
from pgproxy.cli import main
from pgproxy.server.pid_file import NAME, PidFile
from pgproxy.testing.authority import Authority
from tests.support.endpoints import wait_until
from tests.support.oracles import CHECKOUT
from tests.support.tls_files import Folder

CONF = "port = 0\nlisten_addresses = '127.0.0.1'\n"
HBA = """\
# who
host all all 127.0.0.1/32 scram-sha-256
hostssl app,"Ö" +0 samenet cert map=staff clientname=DN
hostnossl replication rex 10.0.0.0 255.0.0.0 reject
"""
HBA = HBA.replace("+0", "ana")


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner(env={"PGPROXYDATA": None, **(env or {})}).invoke(
        main, [str(one) for one in arguments]
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory with a configuration that is good."""
    Folder(tmp_path, Authority.root("root CA"))
    (tmp_path / "pgproxy.conf").write_text(
        f"{CONF}ssl = on\nssl_ca_file = 'root.crt'\n"
    )
    (tmp_path / "pg_hba.conf").write_text(HBA)
    (tmp_path / "pg_ident.conf").write_text("staff ana ana\n")
    return tmp_path


@pytest.fixture
def serving(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a pgproxy in *data*, and wait until it can hear a signal."""
    command = [sys.executable, "-m", "pgproxy", "serve", "-D", str(data)]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=CHECKOUT)
    log_text = (data / "log").read_text
    try:
        wait_until(
            lambda: PidFile.read(data) is not None or process.poll() is not None,
            log_text,
        )
        assert process.poll() is None, log_text()
        yield process
    finally:
        process.kill()
        process.wait()


# --- check --------------------------------------------------------------------------


def test_check(data: Path) -> None:
    """What is set, and where; then the rules, as pg_hba_file_rules shows them."""
    done = run("check", "-D", data)
    assert done.exit_code == 0, done.output
    assert re.search(
        rf"^port += '0' +# line 1 of configuration file \"{data}/pgproxy.conf\"$",
        done.stdout,
        re.MULTILINE,
    )
    assert "max_connections" not in done.stdout  # its default is not what was asked
    rules = done.stdout.partition("\nrule_number ")[2].splitlines()
    assert rules[0].split() == [
        *("file_name", "line_number", "type", "database", "user_name", "address"),
        *("netmask", "auth_method", "options"),
    ]
    assert [line.split() for line in rules[1:4]] == [
        ["1", "pg_hba.conf", "2", "host", "all", "all", "127.0.0.1",
         "255.255.255.255", "scram-sha-256"],
        ["2", "pg_hba.conf", "3", "hostssl", "app,Ö", "ana", "samenet", "cert",
         "map=staff,clientcert=verify-full,clientname=DN"],
        ["3", "pg_hba.conf", "4", "hostnossl", "replication", "rex", "10.0.0.0",
         "255.0.0.0", "reject"],
    ]  # fmt: skip
    assert "set channel_binding=prefer there" in done.stdout
    assert done.stderr == ""


def test_check_without_passwords(data: Path) -> None:
    """Channel binding only matters to who asks for a password."""
    (data / "pg_hba.conf").write_text("host all all all trust\n")
    done = run("check", "-D", data)
    assert done.exit_code == 0
    assert "channel_binding" not in done.stdout


def test_check_finds_faults(data: Path) -> None:
    """All of them, with their place; and the rules, the good ones among them."""
    (data / "pg_hba.conf").write_text(
        "host all all all krb5\nhots\nhost all all all md5\n"
    )
    (data / "server.key").chmod(0o644)
    done = run("check", "-D", data)
    assert done.exit_code == 1
    assert [line.split(maxsplit=2)[:3] for line in done.stdout.splitlines()[1:]] == [
        ["pg_hba.conf", "1", 'invalid authentication method "krb5"'],
        ["pg_hba.conf", "2", 'invalid connection type "hots"'],
        ["1", "pg_hba.conf", "3            host  all       all        all      md5"],
    ]
    assert 'invalid authentication method "krb5"' in done.stderr
    assert f'line 1 of configuration file "{data}/pg_hba.conf"' in done.stderr
    assert 'invalid connection type "hots"' in done.stderr
    assert "has group or world access" in done.stderr
    assert "\nDETAIL:  File must have permissions" in done.stderr


def test_check_without_rules(data: Path) -> None:
    """What is wrong is in a file that comes before, or there is no line to show."""
    for name, text in ("pgproxy.conf", "port = x\n"), ("pg_hba.conf", "# none\n"):
        (data / name).write_text(text)
        done = run("check", "-D", data)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "FATAL:  " in done.stderr
        (data / "pgproxy.conf").write_text(CONF)


def test_check_of_a_file_that_is_not_there(data: Path) -> None:
    """A row of the view without a line: as JSON only, the error says it all."""
    (data / "pg_hba.conf").unlink()
    done = run("check", "-D", data)
    assert (done.exit_code, done.stdout) == (1, "")
    done = run("check", "-D", data, "--json")
    (row,) = json.loads(done.stdout)["rules"]
    assert row["error"].startswith('could not open file "')
    assert row["file_name"] is None


def test_check_shows_which_file(data: Path) -> None:
    """As short as the files can be told apart."""
    (data / "sub").mkdir()
    (data / "sub/more.conf").write_text("host all all all md5\n")
    (data / "pg_hba.conf").write_text("include sub/more.conf\nhost x x all reject\n")
    done = run("check", "-D", data)
    table = done.stdout.partition("\nrule_number ")[2].splitlines()
    assert [line.split()[:3] for line in table[1:3]] == [
        ["1", "sub/more.conf", "1"],
        ["2", "pg_hba.conf", "2"],
    ]


def test_check_warns(data: Path) -> None:
    """Of what is in vain, with its place; the exit status stays as it is."""
    (data / "pg_hba.conf").write_text("host all all all md5\nhost\ta all all trust\n")
    done = run("check", "-D", data)
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        (
            "WARNING:  this line can never match: an earlier one takes all connections "
            "that it is about"
        ),
        (
            f'DETAIL:  line 1 of configuration file "{data}/pg_hba.conf" comes first: '
            '"host all all all md5"'
        ),
        "HINT:  Move it before that line, or remove it.",
        f'CONTEXT:  line 2 of configuration file "{data}/pg_hba.conf"',
    ]


def test_check_looks_at_certificates(data: Path) -> None:
    """Each thing once; and not where there is no TLS."""
    server = Authority.root("root CA").server(subject="nobody")
    server.write(data / "server.crt", data / "server.key")
    done = run("check", "-D", data)
    assert done.exit_code == 0
    assert done.stderr.count("has no subject alternative name") == 1
    done = run("check", "-D", data, "-c", "ssl=off")
    assert "subject alternative name" not in done.stderr


def test_check_as_json(data: Path) -> None:
    """The shape is that of docs/reference/commands.md."""
    done = run("check", "-D", data, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found.keys() == {"ok", "reports", "settings", "rules"}
    assert (found["ok"], found["reports"]) == (True, [])
    assert found["settings"][0] == {
        "name": "listen_addresses",
        "setting": "127.0.0.1",
        "source": f'line 2 of configuration file "{data}/pgproxy.conf"',
    }
    assert found["rules"][1] == {
        "rule_number": 2,
        "file_name": f"{data}/pg_hba.conf",
        "line_number": 3,
        "type": "hostssl",
        "database": ["app", "Ö"],
        "user_name": ["ana"],
        "address": "samenet",
        "netmask": None,
        "auth_method": "cert",
        "options": ["map=staff", "clientcert=verify-full", "clientname=DN"],
        "error": None,
    }


def test_check_as_json_finds_faults(data: Path) -> None:
    (data / "pg_hba.conf").write_text("hots\n")
    done = run("check", "-D", data, "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["ok"], found["settings"]) == (False, [])
    assert found["rules"] == [
        {
            **dict.fromkeys(
                ["rule_number", "type", "database", "user_name", "address"]
            ),
            **dict.fromkeys(["netmask", "auth_method", "options"]),
            "file_name": f"{data}/pg_hba.conf",
            "line_number": 1,
            "error": 'invalid connection type "hots"',
        }
    ]
    assert found["reports"][0] == {
        "severity": "LOG",
        "sqlstate": "F0000",
        "event": "hba.line_invalid",
        "message": 'invalid connection type "hots"',
        "detail": None,
        "hint": None,
        "context": f'line 1 of configuration file "{data}/pg_hba.conf"',
    }
    assert found["reports"][-1]["severity"] == "FATAL"


def test_check_says_what_is_not_wrong(data: Path) -> None:
    """A parameter of PostgreSQL's that has no use here."""
    with (data / "pgproxy.conf").open("a") as conf:
        conf.write("shared_buffers = 1GB\n")
    done = run("check", "-D", data)
    assert done.exit_code == 0
    assert 'pgproxy has no use for these parameters: "shared_buffers"' in done.stderr


def test_check_prints_no_control_bytes(data: Path) -> None:
    """What is in a file must not reach into a terminal."""
    (data / "pg_hba.conf").write_bytes(b"host all \x1b[31m all trust\n")
    done = run("check", "-D", data)
    assert done.exit_code == 0
    assert "\x1b" not in done.output
    assert r"\x1b[31m" in done.stdout


def test_overrides(data: Path) -> None:
    """-c wins over the file; the last wins over those before it."""
    done = run("check", "-D", data, "-c", "port=1", "-c", "port=5433")
    assert done.exit_code == 0
    assert re.search("port += '5433' +# command-line option -c", done.stdout)
    done = run("check", "-D", data, "-c", "port=x")
    assert done.exit_code == 1
    assert 'FATAL:  invalid value for parameter "port": "x"' in done.stderr
    done = run("check", "-D", data, "-c", "port")
    assert done.exit_code == 1
    assert "-c port requires a value" in done.stderr


def test_config_file(
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another file, relative to where we are; the data directory stays the same."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (data / "pgproxy.conf").rename(elsewhere / "other.conf")
    done = run("check", "-D", data)
    assert done.exit_code == 1
    assert "No such file or directory" in done.stderr
    monkeypatch.chdir(elsewhere)
    done = run("check", "-D", data, "--config-file", "other.conf")
    assert done.exit_code == 0, done.output
    assert f'"{elsewhere}/other.conf"' in done.stdout


def test_relative_directory(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-D too is relative to where we are."""
    monkeypatch.chdir(data.parent)
    done = run("check", "-D", data.name)
    assert done.exit_code == 0
    assert f'"{data}/pgproxy.conf"' in done.stdout


@pytest.mark.parametrize(
    "command", ["serve", "check", "explain", "status", "reload", "stop"]
)
def test_directory_is_needed(command: str, data: Path) -> None:
    """Every command works on a directory, and says so where it is missing."""
    done = run(command)
    assert done.exit_code == 2
    assert "'-D'" in done.stderr
    done = run(command, "-D", data / "none")
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
    done = run(command, "-D", data / "pgproxy.conf")
    assert done.exit_code == 2
    assert "is a file" in done.stderr


def test_directory_of_the_environment(data: Path) -> None:
    """As PGDATA is for PostgreSQL."""
    assert run("check", env={"PGPROXYDATA": str(data)}).exit_code == 0


# --- status, reload, stop -----------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "reload", "stop"])
def test_nobody_serves(command: str, data: Path) -> None:
    """3, as pg_ctl and the LSB have it."""
    done = run(command, "-D", data)
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == f"pgproxy: no pgproxy is running in {data}\n"


@pytest.mark.parametrize("command", ["status", "reload", "stop"])
def test_unreadable_pid_file(command: str, data: Path) -> None:
    """Not to know is not the same as to know that nobody serves."""
    (data / NAME).mkdir()
    done = run(command, "-D", data)
    assert done.exit_code == 1
    assert "could not open PID file" in done.stderr


@pytest.mark.parametrize(
    ("command", "what"), [("reload", "reload signal"), ("stop", "stop signal")]
)
def test_not_ours_to_signal(
    command: str, what: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's server."""
    (data / NAME).write_text(f"1\n{data}\n1700000000\n6432\n127.0.0.1\n")

    def refuse(*_arguments: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    done = run(command, "-D", data)
    assert done.exit_code == 1
    assert done.stderr == (
        f"pgproxy: could not send {what} (PID: 1): Operation not permitted\n"
    )


def test_status(data: Path, serving: subprocess.Popen[bytes]) -> None:
    """The process, where it listens, and since when."""
    done = run("status", "-D", data)
    assert done.exit_code == 0
    found = PidFile.read(data)
    assert found is not None
    assert done.stdout.startswith(
        f"pgproxy: server is running (PID: {serving.pid})\n"
        f"listening on 127.0.0.1, port {found.port}, since 2"
    )


def test_reload(data: Path, serving: subprocess.Popen[bytes]) -> None:
    """The log says what has come of it."""
    done = run("reload", "-D", data)
    assert done.exit_code == 0
    assert done.stdout == f"pgproxy: server signaled (PID: {serving.pid})\n"
    log = (data / "log").read_text
    wait_until(lambda: "configuration was reloaded" in log(), log)


@pytest.mark.parametrize("mode", [None, "smart", "fast", "immediate"])
def test_stop(data: Path, serving: subprocess.Popen[bytes], mode: str | None) -> None:
    """It is over when the command is."""
    done = run("stop", "-D", data, *([] if mode is None else ["-m", mode]))
    assert done.exit_code == 0, done.output
    assert done.stdout == "pgproxy: server stopped\n"
    assert not (data / NAME).exists()
    assert serving.wait(10) == 0
    expected = f"received {mode or 'fast'} shutdown request"
    assert expected in (data / "log").read_text()


def test_stop_takes_too_long(data: Path) -> None:
    """Who does not end in time may still do so; the exit status says so."""
    deaf = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(); input()"
    )
    with contextlib.ExitStack() as undo:
        process = subprocess.Popen(
            [sys.executable, "-c", deaf], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        undo.callback(process.communicate)
        assert process.stdout is not None
        process.stdout.readline()
        (data / NAME).write_text(f"{process.pid}\n{data}\n1700000000\n6432\n\n")
        done = run("stop", "-D", data, "-t", "0")
        assert done.exit_code == 1
        assert done.stderr == "pgproxy: server does not shut down\n"
        assert run("status", "-D", data).stdout.startswith(
            f"pgproxy: server is running (PID: {process.pid})\nlistening on nothing"
        )


def test_stop_signals() -> None:
    """PostgreSQL's."""
    assert {
        "smart": signal.SIGTERM,
        "fast": signal.SIGINT,
        "immediate": signal.SIGQUIT,
    } == cli.STOP_SIGNALS


# --- serve, and the rest ------------------------------------------------------------


def test_serve_that_cannot(data: Path) -> None:
    """The log has said why, and there is no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "pgproxy", "serve", "-D", data, "-c", "ssl=maybe"],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 1
    assert 'parameter "ssl" requires a Boolean value' in done.stderr
    assert "Traceback" not in done.stderr


def test_second_server(data: Path, serving: subprocess.Popen[bytes]) -> None:
    """One directory, one server; PostgreSQL's words."""
    done = subprocess.run(
        [sys.executable, "-m", "pgproxy", "serve", "-D", data],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 1
    assert 'FATAL:  lock file "pgproxy.pid" already exists' in done.stderr
    assert (
        f"HINT:  Is another pgproxy (PID {serving.pid}) running in data directory "
        f'"{data}"?'
    ) in done.stderr
    assert PidFile.read(data) is not None


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option: str) -> None:
    """The version, for whoever reports a bug."""
    assert run(option).stdout == f"pgproxy, version {__version__}\n"


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help(option: str) -> None:
    """Every command has a line."""
    done = run(option)
    assert done.exit_code == 0
    for command in ("check", "demo", "explain", "reload", "serve", "status", "stop"):
        assert re.search(rf"^  {command} +[A-Z]", done.stdout, re.MULTILINE)
