"""Why a line of pg_hba.conf does not match a client, in the words of the file."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    HostName,
    IPAddress,
    cidr_mask,
    numeric_host,
)
from pgproxy.auth.hba import Client, Facts, LookupFailed, Mismatch
from pgproxy.auth.hba_line import HbaLine
from pgproxy.auth.lexer import Field, Token

KEYWORDS: Final = ("all", "sameuser", "samerole", "samegroup", "replication")
"""Words of the name columns that, not in quotes, mean something else than a name."""


def why_not(line: HbaLine, mismatch: Mismatch, client: Client, facts: Facts) -> str:
    """
    Return why *line* does not match *client*, as a clause.

    Args:
        line: The line.
        mismatch: What `pgproxy.auth.hba.explain` says of it.
        client: Who asks to be let in.
        facts: What was known when that was said.

    """
    return _WHY_NOT[mismatch](line, client, facts)


def written(token: Token) -> str:
    """Return *token* as the file has it: in quotes, if it began with one."""
    if not token.quoted:
        return token.text
    return '"' + token.text.replace('"', '""') + '"'


def column(tokens: Field) -> str:
    """Return a column of names as the file has it."""
    return ",".join(map(written, tokens))


def address_column(line: HbaLine) -> str:
    """Return the address of *line*; a mask that is no prefix stands beside it."""
    spec = line.address
    if not isinstance(spec, AddressRange):
        return line.rule.address or ""
    bits = int(spec.netmask).bit_count()
    address = numeric_host(spec.address)
    if spec.netmask == cidr_mask(str(bits), spec.netmask):
        return f"{address}/{bits}"
    return f"{address} {numeric_host(spec.netmask)}"


def _local(_line: HbaLine, _client: Client, _facts: Facts) -> str:
    return "`local` is for Unix-domain sockets; the client comes over TCP"


def _ssl(line: HbaLine, _client: Client, _facts: Facts) -> str:
    return f"`{line.conntype.value}` is for connections with TLS; this one has none"


def _no_ssl(line: HbaLine, _client: Client, _facts: Facts) -> str:
    return f"`{line.conntype.value}` is for connections without TLS; this one has it"


def _gss(line: HbaLine, _client: Client, _facts: Facts) -> str:
    return (
        f"`{line.conntype.value}` is for connections with GSSAPI encryption, which "
        "pgproxy does not have"
    )


def _address(line: HbaLine, client: Client, facts: Facts) -> str:
    spec, host, text = line.address, client.host, address_column(line)
    if isinstance(spec, AddressRange):
        theirs, ours = client.address.version, spec.address.version
        if theirs != ours:
            return f"{host} is an IPv{theirs} address, {text} is about IPv{ours}"
        return f"{host} is not in {text}"
    if not facts.interfaces:
        return f"`{text}`: which addresses this machine has is not known"
    own = _list(interface.address for interface in facts.interfaces)
    if spec is AddressKeyword.SAMEHOST:
        return f"`{text}`: {host} is not an address of this machine, which has {own}"
    return f"`{text}`: {host} is in no network of this machine, which has {own}"


def _host_name(line: HbaLine, client: Client, facts: Facts) -> str:
    spec, host = line.address, client.host
    name, addresses = facts.remote_hostname, facts.remote_addresses
    assert isinstance(spec, HostName)
    assert name is not None
    if isinstance(name, LookupFailed):
        return (
            f"the host name of {host} cannot be looked up ({name.reason}), the line "
            f"says `{spec.name}`"
        )
    if not spec.matches(name):
        return f"the host name of {host} is `{name}`, the line says `{spec.name}`"
    assert addresses is not None
    if isinstance(addresses, LookupFailed):
        return (
            f"the host name of {host} is `{name}`, and the addresses of that name "
            f"cannot be looked up ({addresses.reason})"
        )
    return (
        f"the host name of {host} is `{name}`, and that name has other addresses "
        f"({_list(addresses)})"
    )


def _database(line: HbaLine, client: Client, _facts: Facts) -> str:
    reasons: list[str] = []
    for token in line.databases:
        if token.is_keyword("sameuser"):
            reasons.append(f"its user is `{client.user}`")
        elif token.is_keyword("samerole") or token.is_keyword("samegroup"):
            reasons.append(_no_member(client.user, client.database))
        elif token.is_keyword("replication"):
            reasons.append("`replication` is for physical replication alone")
        else:
            reasons += _name(token, client.database)
    return _with(
        f"the database column is `{column(line.databases)}`; the client wants "
        f"`{client.database}`",
        reasons,
    )


def _replication(line: HbaLine, _client: Client, _facts: Facts) -> str:
    return _with(
        f"the database column is `{column(line.databases)}`; physical replication "
        "needs the keyword `replication`",
        [
            f"`{written(token)}`, in quotes, is the name of a database"
            for token in line.databases
            if token.text == "replication"
        ],
    )


def _user(line: HbaLine, client: Client, _facts: Facts) -> str:
    reasons: list[str] = []
    for token in line.users:
        if token.is_member_check():
            reasons.append(_no_member(client.user, token.text[1:]))
        else:
            reasons += _name(token, client.user)
    return _with(
        f"the user column is `{column(line.users)}`; the client is `{client.user}`",
        reasons,
    )


def _no_member(user: str, role: str) -> str:
    return f"`{user}` is not a member of a role `{role}`"


def _name(token: Token, name: str) -> Iterable[str]:
    """Yield what the reader of a token that is not *name* may not have thought of."""
    if token.regex is not None:
        yield f"`{written(token)}` is a regular expression that is not found in `{name}`"
    elif token.quoted and (token.text in KEYWORDS or token.text.startswith("+")):
        yield f"`{written(token)}`, in quotes, is a name"
    elif token.text.lower() == name.lower():
        yield "upper and lower case are not the same"


def _with(text: str, reasons: Iterable[str]) -> str:
    found = "; ".join(dict.fromkeys(reasons))
    return f"{text} ({found})" if found else text


def _list(addresses: Iterable[IPAddress]) -> str:
    ordered = sorted(set(addresses), key=lambda one: (one.version, int(one)))
    return ", ".join(map(numeric_host, ordered)) or "none"


_WHY_NOT: Final[Mapping[Mismatch, Callable[[HbaLine, Client, Facts], str]]] = {
    Mismatch.LOCAL: _local,
    Mismatch.SSL: _ssl,
    Mismatch.NO_SSL: _no_ssl,
    Mismatch.GSS: _gss,
    Mismatch.ADDRESS: _address,
    Mismatch.HOST_NAME: _host_name,
    Mismatch.DATABASE: _database,
    Mismatch.REPLICATION: _replication,
    Mismatch.USER: _user,
}
