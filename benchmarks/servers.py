"""The two PostgreSQL instances: a plain one behind the proxies, one with TLS itself."""

from typing import Final

from benchmarks.certificates import USER, Certificates
from benchmarks.effort import Effort
from pgproxy.testing.installation import Installation
from pgproxy.testing.postgres import Instance

SCALE: Final = 16
"""Of pgbench's tables: as many branches as TPC-B has clients."""

ROW: Final = 1000
"""Bytes of a line of COPY, its end included."""

SETTINGS: Final = {
    # The sessions of one turn may still be leaving when those of the next come.
    "max_connections": "4500",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "1h",
    "jit": "off",
}
"""On top of those of `Instance`: no fsync, no autovacuum."""


def plain(installation: Installation) -> Instance:
    """Return the instance behind the proxies: no TLS, no question asked."""
    return Instance(installation, settings=SETTINGS)


def native(installation: Installation, certificates: Certificates) -> Instance:
    """Return the instance with TLS of its own."""
    logged = {"log_connections": "on", "log_disconnections": "on"}
    settings = {**SETTINGS, **logged, **tls_settings(client_certificates=False)}
    files = certificates.server_files()
    return Instance(installation, settings=settings, files=files)


def tls_settings(*, client_certificates: bool) -> dict[str, str]:
    """Return the settings for TLS, with a CA and its list if clients have to show one."""
    asked = client_certificates
    return {
        "ssl": "on",
        "ssl_ca_file": "root.crt" if asked else "",
        "ssl_crl_file": "root.crl" if asked else "",
    }


def native_hba(*, client_certificates: bool) -> str:
    """Return its pg_hba.conf; its Unix socket is for those who prepare it."""
    method = "cert" if client_certificates else "trust"
    return f"local all all trust\nhostssl all all 127.0.0.1/32 {method}\n"


def fill(instance: Instance, effort: Effort) -> None:
    """Make pgbench's tables, and one to copy."""
    run = instance.installation.run
    where = ("-h", instance.socket_dir, "-p", str(instance.port), "-U", USER)
    # Made by the server, and not logged: both are faster, and the same afterwards.
    init = ("-i", "-q", "-I", "dtGvp", "--unlogged-tables", "-s", str(SCALE))
    run("pgbench", *where, *init, "postgres")
    rows = effort.megabytes * 1_000_000 // ROW
    for statement in (
        "create unlogged table copied (line text)",
        # Of psql, :rows is a variable.
        "insert into copied select repeat('x', :row) from generate_series(1, :rows)",
        "vacuum analyze copied",
    ):
        values = ("-v", f"row={ROW - 1}", "-v", f"rows={rows}")
        run(
            *("psql", *where, *values, "-Xq", "-v", "ON_ERROR_STOP=1", "postgres"),
            stdin=f"{statement};\n",
        )
