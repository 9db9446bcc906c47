"""As much of DER as it takes to find two names in a certificate, and strictly."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OBJECT_IDENTIFIER: Final = 0x06
SEQUENCE: Final = 0x30
SET: Final = 0x31

MAX_OBJECT_IDENTIFIER_LENGTH: Final = 64
"""Octets; the longest that OpenSSL has a name for has 13."""

_CONSTRUCTED: Final = 0x20
_HIGH_TAG: Final = 0x1F


class DerError(ValueError):
    """Not DER, or not the DER that is expected here."""


@dataclass(frozen=True, slots=True)
class Element:
    """
    One value.

    Args:
        tag: The identifier octet: class, constructed or not, number.
        content: What is in it.
        encoded: All of it, identifier and length included.

    """

    tag: int
    content: bytes
    encoded: bytes

    def expect(self, tag: int) -> bytes:
        """
        Return the content.

        Raises:
            DerError: It is not of type *tag*.

        """
        if self.tag != tag:
            raise DerError(f"tag {self.tag:#04x} where {tag:#04x} is due")
        return self.content


def elements(data: bytes) -> Iterator[Element]:
    """
    Yield the values that *data* is made of.

    ::

        +------------+--------+- - - - - -+
        | identifier | length |  content  |   and the next one, to the end
        +------------+--------+- - - - - -+
          1 octet      0xxxxxxx, or 1nnnnnnn and n octets, as few as will do

    Only DER: a length has one form, and that is its shortest. BER has many, so the
    same bytes could be a different name to another reader. Tag numbers above 30 are
    refused: nothing in a name has one.

    Raises:
        DerError: *data* is not such a row of values.

    Source: X.690, sections 8.1 and 10.1.

    """
    at = 0
    while at < len(data):
        tag = data[at]
        if tag & _HIGH_TAG == _HIGH_TAG:
            raise DerError("tag number above 30")
        start, length = _length(data, at + 1)
        end = start + length
        if end > len(data):
            raise DerError("value ends behind what it is part of")
        yield Element(tag, data[start:end], data[at:end])
        at = end


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content begins, and its length in bytes."""
    if at == len(data):
        raise DerError("no length")
    first = data[at]
    at += 1
    if first < 0x80:
        return at, first
    octets = data[at : at + (first & 0x7F)]
    # An indefinite length has no octets, and so has no first one either.
    if octets[:1] in {b"", b"\0"} or len(octets) != first & 0x7F:
        raise DerError("bad length")
    length = int.from_bytes(octets)
    if length < 0x80:
        raise DerError("length is not in its shortest form")
    return at + len(octets), length


def only(data: bytes) -> Element:
    """
    Return the one value that *data* is.

    Raises:
        DerError: It is none, or more.

    """
    found = list(elements(data))
    if len(found) != 1:
        raise DerError(f"{len(found)} values where one is due")
    return found[0]


def is_primitive(tag: int) -> bool:
    """Return whether a value of type *tag* holds octets, and not other values."""
    return not tag & _CONSTRUCTED


def integer(content: bytes) -> int:
    """
    Return the number in the content of an INTEGER.

    Raises:
        DerError: It is empty, or begins with nine equal bits.

    Source: X.690, section 8.3.

    """
    if not content:
        raise DerError("empty INTEGER")
    if content[0] in {0x00, 0xFF} and len(content) > 1 and _same_sign(content):
        raise DerError("INTEGER is not in its shortest form")
    return int.from_bytes(content, signed=True)


def _same_sign(content: bytes) -> bool:
    return (content[0] ^ content[1]) & 0x80 == 0


def object_identifier(content: bytes) -> str:
    """
    Return the dotted decimal of the content of an OBJECT IDENTIFIER.

    ::

        first = 40 * a + b, then one number each     a < 3; b < 40 unless a = 2
        1xxxxxxx 1xxxxxxx 0xxxxxxx                   seven bits an octet

    Raises:
        DerError: A number does not end, or begins with a zero octet; or it is longer
            than any that has a meaning.

    Source: X.690, section 8.19.

    """
    if not content or content[-1] & 0x80:
        raise DerError("OBJECT IDENTIFIER does not end")
    if len(content) > MAX_OBJECT_IDENTIFIER_LENGTH:
        raise DerError("OBJECT IDENTIFIER is too long")
    numbers: list[int] = []
    number, fresh = 0, True
    for octet in content:
        if fresh and octet == 0x80:
            raise DerError("OBJECT IDENTIFIER is not in its shortest form")
        number = number << 7 | octet & 0x7F
        fresh = not octet & 0x80
        if fresh:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
