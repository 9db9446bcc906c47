r"""
A distinguished name: as DER has it, and as OpenSSL and PostgreSQL print it.

::

    30 ..                     Name: the relative names, most significant first
      31 ..                   SET: one or more attributes
        30 ..
          06 03 55 04 03      its type: 2.5.4.3, CN
          0c 05 6d 75 6c ..   its value, mostly a string of some type

    CN=multi+OU=ou,O=a\, b    RFC 2253: both orders reversed; what pg_ident.conf sees
    /O=a\, b/OU=ou/CN=multi   what the log shows of a certificate that was refused
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.der import (
    BIT_STRING,
    OBJECT_IDENTIFIER,
    SEQUENCE,
    SET,
    DerError,
    Element,
    elements,
    is_primitive,
    object_identifier,
)
from pgproxy.auth.object_names import COMMON_NAME, SHORT_NAMES

MAX_OBJECT_TEXT: Final = 79
"""Characters; OpenSSL cuts a longer dotted decimal, and two become one."""

MAX_LOGGED_NAME: Final = 71
"""Bytes: the longest CN and ``.../CN=``; ``prepare_cert_name``."""

# Octets a character, as OpenSSL prints the universal types; 0 is UTF-8. Types that
# are not here are dumped. T61String is taken for ISO 8859-1: nobody does otherwise.
# Source: tag2nbyte in a_strex.c.
_WIDTHS: Final[Mapping[int, int]] = {
    0x0C: 0,  # UTF8String
    0x12: 1,  # NumericString
    0x13: 1,  # PrintableString
    0x14: 1,  # T61String
    0x16: 1,  # IA5String
    0x17: 1,  # UTCTime
    0x18: 1,  # GeneralizedTime
    0x1A: 1,  # VisibleString
    0x1C: 4,  # UniversalString
    0x1E: 2,  # BMPString
}
_ALWAYS_ESCAPED: Final = b',+"\\<>;'


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a name: its type in dotted decimal, and its value."""

    type: str
    value: Element


Name = tuple[tuple[Attribute, ...], ...]
"""Relative names in the order of the certificate; mostly one attribute each."""


def parse_name(element: Element) -> Name:
    """
    Return the name that *element* is.

    Raises:
        DerError: It is none.

    Source: "Name" in RFC 5280, section 4.1.2.4.

    """
    name = []
    for relative in elements(element.expect(SEQUENCE)):
        attributes = tuple(_parse_attribute(e) for e in elements(relative.expect(SET)))
        if not attributes:
            raise DerError("empty relative name")
        name.append(attributes)
    return tuple(name)


def _parse_attribute(element: Element) -> Attribute:
    match list(elements(element.expect(SEQUENCE))):
        case [kind, value]:
            pass
        case _:
            raise DerError("attribute is not a type and a value")
    text = object_identifier(kind.expect(OBJECT_IDENTIFIER))
    if len(text) > MAX_OBJECT_TEXT:
        raise DerError("attribute type is too long")
    if value.tag != SEQUENCE and not (is_primitive(value.tag) and value.tag < 0x40):
        raise DerError("attribute value is of no type that a name can have")
    if value.tag == BIT_STRING:
        _check_bit_string(value.content)
    return Attribute(text, value)


def _check_bit_string(content: bytes) -> None:
    """Refuse bits that do not count but are set: a dump would show them."""
    if not content or content[0] > 7 or content[-1] & ((1 << content[0]) - 1):
        raise DerError("bad BIT STRING")


def common_name(name: Name) -> bytes | None:
    """
    Return the first CN in *name*, as the octets of its string; None: there is none.

    Neither decoded nor the most specific one: in a BMPString every ASCII character
    has a NUL (TLS-86).

    Raises:
        DerError: It is not a string.

    Source: ``be_tls_open_server``, which calls ``X509_NAME_get_text_by_NID``.

    """
    for relative in name:
        for attribute in relative:
            if attribute.type == COMMON_NAME:
                if attribute.value.tag not in _WIDTHS:
                    raise DerError("common name is not a string")
                return attribute.value.content
    return None


