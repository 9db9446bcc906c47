"""Which names a certificate may have."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.certs.errors import CertsError
from pgproxy.certs.issuing import general_name, subject_name
from pgproxy.certs.names import (
    BOUNDS,
    authority_name,
    dn_parts,
    role_name,
    server_names,
)

LONG = ".".join(["a" * 60] * 4)


@pytest.mark.parametrize(
    ("given_names", "found"),
    [
        (["db.example.com"], ("db.example.com",)),
        (["localhost"], ("localhost",)),
        (["*.example.com", "example.com"], ("*.example.com", "example.com")),
        (["my_db", "_x.y"], ("my_db", "_x.y")),
        (["xn--bcher-kva.example"], ("xn--bcher-kva.example",)),
        (["3com.com", "1.2.3.4.example"], ("3com.com", "1.2.3.4.example")),
        (["a", "b", "a"], ("a", "b")),
        (["DB.Example"], ("DB.Example",)),
        (["127.0.0.1", "::1"], ("127.0.0.1", "::1")),
        (["0:0:0:0:0:0:0:1", "::1", "FE80::1"], ("::1", "fe80::1")),
        (["a" * 63], ("a" * 63,)),
        (["short", LONG], ("short", LONG)),
    ],
)
def test_server_names(given_names: list[str], found: tuple[str, ...]) -> None:
    """Names and addresses; each once."""
    assert server_names(given_names) == found
    for name in found:
        general_name(name)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "neither a DNS name nor an IP address"),
        ("db.example.com.", "neither"),  # libpq would not find it
        (".example.com", "neither"),
        ("a..b", "neither"),
        ("-a.b", "neither"),
        ("a-.b", "neither"),
        ("a b", "neither"),
        ("a\n", "neither"),
        ("a\0b", "neither"),
        ("*", "neither"),
        ("*.", "neither"),
        ("db.*.com", "neither"),
        ("d*.com", "neither"),
        ("*.*.com", "neither"),
        ("https://db.example", "neither"),
        ("db.example:5432", "neither"),
        ("10.0.0.0/8", "neither"),
        ("a" * 64 + ".b", "neither"),
        ("a." * 126 + "bc", "neither"),
        ("bücher.example", 'beginning with "xn--"'),
        ("\udcff", "only ASCII"),
        ("300.1.1.1", "no IP address"),
        ("1.2.3", "no IP address"),
        ("5432", "no IP address"),
        ("fe80::1%eth0", "with a zone"),
        (LONG, "has 243 bytes, and a common name has at most 64 (X.520"),
    ],
)
def test_what_is_no_server_name(name: str, complaint: str) -> None:
    """It would never be found, or something else is meant."""
    with pytest.raises(CertsError, match=re.escape(complaint)):
        server_names([name])


@given(st.text())
def test_any_server_name(name: str) -> None:
    """It is refused, or it can be in a certificate, and is what it was."""
    try:
        (found,) = server_names([name])
    except CertsError:
        return
    general_name(found)
    subject_name(found)
    assert found == name or ipaddress.ip_address(found) == ipaddress.ip_address(name)


@pytest.mark.parametrize(
    "role",
    ["a", "Alice", " a ", "al ice", "jürgen", "a/b", "a\nb", "+a", "a" * 64, "ü" * 32],
)
def test_role_names(role: str) -> None:
    """Nothing is folded or trimmed (CERT-10)."""
    assert role_name(role) == role
    subject_name(role)


@pytest.mark.parametrize(
    ("role", "complaint"),
    [
        ("", "not empty"),
        ("a\0b", "no NUL"),  # TLS-88
        ("a" * 65, "65 bytes, and a common name has at most 64"),
        ("ü" * 33, "66 bytes"),
        ("\udcfc", "not UTF-8"),
    ],
)
def test_what_is_no_role(role: str, complaint: str) -> None:
    with pytest.raises(CertsError, match=complaint):
        role_name(role)


@given(st.text(max_size=70))
def test_any_role(role: str) -> None:
    """It is refused, or it can be a common name."""
    try:
        found = role_name(role)
    except CertsError:
        return
    assert subject_name(found).rfc4514_string()


def test_authority_names() -> None:
    assert authority_name("Example root CA") == "Example root CA"
    for wrong in ("a\nb", "a" * 65):
        with pytest.raises(CertsError, match=r"the name of (a|the) CA"):
            authority_name(wrong)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("O=Example", ("O", "Example")),
        ("OU=a=b", ("OU", "a=b")),
        ("C=de", ("C", "de")),
        ("L=Köln", ("L", "Köln")),
        *((f"{kind}={'a' * length}", (kind, "a" * length))
          for kind, length in BOUNDS.items()),
    ],
)  # fmt: skip
def test_dn_parts(part: str, found: tuple[str, str]) -> None:
    assert dn_parts([part]) == (found,)
    subject_name([found])


@pytest.mark.parametrize(
    ("part", "complaint"),
    [
        ("", "no part of a name"),
        ("O", "no part of a name"),
        ("CN=x", "the common name is given elsewhere"),
        ("o=x", "no part of a name"),
        ("1.2.3=x", "no part of a name"),
        ("O=", "between 1 and 64"),
        ("O=a\nb", "printable"),
        ("C=DEU", "between 1 and 2 bytes"),
        ("C=D", "two letters"),
        ("C=12", "two letters"),
        ("DC=ü", "only ASCII"),
        ("emailAddress=ü@x", "only ASCII"),
        ("O=\udcff", "not UTF-8"),
        *((f"{kind}={'a' * (length + 1)}", f"1 and {length}")
          for kind, length in BOUNDS.items()),
    ],
)  # fmt: skip
def test_what_is_no_part_of_a_name(part: str, complaint: str) -> None:
    with pytest.raises(CertsError, match=f"(?i){complaint}"):
        dn_parts([part])
