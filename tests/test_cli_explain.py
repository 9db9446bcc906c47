"""`pgproxy explain`: what it asks for, what it says, and its exit status."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy import cli_explain
from pgproxy.auth.address import Interface
from pgproxy.auth.hba import LookupFailed
from pgproxy.auth.roles import Roles
from pgproxy.cli import main
from pgproxy.cli_explain import Described, client_of, from_record, read_certificate
from pgproxy.protocol.frontend import StartupMessage
from pgproxy.server.lookups import Lookups
from pgproxy.server.pid_file import PidFile
from pgproxy.server.roles import RoleCache, RolesUnknownError
from pgproxy.testing.authority import Authority
from tests.support.endpoints import wait_until
from tests.support.oracles import CHECKOUT
from tests.support.tls_files import Folder

HBA = """\
hostssl\tsales,hr all 10.1.0.0/16 scram-sha-256
hostssl app bob all cert map=staff
host all all 10.0.0.0/8 md5
hostssl pw all all scram-sha-256 clientcert=verify-full
host all eve all reject
"""


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner(env={"PGPROXYDATA": None}).invoke(
        main, [str(one) for one in arguments], input=stdin
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a directory with a configuration that is good, and a certificate."""
    folder = Folder(tmp_path, Authority.root("root CA"))
    folder.client("ana", folder.authority.client("ana@example.com"))
    (tmp_path / "pgproxy.conf").write_text(
        "port = 0\nlisten_addresses = '127.0.0.1'\nssl = on\nssl_ca_file = 'root.crt'\n"
    )
    (tmp_path / "pg_hba.conf").write_text(HBA)
    (tmp_path / "pg_ident.conf").write_text("staff /^(.*)@example[.]com$ bob\n")
    return tmp_path


def explain(data: Path, *options: str | Path, stdin: str | None = None) -> Result:
    return run("explain", "-D", data, *options, stdin=stdin)


def test_let_through(data: Path) -> None:
    """Each line before, why it does not match, and what follows."""
    done = explain(
        *(data, "--user", "bob", "--database", "app", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt"),
    )
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        (
            'User "bob", database "app", from 192.0.2.1, with TLS, certificate '
            "CN=ana@example.com (whether it is valid is not checked here)"
        ),
        "",
        "pg_hba.conf:1: hostssl sales,hr all 10.1.0.0/16 scram-sha-256",
        "    does not match: 192.0.2.1 is not in 10.1.0.0/16",
        "pg_hba.conf:2: hostssl app bob all cert map=staff",
        "    matches; it decides",
        (
            "    `clientcert=verify-full` asks for a certificate; the client shows that of "
            "`CN=ana@example.com`"
        ),
        (
            "    the CN of the certificate is `ana@example.com`, and line 1 of the map "
            "`staff` lets it be `bob`: `staff /^(.*)@example[.]com$ bob`"
        ),
        (
            "    `cert`: the certificate decides; the backend has to let the user in "
            "unasked"
        ),
        "",
        "The client is let through to its method.",
    ]
    assert done.stderr == ""


def test_refused(data: Path) -> None:
    """What the client is told, and what only the log is."""
    (data / "pg_ident.conf").write_text("other x y\n")
    done = explain(
        *(data, "--user", "bob", "--database", "app", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt"),
    )
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-6:] == [
        "",
        "The client is refused, at once. It is told",
        '    FATAL 28000: certificate authentication failed for user "bob"',
        "and the log",
        (
            '    no match in usermap "staff" for user "bob" authenticated as '
            '"ana@example.com"'
        ),
        (
            f'    Connection matched file "{data}/pg_hba.conf" line 2: "hostssl app '
            'bob all cert map=staff"'
        ),
    ]


def test_no_line(data: Path) -> None:
    """HBA-82; nothing more is known to the log."""
    done = explain(data, "--user", "x", "--address", "192.0.2.1", "--no-ssl")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-5:] == [
        "    does not match: the user column is `eve`; the client is `x`",
        "No line matches.",
        "",
        "The client is refused, at once. It is told",
        (
            '    FATAL 28000: no pg_hba.conf entry for host "192.0.2.1", user "x", '
            'database "x", no encryption'
        ),
    ]


def test_refused_once_the_password_was_right(data: Path) -> None:
    """CERT-07."""
    done = explain(
        *(data, "--user", "ana", "--database", "pw", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt"),
    )
    assert done.exit_code == 1
    assert "The client is refused, once its password was right. It is told" in (
        done.stdout.splitlines()
    )
    assert "FATAL 28P01: password authentication failed" in done.stdout


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("true", 'User "x", physical replication, from'),
        ("database", 'User "x", replication from database "x", from'),
    ],
)
def test_replication(data: Path, kind: str, what: str) -> None:
    """HBA-74, HBA-83, HBA-86."""
    done = explain(
        *(data, "--user", "x", "--address", "192.0.2.1", "--ssl"),
        *("--replication", kind),
    )
    assert done.exit_code == 1
    assert done.stdout.startswith(what)
    assert ("replication connection from host" in done.stdout) == (kind == "true")


