"""
What becomes of a client that is only described: the decisions of a session, alone.

The functions that decide are those of a session. Nothing is sent, and nobody is asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import Client, Facts, Mismatch, Needs, explain, first_match
from pgproxy.auth.hba_line import ClientCert, HbaLine
from pgproxy.auth.ident import IdentLine, Mapped, check_usermap
from pgproxy.protocol.errors import Report, SessionRefused
from pgproxy.session.admission import (
    PASSWORD_METHODS,
    check_certificate,
    check_name,
    compared_name,
)
from pgproxy.session.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """
    What becomes of a client.

    Args:
        peer: Its certificate, if it has shown one.
        passed_over: The lines before the one that decides, and why they do not match.
        line: The one that decides; None: there is none.
        undecided: Whether it is not even known if that line matches, or what its map
            says, because what has to be known cannot be found out.
        refused: What the client is told, if it is not let through.
        after_method: Whether it is told so only when the method has succeeded: when
            its password was right (CERT-07).
        identity: Who the certificate says it is, where the line asks for that.
        ident_line: The line of pg_ident.conf that lets it be the user, or that ended
            the search for one.
        log: What only the log is told.

    """

    peer: PeerCertificate | None
    passed_over: tuple[tuple[HbaLine, Mismatch], ...]
    line: HbaLine | None
    undecided: bool = False
    refused: SessionRefused | None = None
    after_method: bool = False
    identity: str | None = None
    ident_line: IdentLine | None = None
    log: tuple[Report, ...] = ()


def forecast(
    policy: Policy, client: Client, peer: PeerCertificate | None, facts: Facts
) -> Forecast | Needs:
    """
    Say what becomes of *client*, or what has to be known first.

    Args:
        policy: The rules.
        client: Who asks.
        peer: The certificate that it shows, taken for valid; None: none.
        facts: What is known of the world.

    """
    found = first_match(policy.hba.candidates(client), client, facts)
    if isinstance(found, Needs):
        return found
    line, passed_over = found.line, tuple(explain(policy.hba.lines, client, facts))
    log: list[Report] = []
    refused, after_method, identity, ident_line = None, False, None, None
    try:
        line = check_certificate(line, client, peer, facts, ca_loaded=policy.ca_loaded)
        after_method = line.auth_method in PASSWORD_METHODS
        identity = compared_name(line, peer)
        needs = check_name(line, client, peer, policy, facts, log)
        if needs is not None:
            return needs
    except SessionRefused as error:
        refused = error
    if identity:
        assert line is not None
        mapped = check_usermap(policy.ident, line.usermap, identity, client.user, facts)
        assert isinstance(mapped, Mapped), "check_name has asked for what it needs"
        ident_line = mapped.line
    return Forecast(
        peer=peer,
        passed_over=passed_over,
        line=line,
        refused=refused,
        after_method=after_method and refused is not None,
        identity=identity,
        ident_line=ident_line,
        log=tuple(log),
    )


def unknown(
    policy: Policy,
    client: Client,
    peer: PeerCertificate | None,
    facts: Facts,
    refused: SessionRefused,
) -> Forecast:
    """
    Say what becomes of *client* where what is needed cannot be found out.

    Args:
        policy: The rules.
        client: Who asks.
        peer: The certificate that it shows.
        facts: What is known of the world.
        refused: What a session says in that case.

    """
    passed_over = tuple(explain(policy.hba.lines, client, facts))
    # It is the line behind those that could not be judged, or its map.
    line = policy.hba.lines[len(passed_over)]
    return Forecast(
        peer=peer, passed_over=passed_over, line=line, undecided=True, refused=refused
    )


def follows(found: Forecast, client: Client) -> Iterator[str]:
    """Yield what happens once a line has decided, in its order, as clauses."""
    line = found.line
    if line is None:
        return
    if found.undecided:
        yield "what this line asks for cannot be found out"
        return
    if line.clientcert is not ClientCert.OFF:
        asks = f"`clientcert={line.clientcert.value}`"
        shows = "shows none"
        if found.peer is not None:
            shows = f"shows that of `{found.peer.distinguished_name}`"
        yield f"{asks} asks for a certificate; the client {shows}"
    if line.auth_method not in PASSWORD_METHODS:
        yield from _name(found, line, client)
    if found.refused is None or found.after_method or line.auth_method == "reject":
        yield f"`{line.auth_method}`: {METHODS[line.auth_method]}"
    if line.auth_method in PASSWORD_METHODS:
        yield from _name(found, line, client)


def _name(found: Forecast, line: HbaLine, client: Client) -> Iterator[str]:
    if found.identity is None:
        return
    which = line.clientname.value
    if not found.identity:
        yield f"the certificate has no {which}"
        return
    who = f"the {which} of the certificate is `{found.identity}`"
    if not line.usermap:
        same = "is" if found.identity == client.user else "is not"
        yield f"{who}, which {same} the user `{client.user}`"
    elif found.ident_line is None:
        yield (
            f"{who}, and no line of the map `{line.usermap}` in pg_ident.conf lets it "
            f"be `{client.user}`"
        )
    else:
        one = found.ident_line
        may = "ends the search" if found.refused else f"lets it be `{client.user}`"
        yield (
            f"{who}, and line {one.line_number} of the map `{line.usermap}` {may}: "
            f"`{one.usermap} {one.system_user.text} {one.pg_user.text}`"
        )


_PASSWORD: Final = "the backend has to ask for a password in clear text"  # noqa: S105

METHODS: Final = {
    "reject": "the client is refused",
    "trust": "nothing is asked for; the backend may ask for what it likes",
    "cert": "the certificate decides; the backend has to let the user in unasked",
    "scram-sha-256": "the backend has to ask for SCRAM",
    "md5": "the backend has to ask for MD5 or SCRAM",
    "password": _PASSWORD,
    "ldap": _PASSWORD,
    "radius": _PASSWORD,
    "pam": _PASSWORD,
    "bsd": _PASSWORD,
}
"""What each method of a line means, to the client and to the backend."""
