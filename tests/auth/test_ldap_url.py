"""LDAP URLs: OpenLDAP's library is the authority, and is asked where it is (HBA-49)."""

import ctypes
from ctypes.util import find_library

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgproxy.auth.ldap_url import LdapUrl, LdapUrlError, parse_ldap_url


def url(**fields: object) -> LdapUrl:
    return LdapUrl(**{"scheme": "ldap", "host": "h", "port": 389} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ldap://h", url()),
        ("ldaps://h", url(scheme="ldaps", port=636)),
        ("LDAP://H", url(host="H")),
        ("pldap://h", url(scheme="pldap")),
        ("ldapi://%2ftmp:1", url(scheme="ldapi", host="/tmp:1")),
        ("ldap://", url(host=None)),
        ("ldap://%00h", url(host=None)),
        ("ldap://%zzh", url(host=None)),
        ("<URL:ldap://h>", url()),
        ("url:ldap://h", url()),
        ("ldap://h:1", url(port=1)),
        ("ldap://h:0", url()),
        ("ldap://h:%20+7", url(port=7)),
        ("ldap://h:-1", url(port=-1)),
        ("ldap://h:4294967297", url(port=1)),
        ("ldap://[::1]", url(host="::1")),
        ("ldap://[::1]:3", url(host="::1", port=3)),
        ("ldap://[::1]x", url(host="::1")),
        ("ldap://h/", url(dn="")),
        ("ldap://h/dc=a%2Cdc=b", url(dn="dc=a,dc=b")),
        ("ldap://h/\udcff%ff", url(dn="\udcff\udcff")),
        ("ldap://h??x", url()),
        ("ldap://h/?cn", url(dn="", attribute="cn")),
        ("ldap://h/?,cn,uid", url(dn="", attribute="cn")),
        ("ldap://h/??sub", url(dn="", scope=2)),
        ("ldap://h/??ONE", url(dn="", scope=1)),
        ("ldap://h/??", url(dn="")),
        ("ldap://h/???(a=b%3f)", url(dn="", filter="(a=b?)")),
        ("ldap://h/????x", url(dn="")),
        (
            "ldap://h:5/a?b,c?children?d?e",
            url(port=5, dn="a", attribute="b", scope=3, filter="d"),
        ),
    ],
)
def test_url(text: str, expected: LdapUrl) -> None:
    assert parse_ldap_url(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "Time limit exceeded") for text in ("", "h", "http://h", "cldap://h")),
        ("<ldap://h", "Size limit exceeded"),
        *(
            (f"ldap://{text}", "Compare False")
            for text in ("h:", "h:x", "h:1x", "[::1", "[::1]x:1", "h/?????", "h:%zz")
        ),
        *(
            (f"ldap://h/?{text}", "Authentication method not supported")
            for text in (",", ",,?sub", "%zz", "%00")
        ),
        ("ldap://h/??x", "Strong(er) authentication required"),
        ("ldap://h/???%zz", "Partial results and referral received"),
        ("ldap://h/????", "Referral"),
        ("ldap://h/????,", "Referral"),
        # Attributes of which none is left are the last thing that matters.
        ("ldap://h/?,?x", "Strong(er) authentication required"),
    ],
)
def test_error(text: str, message: str) -> None:
    with pytest.raises(LdapUrlError) as caught:
        parse_ldap_url(text)
    assert str(caught.value) == message


class LDAPURLDesc(ctypes.Structure):
    """In ldap.h."""

    _fields_ = (
        ("lud_next", ctypes.c_void_p),
        ("lud_scheme", ctypes.c_char_p),
        ("lud_host", ctypes.c_char_p),
        ("lud_port", ctypes.c_int),
        ("lud_dn", ctypes.c_char_p),
        ("lud_attrs", ctypes.POINTER(ctypes.c_char_p)),
        ("lud_scope", ctypes.c_int),
        ("lud_filter", ctypes.c_char_p),
        ("lud_exts", ctypes.POINTER(ctypes.c_char_p)),
        ("lud_crit_exts", ctypes.c_int),
    )


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    for name in (find_library("ldap"), "libldap-2.5.so.0", "libldap.so.2"):
        try:
            found = ctypes.CDLL(name or "")
        except OSError:
            continue
        if hasattr(found, "ldap_url_parse"):
            found.ldap_err2string.restype = ctypes.c_char_p
            return found
    pytest.skip("no OpenLDAP library: apt-get install libldap-2.5-0")


def text_of(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def ask(library: ctypes.CDLL, text: str) -> LdapUrl | str:
    """Return what the library reads, or what PostgreSQL says that it says."""
    found = ctypes.POINTER(LDAPURLDesc)()
    raw = text.encode("utf-8", "surrogateescape")
    code = library.ldap_url_parse(raw, ctypes.byref(found))
    if code:
        return str(library.ldap_err2string(code).decode())
    fields = found.contents
    attributes = fields.lud_attrs
    attribute = text_of(attributes[0]) if attributes else None
    url = LdapUrl(
        scheme=fields.lud_scheme.decode(),
        host=text_of(fields.lud_host),
        port=fields.lud_port,
        dn=text_of(fields.lud_dn),
        attribute=attribute,
        scope=fields.lud_scope,
        filter=text_of(fields.lud_filter),
    )
    library.ldap_free_urldesc(found)
    if attributes and attribute is None:
        return "Authentication method not supported"
    return url


def ours(text: str) -> LdapUrl | str:
    try:
        return parse_ldap_url(text)
    except LdapUrlError as error:
        return str(error)


PIECES = st.sampled_from(
    [
        *"/?:,[]%a1é<>-+ \udcff",
        *(
            "%41",
            "%2f",
            "%00",
            "389",
            "sub",
            "base",
            "Children",
            "::1",
            "dc=x",
            "(a=b)",
        ),
    ]
)
PREFIXES = ["ldap://", "ldaps://", "LDAPS://", "<ldap://", "URL:ldap://", "ldap:/", ""]


@given(st.sampled_from(PREFIXES), st.lists(PIECES).map("".join))
@example("ldap://", "h:99999999999999999999999/")
@example("ldap://", "[::1]:1/?x,y?one?z?w")
@pytest.mark.interop
def test_the_library_agrees(library: ctypes.CDLL, prefix: str, rest: str) -> None:
    """
    But for what it reads beyond the end of its own memory.

    That is a URL of nothing but ``<ldap://``, and a bad escape between brackets.
    """
    if (prefix.startswith("<") and not rest) or (rest.startswith("[") and "%" in rest):
        return
    assert ours(prefix + rest) == ask(library, prefix + rest)
