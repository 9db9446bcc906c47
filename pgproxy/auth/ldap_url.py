"""The URL of an LDAP server and of what to look for there: ``ldapurl``."""

import re
from dataclasses import dataclass, replace
from typing import Final

from pgproxy.auth.clib import atoi
from pgproxy.auth.lexer import TEXT

LDAP_SCOPE_BASE: Final = 0
LDAP_SCOPE_SUBTREE: Final = 2

_SCOPES: Final = {
    b"base": LDAP_SCOPE_BASE,
    b"one": 1,
    b"onelevel": 1,
    b"sub": LDAP_SCOPE_SUBTREE,
    b"subtree": LDAP_SCOPE_SUBTREE,
    b"subord": 3,
    b"subordinate": 3,
    b"children": 3,
}

_LDAPS_PORT: Final = 636
_LDAP_PORT: Final = 389

# What PostgreSQL says is never what is wrong: it takes the library's LDAP_URL_ERR_*
# for a result code of the protocol, and tells the name of that (HBA-49).
_BAD_SCHEME: Final = "Time limit exceeded"
_BAD_ENCLOSURE: Final = "Size limit exceeded"
_BAD_URL: Final = "Compare False"
_BAD_ATTRS: Final = "Authentication method not supported"
_BAD_SCOPE: Final = "Strong(er) authentication required"
_BAD_FILTER: Final = "Partial results and referral received"
_BAD_EXTS: Final = "Referral"


class LdapUrlError(ValueError):
    """It is none; the text is what PostgreSQL says of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LdapUrl:
    """
    What a URL says, as ``LDAPURLDesc`` in ldap.h; None: nothing.

    Args:
        scheme: In lower case.
        host: Without the brackets of an IPv6 address.
        port: Never 0.
        dn: Where to search from.
        attribute: The first of its attributes.
        scope: How deep to search: one of ``LDAP_SCOPE_*``.
        filter: What to search for.

    """

    scheme: str
    host: str | None
    port: int
    dn: str | None = None
    attribute: str | None = None
    scope: int = LDAP_SCOPE_BASE
    filter: str | None = None


def parse_ldap_url(text: str) -> LdapUrl:
    """
    Read a URL as the OpenLDAP library does, which PostgreSQL asks.

    ::

        ldap[s]://host:port/dn?attributes?scope?filter?extensions

    Every part may be empty or absent. In angle brackets and behind ``URL:`` it is the
    same. Without a slash, what is behind a question mark is not looked at.

    Raises:
        LdapUrlError: It cannot be read; or it has attributes of which none is left
            (``?,``), on which PostgreSQL crashes.

    Source: ``ldap_url_parse`` in OpenLDAP's url.c.

    """
    match = _PREFIX.match(text.encode(*TEXT))
    if match is None:
        raise LdapUrlError(_BAD_SCHEME)
    enclosed, scheme, rest = match.groups()
    if enclosed:
        if not rest.endswith(b">"):
            raise LdapUrlError(_BAD_ENCLOSURE)
        rest = rest[:-1]
    hostport, slash, path = rest.partition(b"/")
    if not slash:
        hostport = rest.partition(b"?")[0]
    name = scheme.decode().lower()
    host, port = (hostport, 0) if name == "ldapi" else _host_and_port(hostport)
    url = LdapUrl(
        scheme=name,
        host=_text(_unescape(host)) or None,
        port=port or (_LDAPS_PORT if name == "ldaps" else _LDAP_PORT),
    )
    return _with_path(url, path) if slash else url


_PREFIX: Final = re.compile(
    rb"(<?)(?:url:)?(p?ldaps?|ldapi)://(.*)", re.IGNORECASE | re.DOTALL
)


def _host_and_port(hostport: bytes) -> tuple[bytes, int]:
    """Take ``host:port`` apart; a host in brackets may have colons."""
    if hostport.startswith(b"["):
        host, bracket, tail = hostport[1:].partition(b"]")
        before, colon, port = tail.partition(b":")
        if not bracket or (colon and before):
            raise LdapUrlError(_BAD_URL)
    else:
        host, colon, port = hostport.partition(b":")
    if not colon:
        return host, 0
    number = _PORT.fullmatch(_unescape(port))
    if number is None:
        raise LdapUrlError(_BAD_URL)
    return host, atoi(number[1].decode())


def _with_path(url: LdapUrl, path: bytes) -> LdapUrl:
    """Read what is behind the slash."""
    dn, *more = path.split(b"?")
    attributes, scope, search, extensions = (*more, b"", b"", b"", b"")[:4]
    depth = _SCOPES.get(_unescape(scope).lower()) if scope else LDAP_SCOPE_BASE
    if depth is None:
        raise LdapUrlError(_BAD_SCOPE)
    if search and not _unescape(search):
        raise LdapUrlError(_BAD_FILTER)
    if len(more) > _MOST_PARTS:
        raise LdapUrlError(_BAD_URL)
    if len(more) == _MOST_PARTS and not extensions.strip(b","):
        raise LdapUrlError(_BAD_EXTS)
    names = [name for name in _unescape(attributes).split(b",") if name]
    if attributes and not names:
        raise LdapUrlError(_BAD_ATTRS)
    return replace(
        url,
        dn=_text(_unescape(dn)),
        attribute=_text(names[0]) if names else None,
        scope=depth,
        filter=_text(_unescape(search)) if search else None,
    )


_MOST_PARTS: Final = 4  # behind the name: attributes, scope, filter, extensions
_PORT: Final = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")


def _text(raw: bytes) -> str:
    return raw.decode(*TEXT)


def _unescape(text: bytes) -> bytes:
    """
    Return *text* without its ``%41``.

    A ``%`` that is not followed by two digits makes nothing of all of it, and a zero
    byte ends it.

    Source: ``ldap_pvt_hex_unescape``.
    """
    if _BAD_ESCAPE.search(text):
        return b""
    plain = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), text)
    return plain.partition(b"\0")[0]


_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
