"""
Certificates for the demo and for tests: issued on the spot, none checked in.

::

    root = Authority.root("pgproxy root CA")
    issuing = root.intermediate("pgproxy issuing CA", path_length=0)
    server = issuing.server("localhost", "127.0.0.1")
    alice = issuing.client("alice")
    server.write(folder / "server.crt", folder / "server.key")
    write_certificates(folder / "root.crt", root.certificate)
    write_crls(folder / "root.crl", root.crl(), issuing.crl(alice.certificate))

Everything that a test may want to be wrong (validity, purpose, path length, a
critical extension that nobody knows) is an argument of `Authority.issue`.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from pgproxy.certs import files
from pgproxy.certs.issuing import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Key,
    Period,
    Revoked,
    Subject,
    ca_extensions,
    certificates_pem,
    crls_pem,
    ec_key,
    key_pem,
    leaf_extensions,
    rsa_key,
    sign,
    sign_crl,
    subject_name,
)

__all__ = [
    "CLIENT_AUTH",
    "SERVER_AUTH",
    "Authority",
    "Credentials",
    "Key",
    "Period",
    "Subject",
    "certificates_pem",
    "days",
    "ec_key",
    "rsa_key",
    "subject_name",
    "write_certificates",
    "write_crls",
    "write_private",
]

BACKDATED: Final = 1 / 24
"""Days; clocks differ."""

LIFETIME: Final = 30
"""Days; nothing made here is meant to last."""


def days(first: float, last: float) -> Period:
    """
    Return the period between two days, counted from now.

    ``days(-2, -1)`` is over, ``days(1, 2)`` has not begun.
    """
    now = dt.datetime.now(dt.UTC)
    return Period(now + dt.timedelta(days=first), now + dt.timedelta(days=last))


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    A certificate, its key, and what vouches for it.

    Args:
        certificate: The leaf.
        key: Its private key.
        chain: Certificates of the CAs between it and the root, the nearest
            first; the root, which the other side must have, is not among them.

    """

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    def certificate_pem(self) -> bytes:
        """Return the leaf and its chain: the content of ``ssl_cert_file``."""
        return certificates_pem((self.certificate, *self.chain))

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        """Return the key in PKCS #8, encrypted if there is a *passphrase*."""
        return key_pem(self.key, passphrase)

    def write(
        self, cert_file: Path, key_file: Path, passphrase: bytes | None = None
    ) -> None:
        """Write both files; the key with mode 0600, as PostgreSQL demands."""
        cert_file.write_bytes(self.certificate_pem())
        write_private(key_file, self.key_pem(passphrase))


@dataclass(frozen=True, slots=True)
class Authority:
    """
    A certificate authority: a root, or an intermediate that a root vouches for.

    Args:
        certificate: The certificate of the CA itself.
        key: The key that it signs with.
        chain: What a leaf has to send along: this CA and those above it, without
            the root; empty for a root.

    """

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @classmethod
    def root(
        cls,
        subject: Subject,
        *,
        key: Key | None = None,
        path_length: int | None = None,
        validity: Period | None = None,
    ) -> Self:
        """Make a self-signed CA."""
        key = key or ec_key()
        certificate = sign(
            subject_name(subject),
            key,
            issuer=subject_name(subject),
            issuer_key=key,
            extensions=ca_extensions(path_length),
            validity=validity or days(-BACKDATED, LIFETIME),
        )
        return cls(certificate, key)

    def intermediate(
        self,
        subject: Subject,
        *,
        key: Key | None = None,
        path_length: int | None = None,
        validity: Period | None = None,
    ) -> Self:
        """Make a CA that this one vouches for."""
        issued = self.issue(
            subject,
            key=key,
            extensions=ca_extensions(path_length),
            validity=validity,
        )
        chain = (issued.certificate, *self.chain)
        return type(self)(issued.certificate, issued.key, chain)

    def server(
        self, *names: str, subject: Subject | None = None, key: Key | None = None
    ) -> Credentials:
        """Issue a server's certificate for *names*: host names, IP addresses."""
        return self.issue(
            names[0] if subject is None else subject,
            key=key,
            names=names,
            purposes=(SERVER_AUTH,),
        )

    def client(
        self,
        subject: Subject,
        *,
        key: Key | None = None,
        validity: Period | None = None,
    ) -> Credentials:
        """Issue a client's certificate; a *subject* of one word is a role's name."""
        return self.issue(
            subject,
            key=key,
            purposes=(CLIENT_AUTH,),
            validity=validity,
        )

    def issue(
        self,
        subject: Subject,
        *,
        key: Key | None = None,
        names: Iterable[str] = (),
        purposes: Iterable[ObjectIdentifier] = (),
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
        validity: Period | None = None,
    ) -> Credentials:
        """
        Issue a certificate that is whatever the arguments say.

        Args:
            subject: Whose it is.
            key: Its key; by default a new one on P-256.
            names: Subject alternative names: host names and IP addresses.
            purposes: Extended key usage; none leaves the extension out.
            extensions: Each with "is it critical?"; one of these takes the place
                of the extension of the same kind that would be there otherwise.
            validity: By default from an hour ago, for thirty days.

        """
        key = key or ec_key()
        wanted = leaf_extensions(key, names=names, purposes=purposes)
        certificate = sign(
            subject_name(subject),
            key,
            issuer=self.certificate.subject,
            issuer_key=self.key,
            extensions=[*wanted, *extensions],
            validity=validity or days(-BACKDATED, LIFETIME),
        )
        return Credentials(certificate, key, self.chain)

    def crl(
        self,
        *revoked: x509.Certificate,
        current: Period | None = None,
    ) -> x509.CertificateRevocationList:
        """
        Return this CA's revocation list, with the certificates *revoked*.

        Once its *current* period (last update, next update) is over, OpenSSL
        turns down every certificate of this CA (TLS-73b).
        """
        current = current or days(-BACKDATED, LIFETIME)
        return sign_crl(
            self.certificate.subject,
            self.key,
            revoked=[Revoked(one.serial_number, current.start) for one in revoked],
            current=current,
        )


def write_certificates(path: Path, *certificates: x509.Certificate) -> None:
    """Write *certificates*, as ``ssl_ca_file`` and ``sslrootcert`` have them."""
    path.write_bytes(certificates_pem(certificates))


def write_crls(path: Path, *crls: x509.CertificateRevocationList) -> None:
    """Write *crls*, as ``ssl_crl_file`` has them."""
    path.write_bytes(crls_pem(crls))


def write_private(path: Path, data: bytes) -> None:
    """Write *data* to a file that nobody else can read, not even for a moment."""
    files.write(path, data, mode=files.PRIVATE, replace=True)
