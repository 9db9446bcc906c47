"""
``ssl_sni`` and pg_hosts.conf: a certificate by the name that the client asks for.

PostgreSQL 19 has them, and its t/004_sni.pl is what these tests follow; none of the
servers that can be asked is a 19. TLS-21, TLS-98.
"""

import ssl
from collections.abc import Iterator

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.auth.hosts import HostsLine
from pgproxy.server.libssl import Door
from pgproxy.server.openssl import crl_issuer_hash
from pgproxy.server.tls import build_context
from pgproxy.server.tls_error import TlsConfigurationError
from pgproxy.testing.authority import (
    Authority,
    Credentials,
    rsa_key,
    write_certificates,
    write_crls,
    write_private,
)
from tests.server.test_reload import NOTHING, RELOADED, change, reload
from tests.server.test_start import serve, write
from tests.support.client import HandshakeFailedError, context
from tests.support.endpoints import Config, Farm, PgproxyEndpoint, log_in
from tests.support.oracles import PGPROXY
from tests.support.tls_files import Folder

HANDSHAKE_FAILURE, UNRECOGNIZED_NAME = 40, 112
NO_HOSTNAME = "no hostname provided in callback, and no fallback configured"
FAILED = "could not accept SSL connection: callback failed"
TRUST = "host all all all trust\n"
CERT = "hostssl all all all cert\n"


class World:
    """
    A server, and authorities: one for each of two tenants, and for its clients.

    Attributes:
        files: Where all of it lies, which is the server's data directory.

    """

    def __init__(self, server: PgproxyEndpoint) -> None:
        self.server = server
        self.files = server.folder
        self.org = Authority.root("org")
        self.net = Authority.root("net")
        self.clients = Authority.root("clients")
        self.certificate("org", self.org.server("example.org", "example.com"))
        self.certificate("net", self.net.server("example.net", key=rsa_key()))
        self.certificate("any", self.org.server("any.example"))
        for name in ("org", "net", "clients"):
            ca: Authority = getattr(self, name)
            write_certificates(self.files / f"{name}.ca", ca.certificate)

    def certificate(self, name: str, made: Credentials) -> None:
        made.write(self.files / f"{name}.crt", self.files / f"{name}.key")

    def configure(self, *lines: str, outcome: str = RELOADED) -> str:
        """Have the server go by these lines; return what it logs."""
        (self.files / "pg_hosts.conf").write_text("\n".join(lines))
        return reload(self.server, outcome)

    def shown(
        self, name: str | None, versions: tuple[ssl.TLSVersion, ssl.TLSVersion]
    ) -> str:
        """Return the first name in the certificate that is shown for *name*."""
        with self.server.connect() as client:
            client.request_tls(context(versions=versions), name)
            assert client.tls is not None
            shown = client.tls.getpeercert(binary_form=True)
            log_in(client)
        assert shown is not None
        found = [
            path.stem
            for path in self.files.glob("*.crt")
            if ssl.PEM_cert_to_DER_cert(first(path.read_text())) == shown
        ]
        return ",".join(found)

    def refused(
        self, name: str | None, versions: tuple[ssl.TLSVersion, ssl.TLSVersion]
    ) -> tuple[list[int], list[str]]:
        """Return the alerts that a client gets, and what the log is told."""
        with self.server.connect() as client:
            with pytest.raises(HandshakeFailedError):
                client.request_tls(context(versions=versions), name)
            client.read_end()
        lines = self.server.log_of(client)
        assert {line.state_code for line in lines} == {"08P01"}
        return client.alerts, [line.message for line in lines]


def first(pem: str) -> str:
    return pem.partition("-----END")[0] + "-----END CERTIFICATE-----\n"


@pytest.fixture
def world(farm: Farm) -> Iterator[World]:
    config = Config(hba=TRUST, settings={"ssl_sni": "on"})
    with farm.private(PGPROXY, config) as endpoint:
        assert isinstance(endpoint, PgproxyEndpoint)
        yield World(endpoint)


