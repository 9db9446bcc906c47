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
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Subject = str | Sequence[tuple[str, str]] | x509.Name
"""A common name; or attributes, the most general first; or the whole name."""


BACKDATED: Final = 1 / 24
"""Days; clocks differ."""

LIFETIME: Final = 30
"""Days; nothing made here is meant to last."""

CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH

ATTRIBUTES: Final = {
    "CN": NameOID.COMMON_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "C": NameOID.COUNTRY_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
"""OpenSSL's short names; whatever else is taken as a dotted OID."""


class Period(NamedTuple):
    """From when until when something is valid, or (a CRL) current."""

    start: dt.datetime
    end: dt.datetime


def days(first: float, last: float) -> Period:
    """
    Return the period between two days, counted from now.

    ``days(-2, -1)`` is over, ``days(1, 2)`` has not begun.
    """
    now = dt.datetime.now(dt.UTC)
    return Period(now + dt.timedelta(days=first), now + dt.timedelta(days=last))


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return a new key on *curve*, by default P-256."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new RSA key; a few hundred milliseconds for 2048 *bits*."""
    return rsa.generate_private_key(65537, bits)


def subject_name(subject: Subject) -> x509.Name:
    """Return *subject* as a name of one RDN for each attribute."""
    if isinstance(subject, x509.Name):
        return subject
    attributes = [("CN", subject)] if isinstance(subject, str) else subject
    return x509.Name(
        x509.NameAttribute(ATTRIBUTES.get(kind) or ObjectIdentifier(kind), value)
        for kind, value in attributes
    )


def general_name(name: str) -> x509.GeneralName:
    """Return *name* as a subject alternative name: an IP address if it is one."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


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
        encryption: KeySerializationEncryption = NoEncryption()
        if passphrase is not None:
            encryption = BestAvailableEncryption(passphrase)
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

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
        certificate = _sign(
            subject_name(subject),
            key,
            issuer=subject_name(subject),
            issuer_key=key,
            extensions=_ca_extensions(path_length),
            validity=validity,
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
            extensions=_ca_extensions(path_length),
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
        wanted: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(ca=False), True),
        ]
        if names := tuple(names):
            alternatives = x509.SubjectAlternativeName(map(general_name, names))
            wanted.append((alternatives, False))
        if purposes := tuple(purposes):
            wanted.append((x509.ExtendedKeyUsage(purposes), False))
        certificate = _sign(
            subject_name(subject),
            key,
            issuer=self.certificate.subject,
            issuer_key=self.key,
            extensions=[*wanted, *extensions],
            validity=validity,
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
        start, end = current or days(-BACKDATED, LIFETIME)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(start)
            .next_update(end)
        )
        for certificate in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(start)
                .build()
            )
        return builder.sign(self.key, hashes.SHA256())


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return *certificates* one behind the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def write_certificates(path: Path, *certificates: x509.Certificate) -> None:
    """Write *certificates*, as ``ssl_ca_file`` and ``sslrootcert`` have them."""
    path.write_bytes(certificates_pem(certificates))


def write_crls(path: Path, *crls: x509.CertificateRevocationList) -> None:
    """Write *crls*, as ``ssl_crl_file`` has them."""
    path.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in crls))


def write_private(path: Path, data: bytes) -> None:
    """Write *data* to a file that nobody else can read, not even for a moment."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    """Return what a CA signs: certificates and lists; and a leaf: handshakes."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _ca_extensions(path_length: int | None) -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage(ca=True), True),
    ]


def _sign(
    subject: x509.Name,
    key: Key,
    *,
    issuer: x509.Name,
    issuer_key: Key,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    validity: Period | None,
) -> x509.Certificate:
    start, end = validity or days(-BACKDATED, LIFETIME)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    # Of two of a kind the later one stays.
    kinds = {
        extension.oid: (extension, critical)
        for extension, critical in [(own, False), (above, False), *extensions]
    }
    for extension, critical in kinds.values():
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())
