"""What the system says of numbers: HBA-64, HBA-65, LIB-15."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import InvalidAddress
from pgproxy.server.system import parse_address


def asked(text: str) -> object:
    """Return what getaddrinfo says of *text*, whatever it looks like."""
    try:
        data = text.encode("utf-8", "surrogateescape")
        found = socket.getaddrinfo(data, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return None
    return ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F.1", "127.0.0.1"),
        ("010.0.0.1", "8.0.0.1"),
        ("::1", "::1"),
        ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ("FE80::1", "fe80::1"),
        ("fe80::1%lo", "fe80::1"),
        ("1.2.3.256", None),
        ("1.2.3.4.5", None),
        ("127.0.0.1 ", None),
        ("localhost", None),
        ("face.example", None),
        ("n\udce9", None),
        ("%lo", None),
        ("\N{SUPERSCRIPT TWO}", None),
    ],
)
def test_parse_address(text: str, address: str | None) -> None:
    expected = None if address is None else ipaddress.ip_address(address)
    assert parse_address(text) == expected == asked(text)


def test_the_system_cannot_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """HBA-26: that is neither an address nor a host name."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert parse_address("127.0.0.1") == ipaddress.ip_address("127.0.0.1")
    with pytest.raises(InvalidAddress, match="Memory allocation failure"):
        parse_address("127.1")


@given(
    st.text("0123456789abcdefxXg.:%lo ", min_size=1)
    | st.ip_addresses().map(str)
    | st.tuples(st.ip_addresses(v=4), st.text("0x.", max_size=2)).map(
        lambda pair: f"{pair[1]}{pair[0]}"
    )
    # No token of a file has a NUL in it (HBA-07).
    | st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
    )
)
def test_the_short_way_is_the_same(text: str) -> None:
    """What is not asked about is what the system would have said."""
    assert parse_address(text) == asked(text)
