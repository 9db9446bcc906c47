"""Addresses and masks: HBA-62 to HBA-67, HBA-70."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    HostName,
    Interface,
    cidr_mask,
    full_mask,
    numeric_host,
    without_scope,
)

V4, V6 = IPv4Address("10.0.0.1"), IPv6Address("::1")

ADDRESSES = st.ip_addresses(v=4) | st.ip_addresses(v=6)


def the_range(address: str, netmask: str) -> AddressRange:
    return AddressRange(ip_address(address), ip_address(netmask))


@pytest.mark.parametrize(
    ("numbits", "address", "netmask"),
    [
        ("0", V4, "0.0.0.0"),
        ("1", V4, "128.0.0.0"),
        ("8", V4, "255.0.0.0"),
        ("31", V4, "255.255.255.254"),
        ("32", V4, "255.255.255.255"),
        ("33", V4, None),
        ("0", V6, "::"),
        ("33", V6, "ffff:ffff:8000::"),
        ("128", V6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("129", V6, None),
        # HBA-65: as strtol reads a number.
        ("+8", V4, "255.0.0.0"),
        (" 8", V4, "255.0.0.0"),
        (" \t\n\v\f\r+8", V4, "255.0.0.0"),
        ("08", V4, "255.0.0.0"),
        ("0" * 5000, V4, "0.0.0.0"),
        ("0" * 5000 + "8", V4, "255.0.0.0"),
        ("-0", V4, "0.0.0.0"),
        ("-00", V4, "0.0.0.0"),
        ("-1", V4, None),
        ("-8", V4, None),
        ("100", V4, None),
        ("100", V6, "ffff:ffff:ffff:ffff:ffff:ffff:f000:0"),
        ("1000", V6, None),
        ("9" * 5000, V4, None),
        # HBA-28
        ("", V4, None),
        (" ", V4, None),
        ("+", V4, None),
        ("-", V4, None),
        ("+-8", V4, None),
        ("8 ", V4, None),
        ("8x", V4, None),
        ("x", V4, None),
        ("0x8", V4, None),
        ("8.0", V4, None),
        ("8\n", V4, None),
        ("\u0668", V4, None),  # a digit, but not to C
        ("\u00a08", V4, None),
    ],
)
def test_cidr_mask(
    numbits: str, address: IPv4Address | IPv6Address, netmask: str | None
) -> None:
    expected = None if netmask is None else ip_address(netmask)
    assert cidr_mask(numbits, address) == expected


@pytest.mark.parametrize(
    ("the_range", "client", "contained"),
    [
        (the_range("10.0.0.0", "255.0.0.0"), "10.255.255.255", True),
        (the_range("10.0.0.0", "255.0.0.0"), "11.0.0.0", False),
        (the_range("192.168.1.77", "255.255.255.0"), "192.168.1.1", True),  # HBA-65
        (the_range("192.168.1.77", "255.255.255.0"), "192.168.2.77", False),
        (the_range("10.0.0.0", "255.0.255.0"), "10.9.0.9", True),  # HBA-66
        (the_range("10.0.0.0", "255.0.255.0"), "10.9.1.9", False),
        (the_range("1.2.3.4", "255.255.255.255"), "1.2.3.4", True),
        (the_range("1.2.3.4", "255.255.255.255"), "1.2.3.5", False),
        (the_range("2001:db8::", "ffff:ffff::"), "2001:db8:ffff::1", True),
        (the_range("2001:db8::", "ffff:ffff::"), "2001:db9::1", False),
        (the_range("fe80::1", "ffff::"), "fe80::2%eth0", True),
        # HBA-67: each family for itself.
        (the_range("0.0.0.0", "0.0.0.0"), "1.2.3.4", True),
        (the_range("0.0.0.0", "0.0.0.0"), "::1", False),
        (the_range("::", "::"), "::1", True),
        (the_range("::", "::"), "0.0.0.1", False),
        (the_range("::ffff:127.0.0.1", "ffff::"), "127.0.0.1", False),
        (the_range("0.0.0.1", "255.255.255.255"), "::1", False),
    ],
)
def test_contains(the_range: AddressRange, client: str, contained: bool) -> None:
    assert (ip_address(client) in the_range) is contained


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (("10.0.0.0", "255.0.0.0"), ("10.1.0.0", "255.255.0.0"), True),
        (("10.9.9.9", "255.0.0.0"), ("10.1.0.0", "255.255.0.0"), True),  # HBA-65
        (("10.0.0.0", "255.0.0.0"), ("10.0.0.0", "255.0.0.0"), True),
        (("10.0.0.0", "255.0.0.0"), ("11.0.0.0", "255.255.0.0"), False),
        (("10.0.0.0", "255.0.0.0"), ("10.0.0.0", "254.0.0.0"), False),
        (("10.0.0.1", "255.0.0.255"), ("10.1.1.1", "255.255.0.255"), True),  # HBA-66
        (("10.0.0.1", "255.0.0.255"), ("10.1.1.1", "255.255.255.0"), False),
        (("0.0.0.0", "0.0.0.0"), ("::", "::"), False),  # HBA-67
    ],
)
def test_covers(one: tuple[str, str], other: tuple[str, str], covers: bool) -> None:
    assert the_range(*one).covers(the_range(*other)) is covers


@given(ADDRESSES, st.integers(0, 32))
def test_a_range_contains_its_address(
    address: IPv4Address | IPv6Address, bits: int
) -> None:
    """Whatever the mask."""
    mask = cidr_mask(str(bits), address)
    assert mask is not None
    assert address in AddressRange(address, mask)


@pytest.mark.parametrize(
    ("address", "netmask", "host", "net"),
    [
        (
            "10.1.2.3",
            "255.0.0.0",
            the_range("10.1.2.3", "255.255.255.255"),
            the_range("10.1.2.3", "255.0.0.0"),
        ),
        (
            "fe80::1",
            "ffff:ffff:ffff:ffff::",
            the_range("fe80::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            the_range("fe80::1", "ffff:ffff:ffff:ffff::"),
        ),
        # A mask that is none never lets everybody in.
        (
            "10.1.2.3",
            None,
            the_range("10.1.2.3", "255.255.255.255"),
            the_range("10.1.2.3", "255.255.255.255"),
        ),
        (
            "10.1.2.3",
            "0.0.0.0",
            the_range("10.1.2.3", "255.255.255.255"),
            the_range("10.1.2.3", "255.255.255.255"),
        ),
        (
            "10.1.2.3",
            "ffff::",
            the_range("10.1.2.3", "255.255.255.255"),
            the_range("10.1.2.3", "255.255.255.255"),
        ),
    ],
)
def test_interface(
    address: str, netmask: str | None, host: AddressRange, net: AddressRange
) -> None:
    """HBA-70, and ``run_ifaddr_callback``."""
    interface = Interface(
        ip_address(address), None if netmask is None else ip_address(netmask)
    )
    assert (interface.host(), interface.net()) == (host, net)


@given(ADDRESSES)
def test_full_mask(address: IPv4Address | IPv6Address) -> None:
    mask = full_mask(address)
    assert type(mask) is type(address)
    assert ~int(mask) & ((1 << address.max_prefixlen) - 1) == 0


@pytest.mark.parametrize(
    ("address", "without"),
    [("10.0.0.1", "10.0.0.1"), ("fe80::1%lo", "fe80::1"), ("::1", "::1")],
)
def test_without_scope(address: str, without: str) -> None:
    """HBA-64."""
    assert without_scope(ip_address(address)) == ip_address(without)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("0.1.0.0", "0.1.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("::ffff", "::ffff"),
        ("::1:0", "::0.1.0.0"),
        ("::1:2", "::0.1.0.2"),
        ("::ffff:0:1", "::ffff:0.0.0.1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("::fffe:1.2.3.4", "::fffe:102:304"),
        ("::ffff:0:1.2.3.4", "::ffff:0:102:304"),
        ("ffff::", "ffff::"),
        ("2001:DB8::1", "2001:db8::1"),
    ],
)
def test_numeric_host(address: str, text: str) -> None:
    assert numeric_host(ip_address(address)) == text


@given(st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0x102]), min_size=8, max_size=8))
def test_numeric_host_is_the_system_s(words: list[int]) -> None:
    """The C library prints it so."""
    address = IPv6Address(b"".join(word.to_bytes(2) for word in words))
    assert numeric_host(address) == socket.inet_ntop(socket.AF_INET6, address.packed)


@pytest.mark.parametrize(
    ("spec", "remote", "same"),
    [
        ("a.example.com", "a.example.com", True),
        ("A.Example.COM", "a.eXAMPLE.com", True),
        ("example.com", "a.example.com", False),
        ("a.example.com", "example.com", False),
        (".example.com", "a.example.com", True),
        (".example.com", "a.b.EXAMPLE.com", True),
        (".example.com", "example.com", False),
        (".example.com", "badexample.com", False),
        (".com", "example.org", False),
        ("a.example.com", "a.example.com.", False),
        # The case of other letters than ASCII's says something.
        ("\N{LATIN SMALL LETTER E WITH ACUTE}.de", "\u00c9.de", False),
        ("\N{KELVIN SIGN}.de", "k.de", False),
    ],
)
def test_host_name(spec: str, remote: str, same: bool) -> None:
    """HBA-68: a name, or, with a dot before it, what ends so."""
    assert HostName(spec).matches(remote) is same


def test_keywords() -> None:
    assert [k.value for k in AddressKeyword] == ["all", "samehost", "samenet"]
