"""Who a client's certificate says it is; reads DER, and decodes as little as it can."""

from dataclasses import dataclass
from typing import Final

from pgproxy.auth.der import (
    BIT_STRING,
    INTEGER,
    SEQUENCE,
    DerError,
    Element,
    elements,
    integer,
    only,
)
from pgproxy.auth.lexer import TEXT
from pgproxy.auth.names import Name, common_name, parse_name, rfc2253, slash_form

MAX_SERIAL_NUMBER_LENGTH: Final = 1024
"""Octets; RFC 5280 allows 20. Python does not print numbers of any length."""

_VERSION: Final = 0xA0
_OPTIONAL: Final = (0x81, 0x82, 0xA3)


class CertificateError(ValueError):
    """A certificate that says nothing that could be relied on; nobody is let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCertificate:
    r"""
    What a certificate says.

    Args:
        common_name: The first CN of its subject; None: it has none. The octets of the
            string, taken for UTF-8 whatever their type (TLS-86).
        distinguished_name: Its subject, in the form of RFC 2253 (TLS-87).
        issuer_dn: Its issuer, likewise.
        serial_number: Its number; may be negative.

    """

    common_name: str | None
    distinguished_name: str
    issuer_dn: str
    serial_number: int


def parse(der: bytes) -> PeerCertificate:
    """
    Return what the certificate *der* says.

    That it is valid is not looked at: TLS has done that.

    Raises:
        CertificateError: It is malformed, or its CN has a NUL in it, behind which one
            could hide whose certificate it is (TLS-88, CVE-2009-4034).

    Source: ``be_tls_open_server`` in be-secure-openssl.c.

    """
    try:
        serial_number, issuer, subject = _walk(der)
        cn = common_name(subject)
        if cn is not None and b"\0" in cn:
            raise CertificateError(
                "SSL certificate's common name contains embedded null"
            )
        return PeerCertificate(
            common_name=None if cn is None else cn.decode(*TEXT),
            distinguished_name=rfc2253(subject),
            issuer_dn=rfc2253(issuer),
            serial_number=serial_number,
        )
    except DerError as error:
        raise CertificateError(f"SSL certificate is malformed: {error}") from error


def verification_failure(depth: int, reason: str, der: bytes | None) -> str:
    """
    Return the DETAIL of a certificate that failed verification (TLS-82 to TLS-84).

    Args:
        depth: Its distance from the client's own certificate, which is 0.
        reason: In OpenSSL's words: ``certificate has expired``.
        der: The certificate; None if OpenSSL has none to show. One that is malformed
            is not shown either: it has only failed, and nobody relies on it.

    Source: ``verify_cb`` in be-secure-openssl.c.

    """
    text = f"Client certificate verification failed at depth {depth}: {reason}."
    if der is None:
        return text
    try:
        serial_number, issuer, subject = _walk(der)
        return (
            f'{text}\nFailed certificate data (unverified): subject "'
            f'{slash_form(subject)}", serial number {serial_number}, issuer "'
            f'{slash_form(issuer)}".'
        )
    except DerError:
        return text


def _walk(der: bytes) -> tuple[int, Name, Name]:
    """
    Return the serial number, the issuer and the subject of a certificate.

    ::

        SEQUENCE                     Certificate
          SEQUENCE                   TBSCertificate
            [0]                      version, unless it is 1
            INTEGER                  serialNumber
            SEQUENCE                 signature
            SEQUENCE                 issuer
            SEQUENCE                 validity
            SEQUENCE                 subject
            SEQUENCE                 subjectPublicKeyInfo
            [1] [2] [3]              each may be missing: two identifiers, extensions
          SEQUENCE                   signatureAlgorithm
          BIT STRING                 signatureValue

    Raises:
        DerError: It is something else.

    Source: RFC 5280, section 4.1.

    """
    certificate = list(elements(only(der).expect(SEQUENCE)))
    if [e.tag for e in certificate] != [SEQUENCE, SEQUENCE, BIT_STRING]:
        raise DerError("certificate is not made of three parts")
    tbs = list(elements(certificate[0].content))
    if tbs and tbs[0].tag == _VERSION:
        del tbs[0]
    # All fields are looked at: with one that is too short, what belongs to it would
    # be taken for those behind it.
    tags = [e.tag for e in tbs]
    optional = [tag for tag in _OPTIONAL if tag in tags]
    if tags != [INTEGER, *[SEQUENCE] * 5, *optional]:
        raise DerError("certificate has not the fields of one")
    serial, _signature, issuer, _validity, subject = tbs[:5]
    return _serial_number(serial), parse_name(issuer), parse_name(subject)


def _serial_number(element: Element) -> int:
    content = element.content
    if len(content) > MAX_SERIAL_NUMBER_LENGTH:
        raise DerError("serial number is too long")
    return integer(content)
