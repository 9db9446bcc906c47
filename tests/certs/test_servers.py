"""
The way of the page "Make certificates", with PostgreSQL itself and with pgproxy.

psycopg, which is libpq, connects with sslmode=verify-full and a certificate.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pgproxy.testing.authority import write_private
from pgproxy.testing.postgres import Instance
from tests.support import oracles
from tests.support.ca import Ca, openssl
from tests.support.endpoints import (
    Config,
    Endpoint,
    Farm,
    NativeEndpoint,
    PgproxyEndpoint,
    wait_until,
)
from tests.support.pki import Pki

psycopg = pytest.importorskip("psycopg", reason="psycopg shows the certificates")

pytestmark = pytest.mark.interop

HBA = "hostssl all cleo,cora all cert\nhostssl all ana all scram-sha-256\n"
FILES = ("server.crt", "server.key", "root.crt", "root.crl")


@dataclass(frozen=True, slots=True)
class Issued(Pki):
    """Files that `pgproxy certs` has made; ``folder`` has all of them."""

    def server_files(self, *, ca: bool = False) -> dict[str, bytes]:
        """Return what lies in a server's data folder."""
        return {name: (self.folder / name).read_bytes() for name in FILES}


@pytest.fixture(
    scope="module",
    params=[("ecdsa",), ("rsa", "--intermediate"), ("ed25519", "--intermediate")],
    ids=" ".join,
)
def ca(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ca:
    """Return a CA with keys of one type: its own, the server's, the clients'."""
    key_type, *more = request.param
    made = Ca(tmp_path_factory.mktemp("ca"))
    made.do("init", "--key-type", key_type, *more)
    made.server("localhost", "127.0.0.1", "--key-type", key_type)
    made.client("cleo", "--key-type", key_type, "--dn", "O=Example")
    return made


@pytest.fixture(params=oracles.SERVERS)
def endpoint(
    request: pytest.FixtureRequest,
    ca: Ca,
    pki: Pki,
    tmp_path: Path,
) -> Iterator[Endpoint]:
    """Return a server with these files, and lists that are new."""
    ca.do("crl")
    for name in FILES[:3]:
        (tmp_path / name).write_bytes((ca.folder / "server" / name).read_bytes())
    (tmp_path / "root.crl").write_bytes((ca.path / "root.crl").read_bytes())
    issued = Issued(tmp_path, pki.root, pki.client_ca, pki.server)

    def backend() -> Instance:
        found: Instance = request.getfixturevalue("backend")
        return found

    config = Config(ca=True, hba=HBA, settings={"ssl_crl_file": "root.crl"})
    with Farm(issued, backend).private(request.param, config) as made:
        yield made


def log_in(
    endpoint: Endpoint, ca: Ca, role: str, folder: Path, host: str = "localhost"
) -> str:
    """Log in as *role* with the files in *folder*; return as whom."""
    with psycopg.connect(
        host=host,
        hostaddr="127.0.0.1",
        port=endpoint.port,
        user=role,
        dbname="postgres",
        sslmode="verify-full",
        sslrootcert=str(folder / "root.crt"),
        sslcert=str(folder / "postgresql.crt"),
        sslkey=str(folder / "postgresql.key"),
        sslcrl=str(ca.path / "root.crl"),
    ) as connection:
        row: tuple[Any, ...] | None = connection.execute(
            "SELECT current_user"
        ).fetchone()
    assert row is not None
    return str(row[0])


def give(endpoint: Endpoint, name: str, content: bytes) -> None:
    """Bring a file to the server, and have it read again."""
    if isinstance(endpoint, NativeEndpoint):
        endpoint.instance.write(name, content)
    else:
        assert isinstance(endpoint, PgproxyEndpoint)
        write_private(endpoint.folder / name, content)
    endpoint.signal(signal.SIGHUP)


def test_login_and_revocation(endpoint: Endpoint, ca: Ca, tmp_path: Path) -> None:
    """A certificate lets in who is named in it, until it is revoked (TLS-71, TLS-72)."""
    connect = partial(log_in, endpoint, ca)
    cleo = ca.folder / "clients" / "cleo"
    cora = tmp_path / "cora"
    ca.do("issue", "client", "cora", "--out", cora)
    assert connect("cleo", cleo) == "cleo"
    assert connect("cora", cora) == "cora"
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        connect("cora", cleo)

    ca.do("revoke", cora / "postgresql.crt")
    assert connect("cora", cora) == "cora"  # nobody has told the server
    ca.do("crl")
    give(endpoint, "root.crl", (ca.path / "root.crl").read_bytes())
    said = ""

    def refused() -> bool:
        nonlocal said
        try:
            connect("cora", cora)
        except psycopg.OperationalError as error:
            said = str(error)
        return bool(said)

    wait_until(refused, endpoint.log_text)
    assert "certificate revoked" in said
    assert connect("cleo", cleo) == "cleo"


def test_names_of_the_server(endpoint: Endpoint, ca: Ca) -> None:
    """Each that was asked for, and no other."""
    cleo = ca.folder / "clients" / "cleo"
    connect = partial(log_in, endpoint, ca)
    assert connect("cleo", cleo, "127.0.0.1") == "cleo"
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        connect("cleo", cleo, "db.example")


def test_scram_below_an_ed25519_ca(endpoint: Endpoint, ca: Ca) -> None:
    """There, libpq finds no digest to bind a channel to; that is what `init` warns of."""
    ed25519 = "ED25519" in openssl(
        "x509", "-in", ca.path / "root.crt", "-noout", "-text"
    )
    for channel_binding in ("disable", "prefer"):
        conninfo = psycopg.conninfo.make_conninfo(
            host="localhost",
            hostaddr="127.0.0.1",
            port=endpoint.port,
            user="ana",
            password="secret",
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(ca.path / "root.crt"),
            sslcert="none",
            channel_binding=channel_binding,
        )
        # pgproxy offers no channel binding, so nothing can be wrong with it.
        binds = channel_binding == "prefer" and endpoint.kind in oracles.NATIVE
        if ed25519 and binds:
            with pytest.raises(psycopg.OperationalError, match="digest for NID UNDEF"):
                psycopg.connect(conninfo)
        else:
            psycopg.connect(conninfo).close()
