"""
A CA in a folder.

::

    index.json          what was issued and revoked
    root.crt root.key   the root; every client and server has root.crt
    issuing.crt .key    with --intermediate: the CA that issues, under the root
    root.crl            the revocation lists, one for each CA (TLS-72)

The folder is 0700, the keys are 0600, and no server ever needs them.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from cryptography import x509

from pgproxy.certs import files
from pgproxy.certs.errors import CertsError
from pgproxy.certs.index import Entry, Index, Kind
from pgproxy.certs.issuing import (
    NEW_KEY,
    Key,
    Period,
    ca_extensions,
    certificates_pem,
    key_pem,
    sign,
    subject_name,
)
from pgproxy.certs.load import read_certificate, read_key
from pgproxy.certs.names import Dn, authority_name

INDEX: Final = "index.json"
CRL: Final = "root.crl"
ROOT_CERTIFICATE: Final = "root.crt"

FILES: Final = {Kind.ROOT: "root", Kind.INTERMEDIATE: "issuing"}
"""What the files of a CA are called, without .crt and .key."""

BACKDATED: Final = dt.timedelta(hours=1)
"""Clocks differ."""

LATEST: Final = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
"""RFC 5280, 4.1.2.5.2: the last second that there is."""


@dataclass(frozen=True, slots=True)
class Authority:
    """
    A CA that can sign.

    Args:
        kind: The root or the intermediate.
        certificate: Its certificate.
        key: Its key.

    """

    kind: Kind
    certificate: x509.Certificate
    key: Key


@dataclass(frozen=True, slots=True)
class Folder:
    """
    The folder, as it was read; `changing` keeps others from changing it meanwhile.

    Args:
        path: Where it is.
        index: What is in its index.
        root: The root.
        issuing: The certificate of the CA that issues: the intermediate, or the root.

    """

    path: Path
    index: Index
    root: x509.Certificate
    issuing: x509.Certificate

    @classmethod
    def read(cls, path: Path) -> Self:
        """
        Read the folder.

        Raises:
            CertsError: It is none of a CA, or damaged.
            OSError: It cannot be read.

        """
        file = index_file(path)
        try:
            index = Index.from_json(file.read_text("utf-8"))
        except ValueError as error:
            raise CertsError(f"{file} is damaged: {error}") from error
        root = read_certificate(path / ROOT_CERTIFICATE)
        issuing = root
        if index.intermediate:
            issuing = read_certificate(path / f"{FILES[Kind.INTERMEDIATE]}.crt")
        return cls(path, index, root, issuing)

    @classmethod
    @contextmanager
    def changing(cls, path: Path) -> Iterator[Self]:
        """Read the folder, and let nobody else change it for a while."""
        index_file(path)  # no lock is left in a folder that is something else
        with files.locked(path):
            yield cls.read(path)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What a leaf has to send along: the intermediate, if there is one."""
        return (self.issuing,) if self.index.intermediate else ()

    def save(self, index: Index) -> Self:
        """Write *index*, and return the folder with it."""
        _save(self.path, index)
        return replace(self, index=index)

    def authority(self, kind: Kind) -> Authority:
        """
        Return a CA of this folder, with its key.

        Raises:
            CertsError: The key cannot be used, or is open to others.
            OSError: It cannot be read.

        """
        certificate = self.root if kind is Kind.ROOT else self.issuing
        key = read_key(self.path / f"{FILES[kind]}.key", certificate)
        return Authority(kind, certificate, key)

    def issuer(self, now: dt.datetime) -> Authority:
        """
        Return the CA that issues.

        Raises:
            CertsError: It may not, at this time or any more.

        """
        self.check_current(now)
        issuing = self.index.find(f"{self.issuing.serial_number:X}")
        if issuing.revoked is not None:
            raise CertsError(
                f"the issuing CA in {self.path} was revoked: nobody would accept what "
                f"it issues. Make a new CA: pgproxy certs init"
            )
        return self.authority(self.index.issuing)

    def check_current(self, now: dt.datetime) -> None:
        """
        Raise `CertsError` unless the root, and what is under it, is valid now.

        What an expired CA has signed is refused as well.
        """
        for one in {self.root, self.issuing}:
            if now > one.not_valid_after_utc:
                raise CertsError(
                    f"the CA in {self.path} has expired, on "
                    f"{one.not_valid_after_utc:%Y-%m-%d}: nobody accepts what it has "
                    f"signed. Make a new one: pgproxy certs init"
                )
            if now < one.not_valid_before_utc:
                raise CertsError(
                    f"the CA in {self.path} is not valid before "
                    f"{one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC. Is this machine's "
                    f"clock right?"
                )

    def validity(self, now: dt.datetime, days: int) -> tuple[Period, bool]:
        """Return when a leaf is valid, and if that is shorter than was asked for."""
        start = max(now - BACKDATED, self.issuing.not_valid_before_utc)
        last = min(self.root.not_valid_after_utc, self.issuing.not_valid_after_utc)
        end = later(now, days)
        return Period(start, min(end, last)), end > last


