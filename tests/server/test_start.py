"""
A configuration that is wrong: pgproxy does not start, and says all that is wrong.

At a reload the same faults keep the old configuration, whole (test_reload.py). The
words are PostgreSQL's: TLS-25 to TLS-48, TLS-91, HBA-22 to HBA-52.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pgproxy.server import postmaster
from pgproxy.server.generation import Source
from pgproxy.server.postmaster import CannotStart
from pgproxy.testing.authority import Authority
from tests.support.oracles import CHECKOUT
from tests.support.tls_files import Folder

GOOD_CONF = "port = 0\nlisten_addresses = '127.0.0.1'\nssl = on\n"
GOOD_HBA = "host all all all trust\n"


def write(folder: Path, conf: str = "", hba: str = GOOD_HBA) -> None:
    (folder / "pgproxy.conf").write_text(GOOD_CONF + conf)
    (folder / "pg_hba.conf").write_text(hba)


def serve(
    folder: Path, *arguments: str, prepare: Callable[[], None] | None = None
) -> tuple[int, list[str]]:
    """Start it, where it cannot start; return the exit status and the log's lines."""
    done = subprocess.run(
        [sys.executable, "-m", "pgproxy", "serve", "-D", str(folder), *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=prepare,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert not (folder / "pgproxy.pid").exists()
    # Behind the time: LOG:  message, DETAIL:  more.
    lines = [line.partition("Z ")[2] for line in done.stderr.splitlines()]
    return done.returncode, [line.partition("] ")[2] or line for line in lines]


def test_wrong_key_permissions(folder: Folder) -> None:
    """TLS-29: with PostgreSQL's advice."""
    write(folder.path)
    (folder.path / "server.key").chmod(0o644)
    status, log = serve(folder.path)
    assert status == 1
    assert log == [
        'FATAL:  private key file "server.key" has group or world access',
        (
            "DETAIL:  File must have permissions u=rw (0600) or less if owned by the "
            "database user, or permissions u=rw,g=r (0640) or less if owned by root."
        ),
    ]


def test_key_is_a_fifo(folder: Folder) -> None:
    """TLS-27: it is not read, for that would wait for ever."""
    write(folder.path)
    (folder.path / "server.key").unlink()
    os.mkfifo(folder.path / "server.key", 0o600)
    status, log = serve(folder.path)
    assert status == 1
    assert log == ['FATAL:  private key file "server.key" is not a regular file']


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "server.crt",
            (
                'FATAL:  could not load server certificate file "server.crt": No such '
                "file or directory"
            ),
        ),
        (
            "server.key",
            (
                'FATAL:  could not access private key file "server.key": No such file or '
                "directory"
            ),
        ),
        (
            "root.crt",
            (
                'FATAL:  could not load root certificate file "root.crt": No such file or '
                "directory"
            ),
        ),
        (
            "pg_hba.conf",
            'LOG:  could not open file "{}/pg_hba.conf": No such file or directory',
        ),
        (
            "pgproxy.conf",
            (
                'LOG:  could not open configuration file "{}/pgproxy.conf": No such file '
                "or directory"
            ),
        ),
    ],
)
def test_missing_file(name: str, complaint: str, folder: Folder) -> None:
    """TLS-25, TLS-26, TLS-41, HBA-47: which, and why."""
    write(folder.path, "ssl_ca_file = 'root.crt'\n")
    (folder.path / name).unlink()
    status, log = serve(folder.path)
    assert status == 1
    assert log[0] == complaint.format(folder.path)


def test_key_that_does_not_match(folder: Folder, authority: Authority) -> None:
    """TLS-30."""
    write(folder.path)
    authority.server("elsewhere").write(
        folder.path / "other.crt", folder.path / "server.key"
    )
    status, log = serve(folder.path)
    assert status == 1
    assert log == [
        'FATAL:  could not load private key file "server.key": key values mismatch'
    ]


def test_everything_at_once(folder: Folder) -> None:
    """Every bad setting, with file and line, and what to do about it."""
    write(folder.path, "prot = 5432\nssl_min_protocol_version = 'TLSv1.4'\nssl = 7\n")
    status, log = serve(folder.path, "-c", "max_connections=many")
    file = f"{folder.path}/pgproxy.conf"
    assert status == 1
    assert log == [
        f'LOG:  unrecognized configuration parameter "prot" in file "{file}" line 4',
        'HINT:  Perhaps you meant the parameter "port".',
        ('LOG:  invalid value for parameter "ssl_min_protocol_version": "TLSv1.4"'),
        "HINT:  Available values: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3.",
        f'CONTEXT:  line 5 of configuration file "{file}"',
        'LOG:  parameter "ssl" requires a Boolean value',
        f'CONTEXT:  line 6 of configuration file "{file}"',
        'FATAL:  invalid value for parameter "max_connections": "many"',
        "CONTEXT:  command-line option -c",
        f'FATAL:  configuration file "{file}" contains errors',
    ]


