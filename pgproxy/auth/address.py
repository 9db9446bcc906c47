"""The address field of pg_hba.conf: which clients a line is about."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

IPAddress = IPv4Address | IPv6Address

ParseAddress = Callable[[str], IPAddress | None]
"""
Reads an address as ``getaddrinfo`` with ``AI_NUMERICHOST`` does; None: it is no number.

The C library knows forms that Python's ``ipaddress`` does not (``127.1``,
``0x7f000001``, ``fe80::1%lo``), so it is given by who may call it (HBA-64, LIB-15).
It raises `InvalidAddress` where the C library says anything else than "no number".
"""


class InvalidAddress(ValueError):
    """What looks like an address cannot be read; the text says why (HBA-26)."""


class AddressKeyword(StrEnum):
    """What stands for addresses that are not written down (HBA-62, HBA-70)."""

    ALL = "all"
    SAMEHOST = "samehost"
    SAMENET = "samenet"


@dataclass(frozen=True, slots=True)
class AddressRange:
    """
    The addresses that equal *address* in the bits that are set in *netmask*.

    The mask need not be contiguous (HBA-66), and *address* may have bits beyond it,
    which say nothing (HBA-65).
    """

    address: IPAddress
    netmask: IPAddress

    def __contains__(self, client: IPAddress) -> bool:
        """
        Return whether *client* is one of them.

        IPv4 and IPv6 never match each other, ``::ffff:127.0.0.1`` and ``127.0.0.1``
        neither (HBA-67). A scope (``%lo``) says nothing.

        Source: ``check_ip`` in hba.c, ``pg_range_sockaddr`` in ifaddr.c.
        """
        if client.version != self.address.version:
            return False
        return (int(client) ^ int(self.address)) & int(self.netmask) == 0

    def covers(self, other: "AddressRange") -> bool:
        """Return whether all of *other*'s addresses are in here."""
        mine = int(self.netmask)
        return other.address in self and mine & int(other.netmask) == mine


@dataclass(frozen=True, slots=True)
class HostName:
    """
    The host whose name is *name*, or, if that begins with a dot, all hosts under it.

    Whether a client is one of them is for the name service to say, twice: the name of
    its address must be *name*, and that name must have its address (HBA-68).
    """

    name: str

    def matches(self, remote_hostname: str) -> bool:
        """
        Return whether *remote_hostname*, the name of a client's address, is meant.

        ``.example.com`` is every name that ends so, ``example.com`` not among them.
        Case is ignored, of ASCII letters only.

        Source: ``hostname_match`` in hba.c, ``pg_strcasecmp``.
        """
        name, remote = _lower(self.name), _lower(remote_hostname)
        if name.startswith("."):
            return remote.endswith(name)
        return name == remote


_TO_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _lower(name: str) -> str:
    return name.translate(_TO_LOWER)


AddressSpec = AddressRange | AddressKeyword | HostName


@dataclass(frozen=True, slots=True)
class Interface:
    """
    An address of this machine, and the network that it says to be in.

    Args:
        address: One address of a network interface.
        netmask: As the system has it; None where it has none.

    """

    address: IPAddress
    netmask: IPAddress | None

    def host(self) -> AddressRange:
        """Return the one address: what ``samehost`` matches."""
        return AddressRange(self.address, full_mask(self.address))

    def net(self) -> AddressRange:
        """
        Return the network: what ``samenet`` matches.

        A mask of another family, or of zeros only, is no mask: the network is then
        the one address, and never everybody.

        Source: ``run_ifaddr_callback`` in ifaddr.c.
        """
        mask = self.netmask
        if mask is None or mask.version != self.address.version or not int(mask):
            return self.host()
        return AddressRange(self.address, mask)


def full_mask(address: IPAddress) -> IPAddress:
    """Return the mask that leaves one address, of the family of *address*."""
    return _mask(address, address.max_prefixlen)


_STRTOL: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?)(?=[0-9])0*+([0-9]{0,3})")


def cidr_mask(numbits: str, address: IPAddress) -> IPAddress | None:
    """
    Return the mask with *numbits* bits set; None if that is no number of bits.

    The number is read by ``strtol``: blanks and a sign before it are fine, nothing is
    behind it (HBA-65, HBA-28).

    Source: ``pg_sockaddr_cidr_mask`` in ifaddr.c.
    """
    match = _STRTOL.fullmatch(numbits)
    if match is None:
        return None
    sign, digits = match.groups()
    if sign == "-" and digits:
        return None
    bits = int(digits or "0")
    return _mask(address, bits) if bits <= address.max_prefixlen else None


def _mask(address: IPAddress, bits: int) -> IPAddress:
    return _netmask(address.version, address.max_prefixlen, bits)


@cache
def _netmask(version: int, width: int, bits: int) -> IPAddress:
    number = (1 << width) - (1 << (width - bits))
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def without_scope(address: IPAddress) -> IPAddress:
    """Return *address* without a scope: ``fe80::1%lo`` becomes ``fe80::1``."""
    if isinstance(address, IPv4Address) or address.scope_id is None:
        return address
    return IPv6Address(int(address))


def numeric_host(address: IPAddress) -> str:
    """
    Return *address* as ``getnameinfo`` with ``NI_NUMERICHOST`` prints it.

    Python prints ``::ffff:1.2.3.4`` in other ways, depending on its version.

    Source: ``inet_ntop6`` in the C library.
    """
    number = int(address)
    head = _DOTTED.get(number >> 32)
    if head is None or address.version == 4 or number <= 0xFFFF:
        return str(address)
    return f"{head}{IPv4Address(number & 0xFFFFFFFF)}"


_DOTTED: Final = {0: "::", 0xFFFF: "::ffff:"}
