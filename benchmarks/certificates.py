"""The certificates of a run: one of the server, one of a client, one list."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pgproxy.certs.issuing import crls_pem
from pgproxy.testing.authority import (
    Authority,
    Credentials,
    certificates_pem,
    write_certificates,
)

USER: Final = "postgres"
"""The role that all clients are, and so the name in the client's certificate."""

GROUP: Final = "prime256v1"
"""
For the key exchange. X25519 would be the default of all but PostgreSQL up to 17, which
has only curves of NIST's.
"""

CIPHER: Final = "TLS_AES_256_GCM_SHA384"

VERSION: Final = "TLSv1.3"

CLIENT_CONF: Final = f"""\
openssl_conf = default
[default]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = {VERSION}
Ciphersuites = {CIPHER}
Groups = {GROUP}
"""
"""openssl.cnf of the clients: they offer one cipher, and a key share for one group."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """
    What both sides need. All keys are on P-256.

    Args:
        folder: Has the files of clients.
        root: Vouches for the server.
        client_ca: Vouches for the client; has revoked another one.
        server: Of 127.0.0.1 and localhost.
        crl: The list of *client_ca*, PEM.

    """

    folder: Path
    root: Authority
    client_ca: Authority
    server: Credentials
    crl: bytes

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Issue them, and write those of the clients."""
        root = Authority.root("benchmark root CA")
        client_ca = Authority.root("benchmark client CA")
        revoked = client_ca.client("mallory").certificate
        made = cls(
            folder,
            root,
            client_ca,
            root.server("localhost", "127.0.0.1"),
            crls_pem([client_ca.crl(revoked)]),
        )
        write_certificates(folder / "root.crt", root.certificate)
        client_ca.client(USER).write(folder / "client.crt", folder / "client.key")
        (folder / "openssl.cnf").write_text(CLIENT_CONF)
        return made

    def server_files(self) -> dict[str, bytes]:
        """Return what a server needs, with who vouches for clients."""
        return {
            "server.crt": self.server.certificate_pem(),
            "server.key": self.server.key_pem(),
            "root.crt": certificates_pem([self.client_ca.certificate]),
            "root.crl": self.crl,
        }

    def client_environment(self, *, shown: bool) -> dict[str, str]:
        """Return libpq's variables; *shown*: the client shows its certificate."""
        return {
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.folder / "root.crt"),
            "PGSSLCERT": str(self.folder / ("client.crt" if shown else "none.crt")),
            "PGSSLKEY": str(self.folder / ("client.key" if shown else "none.key")),
            "PGGSSENCMODE": "disable",
            "OPENSSL_CONF": str(self.folder / "openssl.cnf"),
        }