def create(
    path: Path,
    *,
    name: str,
    dn: Dn = (),
    intermediate: bool,
    key_type: str,
    days: int,
    now: dt.datetime,
) -> Folder:
    """
    Make a CA in the folder *path*, which is not there yet, or empty.

    Raises:
        CertsError: Something is in the folder, or the *name* cannot be one.
        OSError: It cannot be written.

    """
    names = {Kind.ROOT: authority_name(f"{name} root CA")}
    if intermediate:
        names[Kind.INTERMEDIATE] = authority_name(f"{name} issuing CA")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(path):
        if there := sorted(
            one.name for one in path.iterdir() if one.name != files.LOCK
        ):
            raise CertsError(
                f"{path} is not empty: {there[0]} is in it. A CA is made in a new folder"
            )
        path.chmod(0o700)
        validity = Period(now - BACKDATED, later(now, days))
        authorities = list(_authorities(names, dn, key_type, validity))
        index = Index(intermediate=intermediate)
        for one in authorities:
            base = path / FILES[one.kind]
            files.write(base.with_suffix(".key"), key_pem(one.key), mode=files.PRIVATE)
            files.write(
                base.with_suffix(".crt"),
                certificates_pem([one.certificate]),
                mode=files.PUBLIC,
            )
            index = index.add(
                Entry.of(
                    one.certificate,
                    one.kind,
                    Kind.ROOT,
                    names=[names[one.kind]],
                    file=str(base.with_suffix(".crt").absolute()),
                )
            )
        # Last: without it the folder is none of a CA.
        _save(path, index)
    return Folder.read(path)


def _authorities(
    names: Mapping[Kind, str], dn: Dn, key_type: str, validity: Period
) -> Iterator[Authority]:
    """Yield the root, and the intermediate if it has a name."""
    root: Authority | None = None
    for kind, name in names.items():
        key = NEW_KEY[key_type]()
        subject = subject_name([*dn, ("CN", name)])
        certificate = sign(
            subject,
            key,
            issuer=root.certificate.subject if root else subject,
            issuer_key=root.key if root else key,
            extensions=ca_extensions(0 if root else len(names) - 1),
            validity=validity,
        )
        one = Authority(kind, certificate, key)
        root = root or one
        yield one


def index_file(path: Path) -> Path:
    """Return the index of the CA in *path*; raise `CertsError` if there is none."""
    file = path / INDEX
    if not file.is_file():
        raise CertsError(
            f"{path} is no folder of a CA: there is no {INDEX} in it. `pgproxy certs "
            f"init` makes one; --ca DIR says where it is"
        )
    return file


def _save(path: Path, index: Index) -> None:
    files.write(
        path / INDEX, index.to_json().encode(), mode=files.PRIVATE, replace=True
    )


def later(now: dt.datetime, days: int) -> dt.datetime:
    """Return the time in some *days*, or the last that there is."""
    try:
        return min(now + dt.timedelta(days=days), LATEST)
    except OverflowError:
        return LATEST
