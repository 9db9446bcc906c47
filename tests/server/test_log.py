"""The log: jsonlog's keys, PostgreSQL's lines, and nothing that could forge either."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import log
from tests.support.oracles import CHECKOUT

Log = Callable[[str], io.StringIO]


def report(message: str = "it happened", **more: Any) -> Report:
    return Report(
        **{
            "severity": Severity.LOG,
            "sqlstate": SqlState.SUCCESSFUL_COMPLETION,
            "message": message,
            "event": "thing.happened",
            **more,
        }
    )


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what configures the log, and returns what is written to it."""

    def act(log_format: str) -> io.StringIO:
        written = io.StringIO()
        monkeypatch.setattr(sys, "stderr", written)
        log.configure(log_format)
        return written

    yield act
    structlog.reset_defaults()


KEYS = {
    "user": "ana",
    "dbname": None,
    "remote_host": "127.0.0.1",
    "remote_port": 5000,
}


def test_json(start: Log) -> None:
    """Jsonlog's keys; what there is nothing to say about is left out."""
    written = start("json")
    log.write(
        report(
            severity=Severity.FATAL,
            sqlstate=SqlState.INVALID_PASSWORD,
            detail="more",
            hint="try again",
            context="line 1",
        ),
        KEYS,
    )
    log.write(report())
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "error_severity": "FATAL",
        "state_code": "28P01",
        "message": "it happened",
        "detail": "more",
        "hint": "try again",
        "context": "line 1",
        "event": "thing.happened",
        "user": "ana",
        "remote_host": "127.0.0.1",
        "remote_port": 5000,
    }
    assert second.keys() >= {"timestamp", "error_severity", "message", "event"}
    assert second.keys().isdisjoint({"detail", "hint", "context", "user"})


def test_what_explain_needs(start: Log) -> None:
    """For programs: no TLS is something to say, and the console leaves it out."""
    keys = {"ssl": False, "client_dn": None, "octets_from_client": 0}
    written = start("json")
    log.write(report(), keys)
    found = json.loads(written.getvalue())
    assert found["ssl"] is False
    assert found.keys().isdisjoint({"client_dn", "octets_from_client"})
    written = start("console")
    log.write(report(), {"ssl": True, "client_dn": "CN=a", "client_cn": "a"})
    log.write(report(), {"replication": "true"})
    lines = [line.partition("Z ")[2] for line in written.getvalue().splitlines()]
    assert lines == ["LOG:  it happened"] * 2


def test_console(start: Log) -> None:
    """As PostgreSQL's stderr log: a line for each part, a tab before what goes on."""
    written = start("console")
    log.write(
        report(
            severity=Severity.FATAL, detail="one\ntwo", hint="try", context="line 1"
        ),
        KEYS,
    )
    lines = [line.partition("Z ")[2] or line for line in written.getvalue().split("\n")]
    who = "[user=ana remote_host=127.0.0.1 remote_port=5000]"
    assert lines == [
        f"{who} FATAL:  it happened",
        f"{who} DETAIL:  one",
        "\ttwo",
        f"{who} HINT:  try",
        f"{who} CONTEXT:  line 1",
        "",
    ]


def test_console_without_a_session(start: Log) -> None:
    """What is nobody's has nobody's name."""
    written = start("console")
    log.write(report())
    assert written.getvalue().partition("Z ")[2] == "LOG:  it happened\n"


def test_told_once(start: Log) -> None:
    """NEG-70: a guess is no reason to fill the log at every knock of a monitor."""
    written = start("json")
    guess = report(once=True)
    for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        log.write(guess, {"user": "ana", "remote_host": host})
    log.write(guess, {"user": "bob", "remote_host": "10.0.0.1"})
    log.write(report(once=True, event="another"), {"user": "ana"})
    assert len(written.getvalue().splitlines()) == 4
    log.configure("json")  # as a reload does
    log.write(guess, {"user": "ana", "remote_host": "10.0.0.1"})
    assert len(written.getvalue().splitlines()) == 5


