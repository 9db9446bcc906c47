"""What the demo is made of: roles, certificates, rules, and lines to try them with."""

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pgproxy.certs.summary import conninfo as connection_string
from pgproxy.testing.authority import Authority, write_certificates

BACKEND_HBA: Final = """\
# Behind pgproxy, on a Unix-domain socket that only pgproxy may use. Who has been let
# in there by a certificate is not asked again; whoever else comes shows a password.
local  all  +certified  trust
local  all  all         scram-sha-256
"""

BACKEND_SETTINGS: Final = {"listen_addresses": "", "unix_socket_permissions": "0700"}

PGPROXY_CONF: Final = """\
# The syntax is that of postgresql.conf, and so are the names; what PostgreSQL does
# not have begins with "pgproxy.". Try: pgproxy check -D (this folder)

listen_addresses = 'localhost'
port = {port}

ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'     # mode 0600
ssl_ca_file = 'root.crt'        # who may vouch for clients

# The PostgreSQL behind. It has no TLS, and listens on this socket alone.
pgproxy.backend_conninfo = 'host=''{socket_dir}'' port={backend_port}'

# Tell the log all there is to tell.
log_connections = all
log_disconnections = on
trace_connection_negotiation = on
"""

PG_HBA_CONF: Final = """\
# Who may connect, and how. The first line whose every field fits decides. If the
# client then fails, no other line is tried; if no line fits, it is refused.
#
# After a change: pgproxy reload -D (this folder)

# TYPE     DATABASE  USER      ADDRESS       METHOD         OPTIONS

# Nobody gets in here as the superuser, whatever they know or show.
host       all       postgres  all           reject

# A password, and only inside TLS. What the two say to each other passes through as it
# is: PostgreSQL checks the password, and pgproxy makes sure that it asks for one.
hostssl    all       alice     all           scram-sha-256

# A certificate, and no password. The name in it is bob@example.com; the map "people"
# in pg_ident.conf says that this is bob.
hostssl    all       bob       all           cert           map=people

# Both: a password, and a certificate with the name of the role in it.
hostssl    all       carol     all           scram-sha-256  clientcert=verify-full

# Any certificate that the CA has signed, whatever name is in it.
hostssl    all       dave      all           trust          clientcert=verify-ca

# Without TLS, and then from this machine alone.
hostnossl  all       erin      127.0.0.1/32  scram-sha-256
hostnossl  all       erin      ::1/128       scram-sha-256
"""

PG_IDENT_CONF: Final = """\
# Whose certificate may be which role.
#
# MAPNAME  SYSTEM-USERNAME    PG-USERNAME
people     bob@example.com    bob
"""