def rfc2253(name: Name) -> str:
    r"""
    Return *name* as ``X509_NAME_print_ex`` prints it with ``XN_FLAG_RFC2253``.

    All of it is ASCII: what is not, and control characters, are ``\HH`` octets of
    UTF-8. An attribute that OpenSSL has no name for is ``1.2.3=#`` and the DER of its
    value (TLS-87).

    Raises:
        DerError: OpenSSL could not print it, or would leave characters out.

    Source: ``do_name_ex`` in crypto/asn1/a_strex.c.

    """
    return ",".join(
        "+".join(_rfc2253_attribute(a) for a in reversed(relative))
        for relative in reversed(name)
    )


def _rfc2253_attribute(attribute: Attribute) -> str:
    short_name = SHORT_NAMES.get(attribute.type)
    if short_name is None:
        return f"{attribute.type}={_dump(attribute.value)}"
    value = _print(attribute.value, escape_msb=True)
    return f"{short_name}={value.decode()}"


def slash_form(name: Name) -> str:
    r"""
    Return *name* as the log shows it: ``/O=example/CN=ana``.

    The order is that of the certificate, and attributes of one relative name are not
    told apart. A name longer than 71 bytes loses its beginning; then what is not
    printable ASCII becomes ``\xhh`` (TLS-83). Of an attribute without a name
    PostgreSQL makes an error (TLS-88b); here its type is shown as numbers.

    Raises:
        DerError: OpenSSL could not print it, or would leave characters out.

    Source: ``X509_NAME_to_cstring``, ``prepare_cert_name``, ``pg_clean_ascii``.

    """
    text = b"".join(
        b"/%s=%s"
        % (
            SHORT_NAMES.get(attribute.type, attribute.type).encode("ascii"),
            _print(attribute.value, escape_msb=False),
        )
        for relative in name
        for attribute in relative
    )
    if len(text) > MAX_LOGGED_NAME:
        text = b"..." + text[3 - MAX_LOGGED_NAME :]
    return "".join(chr(c) if 32 <= c < 127 else f"\\x{c:02x}" for c in text)


def _print(value: Element, *, escape_msb: bool) -> bytes:
    """
    Return *value* as ``ASN1_STRING_print_ex`` with ``ASN1_STRFLGS_RFC2253``.

    Source: ``do_print_ex``, ``do_buf``, ``do_esc_char`` in crypto/asn1/a_strex.c.
    """
    width = _WIDTHS.get(value.tag)
    if width is None:
        return _dump(value).encode("ascii")
    octets = _utf8(value.content, width)
    last = len(octets) - 1
    return b"".join(
        _escape(octet, first=i == 0, last=i == last, escape_msb=escape_msb)
        for i, octet in enumerate(octets)
    )


def _utf8(octets: bytes, width: int) -> bytes:
    """
    Return a string of *width* octets a character in UTF-8.

    OpenSSL has no certificate with a bad UTF8String. In other strings it leaves out
    what is no character, half of a surrogate pair too: two names would become one.
    """
    if width and len(octets) % width:
        raise DerError("string ends in the middle of a character")
    try:
        if not width:
            return octets.decode().encode()
        characters = (octets[at : at + width] for at in range(0, len(octets), width))
        return "".join(chr(int.from_bytes(c)) for c in characters).encode()
    except (OverflowError, ValueError):
        raise DerError("string has characters that are none") from None


def _escape(octet: int, *, first: bool, last: bool, escape_msb: bool) -> bytes:
    """
    Return how one octet is printed.

    A lone ``#`` is not escaped, though it is the first: to OpenSSL a character that
    is the last is not the first as well.

    Source: ``char_type`` in crypto/asn1/charmap.h.
    """
    if octet in _ALWAYS_ESCAPED or (
        (octet == ord(" ") and (first or last))
        or (octet == ord("#") and (first and not last))
    ):
        return b"\\%c" % octet
    if octet < 0x20 or octet == 0x7F or (octet >= 0x80 and escape_msb):
        return b"\\%02X" % octet
    return b"%c" % octet


def _dump(value: Element) -> str:
    return f"#{value.encoded.hex().upper()}"
