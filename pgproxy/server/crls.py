"""Certificate revocation lists: which files have them, and what is in them."""

import base64
import binascii
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pgproxy.server.openssl import crl_issuer_hash
from pgproxy.settings.catalogue import Settings

CRL_FILE_NAME: Final = re.compile(r"([0-9a-f]{8})\.r([0-9]+)")
"""What ``openssl rehash`` calls a CRL: the hash of its issuer's name, and a number."""

_CRL_BLOCK: Final = re.compile(
    rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL
)


class NoCrl(ssl.SSLError):
    """There is no list in a file that should have one."""


Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change (ns) of each list in a directory."""


def read_crl_file(path: Path) -> list[bytes]:
    """
    Return the lists in *path*, in DER.

    Only the lists: a certificate in such a file would be one more CA that may vouch
    for clients, which is what PostgreSQL makes of it (TLS-46).

    Raises:
        OSError: It cannot be read; `NoCrl` if there is no list in it.

    """
    found = []
    for block in _CRL_BLOCK.findall(path.read_bytes()):
        try:
            # Whatever stands before an empty line is a header of the block.
            found.append(base64.b64decode(block.rpartition(b"\n\n")[2]))
        except binascii.Error as error:
            raise NoCrl(1, "bad base64 decode") from error
    if not found:
        raise NoCrl(1, "no certificate or crl found")
    return found


def crl_files(directory: Path) -> Iterator[Path]:
    """
    Yield the files of *directory* that OpenSSL would look into.

    ::

        5ad8a5d6.r0  5ad8a5d6.r1  5ad8a5d6.r3      the last is not found

    They are counted from 0, and a gap ends the count. A directory that is not there
    has none (TLS-45).

    Raises:
        OSError: It cannot be read.

    Source: ``get_cert_by_subject`` in OpenSSL's by_dir.c.

    """
    numbers: dict[str, set[int]] = {}
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if match := CRL_FILE_NAME.fullmatch(name):
            numbers.setdefault(match[1], set()).add(int(match[2]))
    for issuer, found in sorted(numbers.items()):
        number = 0
        while number in found:
            yield directory / f"{issuer}.r{number}"
            number += 1


def read_hashed_crl_file(path: Path) -> list[bytes]:
    """
    Return the lists in *path*, one of `crl_files`, in DER.

    OpenSSL finds a list by the name of the file, so that has to be its issuer's.

    Raises:
        OSError: It cannot be read, or would never be found.

    """
    found = read_crl_file(path)
    for der in found:
        issuer = crl_issuer_hash(der)
        if issuer is not None and path.stem != f"{issuer:08x}":
            raise NoCrl(
                1, f"its issuer's hash is {issuer:08x} (openssl rehash names it so)"
            )
    return found


def fingerprint(directory: Path) -> Fingerprint:
    """Return what changes when a list in *directory* does."""
    found = []
    try:
        for path in crl_files(directory):
            info = path.stat()
            found.append((path.name, info.st_ino, info.st_size, info.st_mtime_ns))
    except OSError as error:
        # It went away just now, or may not be read: told by `LiveCrls.read`.
        found.append(("", error.errno or 0, 0, 0))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class LiveCrls:
    """
    Where the lists are that count, and what was found there.

    Args:
        crl_file: The lists of ``ssl_crl_file``, as they were at the last reload.
        directory: ``ssl_crl_dir``, which is looked into for each client (TLS-81).

    """

    crl_file: tuple[bytes, ...]
    directory: Path

    @classmethod
    def of(
        cls, settings: Settings, directory: Path, crl_file: tuple[bytes, ...]
    ) -> Self | None:
        """Return where *settings* have it; None if they have no such directory."""
        if not settings.ssl_crl_dir:
            return None
        return cls(crl_file, directory / settings.ssl_crl_dir)

    def read(self) -> tuple[list[bytes], list[str]]:
        """
        Return all lists, and why those are left out that cannot be read.

        Without its list a CA's certificates are refused, so this fails closed.
        """
        found, problems = list(self.crl_file), []
        try:
            for path in crl_files(self.directory):
                try:
                    found += read_hashed_crl_file(path)
                except OSError as error:
                    problems.append(f'could not load "{path.name}": {error.strerror}')
        except OSError as error:
            problems.append(f"could not read the directory: {error.strerror}")
        return found, problems