def test_without_ca_no_certificate_is_asked_for(data: Path) -> None:
    """CERT-01: it would not be seen."""
    done = explain(
        *(data, "--user", "bob", "--database", "app", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt", "-c", "ssl_ca_file="),
    )
    assert done.exit_code == 1
    assert "the client shows none" in done.stdout
    assert "FATAL F0000: client certificates can only be checked" in done.stdout


def test_json(data: Path) -> None:
    """The shape is that of docs/reference/commands.md."""
    done = explain(
        *(data, "--user", "bob", "--database", "app", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt", "--json"),
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found.pop("follows")[0].startswith("`clientcert=verify-full`")
    assert found == {
        "client": {
            "user": "bob",
            "database": "app",
            "address": "192.0.2.1",
            "ssl": True,
            "replication": "none",
            "certificate": {"cn": "ana@example.com", "dn": "CN=ana@example.com"},
        },
        "passed_over": [
            {
                "file_name": f"{data}/pg_hba.conf",
                "line_number": 1,
                "raw_line": "hostssl\tsales,hr all 10.1.0.0/16 scram-sha-256",
                "auth_method": "scram-sha-256",
                "field": "address",
                "reason": "192.0.2.1 is not in 10.1.0.0/16",
            }
        ],
        "line": {
            "file_name": f"{data}/pg_hba.conf",
            "line_number": 2,
            "raw_line": "hostssl app bob all cert map=staff",
            "auth_method": "cert",
        },
        "undecided": False,
        "ident_line": {
            "file_name": f"{data}/pg_ident.conf",
            "line_number": 1,
            "map_name": "staff",
            "sys_name": "/^(.*)@example[.]com$",
            "pg_username": "bob",
        },
        "let_through": True,
        "refusal": None,
    }


def test_json_of_a_refusal(data: Path) -> None:
    done = explain(
        *(data, "--user", "x", "--address", "192.0.2.1", "--ssl", "--json"),
        *("--replication", "true"),
    )
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["client"]["database"] is None
    assert found["client"]["certificate"] is None
    assert (found["line"], found["ident_line"]) == (None, None)
    assert found["refusal"] == {
        "sqlstate": "28000",
        "message": "no pg_hba.conf entry for replication connection from host "
        '"192.0.2.1", user "x", SSL encryption',
        "after_method": False,
        "log_detail": None,
        "log": [],
    }


def test_a_configuration_that_is_refused(data: Path) -> None:
    """As with `check`: what is wrong, and exit status 1."""
    (data / "pg_hba.conf").write_text("hots\n")
    done = explain(data, "--user", "x", "--address", "192.0.2.1", "--ssl")
    assert (done.exit_code, done.stdout) == (1, "")
    assert 'invalid connection type "hots"' in done.stderr


def test_files_elsewhere(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Then the whole path is shown."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "rules"
    elsewhere.write_text("host all all all trust\n")
    done = explain(
        *(data, "--user", "x", "--address", "::1", "--ssl"),
        *("-c", f"hba_file={elsewhere}"),
    )
    assert f"\n{elsewhere}:1: host all all all trust\n" in done.stdout


# --- How a client is described --------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "say --user, --address, --ssl or --no-ssl"),
        (["--user", "", "--address", "::1", "--ssl"], "say --user"),
        (["--user", "x", "--address", "::1"], "say --ssl or --no-ssl"),
        (["--user", "x", "--ssl", "--address", "localhost"], "is not an IP address"),
        (["--user", "x", "--ssl", "--address", ""], "say --address"),
        (
            ["--user", "x", "--address", "::1", "--ssl", "-c", "ssl=off"],
            "with ssl = off no client has TLS",
        ),
        (
            ["--user", "x", "--address", "::1", "--no-ssl", "--cert", "ana.crt"],
            "without TLS no client shows a certificate",
        ),
        (
            ["--user", "x", "--address", "::1", "--cert", "pg_hba.conf"],
            "malformed",
        ),
        (["--user", "x", "--address", "::1", "--cert", "none"], "does not exist"),
        (["--replication", "on"], "is not one of"),
    ],
)
def test_not_understood(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    complaint: str,
) -> None:
    """Exit status 2: nothing has been decided."""
    monkeypatch.chdir(data)
    done = explain(data, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert complaint in " ".join(done.stderr.split())


WHO = Described(user="ana", address="10.0.0.7", ssl=True)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("127.1", "127.0.0.1"),  # HBA-64
        ("0::1", "::1"),
        ("::ffff:10.0.0.7", "10.0.0.7"),  # HBA-67
    ],
)
def test_address(address: str, host: str) -> None:
    """As the system reads numbers, and as a session would see it."""
    client = client_of(replace(WHO, address=address), ssl_is_on=True)
    assert (client.host, client.address) == (host, ip_address(host))


def test_names_are_cut() -> None:
    """HBA-79, NEG-52; the database is called as the user is."""
    client = client_of(replace(WHO, user="x" * 64), ssl_is_on=True)
    assert client.user == client.database == "x" * 63
    client = client_of(replace(WHO, database="app"), ssl_is_on=True)
    assert (client.user, client.database) == ("ana", "app")


def test_certificate_files(data: Path) -> None:
    """PEM or DER; of several certificates the first, whatever stands before it."""
    pem = (data / "ana.crt").read_text()
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    key, ca = (data / "ana.key").read_text(), (data / "root.crt").read_text()
    for content in (pem.encode(), der, f"{key}\nsome text\n{pem}{ca}".encode()):
        (data / "file").write_bytes(content)
        assert read_certificate(data / "file").common_name == "ana@example.com"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 100,
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\nMAA=\n",
    ],
)
def test_no_certificate(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(click.UsageError, match="file: "):
        read_certificate(tmp_path / "file")


# --- Records of the log ---------------------------------------------------------------


RECORD = {
    "user": "bob",
    "dbname": "app",
    "remote_host": "192.0.2.1",
    "remote_port": 5000,
    "ssl": True,
    "client_dn": "CN=ana@example.com",
    "client_cn": "ana@example.com",
}


def test_record(data: Path) -> None:
    """The same as if it were described; from a file, or from standard input."""
    described = explain(
        *(data, "--user", "bob", "--database", "app", "--address", "192.0.2.1"),
        *("--cert", data / "ana.crt"),
    )
    (data / "record").write_text(f"\n{json.dumps(RECORD)}\n")
    assert explain(data, "--log-record", data / "record").stdout == described.stdout
    done = explain(data, "--log-record", "-", stdin=json.dumps(RECORD))
    assert (done.exit_code, done.stdout) == (0, described.stdout)


def test_record_with_a_host_name(data: Path) -> None:
    """TLS-19: with log_hostname the address stands under another key."""
    plain = explain(data, "--log-record", "-", stdin=json.dumps(RECORD))
    named = {
        **RECORD,
        "remote_host": "app.example",
        "client_addr": RECORD["remote_host"],
    }
    done = explain(data, "--log-record", "-", stdin=json.dumps(named))
    assert (done.exit_code, done.stdout) == (plain.exit_code, plain.stdout)


def test_options_win_over_a_record(data: Path) -> None:
    """And say what it does not: PostgreSQL's jsonlog has no ssl."""
    record = {key: RECORD[key] for key in ("user", "dbname", "remote_host")}
    done = explain(data, "--log-record", "-", stdin=json.dumps(record))
    assert done.exit_code == 2
    assert "say --ssl or --no-ssl" in done.stderr
    done = explain(
        *(data, "--log-record", "-", "--no-ssl", "--user", "eve", "--json"),
        stdin=json.dumps(record),
    )
    assert done.exit_code == 1
    client = json.loads(done.stdout)["client"]
    assert (client["user"], client["database"], client["ssl"]) == ("eve", "app", False)


def test_record_of_a_walsender() -> None:
    record = {**RECORD, "replication": "true", "ssl": False}
    del record["client_dn"], record["client_cn"]
    found = from_record(json.dumps(record).encode())
    assert found == Described(
        user="bob",
        database="app",
        address="192.0.2.1",
        ssl=False,
        replication="true",
    )


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ("", "has 0 lines"),
        ("{}\n{}\n", "has 2 lines"),
        ("2026-01-01 [user=x] LOG:  x", "not JSON"),
        ("[]", "not an object"),
        ("{}", "has no user"),
        ('{"user": 1}', 'has no str under "user"'),
        ('{"user": "x", "ssl": "on"}', 'has no bool under "ssl"'),
        ('{"user": "x", "replication": "yes"}', 'another "replication"'),
    ],
)
def test_bad_record(record: str, complaint: str) -> None:
    with pytest.raises(click.UsageError, match=complaint):
        from_record(record.encode())


