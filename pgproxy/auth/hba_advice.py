"""What pg_hba.conf says in vain, or more widely than its author may have meant."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pgproxy.auth.address import AddressKeyword, AddressRange
from pgproxy.auth.hba_cover import Earlier, can_match
from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine
from pgproxy.auth.ident import IdentLine
from pgproxy.protocol.errors import Report, Severity, SqlState

_LOOPBACK: Final = tuple(
    AddressRange(network.network_address, network.netmask)
    for network in (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
)


def advise(
    lines: Iterable[HbaLine],
    maps: Iterable[IdentLine],
    *,
    ssl: bool,
    ca_loaded: bool,
) -> Iterator[Report]:
    """
    Yield a warning for each line that does not do what it seems to.

    A line that can never match is warned about once, whatever else it says. Those
    for clients that never come (``local``, ``hostgssenc``, ``hostssl`` without TLS)
    are left out: they are told of when the file is read.

    Args:
        lines: The lines of pg_hba.conf.
        maps: The lines of pg_ident.conf.
        ssl: Whether there is TLS.
        ca_loaded: Whether client certificates can be checked (``ssl_ca_file``).

    """
    usermaps = {line.usermap for line in maps}
    earlier = Earlier(ssl=ssl)
    for line in lines:
        if not can_match(line, ssl=ssl):
            continue
        found = earlier.cover(line)
        if found is not None:
            yield _never(line, found)
            continue
        # What a line covers that is covered itself, that other line covers too.
        earlier.add(line)
        yield from _trust(line)
        yield from _certificate(line, ca_loaded=ca_loaded)
        if line.usermap and line.usermap not in usermaps:
            yield _no_map(line, line.usermap)


def _never(line: HbaLine, earlier: HbaLine) -> Report:
    return _warning(
        line,
        "this line can never match: an earlier one takes all connections that it is "
        "about",
        detail=f'{_where(earlier)} comes first: "{earlier.raw_line}"',
        hint="Move it before that line, or remove it.",
        event="hba.line_shadowed",
    )


def _trust(line: HbaLine) -> Iterator[Report]:
    """Warn about connections that are neither encrypted nor asked for anything."""
    if (
        line.auth_method == "trust"
        and line.conntype is not ConnType.HOSTSSL
        and not _is_local(line)
    ):
        yield _warning(
            line,
            '"trust" lets in connections without TLS, from other machines',
            detail="pgproxy asks these clients for nothing. What they send can be read "
            "and changed on the way.",
            hint='Use "hostssl", or a method that asks for something.',
            event="hba.trust_without_tls",
        )


def _is_local(line: HbaLine) -> bool:
    """Return whether all clients of *line* are on this machine: nothing is on the way."""
    spec = line.address
    if spec is AddressKeyword.SAMEHOST:
        return True
    return isinstance(spec, AddressRange) and any(own.covers(spec) for own in _LOOPBACK)


def _certificate(line: HbaLine, *, ca_loaded: bool) -> Iterator[Report]:
    """Warn about certificates that cannot be checked, and names that are not."""
    if line.clientcert is not ClientCert.OFF and not ca_loaded:
        yield _warning(
            line,
            "this line can only refuse: it wants a client certificate, and there is "
            "no root certificate to check it with",
            hint='Set "ssl_ca_file" to the certificates of the CAs that vouch for '
            "clients.",
            event="hba.no_root_certificate",
        )
    if (
        line.clientname is not ClientName.CN
        and line.clientcert is not ClientCert.VERIFY_FULL
    ):
        yield _warning(
            line,
            f'"clientname={line.clientname.value}" has no effect: this line does not '
            "compare the name in the certificate",
            hint='Add "clientcert=verify-full", or remove it.',
            event="hba.clientname_useless",
        )


def _no_map(line: HbaLine, usermap: str) -> Report:
    return _warning(
        line,
        f'this line can only refuse: there is no map "{usermap}" in pg_ident.conf',
        hint="Add lines with that name there, or correct the name here.",
        event="hba.no_map",
    )


def _warning(
    line: HbaLine,
    message: str,
    *,
    detail: str | None = None,
    hint: str,
    event: str,
) -> Report:
    return Report(
        severity=Severity.WARNING,
        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
        message=message,
        detail=detail,
        hint=hint,
        context=_where(line),
        event=event,
    )


def _where(line: HbaLine) -> str:
    return f'line {line.line_number} of configuration file "{line.source}"'
