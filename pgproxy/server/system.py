"""What the rules need of the system, and the core must not ask itself."""

import contextlib
import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

import ifaddr

from pgproxy.auth.address import InvalidAddress
from pgproxy.auth.hba import Interface
from pgproxy.auth.lexer import TEXT


def read_file(path: str) -> bytes:
    """Return what *path* holds."""
    return Path(path).read_bytes()


def list_directory(path: str) -> Iterable[str]:
    """Return the names of the files in *path*, folders left out."""
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if not entry.is_dir()]


_IPV4: Final = (socket.AF_INET, ipaddress.IPv4Address)
_IPV6: Final = (socket.AF_INET6, ipaddress.IPv6Address)
_NUMERIC: Final = re.compile(r"[0-9a-fA-FxX.:]+(?:%|\Z)")
"""What all forms of a numeric address are like, as far as a scope."""


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """
    Return the address that *text* is a number of, as the system reads numbers.

    ``127.1`` and ``0x7f000001`` are addresses to it, which they are not to Python's
    own parser (HBA-64, LIB-15). The scope of an IPv6 address is left out, as it is
    when PostgreSQL compares them.

    Raises:
        InvalidAddress: The system could not say (HBA-26).

    """
    # Most are written as everybody writes them, and host names are no numbers: for
    # neither is there anything to ask.
    family, kind = _IPV6 if ":" in text else _IPV4
    with contextlib.suppress(OSError, ValueError):
        return kind(socket.inet_pton(family, text))
    if not _NUMERIC.match(text):
        return None
    try:
        found = socket.getaddrinfo(
            # Bytes: of a str Python would make another one first, and "²" a 2.
            text.encode(*TEXT),
            None,
            type=socket.SOCK_STREAM,
            flags=socket.AI_NUMERICHOST,
        )
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            return None
        raise InvalidAddress(error.strerror) from error
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])


def peer_address(host: str) -> tuple[str, IPv4Address | IPv6Address]:
    """
    Return how *host*, a peer of a socket, is shown and compared.

    A dual-stack listener sees an IPv4 client as ``::ffff:10.0.0.1``; to pg_hba.conf
    and to people it is ``10.0.0.1`` (HBA-67, PRX-15).
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (host, address) if mapped is None else (str(mapped), mapped)


def interfaces() -> tuple[Interface, ...]:
    """
    Return the addresses of this machine with their netmasks (HBA-70).

    Raises:
        OSError: They cannot be told.

    """
    found: list[Interface] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            text = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            address = ipaddress.ip_address(text)
            network = ipaddress.ip_network(f"{text}/{ip.network_prefix}", strict=False)
            found.append(Interface(address=address, netmask=network.netmask))
    return tuple(found)
