"""Throw-away instances start, say where they are, and leave nothing behind."""

import signal
import socket
import struct
from collections.abc import Iterator

import pytest

from pgproxy.testing import installation
from pgproxy.testing.installation import ProgramError
from pgproxy.testing.postgres import Instance, conf, free_port, quote

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance(
        installation.embedded(),
        settings={"cluster_name": "it's \\ me"},
        sql=["CREATE ROLE ana LOGIN"],
    ) as running:
        yield running


def log_in(sock: socket.socket, user: bytes) -> bytes:
    """Send a StartupMessage, and return the first message's type and code."""
    body = b"\0\3\0\0user\0" + user + b"\0database\0postgres\0\0"
    sock.sendall(struct.pack(">i", 4 + len(body)) + body)
    return sock.recv(4096)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [("on", "'on'"), ("it's", "'it''s'"), ("a\\b", "'a\\\\b'"), ("", "''")],
)
def test_quote(value: str, quoted: str) -> None:
    assert quote(value) == quoted


def test_conf() -> None:
    assert conf({"port": "1", "a.b": "x y"}) == "port = '1'\na.b = 'x y'\n"


def test_free_port() -> None:
    """It can be listened on."""
    with socket.create_server(("127.0.0.1", free_port())):
        pass


def test_tcp_and_unix_socket(instance: Instance) -> None:
    """It listens on both, and knows the role that it was given."""
    with socket.create_connection((instance.host, instance.port), 10) as tcp:
        assert log_in(tcp, b"ana").startswith(b"R\0\0\0\x08\0\0\0\0")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.settimeout(10)
        unix.connect(f"{instance.socket_dir}/.s.PGSQL.{instance.port}")
        assert b"it's \\ me" not in log_in(unix, b"nobody-of-that-name")
    assert 'role "nobody-of-that-name" does not exist' in instance.log()


def test_conninfo(instance: Instance) -> None:
    assert f"port={instance.port}" in instance.conninfo
    assert f"host={instance.socket_dir} " in instance.conninfo


def test_files_are_private(instance: Instance) -> None:
    path = instance.write("some.key", b"secret")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_uid == instance.data.stat().st_uid


def test_restart_keeps_the_port_and_takes_new_settings(instance: Instance) -> None:
    port, pid = instance.port, instance.pid
    instance.configure(port=str(port), log_connections="on")
    instance.restart()
    assert instance.port == port
    assert instance.pid != pid
    with socket.create_connection((instance.host, instance.port), 10) as tcp:
        log_in(tcp, b"ana")
    assert "connection received" in instance.log()


def test_what_does_not_start_says_why() -> None:
    """The log is in the error; nothing stays behind."""
    broken = Instance(installation.embedded(), settings={"ssl": "on"})
    try:
        with pytest.raises(ProgramError, match="SSL is not supported by this build"):
            broken.start()
    finally:
        broken.remove()
    assert not broken.folder.exists()


def test_bad_sql() -> None:
    with pytest.raises(ProgramError, match='syntax error at or near "NONSENSE"'):
        Instance(installation.embedded(), sql=["NONSENSE"])


def test_end() -> None:
    """At the end nobody listens, and the folder is gone; twice is once."""
    with Instance(installation.embedded()) as running:
        address = (running.host, running.port)
        folder = running.folder
        running.signal(signal.SIGHUP)
    running.remove()
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 10)