VERSIONS = pytest.mark.parametrize(
    "versions",
    [
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
    ids=["1.2", "1.3"],
)
Versions = tuple[ssl.TLSVersion, ssl.TLSVersion]


@VERSIONS
def test_by_name(world: World, versions: Versions) -> None:
    """Each name its own; in either case; keys of another kind as well."""
    assert world.shown("example.org", versions) == "server", "there is no file yet"
    world.configure(
        "example.org,Example.COM org.crt org.key", "example.net net.crt net.key"
    )
    assert world.shown("example.org", versions) == "org"
    assert world.shown("EXAMPLE.com", versions) == "org"
    assert world.shown("example.net", versions) == "net"
    refused = ([UNRECOGNIZED_NAME], [FAILED])
    assert world.refused("example.se", versions) == refused
    assert world.refused("example", versions) == refused
    # missing_extension by RFC 8446, which OpenSSL cannot send before it has agreed
    # on a version.
    refused = ([HANDSHAKE_FAILURE], [NO_HOSTNAME, FAILED])
    assert world.refused(None, versions) == refused


@VERSIONS
def test_fallbacks(world: World, versions: Versions) -> None:
    world.configure("example.net net.crt net.key", "* any.crt any.key")
    assert world.shown("example.net", versions) == "net"
    assert world.shown("example.se", versions) == "any"
    assert world.shown(None, versions) == "any"
    world.configure("* any.crt any.key", "/no_sni/ net.crt net.key")
    assert world.shown(None, versions) == "net"
    assert world.shown("example.net", versions) == "any"
    world.configure("/no_sni/ net.crt net.key")
    assert world.shown(None, versions) == "net"
    assert world.refused("example.net", versions) == ([UNRECOGNIZED_NAME], [FAILED])


def test_switched_off(world: World) -> None:
    """With ssl_sni off the file is not looked at, and may be nonsense."""
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    world.configure("example.org org.crt org.key")
    change(world.server, "pgproxy.conf", "ssl_sni = 'on'", "ssl_sni = 'off'")
    world.configure("nonsense")
    assert world.shown("example.org", versions) == "server"
    assert world.shown(None, versions) == "server"


def test_names_from_a_file(world: World) -> None:
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    (world.files / "names").write_text("example.com\nexample.org\n")
    world.configure("@names org.crt org.key")
    assert world.shown("example.org", versions) == "org"
    assert world.shown("example.com", versions) == "org"


def connect(world: World, host: str, **more: object) -> psycopg.Connection[object]:
    """Connect as a client would that finds *host* in the DNS."""
    given = {
        "host": host,
        "hostaddr": "127.0.0.1",
        "port": world.server.port,
        "user": "tom",
        "dbname": "postgres",
        "sslmode": "verify-full",
        "sslrootcert": str(world.files / "org.ca"),
        **more,
    }
    return psycopg.connect(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
def test_libpq(world: World, negotiation: str) -> None:
    """sslmode=verify-full with two names that different authorities vouch for."""
    world.configure("example.org org.crt org.key", "example.net net.crt net.key")
    net = str(world.files / "net.ca")
    with connect(world, "example.org", sslnegotiation=negotiation) as session:
        assert session.execute("select 1").fetchone() == (1,)
    with connect(world, "example.net", sslnegotiation=negotiation, sslrootcert=net):
        pass
    with pytest.raises(psycopg.OperationalError, match="unrecognized name"):
        connect(world, "example.se", sslnegotiation=negotiation)
    with pytest.raises(psycopg.OperationalError, match="handshake failure"):
        connect(world, "example.org", sslnegotiation=negotiation, sslsni=0)


def test_client_certificates(world: World) -> None:
    """Only the CA of the host counts: neither ssl_ca_file's nor that of ``*``."""
    (world.files / "pg_hba.conf").write_text(CERT)
    write_certificates(world.files / "root.crt", world.clients.certificate)
    change(
        world.server,
        "pgproxy.conf",
        "ssl = 'on'",
        "ssl = 'on'\nssl_ca_file = 'root.crt'",
    )
    world.configure(
        "* any.crt any.key clients.ca",
        "none.example org.crt org.key",
        "right.example org.crt org.key clients.ca",
        "wrong.example org.crt org.key net.ca",
    )
    world.certificate("tom", world.clients.client("tom"))
    shown = {
        "sslmode": "require",
        "sslcert": str(world.files / "tom.crt"),
        "sslkey": str(world.files / "tom.key"),
        "sslrootcert": "",
    }
    with connect(world, "right.example", **shown) as session:
        assert session.execute("select 1").fetchone() == (1,)
    with connect(world, "other.example", **shown):
        pass
    with pytest.raises(psycopg.OperationalError, match="unknown ca"):
        connect(world, "wrong.example", **shown)
    with pytest.raises(
        psycopg.OperationalError,
        match="client certificates can only be checked if a root certificate store is "
        "available",
    ):
        connect(world, "none.example", **shown)
    without = {**shown, "sslcertmode": "disable"}
    for name in ("right.example", "wrong.example"):
        with pytest.raises(
            psycopg.OperationalError, match="requires a valid client certificate"
        ):
            connect(world, name, **without)
    # The CA that failed it is that of the host.
    said = '(unverified): subject \\"/CN=tom\\"'
    assert said in world.server.log_text()


def test_revoked(world: World) -> None:
    """The lists are for all hosts, and ssl_crl_dir is live for all of them."""
    (world.files / "pg_hba.conf").write_text(CERT)
    crls = world.files / "crls"
    crls.mkdir()
    good, bad = world.clients.client("tom"), world.clients.client("tom")
    world.certificate("good", good)
    world.certificate("bad", bad)
    nobody, one = world.clients.crl(), world.clients.crl(bad.certificate)
    listed = crls / f"{crl_issuer_hash(nobody.public_bytes(Encoding.DER)):08x}.r0"
    write_crls(listed, nobody)
    change(
        world.server,
        "pgproxy.conf",
        "ssl = 'on'",
        "ssl = 'on'\nssl_crl_dir = 'crls'",
    )
    world.configure(
        "right.example org.crt org.key clients.ca", "a.example any.crt any.key org.ca"
    )

    def come(name: str) -> None:
        files = {
            "sslmode": "require",
            "sslcert": str(world.files / f"{name}.crt"),
            "sslkey": str(world.files / f"{name}.key"),
            "sslrootcert": "",
        }
        connect(world, "right.example", **files).close()

    come("good")
    come("bad")
    write_crls(listed, one)
    come("good")
    with pytest.raises(psycopg.OperationalError, match="certificate revoked"):
        come("bad")


def test_passphrase(world: World) -> None:
    """Each host has a command of its own, and says if it may run at a reload."""
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    made = world.org.server("example.org")
    made.write(world.files / "org.crt", world.files / "org.key")
    write_private(world.files / "org.key", made.key_pem(b"secret"))
    world.configure('example.org org.crt org.key "" "echo secret" on')
    assert world.shown("example.org", versions) == "org"
    line = 'example.org org.crt org.key "" "echo secret" off'
    text = world.configure(line, outcome=NOTHING)
    assert "cannot be reloaded because it requires a passphrase" in text
    assert f'line 1 of configuration file \\"{world.files}/pg_hosts.conf\\"' in text
    text = world.configure(
        'example.org org.crt org.key "" "echo wrong" on', outcome=NOTHING
    )
    assert 'could not load private key file \\"org.key\\"' in text
    assert world.shown("example.org", versions) == "org", "the old one serves on"


def test_all_or_nothing(world: World) -> None:
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    world.configure("example.org org.crt org.key")
    text = world.configure("example.org net.crt net.key", "*", outcome=NOTHING)
    assert "missing entry at end of line" in text
    assert "SSL configuration was not reloaded" in text
    assert world.shown("example.org", versions) == "org"


def test_new_certificate(world: World) -> None:
    """The log says which file has changed; so does what is shown."""
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
    world.configure("example.org org.crt org.key", "* any.crt any.key")
    world.certificate("org", world.org.server("example.org"))
    text = reload(world.server, RELOADED)
    assert 'file \\"org.crt\\" has changed' in text
    assert "any.crt" not in text
    assert world.shown("example.org", versions) == "org"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["a,* server.crt server.key"],
            [
                (
                    "LOG:  default and non-SNI entries cannot be mixed with other "
                    "entries"
                ),
                'CONTEXT:  line 1 of configuration file "{}/pg_hosts.conf"',
                (
                    'FATAL:  could not load "pg_hosts.conf": loading config from '
                    '"{}/pg_hosts.conf" failed due to parsing error'
                ),
            ],
        ),
        (
            ["* server.crt server.key", "* server.crt server.key"],
            [
                "FATAL:  multiple default hosts specified",
                'CONTEXT:  line 2 of configuration file "{}/pg_hosts.conf"',
            ],
        ),
        (
            ["a server.crt server.key", "b none.crt server.key"],
            [
                (
                    'FATAL:  could not load server certificate file "none.crt": No '
                    "such file or directory"
                ),
                'CONTEXT:  line 2 of configuration file "{}/pg_hosts.conf"',
            ],
        ),
        (
            ["a server.crt server.key none.ca"],
            [
                (
                    'FATAL:  could not load root certificate file "none.ca": No such '
                    "file or directory"
                ),
                'CONTEXT:  line 1 of configuration file "{}/pg_hosts.conf"',
            ],
        ),
    ],
)
def test_does_not_start(folder: Folder, lines: list[str], expected: list[str]) -> None:
    write(folder.path, "ssl_sni = on\n")
    (folder.path / "pg_hosts.conf").write_text("\n".join(lines))
    status, log = serve(folder.path)
    assert status == 1
    assert log[: len(expected)] == [line.format(folder.path) for line in expected]


def test_not_on_this_python(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be done it is refused, and not ignored."""
    monkeypatch.setattr(Door, "open", lambda _context: None)
    host = HostsLine(hostnames=("a",), ssl_cert="server.crt", ssl_key="server.key")
    settings = folder.settings(ssl_sni=True)
    with pytest.raises(TlsConfigurationError, match='"ssl_sni" cannot be set') as error:
        build_context(settings, folder.path, hosts=[host])
    assert error.value.reports[0].hint is not None
