"""The options of pg_hba.conf: what may stand behind the method."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Final

from pgproxy.auth.clib import atoi
from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine
from pgproxy.auth.hba_methods import FLAGS, METHODS, ONLY_FOR, SHOWN
from pgproxy.auth.ldap_url import (
    LDAP_SCOPE_BASE,
    LDAP_SCOPE_SUBTREE,
    LdapUrlError,
    parse_ldap_url,
)
from pgproxy.protocol.lists import split_guc_list


class OptionError(ValueError):
    """An option that cannot be; the text is PostgreSQL's."""


def with_option(line: HbaLine, text: str, notices: list[str]) -> HbaLine:
    """
    Return *line* with the option *text* added to it.

    ::

        map=my map        name, first "=", value: all that is left

    An option that comes again replaces what it said before (HBA-55).

    Args:
        line: With its method.
        text: One option.
        notices: Is added what the log should say, though it changes nothing.

    Raises:
        OptionError: There is no such option, or not on such a line (HBA-35 to HBA-43).

    Source: ``parse_hba_line``, ``parse_hba_auth_opt`` in hba.c.

    """
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"authentication option not in name=value format: {text}")
    methods, called = ONLY_FOR.get(name, (METHODS, ""))
    if line.auth_method not in methods:
        raise OptionError(
            f'authentication option "{name}" is only valid for authentication methods '
            f"{called}"
        )
    if line.auth_method == "ldap":
        # Any option sets it back to this, and only `ldapurl` to something else.
        line = _set(line, ldapscope=str(LDAP_SCOPE_SUBTREE))
    if name in _OPTIONS:
        return _OPTIONS[name](line, value)
    if name not in ONLY_FOR:
        raise OptionError(f'unrecognized authentication option name: "{name}"')
    if name == "ldapscheme" and value not in {"ldap", "ldaps"}:
        notices.append(f'invalid ldapscheme value: "{value}"')
    if name in FLAGS:
        return _set(line, **{name: "true" if value == "1" else None})
    return _set(line, **{name: value})


def complete(line: HbaLine) -> HbaLine:
    """
    Return *line*, which has all its options, with what they imply.

    Raises:
        OptionError: An option is missing, or two do not go together (HBA-38, HBA-49
            to HBA-51).

    Source: ``parse_hba_line`` in hba.c.

    """
    options = dict(line.method_options)
    match line.auth_method:
        case "cert":
            line = replace(line, clientcert=ClientCert.VERIFY_FULL)  # HBA-57
        case "ldap":
            _check_ldap(options)
        case "radius":
            _check_radius(options)
        case "oauth":
            _require("oauth", options, "scope", "issuer")
            if "delegate_ident_mapping" in options and line.usermap is not None:
                raise OptionError(
                    "map cannot be used in combination with delegate_ident_mapping"
                )
        case _:
            pass
    if not options:
        return line
    shown = tuple((name, options[name]) for name in SHOWN if name in options)
    return replace(line, method_options=shown)


def _check_ldap(options: Mapping[str, str]) -> None:
    """Two modes: a name is made for the user, or searched for (HBA-49)."""
    search = {"ldapbasedn", "ldapbinddn", "ldapbindpasswd"}
    search |= {"ldapsearchattribute", "ldapsearchfilter"}
    if "ldapprefix" in options or "ldapsuffix" in options:
        if not search.isdisjoint(options):
            raise OptionError(
                "cannot mix options for simple bind and search+bind modes"
            )
    elif "ldapbasedn" not in options:
        raise OptionError(
            'authentication method "ldap" requires argument "ldapbasedn", '
            '"ldapprefix", or "ldapsuffix" to be set'
        )
    if "ldapsearchattribute" in options and "ldapsearchfilter" in options:
        raise OptionError(
            "cannot use ldapsearchattribute together with ldapsearchfilter"
        )