def roles(password: str) -> tuple[str, ...]:
    """Return the statements that make the roles; those with a password share it."""
    with_password = ("alice", "carol", "erin")
    return (
        *(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'" for name in with_password),
        "CREATE ROLE certified",
        "CREATE ROLE bob LOGIN IN ROLE certified",
        "CREATE ROLE dave LOGIN IN ROLE certified",
    )


def write_files(data: Path, client: Path, conf: Mapping[str, object]) -> None:
    """
    Write what the proxy reads into *data*, and what clients need into *client*.

    Args:
        data: The data directory of the proxy.
        client: Gets ``root.crt``, and ``NAME.crt`` and ``NAME.key`` for each client.
        conf: What ``PGPROXY_CONF`` leaves open.

    """
    root = Authority.root("CA of the pgproxy demo")
    root.server("localhost", "127.0.0.1", "::1").write(
        data / "server.crt", data / "server.key"
    )
    for folder in (data, client):
        write_certificates(folder / "root.crt", root.certificate)
    for name, subject in {
        "bob": "bob@example.com",
        "carol": "carol",
        "dave": "a printer on the second floor",
    }.items():
        root.client(subject).write(client / f"{name}.crt", client / f"{name}.key")
    (data / "pgproxy.conf").write_text(PGPROXY_CONF.format_map(conf))
    (data / "pg_hba.conf").write_text(PG_HBA_CONF)
    (data / "pg_ident.conf").write_text(PG_IDENT_CONF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    Something to try.

    Args:
        title: What it is, and what comes of it.
        conninfo: The connection, in libpq's keywords.
        refusal: What the client is told; None if it is let in.
        remark: More, for who reads it.

    """

    title: str
    conninfo: Mapping[str, str]
    refusal: str | None = None
    remark: str | None = None


def trials(port: int, client: Path, password: str) -> Iterator[Trial]:
    """Yield what there is to try, the plainest first."""
    base = {"host": "localhost", "port": str(port), "dbname": "postgres"}
    tls = {"sslmode": "verify-full", "sslrootcert": str(client / "root.crt")}
    alice = {"user": "alice", "password": password}

    def certificate(name: str) -> dict[str, str]:
        return {
            "sslcert": str(client / f"{name}.crt"),
            "sslkey": str(client / f"{name}.key"),
        }

    none = _no_certificate()
    yield Trial(
        title="A password, inside TLS: accepted.",
        conninfo=base | alice | tls | none,
    )
    yield Trial(
        title="A certificate, whose name pg_ident.conf maps to bob: accepted.",
        conninfo=base | {"user": "bob"} | tls | certificate("bob"),
    )
    yield Trial(
        title="Direct SSL, which begins with TLS and does not ask first: accepted.",
        conninfo=base | alice | tls | none | {"sslnegotiation": "direct"},
    )
    yield Trial(
        title="The same password without TLS: refused, for the rule is hostssl.",
        conninfo=base | {"host": "127.0.0.1"} | alice | {"sslmode": "disable"},
        refusal='no pg_hba.conf entry for host "127.0.0.1", user "alice", '
        'database "postgres", no encryption',
    )
    yield Trial(
        title="The right password, but bob's certificate: refused.",
        conninfo=base | alice | {"user": "carol"} | tls | certificate("bob"),
        refusal='password authentication failed for user "carol"',
        remark="The client is told no more than that; the log says why: CN mismatch.",
    )


def _no_certificate() -> dict[str, str]:
    """
    Return what keeps libpq from showing a certificate of the user's own.

    It would, unasked, and a certificate that the server cannot verify ends the
    handshake (TLS-66).
    """
    folder = Path(os.environ.get("HOME", "/"), ".postgresql")
    return {"sslcert": "none"} if (folder / "postgresql.crt").exists() else {}


def psql_line(conninfo: Mapping[str, str]) -> str:
    """Return a line for a shell that logs in with psql."""
    return shlex.join(["psql", connection_string(conninfo), "-c", "\\conninfo"])


def python_line(python: str, conninfo: Mapping[str, str]) -> str:
    """Return one that logs in with psycopg, and prints as whom, and if TLS is used."""
    code = (
        f"import psycopg; c = psycopg.connect({json.dumps(connection_string(conninfo))}); "
        'print(c.execute("SELECT current_user").fetchone()[0], c.pgconn.ssl_in_use)'
    )
    return shlex.join([python, "-c", code])


def screen(
    shown: Sequence[tuple[Trial, Sequence[str]]],
    places: Mapping[str, str],
    reload: str,
) -> str:
    """
    Return what the demo prints: for each trial its lines, then what is where.

    A line that begins with ``#`` is for people, every other one for a shell.
    """
    blocks = []
    for trial, lines in shown:
        block = [f"# {trial.title}"]
        if trial.refusal:
            block.append(f"#   FATAL:  {trial.refusal}")
        if trial.remark:
            block.append(f"# {trial.remark}")
        blocks.append("\n".join([*block, *lines]))
    width = max(map(len, places))
    blocks += [
        "\n".join(f"# {name:<{width}}  {place}" for name, place in places.items()),
        f"# Change them, and have them read again:\n{reload}",
    ]
    return "\n\n".join(blocks)
