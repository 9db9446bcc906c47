"""
The same files to PostgreSQL 18: whether it takes them, and what it says of them.

``postgres -C name`` reads a whole configuration, prints one value and ends: it needs
neither a database nor another user than root.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pgproxy.settings.catalogue import GUCS
from pgproxy.settings.conf import Loaded, load
from tests.support.oracles import PGPROXY, find

pytestmark = pytest.mark.interop

LOG_LINE = re.compile(r"^.*?\] (LOG|FATAL|HINT|DETAIL):  (.*)$", re.MULTILINE)

TAKEN = [
    "",
    "\n",
    "# comment",
    "\r\n\t # 'comment\r\n",
    "authentication_timeout = 5",
    "AUTHENTICATION_TIMEOUT=5#x",
    "authentication_timeout 1min",
    "authentication_timeout'1 min'\n",
    "authentication_timeout = 0x10",
    "authentication_timeout = 010",
    "authentication_timeout = 1.5",
    "authentication_timeout = 2.5",
    "authentication_timeout = '1.51 min'",
    "authentication_timeout = '  7 \v s '",
    "authentication_timeout = 1500ms",
    "authentication_timeout = 2500ms",
    "authentication_timeout = '1e1'",
    "authentication_timeout = '15e-1'",
    "authentication_timeout = '0.0085 h'",
    "authentication_timeout = +60",
    "authentication_timeout = 600000000us",
    "authentication_timeout = 5\nauthentication_timeout = 6",
    "authentication_timeout = bad\nauthentication_timeout = 6",
    "ssl_key_file = ''",
    "ssl_key_file = 'it''s'",
    r"ssl_key_file = 'it\'s\\'",
    r"ssl_key_file = '\a\101\60x'",
    r"ssl_key_file = '\303\251'",
    r"ssl_key_file = 'a\0b'",
    r"ssl_key_file = 'a\400b'",
    "ssl_key_file = 'é # no comment'",
    "ssl_key_file = é",
    "ssl_key_file = a-b.c:d/e_9",
    "ssl_key_file = .",
    "ssl_key_file = 1.",
    "ssl_key_file = -.5e-3",
    "ssl_key_file = 0x1Fmin",
    "ssl_key_file = 0xg",
    "ssl_key_file = a.b/c",
    "ssl_prefer_server_ciphers = of",
    "ssl_prefer_server_ciphers = Ye",
    "ssl_prefer_server_ciphers = 0",
    "ssl_min_protocol_version = tlsv1.3",
    "ssl_max_protocol_version = ''",
    "log_disconnections = t",
    "max_connections = 262143",
    "listen_addresses = '*'",
    "x.y = 1\nX.Y = 2",
    "ssl_ecdh_curve = x",
    "sort_mem = 100",
    "include_if_exists 'missing'\nauthentication_timeout = 9",
    "include 'good.conf'",
    "include_dir 'd'",
    "include_dir = 'd'\nauthentication_timeout=8",
]

REFUSED = [
    "port",
    "port\n",
    "port =",
    "port = # 5\n",
    "=\n5\n'x' = 1\n",
    "port = = 5\nport = 5 6\nport = 5,6\nport = 1 min",
    "a.b.c = 1",
    "3.x = 1",
    "a-b = 1",
    "ssl_key_file = server.key",
    "ssl_key_file = /etc/x",
    "ssl_key_file = 'a",
    r"ssl_key_file = 'a\'",
    "ssl_key_file = 'a'b'",
    "ssl_key_file = -x",
    'ssl_key_file = "x"',
    "authentication_timeout = 1e5",
    "authentication_timeout = 1.5min",
    "ssl_key_file\f= x",
    "nonsense = 1",
    "nonsense = 1\nmore.nonsense = 2\nyet_more 3",
    "\ufeffport = 1",
    "ssl = maybe",
    "ssl = o",
    "ssl_prefer_server_ciphers = ''",
    "authentication_timeout = 0",
    "authentication_timeout = 601",
    "authentication_timeout = 11min",
    "authentication_timeout = '1 m'",
    "authentication_timeout = 1S",
    "authentication_timeout = 08",
    "authentication_timeout = '1e 1'",
    "authentication_timeout = ''",
    "authentication_timeout = ' .5'",
    "authentication_timeout = 25000d",
    "authentication_timeout = 99999999999",
    "authentication_timeout = '1e999'",
    "authentication_timeout = 499ms",
    "authentication_timeout = '0.005 h'",
    "max_connections = 0",
    "max_connections = 262144",
    "max_connections = 5s",
    "ssl_min_protocol_version = ''",
    "ssl_min_protocol_version = 'TLSv1.4'",
    "ssl_max_protocol_version = x",
    "log_connections = nonsense",
    "log_connections = 'ON, receipt'",
    "log_connections = 'receipt, on'",
    "log_connections = 'Receipt, Nonsense'",
    "log_connections = 'a,,b'",
    "log_connections = '\"a'",
    "include 'missing'",
    "include ''",
    "include_if_exists ' '",
    "include_dir 'missing'",
    "include_dir '\t'",
    "include 'postgresql.conf'",
    "include 'loop.conf'",
    "include 'bad.conf'\nport = ",
    "ssl = x\nlog_disconnections = y",
]

FILES = {
    "good.conf": "authentication_timeout = 11",
    "bad.conf": "\nauthentication_timeout",
    "loop.conf": "include 'postgresql.conf'",
    "d/10.conf": "authentication_timeout = 12",
    "d/9.conf": "authentication_timeout = 13",
    "d/A.conf": "authentication_timeout = 14",
    "d/.x.conf": "nonsense",
    "d/x.conf.bak": "nonsense",
}


@pytest.fixture(scope="module")
def postgres() -> Path:
    return find(PGPROXY).bin_dir / "postgres"


@pytest.fixture(scope="module")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    directory.chmod(0o700)
    (directory / "d" / "folder.conf").mkdir(parents=True)
    for name, content in {"PG_VERSION": "18\n", **FILES}.items():
        (directory / name).write_text(content, encoding="utf-8")
    return directory


def write(directory: Path, text: str) -> Path:
    path = directory / "postgresql.conf"
    path.write_bytes(text.encode())
    return path


def ask(postgres: Path, directory: Path, name: str) -> tuple[str, list[str]]:
    """Return the value of *name*, and what is said of the files."""
    done = subprocess.run(
        [postgres, "-C", name, "-D", directory],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "LC_ALL": "C"},
    )
    said = [f"{kind}: {text}" for kind, text in LOG_LINE.findall(done.stderr)]
    return done.stdout.removesuffix("\n"), [
        line for line in said if "postgresql.auto.conf" not in line
    ]


def files_in(path: str) -> list[str]:
    return [entry.name for entry in os.scandir(path) if not entry.is_dir()]


def read(path: str) -> bytes:
    return Path(path).read_bytes()


@pytest.mark.parametrize("text", TAKEN, ids=repr)
def test_taken(postgres: Path, data_directory: Path, text: str) -> None:
    """The same value for what the file sets, and for what it leaves alone."""
    path = write(data_directory, text)
    found = load(str(path), read=read, list_directory=files_in)
    assert isinstance(found, Loaded), found
    for name in {"authentication_timeout", *found.sources}:
        setting = GUCS[name]
        value = getattr(found.settings, setting.attribute)
        theirs, _said = ask(postgres, data_directory, name)
        assert setting.parse(theirs) == value


@pytest.mark.parametrize("text", REFUSED, ids=repr)
def test_refused(postgres: Path, data_directory: Path, text: str) -> None:
    """Word for word what PostgreSQL says, but for the end, which depends on more."""
    path = write(data_directory, text)
    found = load(str(path), read=read, list_directory=files_in)
    assert not isinstance(found, Loaded)
    ours = []
    for report in found.problems:
        ours.append(f"{report.severity}: {report.message}")
        if report.detail:
            ours.append(f"DETAIL: {report.detail}")
        if report.hint and "Perhaps you meant" not in report.hint:
            ours.append(f"HINT: {report.hint}")
    if not text.endswith("\n"):
        # It has not counted the line end that is not there (guc-file.l).
        ours = [line_of_the_last_line(text, line) for line in ours]
    _value, theirs = ask(postgres, data_directory, "port")
    assert theirs.pop() == f'FATAL: configuration file "{path}" contains errors'
    assert ours == theirs


def line_of_the_last_line(text: str, said: str) -> str:
    last = text.count("\n") + 1
    return said.replace(
        f'postgresql.conf" line {last}, near end of line',
        f'postgresql.conf" line {last - 1}, near end of line',
    ).replace(
        'bad.conf" line 2, near end of line', 'bad.conf" line 1, near end of line'
    )