def _check_radius(options: Mapping[str, str]) -> None:
    """One of each for all servers, or one for each of them (HBA-50)."""
    count = {name: len(split_guc_list(value) or ()) for name, value in options.items()}
    # To PostgreSQL an empty list is none, so it never says that it is empty.
    given = {name for name in count if count[name]}
    _require("radius", given, "radiusservers", "radiussecrets")
    servers = count["radiusservers"]
    for what in ("secrets", "ports", "identifiers"):
        found = count.get(f"radius{what}", 0)
        if found not in {0, 1, servers}:
            raise OptionError(
                f"the number of RADIUS {what} ({found}) must be 1 or the same as the "
                f"number of RADIUS servers ({servers})"
            )


def _require(method: str, options: Container[str], *names: str) -> None:
    """HBA-38."""
    for name in names:
        if name not in options:
            raise OptionError(
                f'authentication method "{method}" requires argument "{name}" to be set'
            )


def _set(line: HbaLine, **values: str | None) -> HbaLine:
    options: dict[str, str | None] = {**dict(line.method_options), **values}
    left = tuple((name, value) for name, value in options.items() if value is not None)
    return replace(line, method_options=left)


def _map(line: HbaLine, value: str) -> HbaLine:
    """Only a method that finds out a name can have it mapped to another (HBA-59)."""
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


def _only_hostssl(line: HbaLine, option: str) -> None:
    if line.conntype is not ConnType.HOSTSSL:
        raise OptionError(f'{option} can only be configured for "hostssl" rows')


def _ldapurl(line: HbaLine, value: str) -> HbaLine:
    """Many options in one; what it leaves open stays as it is."""
    try:
        url = parse_ldap_url(value)
    except LdapUrlError as error:
        raise OptionError(f'could not parse LDAP URL "{value}": {error}') from None
    if url.scheme not in {"ldap", "ldaps"}:
        raise OptionError(f"unsupported LDAP URL scheme: {url.scheme}")
    found = {
        "ldapscheme": url.scheme,
        "ldapserver": url.host,
        "ldapport": str(url.port),
        "ldapbasedn": url.dn,
        "ldapsearchattribute": url.attribute,
        "ldapsearchfilter": url.filter,
    }
    line = _set(
        line, **{name: text for name, text in found.items() if text is not None}
    )
    # The view does not show what is 0.
    scope = None if url.scope == LDAP_SCOPE_BASE else str(url.scope)
    return _set(line, ldapscope=scope)


def _ldapport(line: HbaLine, value: str) -> HbaLine:
    """Whatever begins with a number that is not 0."""
    port = atoi(value)
    if port == 0:
        raise OptionError(f'invalid LDAP port number: "{value}"')
    return _set(line, ldapport=str(port))


def _radiusservers(line: HbaLine, value: str) -> HbaLine:
    """
    They are names for the backend to look up: PostgreSQL does so when it reads them.

    But an empty name is nobody's.
    """
    if "" in _radius_list("server", value):
        raise OptionError(
            'could not translate RADIUS server name "" to address: Name or service not '
            "known"
        )
    return _set(line, radiusservers=value)


def _radiusports(line: HbaLine, value: str) -> HbaLine:
    if not all(atoi(port) for port in _radius_list("port", value)):
        raise OptionError(f'invalid RADIUS port number: "{value}"')
    return _set(line, radiusports=value)


def _radiussecrets(line: HbaLine, value: str) -> HbaLine:
    _radius_list("secret", value)
    return _set(line, radiussecrets=value)


def _radiusidentifiers(line: HbaLine, value: str) -> HbaLine:
    _radius_list("identifiers", value)
    return _set(line, radiusidentifiers=value)


def _radius_list(what: str, value: str) -> list[str]:
    items = split_guc_list(value)
    if items is None:
        raise OptionError(f'could not parse RADIUS {what} list "{value}"')
    return items


_OPTIONS: Final[Mapping[str, Callable[[HbaLine, str], HbaLine]]] = {
    "map": _map,
    "clientcert": _clientcert,
    "clientname": _clientname,
    "ldapurl": _ldapurl,
    "ldapport": _ldapport,
    "radiusservers": _radiusservers,
    "radiusports": _radiusports,
    "radiussecrets": _radiussecrets,
    "radiusidentifiers": _radiusidentifiers,
}