def test_a_real_record(data: Path) -> None:
    """What pgproxy logs of a client, it can explain."""
    command = [sys.executable, "-m", "pgproxy", "serve", "-D", str(data)]
    command += ["-c", "pgproxy.log_format=json"]
    with (data / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=CHECKOUT)
    log_text = (data / "log").read_text
    try:
        wait_until(
            lambda: PidFile.read(data) is not None or process.poll() is not None,
            log_text,
        )
        found = PidFile.read(data)
        assert found is not None, log_text()
        with socket.create_connection(("127.0.0.1", found.port)) as client:
            names = (("user", "eve"), ("database", "app"))
            client.sendall(StartupMessage(3 << 16, names).encode())
            while client.recv(4096):
                pass
        wait_until(lambda: '"session.refused"' in log_text(), log_text)
    finally:
        process.kill()
        process.wait()
    (record,) = [
        line for line in log_text().splitlines() if '"session.refused"' in line
    ]
    done = explain(data, "--log-record", "-", "--json", stdin=record)
    assert done.exit_code == 1
    found_again = json.loads(done.stdout)
    assert found_again["refusal"]["message"] == json.loads(record)["message"]
    assert found_again["line"]["line_number"] == 5
    assert found_again["client"]["ssl"] is False


# --- What has to be looked up ---------------------------------------------------------


