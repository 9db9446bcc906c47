"""
Which names a certificate may have, and what its subject is made of.

Host names are judged as libpq compares them (``pq_verify_peer_name_matches...`` in
fe-secure-common.c): a name that it would never find is refused here, where it can
still be put right.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from pgproxy.certs.errors import CertsError

MAX_COMMON_NAME_LENGTH: Final = 64
"""X.520's ub-common-name; counted in bytes, as PostgreSQL counts a role's name."""

MAX_DNS_NAME_LENGTH: Final = 253
"""RFC 1035 has 255 octets, of which two are lengths."""

BOUNDS: Final = {
    "C": 2,
    "ST": 128,
    "L": 128,
    "O": 64,
    "OU": 64,
    "DC": 63,
    "UID": 256,
    "emailAddress": 255,
}
"""What `--dn` takes, and how long it may be (X.520, RFC 4519, RFC 5280)."""

_ASCII: Final = ("C", "DC", "emailAddress")
"""Those that are no UTF8String."""

# RFC 1123, and the underscore, which names of containers have.
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")

Dn = tuple[tuple[str, str], ...]
"""Attributes, the most general first."""


def server_names(names: Iterable[str]) -> tuple[str, ...]:
    """
    Return *names* for a server's certificate, each once.

    Raises:
        CertsError: One is neither the name of a host, nor ``*.`` and such a name, nor
            an IP address; or the first is too long to be the common name as well.

    """
    found = tuple(dict.fromkeys(map(_server_name, names)))
    _check_common_name(
        found[0],
        "the first name",
        "Put a shorter name first; the others may be longer.",
    )
    return found


def _server_name(name: str) -> str:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        _check_dns_name(name)
        return name
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise CertsError(
            f'"{name}" is an address with a zone, which a certificate cannot name. '
            f"Leave out what begins with the percent sign."
        )
    return str(address)


def _check_dns_name(name: str) -> None:
    if not name.isascii():
        raise CertsError(
            f'"{name}" is no DNS name: there are only ASCII characters in one. Write '
            f'an international name as DNS has it, beginning with "xn--".'
        )
    labels = name.removeprefix("*.").split(".")
    if len(name) > MAX_DNS_NAME_LENGTH or not all(map(_LABEL.fullmatch, labels)):
        raise CertsError(
            f'"{name}" is neither a DNS name nor an IP address. A wildcard is "*." in '
            f"front of a name, and stands for one label."
        )
    if labels[-1].isdecimal():
        # What ends in a number is an address to whoever connects, or nothing at all.
        raise CertsError(
            f'"{name}" is no IP address, and no DNS name ends in a number alone.'
        )


def role_name(role: str) -> str:
    """
    Return *role*, which is to be a common name as it is.

    PostgreSQL compares the bytes of the two: nothing is folded, trimmed or mapped.

    Raises:
        CertsError: It is empty, too long, not UTF-8, or has a NUL in it, behind which
            one could hide whose certificate it is (CVE-2009-4034).

    """
    if not role:
        raise CertsError("the name of a role is not empty")
    if "\0" in role:
        raise CertsError("the name of a role has no NUL in it")
    _check_common_name(
        role,
        "the name of the role",
        "Issue it for a shorter name, and map that to the role in pg_ident.conf.",
    )
    return role


def authority_name(name: str) -> str:
    """
    Return *name*, which is to be the common name of a CA.

    Raises:
        CertsError: It is too long, not UTF-8, or has a control character in it.

    """
    if not name.isprintable():
        raise CertsError("the name of a CA is of printable characters")
    _check_common_name(name, "the name of the CA", "Give it a shorter --name.")
    return name


def _check_common_name(name: str, what: str, remedy: str) -> None:
    length = len(_utf8(name, what))
    if length > MAX_COMMON_NAME_LENGTH:
        raise CertsError(
            f"{what} has {length} bytes, and a common name has at most "
            f"{MAX_COMMON_NAME_LENGTH} (X.520, ub-common-name). {remedy}"
        )


def _utf8(text: str, what: str) -> bytes:
    # An argument of a command that is not UTF-8 has surrogates in it.
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise CertsError(
            f"{what} is not UTF-8, which is what names in certificates are in"
        ) from error


def dn_parts(parts: Iterable[str]) -> Dn:
    """
    Return what is in front of the common name: ``O=Example``, ``OU=DBA``.

    Raises:
        CertsError: A part is not of that form, or too long.

    """
    return tuple(map(_dn_part, parts))


def _dn_part(part: str) -> tuple[str, str]:
    kind, equals, value = part.partition("=")
    if not equals or kind not in BOUNDS:
        raise CertsError(
            f'"{part}" is no part of a name like "O=Example". The common name is '
            f"given elsewhere; the others are {', '.join(BOUNDS)}."
        )
    length = len(_utf8(value, kind))
    if not value or length > BOUNDS[kind] or not value.isprintable():
        raise CertsError(
            f"{kind} has between 1 and {BOUNDS[kind]} bytes, all of them printable; "
            f"here are {length}"
        )
    if kind in _ASCII and not value.isascii():
        raise CertsError(f"{kind} has only ASCII characters")
    if kind == "C" and not re.fullmatch("[A-Za-z]{2}", value):
        raise CertsError(f'C is a country in two letters, and not "{value}"')
    return kind, value
