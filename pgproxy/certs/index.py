"""
What a CA has issued and revoked: ``index.json``.

::

    {"version": 1, "intermediate": true, "crl_number": 3,
     "issued": [{"serial": "5f...", "kind": "client", ...}, ...]}
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.auth import certificate as peer
from pgproxy.certs.errors import CertsError

VERSION: Final = 1


class Kind(StrEnum):
    """What a certificate is for."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"
    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One certificate.

    Args:
        serial: Its serial number, in hexadecimal digits as openssl prints them.
        kind: What it is for.
        names: A server's names; otherwise the common name.
        subject: Its whole name, as PostgreSQL compares it with ``clientname=DN``.
        issuer: Who has signed it.
        not_before: From when it is valid, in ISO 8601.
        not_after: Until when.
        file: Where it was written.
        revoked: When it was revoked; None if it was not.
        reason: Why.

    """

    serial: str
    kind: Kind
    names: tuple[str, ...]
    subject: str
    issuer: Kind
    not_before: str
    not_after: str
    file: str
    revoked: str | None = None
    reason: str = x509.ReasonFlags.unspecified.value

    @classmethod
    def of(
        cls,
        certificate: x509.Certificate,
        kind: Kind,
        issuer: Kind,
        *,
        names: Iterable[str],
        file: str,
    ) -> Self:
        """Return the entry of a *certificate* that was just issued."""
        found = peer.parse(certificate.public_bytes(Encoding.DER))
        return cls(
            serial=serial_text(certificate.serial_number),
            kind=kind,
            names=tuple(names),
            subject=found.distinguished_name,
            issuer=issuer,
            not_before=certificate.not_valid_before_utc.isoformat(),
            not_after=certificate.not_valid_after_utc.isoformat(),
            file=file,
        )

    @property
    def serial_number(self) -> int:
        """The number itself."""
        return int(self.serial, 16)

    @property
    def end(self) -> dt.datetime:
        """Until when it is valid."""
        return dt.datetime.fromisoformat(self.not_after)

    def state(self, now: dt.datetime) -> str:
        """Return what has become of it."""
        if self.revoked is not None:
            return "revoked"
        if now > self.end:
            return "expired"
        return "valid"


def serial_text(number: int) -> str:
    """Return a serial number as ``openssl x509 -serial`` prints it: whole bytes."""
    text = f"{number:X}"
    return text.zfill(len(text) + len(text) % 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """
    All of it.

    Args:
        intermediate: Whether an intermediate CA issues, and not the root.
        crl_number: The number of the last revocation lists; 0: there are none.
        issued: What was issued, the CAs first.

    """

    intermediate: bool
    crl_number: int = 0
    issued: tuple[Entry, ...] = ()

    @property
    def issuing(self) -> Kind:
        """Which CA issues."""
        return Kind.INTERMEDIATE if self.intermediate else Kind.ROOT

    def add(self, entry: Entry) -> Self:
        """Return the index with another *entry*."""
        return replace(self, issued=(*self.issued, entry))

    def find(self, text: str) -> Entry:
        """
        Return the certificate with the serial number *text*.

        It may be in hexadecimal, as `list` and openssl print it, with colons or
        without; or in decimal, as PostgreSQL has it in its log and in pg_stat_ssl.

        Raises:
            CertsError: There is none.

        """
        asked = _numbers(text)
        for entry in self.issued:
            if entry.serial_number in asked:
                return entry
        raise CertsError(
            f'"{text}" is no file, and no serial number of a certificate that this CA '
            f"has issued. `pgproxy certs list` prints them."
        )

    def revoke(self, entry: Entry, now: dt.datetime, reason: str) -> Self:
        """
        Return the index in which *entry* is revoked.

        Raises:
            CertsError: It already was, or is the root, which nobody can revoke.

        """
        if entry.revoked is not None:
            raise CertsError(
                f"{entry.serial} is already revoked, since {entry.revoked}"
            )
        if entry.kind is Kind.ROOT:
            raise CertsError(
                f"{entry.serial} is the root itself, and no list that it signs counts "
                f"against it. Take it out of every ssl_ca_file and sslrootcert."
            )
        revoked = replace(
            entry, revoked=now.replace(microsecond=0).isoformat(), reason=reason
        )
        issued = tuple(revoked if one is entry else one for one in self.issued)
        return replace(self, issued=issued)

    def to_json(self) -> str:
        """Return the content of the file."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Read it back.

        Raises:
            ValueError: It is not what `to_json` makes.

        """
        try:
            return cls._from_fields(json.loads(text))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not an index of version {VERSION}: {error!r}") from error

    @classmethod
    def _from_fields(cls, fields: Mapping[str, Any]) -> Self:
        if fields["version"] != VERSION:
            raise ValueError(f"version {fields['version']!r} is not {VERSION}")
        issued = tuple(
            Entry(
                **one
                | {
                    "kind": Kind(one["kind"]),
                    "issuer": Kind(one["issuer"]),
                    "names": tuple(one["names"]),
                }
            )
            for one in fields["issued"]
        )
        return cls(
            intermediate=bool(fields["intermediate"]),
            crl_number=int(fields["crl_number"]),
            issued=issued,
        )


def _numbers(text: str) -> set[int]:
    """Return which serial numbers *text* may mean."""
    # No serial number has more than 20 octets (RFC 5280, 4.1.2.2).
    digits = text.replace(":", "")
    if not digits.isascii() or not digits.isalnum() or len(digits) > 50:
        return set()
    found = set()
    for base in (10, 16):
        try:
            found.add(int(digits, base))
        except ValueError:
            continue  # no digits of that base
    return found
