"""
Certificates and revocation lists: signed here, read and written elsewhere.

Nothing is decided here: whether a name is a name, or an issuer may issue, is asked
before. That is how the tests can have certificates with anything wrong in them.
"""

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extension = tuple[x509.ExtensionType, bool]
"""And whether it is critical."""

Subject = str | Sequence[tuple[str, str]] | x509.Name
"""A common name; or attributes, the most general first; or the whole name."""

CLIENT_AUTH: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH: Final = ExtendedKeyUsageOID.SERVER_AUTH

RSA_BITS: Final = 3072
"""As strong as P-256 (NIST SP 800-57, part 1, table 2)."""

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


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return a new key on *curve*, by default P-256."""
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a new RSA key; a few hundred milliseconds for 2048 *bits*."""
    return rsa.generate_private_key(65537, bits)


NEW_KEY: Final[Mapping[str, Callable[[], Key]]] = {
    "ecdsa": ec_key,
    "rsa": lambda: rsa_key(RSA_BITS),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
"""What can be asked for; the first is the default."""


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


def ca_extensions(path_length: int | None) -> list[Extension]:
    """Return those of a CA with at most *path_length* CAs below it."""
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_key_usage("key_cert_sign", "crl_sign"), True),
    ]


def leaf_extensions(
    key: Key,
    *,
    names: Iterable[str] = (),
    purposes: Iterable[ObjectIdentifier] = (),
) -> list[Extension]:
    """
    Return those of a server or a client.

    Args:
        key: Its key. One of RSA may also be encrypted to: up to TLS 1.2 there are
            cipher suites, of PostgreSQL's default ``ssl_ciphers`` too, that do so.
        names: Subject alternative names; none leaves the extension out.
        purposes: Extended key usage; none leaves the extension out.

    """
    usage = ["digital_signature"]
    if isinstance(key, rsa.RSAPrivateKey):
        usage.append("key_encipherment")
    found: list[Extension] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(*usage), True),
    ]
    if alternatives := tuple(map(general_name, names)):
        found.append((x509.SubjectAlternativeName(alternatives), False))
    if purposes := tuple(purposes):
        found.append((x509.ExtendedKeyUsage(purposes), False))
    return found


def _key_usage(*usage: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in usage for name in every})


def sign(
    subject: x509.Name,
    key: Key,
    *,
    issuer: x509.Name,
    issuer_key: Key,
    extensions: Iterable[Extension],
    validity: Period,
) -> x509.Certificate:
    """
    Return a certificate for the *subject*, whose *key* it is, with a random serial.

    Of two *extensions* of a kind the later one stays; the identifiers of both keys,
    which RFC 5280 asks for, are there if they are not among them.
    """
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.start)
        .not_valid_after(validity.end)
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    kinds = {
        extension.oid: (extension, critical)
        for extension, critical in [
            (own, False),
            (_authority_key_identifier(issuer_key), False),
            *extensions,
        ]
    }
    for extension, critical in kinds.values():
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, _digest(issuer_key))


class Revoked(NamedTuple):
    """One line of a revocation list."""

    serial_number: int
    date: dt.datetime
    reason: x509.ReasonFlags = x509.ReasonFlags.unspecified


def sign_crl(
    issuer: x509.Name,
    issuer_key: Key,
    *,
    revoked: Iterable[Revoked],
    current: Period,
    number: int | None = None,
) -> x509.CertificateRevocationList:
    """
    Return the issuer's revocation list.

    Args:
        issuer: Whose list it is.
        issuer_key: Signs it.
        revoked: What is in it.
        current: When it was made, and when the next one comes.
        number: Each list has a higher one than that before it (RFC 5280, 5.2.3).

    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(current.start)
        .next_update(current.end)
        .add_extension(_authority_key_identifier(issuer_key), critical=False)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for one in revoked:
        line = (
            x509.RevokedCertificateBuilder()
            .serial_number(one.serial_number)
            .revocation_date(one.date)
        )
        # "unspecified" is said by saying nothing (RFC 5280, 5.3.1).
        if one.reason is not x509.ReasonFlags.unspecified:
            line = line.add_extension(x509.CRLReason(one.reason), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    return builder.sign(issuer_key, _digest(issuer_key))


def _authority_key_identifier(issuer_key: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())


def _digest(key: Key) -> hashes.SHA256 | None:
    """Return what is signed: a digest, unless the algorithm has one of its own."""
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return *certificates* one behind the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def crls_pem(crls: Iterable[x509.CertificateRevocationList]) -> bytes:
    """Return *crls* one behind the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in crls)


def key_pem(key: Key, passphrase: bytes | None = None) -> bytes:
    """Return *key* in PKCS #8, encrypted if there is a *passphrase*."""
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        encryption = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