def test_what_was_told_is_not_remembered_without_end(
    start: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Users are what clients say they are: there may be any number."""
    written = start("json")
    monkeypatch.setattr(log, "MAX_TOLD", 2)
    for user in ("a", "b", "c", "b", "a"):
        log.write(report(once=True), {"user": user})
    assert len(written.getvalue().splitlines()) == 5


def test_write_all(start: Log) -> None:
    """In their order."""
    written = start("json")
    log.write_all(report(str(n)) for n in range(3))
    lines = written.getvalue().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["0", "1", "2"]


@pytest.mark.parametrize("severity", list(Severity))
def test_severities(start: Log, severity: Severity) -> None:
    """Each is written, under its own name."""
    written = start("json")
    log.write(report(severity=severity))
    assert json.loads(written.getvalue())["error_severity"] == severity.value


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("plain", "plain"),
        ("Ö 漢 \U0001f600", "Ö 漢 \U0001f600"),
        ("a\nb", r"a\x0ab"),
        ("a\r\n2026-01-01 FATAL:  x", r"a\x0d\x0a2026-01-01 FATAL:  x"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x00\x7f", r"\x00\x7f"),
        ("\x85\x9b", r"\xc2\x85\xc2\x9b"),
        ("\u2028\u2029", r"\xe2\x80\xa8\xe2\x80\xa9"),
        ("\udce9\udcff", r"\xe9\xff"),
        ("tab\t", r"tab\x09"),
    ],
)
def test_printable(text: str, printed: str) -> None:
    r"""PRX-20: control bytes and what is not UTF-8 become ``\xNN``."""
    assert log.printable(text) == printed


WIRE = st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@given(text=WIRE)
def test_nothing_forges_a_line(text: str) -> None:
    """Whatever a client calls itself, it is one line, and can be written down."""
    printed = log.printable(text)
    assert printed.encode("utf-8").decode("utf-8") == printed
    assert len(f"{printed}|".splitlines()) == 1
    if text.isprintable():
        assert printed == text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_forgery_in_either_format(start: Log, log_format: str) -> None:
    """Neither in the message, nor in who it is."""
    written = start(log_format)
    evil = "x\n2026-01-01T00:00:00Z LOG:  all is well\x1b[2J\udcff"
    log.write(report(evil, context=evil), {"user": evil, "dbname": evil})
    text = written.getvalue()
    assert "\x1b" not in text
    assert len(text.splitlines()) == (1 if log_format == "json" else 2)
    assert text.encode("utf-8")


def test_bug(start: Log) -> None:
    """An error of ours: where, and that it is one."""
    written = start("json")
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        log.bug({"user": "ana"})
    [line] = written.getvalue().splitlines()
    found = json.loads(line)
    assert found["event"] == "internal.error"
    assert found["message"] == (
        "unexpected ZeroDivisionError: integer division or modulo by zero"
    )
    assert (found["error_severity"], found["state_code"]) == ("ERROR", "XX000")
    assert "in test_bug" in found["detail"]
    assert found["user"] == "ana"
    assert "bug" in found["hint"]


PIPE = """
import os, sys
from pgproxy.server import log
from tests.server.test_log import report
log.configure(sys.argv[1])
sys.stdin.readline()
log.write(report())
try:
    1 // 0
except ZeroDivisionError:
    log.bug({})
os.write(1, b"alive")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_nobody_reads(log_format: str) -> None:
    """Who pipes the log into something that ends does not end the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", PIPE, log_format],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
    )
    assert process.stderr is not None
    process.stderr.close()
    process.stderr = None
    # At its end Python complains, to nobody, of what it could not flush.
    said, _none = process.communicate(b"go\n")
    assert said == b"alive"


FLOOD = """
import sys
from pgproxy.server import log
log.configure("json")
for number in range(5000):
    log.note(f"line {number} " + "x" * 100, "thing.happened")
print("alive", flush=True)
sys.stdin.readline()
log.note("the end", "thing.happened")
"""


def test_nobody_reads_on() -> None:
    """A pipe that is full holds nobody up; once it is read, it says what is missing."""
    with subprocess.Popen(
        [sys.executable, "-c", FLOOD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=CHECKOUT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"alive\n"
        written = os.read(process.stderr.fileno(), 1 << 20)
        written += process.communicate(b"go\n")[1]
    lines = [json.loads(line) for line in written.splitlines()]
    *kept, end, told = [line["message"] for line in lines]
    assert end == "the end"
    assert kept[0].startswith("line 0 ")
    assert told == f"{5000 - len(kept)} lines of the log were lost: nobody read them"
    assert 0 < len(kept) < 5000
