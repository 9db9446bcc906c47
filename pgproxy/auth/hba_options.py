"""The methods of pg_hba.conf, and the options that may stand behind them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine

METHODS: Final = frozenset(
    {"trust", "reject", "cert", "scram-sha-256", "md5", "password"}
)
"""What can stand in the method column of a line for TCP connections."""

OTHER_METHODS: Final = frozenset(
    {"ident", "peer", "gss", "sspi", "pam", "bsd", "ldap", "radius", "oauth"}
)
"""PostgreSQL's other methods (HBA-54)."""

# The options of those methods, under the names that PostgreSQL's complaint about an
# option on a line of another method has for them (HBA-37, HBA-60).
_OTHER_OPTIONS: Final = {
    option: methods
    for methods, options in {
        "pam": "pamservice pam_use_hostname",
        "ldap": "ldapurl ldaptls ldapscheme ldapserver ldapport ldapbinddn "
        "ldapbindpasswd ldapsearchattribute ldapsearchfilter ldapbasedn ldapprefix "
        "ldapsuffix",
        "gssapi and sspi": "krb_realm include_realm",
        "sspi": "compat_realm upn_username",
        "radius": "radiusservers radiusports radiussecrets radiusidentifiers",
        "oauth": "issuer scope validator delegate_ident_mapping",
    }.items()
    for option in options.split()
}


class OptionError(ValueError):
    """An option that cannot be; the text is PostgreSQL's."""


def with_option(line: HbaLine, text: str) -> HbaLine:
    """
    Return *line* with the option *text* added to it.

    ::

        map=my map        name, first "=", value: all that is left

    An option that comes again replaces what it said before (HBA-55).

    Raises:
        OptionError: There is no such option, or not on such a line (HBA-35 to HBA-43).

    Source: ``parse_hba_line``, ``parse_hba_auth_opt`` in hba.c.

    """
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"authentication option not in name=value format: {text}")
    if name in _OPTIONS:
        return _OPTIONS[name](line, value)
    if name in _OTHER_OPTIONS:
        raise _misplaced(name, _OTHER_OPTIONS[name])
    raise OptionError(f'unrecognized authentication option name: "{name}"')


def _map(line: HbaLine, value: str) -> HbaLine:
    """Only a method that finds out a name can have it mapped to another (HBA-59)."""
    if line.auth_method not in {"peer", "cert"}:
        raise _misplaced("map", "ident, peer, gssapi, sspi, cert, and oauth")
    return replace(line, usermap=value)


def _clientcert(line: HbaLine, value: str) -> HbaLine:
    """``cert`` is ``verify-full``, so there it may only be repeated (HBA-41, HBA-57)."""
    _only_hostssl(line, "clientcert")
    if value not in {"verify-ca", "verify-full"}:
        raise OptionError(f'invalid value for clientcert: "{value}"')
    if line.auth_method == "cert" and value == "verify-ca":
        raise OptionError(
            'clientcert only accepts "verify-full" when using "cert" authentication'
        )
    return replace(line, clientcert=ClientCert(value))


def _clientname(line: HbaLine, value: str) -> HbaLine:
    """Accepted without ``clientcert`` too, and then of no use (HBA-58)."""
    _only_hostssl(line, "clientname")
    if value not in {"CN", "DN"}:
        raise OptionError(f'invalid value for clientname: "{value}"')
    return replace(line, clientname=ClientName(value))


_OPTIONS: Final[Mapping[str, Callable[[HbaLine, str], HbaLine]]] = {
    "map": _map,
    "clientcert": _clientcert,
    "clientname": _clientname,
}


def _only_hostssl(line: HbaLine, option: str) -> None:
    if line.conntype is not ConnType.HOSTSSL:
        raise OptionError(f'{option} can only be configured for "hostssl" rows')


def _misplaced(option: str, methods: str) -> OptionError:
    return OptionError(
        f'authentication option "{option}" is only valid for authentication methods '
        f"{methods}"
    )
