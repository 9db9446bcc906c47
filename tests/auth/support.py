"""Files in memory, DER by hand, and rules in one line: what these tests share."""

import errno
import os
import posixpath
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from pgproxy.auth.hba_file import HbaFile, load_hba
from pgproxy.protocol.errors import Report

HBA = "/etc/pg/pg_hba.conf"


class Files:
    """A file system: what is in each file, or the errno that reading it ends with."""

    def __init__(self, content: Mapping[str, bytes | int]) -> None:
        self.content = content

    def read(self, path: str) -> bytes:
        """Return what is in *path*."""
        found = self.content.get(path, errno.ENOENT)
        if found == errno.ENOENT and self._names(path):
            found = errno.EISDIR
        if isinstance(found, int):
            raise OSError(found, os.strerror(found), path)
        return found

    def list_directory(self, path: str) -> Iterable[str]:
        """Return the names of the files in *path*, in no order."""
        names = self._names(path)
        if not names:
            code = errno.ENOTDIR if path in self.content else errno.ENOENT
            raise OSError(code, os.strerror(code), path)
        return [n for n in reversed(names) if posixpath.join(path, n) in self.content]

    def _names(self, path: str) -> list[str]:
        inside = posixpath.join(path, "")
        names = (p.removeprefix(inside) for p in self.content if p.startswith(inside))
        return list(dict.fromkeys(name.partition("/")[0] for name in names))


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, as far as Python's own parser can."""
    assert text, "an empty string must not come as far as this"
    try:
        return ip_address(text)
    except ValueError:
        return None


def load(
    text: str | bytes, *, ssl: bool = True, roles: bool = True, path: str = HBA
) -> HbaFile:
    """Read a pg_hba.conf that is given."""
    data = text if isinstance(text, bytes) else text.encode()
    files = Files({path: data})
    return load_hba(
        path,
        ssl=ssl,
        roles=roles,
        parse_address=parse_address,
        read=files.read,
        list_directory=files.list_directory,
    )


def messages(reports: Iterable[Report]) -> list[str]:
    """Return what the reports say, without the rest of it."""
    return [report.message for report in reports]


# --- DER, written the long way round -------------------------------------------------


def tlv(tag: int, *content: bytes) -> bytes:
    """Return a value: identifier, length, content."""
    body = b"".join(content)
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    octets = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def oid(text: str) -> bytes:
    """Return an OBJECT IDENTIFIER, given in dotted decimal."""
    first, second, *rest = map(int, text.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.insert(0, 0x80 | number & 0x7F)
        content += bytes(septets)
    return tlv(0x06, content)


def utf8(text: str) -> bytes:
    """Return a UTF8String."""
    return tlv(0x0C, text.encode())


Pair = tuple[str, bytes]
"""An attribute: its type in dotted decimal, its value in DER."""


def name(*relative: Pair | list[Pair]) -> bytes:
    """Return a Name; a list is a relative name of several attributes."""
    return tlv(
        0x30,
        *(
            tlv(
                0x31,
                *(
                    tlv(0x30, oid(kind), value)
                    for kind, value in (one if isinstance(one, list) else [one])
                ),
            )
            for one in relative
        ),
    )


CN, ORG, OU = "2.5.4.3", "2.5.4.10", "2.5.4.11"


def certificate(
    subject: bytes,
    issuer: bytes | None = None,
    *,
    serial: bytes = b"\x01",
    version: bytes | None = None,
    key: bytes | None = None,
) -> bytes:
    """
    Return a certificate that nobody has signed.

    Args:
        subject: A Name.
        issuer: A Name; by default a CA's.
        serial: The content of its INTEGER.
        version: By default that of a version 3 certificate.
        key: A SubjectPublicKeyInfo; by default none that is a key.

    """
    algorithm = tlv(0x30, oid("1.2.840.10045.4.3.2"))
    time = tlv(0x17, b"250101000000Z")
    return tlv(
        0x30,
        tlv(
            0x30,
            tlv(0xA0, tlv(0x02, b"\x02")) if version is None else version,
            tlv(0x02, serial),
            algorithm,
            name((CN, utf8("ca"))) if issuer is None else issuer,
            tlv(0x30, time, time),
            subject,
            tlv(0x30, algorithm, tlv(0x03, b"\0")) if key is None else key,
        ),
        algorithm,
        tlv(0x03, b"\0"),
    )