def answer(monkeypatch: pytest.MonkeyPatch, name: str, found: Any) -> None:
    """Have the look-up *name* find this, or raise it."""

    async def look_up(*_arguments: object) -> Any:
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(Lookups, name, look_up)


def first_line(data: Path, hba: str, *options: str) -> Result:
    """Ask about a client from 10.0.0.7, and this file."""
    (data / "pg_hba.conf").write_text(hba)
    return explain(data, "--user", "ana", "--address", "10.0.0.7", "--ssl", *options)


def test_host_names(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HBA-68, HBA-69: the name, then its addresses."""
    answer(monkeypatch, "remote_hostname", "a.example.com")
    answer(monkeypatch, "remote_addresses", frozenset({ip_address("10.0.0.7")}))
    done = first_line(data, "host all all .b trust\nhost all all .com trust\n")
    assert done.exit_code == 0
    assert (
        "does not match: the host name of 10.0.0.7 is `a.example.com`, the line says "
        "`.b`"
    ) in done.stdout
    answer(monkeypatch, "remote_addresses", LookupFailed("no answer"))
    done = first_line(data, "host all all .com trust\n")
    assert done.exit_code == 1
    assert "addresses of that name cannot be looked up (no answer)" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "and the log",
        (
            '    Could not translate client host name "a.example.com" to IP address: no '
            "answer."
        ),
    ]


def test_interfaces(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HBA-70; if nobody can say, no line matches."""
    own = Interface(ip_address("10.0.0.1"), ip_address("255.0.0.0"))
    answer(monkeypatch, "interfaces", (own,))
    assert first_line(data, "host all all samenet trust\n").exit_code == 0
    answer(monkeypatch, "interfaces", OSError(5, "Input/output error"))
    done = first_line(data, "host all all samenet trust\n")
    assert done.exit_code == 1
    assert "which addresses this machine has is not known" in done.stdout


def test_roles(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HBA-75; if they cannot be known, nobody guesses."""
    login = "pgproxy.role_conninfo=host=/nowhere user=x"

    async def get(_cache: RoleCache) -> Roles:
        return Roles({"ana": ["staff"], "staff": [], "dev": []})

    monkeypatch.setattr(RoleCache, "get", get)
    hba = "host all +dev all reject\nhost all +staff all md5\n"
    done = first_line(data, hba, "-c", login)
    assert done.exit_code == 0, done.output
    assert "(`ana` is not a member of a role `dev`)" in done.stdout

    async def fail(_cache: RoleCache) -> Roles:
        raise RolesUnknownError("nobody there")

    monkeypatch.setattr(RoleCache, "get", fail)
    done = first_line(data, f"local all all md5\n{hba}", "-c", login)
    assert done.exit_code == 1
    assert done.stdout.splitlines()[4:] == [
        "pg_hba.conf:2: host all +dev all reject",
        "    what this line asks for cannot be found out",
        "",
        "The client is refused, at once. It is told",
        "    FATAL 57P03: the database system is not accepting connections",
        "and the log",
        "    could not look up role memberships: nobody there",
    ]
    done = first_line(data, hba, "-c", login, "--json")
    assert json.loads(done.stdout)["undecided"] is True


def test_nothing_is_looked_up_in_vain(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("remote_hostname", "remote_addresses", "interfaces"):
        answer(monkeypatch, name, AssertionError(name))
    assert first_line(data, "host all all all md5\nhost all all x md5\n").exit_code == 0


def test_what_is_in_a_file_does_not_reach_a_terminal(data: Path) -> None:
    done = first_line(data, "host \x1b[31m all all md5\nhost all all all md5\n")
    assert "\x1b" not in done.output
    assert r"\x1b[31m" in done.stdout


def test_exit_status_is_that_of_the_documents() -> None:
    assert cli_explain.EXIT_REFUSED == 1