def test_every_bad_rule(folder: Folder) -> None:
    """HBA-52: all of them, with file and line; and what is wrong with TLS beside."""
    write(
        folder.path,
        hba="hots all all all trust\nhost all all all trust\nhost all all all krb5\n"
        "host all all all cert\n",
    )
    (folder.path / "server.key").write_text("no key")
    status, log = serve(folder.path)
    file = f"{folder.path}/pg_hba.conf"
    assert status == 1
    assert log == [
        'LOG:  invalid connection type "hots"',
        f'CONTEXT:  line 1 of configuration file "{file}"',
        'LOG:  invalid authentication method "krb5"',
        f'CONTEXT:  line 3 of configuration file "{file}"',
        "LOG:  cert authentication is only supported on hostssl connections",
        f'CONTEXT:  line 4 of configuration file "{file}"',
        f"FATAL:  could not load {file}",
        'FATAL:  could not load private key file "server.key": no start line',
    ]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (
            "host all +staff all trust",
            '"+staff" cannot be matched without the role memberships of the server',
        ),
        (
            "host samerole all all trust",
            '"samerole" cannot be matched without the role memberships of the server',
        ),
        (
            "host /^(?=app) all all trust",
            (
                'regular expression "^(?=app)" is not supported: it has a lookahead at '
                "position 2"
            ),
        ),
        *(
            (
                f"host all all all {method}",
                f'invalid authentication method "{method}": not supported by this build',
            )
            for method in ("ident", "gss", "sspi")
        ),
    ],
)
def test_what_cannot_be_done_is_refused(
    rule: str, complaint: str, folder: Folder
) -> None:
    """BUG-48: to skip a rule would open what it closes (HBA-31, HBA-78, HBA-80)."""
    write(folder.path, hba=f"{GOOD_HBA}{rule}\n")
    status, log = serve(folder.path)
    file = f"{folder.path}/pg_hba.conf"
    assert status == 1
    assert log[0] == f"LOG:  {complaint}"
    assert log[1].startswith("HINT:  ")
    assert log[2] == f'CONTEXT:  line 2 of configuration file "{file}"'
    assert log[-1] == f"FATAL:  could not load {file}"


def test_maps_that_a_rule_asks_for(folder: Folder) -> None:
    """A missing pg_ident.conf matters as soon as a rule names a map."""
    conf = "ssl_ca_file = 'root.crt'\n"
    write(folder.path, conf, "hostssl all all all cert map=m\n")
    status, log = serve(folder.path)
    assert status == 1
    file = f"{folder.path}/pg_ident.conf"
    assert log == [
        f'LOG:  could not open file "{file}": No such file or directory',
        f"FATAL:  could not load {file}",
    ]


def test_too_few_descriptors(folder: Folder) -> None:
    """Better now than when the last of them is taken."""
    write(folder.path, "max_connections = 1000\n")
    status, log = serve(
        folder.path,
        prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)),
    )
    assert status == 1
    assert log == [
        "FATAL:  insufficient file descriptors available to start server process",
        "DETAIL:  System allows 500, server needs at least 2064.",
        ("HINT:  Lower max_connections, or raise the limit (ulimit -n, LimitNOFILE)."),
    ]


def test_an_address_that_is_not_ours(folder: Folder) -> None:
    """PostgreSQL's words, and no start without an address to listen on."""
    write(folder.path)
    status, log = serve(folder.path, "-c", "listen_addresses=192.0.2.1")
    assert status == 1
    assert log[0] == (
        'LOG:  could not bind IPv4 address "192.0.2.1": Cannot assign requested address'
    )
    assert log[-1] == "FATAL:  could not create any TCP/IP sockets"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written(folder: Folder) -> None:
    """There is nowhere to put the pid file."""
    write(folder.path)
    folder.path.chmod(0o500)
    try:
        status, log = serve(folder.path)
    finally:
        folder.path.chmod(0o700)
    assert status == 1
    assert log[-1] == (
        'FATAL:  could not create lock file "pgproxy.pid": Permission denied'
    )


def test_workers_where_there_can_be_none(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and does not serve with fewer than were asked for."""
    monkeypatch.delattr(signal, "sigtimedwait")
    write(folder.path, "pgproxy.workers = 2\n")
    source = Source(directory=folder.path, config_file=folder.path / "pgproxy.conf")
    with pytest.raises(CannotStart, match="several workers are not supported"):
        postmaster.serve(source)
