"""
What the proxies are configured with: the same TLS, and otherwise as they come.

Each lies in a folder of its own with server.crt, server.key, root.crt and root.crl.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.certificates import CIPHER, GROUP, USER, VERSION
from pgproxy.testing.postgres import conf

SESSIONS: Final = 2200
"""How many sessions a proxy has to take; the PostgreSQL behind it takes as many."""


@dataclass(frozen=True, slots=True)
class Setup:
    """
    What is asked of a proxy.

    Args:
        port: Where it listens, on 127.0.0.1.
        backend_host: Where the PostgreSQL is: 127.0.0.1, or the folder of its socket.
        backend_port: Its port.
        client_certificates: Whether clients have to show a certificate.

    """

    port: int
    backend_host: str
    backend_port: int
    client_certificates: bool


HBA: Final = """\
# TYPE     DATABASE          USER              ADDRESS                METHOD
host       all               eve,mallory       all                    reject
host       replication       all               all                    reject
hostnossl  all               all               all                    reject
hostssl    app               app_ro,app_rw     10.1.0.0/16            scram-sha-256
hostssl    app,reports       /^report_         10.2.0.0 255.255.0.0   scram-sha-256
hostssl    sameuser          all               192.168.0.0/16         scram-sha-256
hostssl    "Old App"         legacy            172.16.4.7/32          md5
hostssl    metrics           exporter          samehost               scram-sha-256
hostssl    all               dba               2001:db8::/32          scram-sha-256
hostssl    all               all               127.0.0.1/32           {method}
hostssl    all               all               all                    scram-sha-256
"""
"""pg_hba.conf of pgproxy: not long, and not one line; the last but one decides."""

HBA_BARE: Final = "hostssl all all 127.0.0.1/32 {method}\n"


def pgproxy(setup: Setup, *, bare: bool) -> dict[str, str]:
    """Return the files of pgproxy, as it would be run; *bare*: without what it can do."""
    logged = {
        "log_connections": "on",
        "log_disconnections": "on",
        "pgproxy.log_format": "json",
    }
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(setup.port),
        "max_connections": str(SESSIONS),
        "ssl": "on",
        "ssl_groups": GROUP,
        "ssl_min_protocol_version": VERSION,
        "pgproxy.backend_conninfo": (
            f"host={setup.backend_host} port={setup.backend_port}"
        ),
        **({} if bare else logged),
    }
    if setup.client_certificates:
        settings |= {"ssl_ca_file": "root.crt", "ssl_crl_file": "root.crl"}
    method = "cert" if setup.client_certificates else "trust"
    return {
        "pgproxy.conf": conf(settings),
        "pg_hba.conf": (HBA_BARE if bare else HBA).format(method=method),
        "pg_ident.conf": "",
    }


def pgbouncer(setup: Setup, folder: Path) -> dict[str, str]:
    """Return the files of PgBouncer: session mode, so that it is a proxy and no pool."""
    # It knows no revocation lists.
    mode, auth = (
        ("verify-full", "cert") if setup.client_certificates else ("require", "trust")
    )
    ca = f"client_tls_ca_file = {folder}/root.crt" if setup.client_certificates else ""
    return {
        "users.txt": f'"{USER}" ""\n',
        "pgbouncer.ini": f"""\
[databases]
postgres = host={setup.backend_host} port={setup.backend_port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {setup.port}
unix_socket_dir =
auth_type = {auth}
auth_file = {folder}/users.txt
pool_mode = session
max_client_conn = {SESSIONS}
default_pool_size = {SESSIONS}
client_tls_sslmode = {mode}
client_tls_cert_file = {folder}/server.crt
client_tls_key_file = {folder}/server.key
client_tls_protocols = {VERSION.lower()}
client_tls_ecdhcurve = {GROUP}
{ca}
""",
    }


def stunnel(setup: Setup) -> dict[str, str]:
    """Return the files of stunnel."""
    unix = setup.backend_host.startswith("/")
    backend = (
        f"{setup.backend_host}/.s.PGSQL.{setup.backend_port}"
        if unix
        else f"{setup.backend_host}:{setup.backend_port}"
    )
    verify = "verifyChain = yes\nCAfile = root.crt\nCRLfile = root.crl\n"
    return {
        "stunnel.conf": f"""\
foreground = yes
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1

[postgresql]
accept = 127.0.0.1:{setup.port}
connect = {backend}
protocol = pgsql
cert = server.crt
key = server.key
sslVersionMin = {VERSION}
ciphersuites = {CIPHER}
curves = {GROUP}
TIMEOUTclose = 0
{verify if setup.client_certificates else ""}"""
    }
