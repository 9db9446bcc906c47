"""Which line of pg_hba.conf decides for a client, and why no earlier one does."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    HostName,
    Interface,
    IPAddress,
)
from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine, Rule
from pgproxy.auth.lexer import Token
from pgproxy.auth.roles import Roles

__all__ = [
    "Client",
    "ClientCert",
    "ClientName",
    "ConnType",
    "Fact",
    "Facts",
    "ForwardLookup",
    "HbaLine",
    "Interface",
    "Interfaces",
    "LookupFailed",
    "Memberships",
    "Mismatch",
    "Needs",
    "Replication",
    "ReverseLookup",
    "Roles",
    "Rule",
    "Verdict",
    "check_role",
    "explain",
    "first_match",
    "hostname_lookup_detail",
    "refusal",
]


class Replication(Enum):
    """Whether the client wants to be sent WAL, and whether over a database."""

    NONE = "none"
    PHYSICAL = "physical"
    DATABASE = "database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """
    Who asks to be let in.

    Args:
        user: As PostgreSQL would have it: cut to 63 bytes (HBA-79).
        database: Likewise.
        host: Its numeric address, for the messages.
        address: The same, to be compared. An IPv4 client is an IPv4 address, even if
            the socket is one for both families (HBA-67).
        ssl_in_use: Whether it has come through TLS.
        replication: Whether it is a walsender's client.

    """

    user: str
    database: str
    host: str
    address: IPAddress
    ssl_in_use: bool
    replication: Replication = Replication.NONE


@dataclass(frozen=True, slots=True)
class Interfaces:
    """The question which addresses this machine has: `Facts.interfaces`."""


@dataclass(frozen=True, slots=True)
class ReverseLookup:
    """The question what the client's address is called: `Facts.remote_hostname`."""


@dataclass(frozen=True, slots=True)
class ForwardLookup:
    """The question which addresses *name* has: `Facts.remote_addresses`."""

    name: str


@dataclass(frozen=True, slots=True)
class Memberships:
    """The question who is a member of which role: `Facts.roles`."""


Fact = Interfaces | ReverseLookup | ForwardLookup | Memberships
"""What a line can need to know of the world."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """
    The name service has no answer.

    Args:
        reason: In its words: ``Name or service not known`` (``gai_strerror``).

    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What has been found out about this connection so far; None: not asked yet.

    Args:
        interfaces: The addresses of this machine. Empty: nobody could say (HBA-70).
        remote_hostname: What the client's address is called.
        remote_addresses: Which addresses that name has.
        roles: Who is a member of which role.

    """

    interfaces: tuple[Interface, ...] | None = None
    remote_hostname: str | LookupFailed | None = None
    remote_addresses: frozenset[IPAddress] | LookupFailed | None = None
    roles: Roles | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """No verdict yet: first this fact must be found out."""

    fact: Fact


@dataclass(frozen=True, slots=True)
class Verdict:
    """The line that decides; None: there is none, and the client is refused."""

    line: HbaLine | None


class Mismatch(Enum):
    """The first field of a line that does not fit a client, in the order of hba.c."""

    LOCAL = "it is for Unix-domain sockets, and the client has come over TCP"
    SSL = "it is for connections with SSL, and this one has none"
    NO_SSL = "it is for connections without SSL, and this one has it"
    GSS = "it is for connections with GSSAPI encryption, which is not supported"
    ADDRESS = "the address of the client is not one of its addresses"
    HOST_NAME = "the host name of the client is not the one it names"
    DATABASE = "the database is not one of its databases"
    REPLICATION = "a replication connection needs the keyword replication"
    USER = "the user is not one of its users"


def first_match(
    lines: Iterable[HbaLine], client: Client, facts: Facts
) -> Verdict | Needs:
    """
    Find the line that decides for *client*: the first whose every field matches.

    The first match is final. If its authentication then fails, no later line is
    tried: there is no "fall-through" or "backup" (manual, "The pg_hba.conf File";
    HBA-72).

    Source: ``check_hba`` in hba.c.
    """
    for line in lines:
        why_not = _matches(line, client, facts)
        if why_not is None:
            return Verdict(line)
        if isinstance(why_not, Needs):
            return why_not
    return Verdict(None)


def explain(
    lines: Iterable[HbaLine], client: Client, facts: Facts
) -> Iterator[tuple[HbaLine, Mismatch]]:
    """
    Yield each line before the one that decides, and why it does not match.

    It ends before a line that needs a fact which *facts* does not have.
    """
    for line in lines:
        why_not = _matches(line, client, facts)
        if not isinstance(why_not, Mismatch):
            return
        yield line, why_not


def refusal(line: HbaLine | None, client: Client) -> str:
    """
    Return what a client is told that no line lets in, or that *line* rejects.

    A walsender for a database is told what everybody is (HBA-82 to HBA-86).

    Source: ``ClientAuthentication`` in auth.c.
    """
    host, user, database = client.host, client.user, client.database
    enc = "SSL encryption" if client.ssl_in_use else "no encryption"
    match line, client.replication:
        case None, Replication.PHYSICAL:
            return (
                f'no pg_hba.conf entry for replication connection from host "{host}", '
                f'user "{user}", {enc}'
            )
        case None, _:
            return (
                f'no pg_hba.conf entry for host "{host}", user "{user}", '
                f'database "{database}", {enc}'
            )
        case _, Replication.PHYSICAL:
            return (
                f'pg_hba.conf rejects replication connection for host "{host}", '
                f'user "{user}", {enc}'
            )
        case _:
            return (
                f'pg_hba.conf rejects connection for host "{host}", user "{user}", '
                f'database "{database}", {enc}'
            )


def hostname_lookup_detail(client: Client, facts: Facts) -> str | None:
    """
    Return what the log is told of the client's host name, if a line asked for it.

    Source: ``HOSTNAME_LOOKUP_DETAIL`` in auth.c; HBA-69.
    """
    name, addresses = facts.remote_hostname, facts.remote_addresses
    match name, addresses:
        case None, _:
            return None
        case LookupFailed(reason), _:
            return f"Could not resolve client IP address to a host name: {reason}."
        case _, LookupFailed(reason):
            return f'Could not translate client host name "{name}" to IP address: {reason}.'
        case _, None:
            how = "forward lookup not checked"
        case _, frozenset() if client.address in addresses:
            how = "forward lookup matches"
        case _:
            how = "forward lookup does not match"
    return f'Client IP address resolved to "{name}", {how}.'


def is_member(user: str, role: str, facts: Facts) -> bool | Needs:
    """Return whether *user* is a member of *role*, as far as is known."""
    if facts.roles is None:
        return Needs(Memberships())
    return facts.roles.is_member(user, role)


_Matches = Mismatch | Needs | None
"""None: it does. Else what does not, or what must be known to say."""


def _matches(line: HbaLine, client: Client, facts: Facts) -> _Matches:
    """
    Compare every field of *line*, in the order of ``check_hba`` in hba.c.

    Nothing is asked about a line that does not match anyway: the name service and the
    backend's catalogue take time, and may fail.
    """
    why_not = _conntype(line, client)
    if why_not is not None:
        return why_not
    needs: Needs | None = None
    for field in (_address, _database, _user):
        found = field(line, client, facts)
        if isinstance(found, Mismatch):
            return found
        needs = needs or found
    return needs


def _conntype(line: HbaLine, client: Client) -> Mismatch | None:
    """No client comes over a Unix-domain socket or with GSSAPI (HBA-71, HBA-73)."""
    conntype, ssl = line.conntype, client.ssl_in_use
    if conntype is ConnType.LOCAL:
        return Mismatch.LOCAL
    if conntype is ConnType.HOSTSSL and not ssl:
        return Mismatch.SSL
    if conntype is ConnType.HOSTNOSSL and ssl:
        return Mismatch.NO_SSL
    if conntype is ConnType.HOSTGSSENC:
        return Mismatch.GSS
    return None


def _address(line: HbaLine, client: Client, facts: Facts) -> _Matches:
    """Compare the address; all but numbers and ``all`` need to ask (HBA-68, HBA-70)."""
    spec = line.address
    if isinstance(spec, AddressRange):
        return None if client.address in spec else Mismatch.ADDRESS
    if spec is AddressKeyword.ALL:
        return None
    if isinstance(spec, HostName):
        return _host_name(spec, client, facts)
    if facts.interfaces is None:
        return Needs(Interfaces())
    for interface in facts.interfaces:
        same = interface.host() if spec is AddressKeyword.SAMEHOST else interface.net()
        if client.address in same:
            return None
    return Mismatch.ADDRESS


def _host_name(spec: HostName, client: Client, facts: Facts) -> _Matches:
    """
    Ask for the client's name, and then whether that name has the client's address.

    What the name service could not say once, it is not asked again (HBA-68).

    Source: ``check_hostname`` in hba.c.
    """
    name, addresses = facts.remote_hostname, facts.remote_addresses
    if name is None:
        return Needs(ReverseLookup())
    if isinstance(name, LookupFailed) or not spec.matches(name):
        return Mismatch.HOST_NAME
    if addresses is None:
        return Needs(ForwardLookup(name))
    if isinstance(addresses, LookupFailed) or client.address not in addresses:
        return Mismatch.HOST_NAME
    return None


def _database(line: HbaLine, client: Client, facts: Facts) -> _Matches:
    """
    Compare the database.

    A physical walsender has none, and only the keyword matches it; nobody else is
    matched by the keyword (HBA-74).

    Source: ``check_db`` in hba.c.
    """
    if client.replication is Replication.PHYSICAL:
        if any(token.is_keyword("replication") for token in line.databases):
            return None
        return Mismatch.REPLICATION
    unknown: _Matches = Mismatch.DATABASE
    for token in line.databases:
        if token.is_keyword("all"):
            return None
        if token.is_keyword("sameuser"):
            matches: bool | Needs = client.database == client.user
        elif token.is_keyword("samerole") or token.is_keyword("samegroup"):
            matches = is_member(client.user, client.database, facts)
        elif token.is_keyword("replication"):
            continue
        else:
            matches = token.matches(client.database)
        if matches is True:
            return None
        if isinstance(matches, Needs):
            unknown = matches
    return unknown


def _user(line: HbaLine, client: Client, facts: Facts) -> _Matches:
    """Compare the user, whom nobody needs to know (HBA-75, HBA-81; ``check_role``)."""
    found = check_role(line.users, client.user, facts)
    if isinstance(found, Needs):
        return found
    return None if found else Mismatch.USER


def check_role(tokens: Iterable[Token], user: str, facts: Facts) -> bool | Needs:
    """
    Return whether one of *tokens* means *user*, as far as is known.

    It is known without the roles if any token says yes without them.

    Source: ``check_role`` in hba.c; HBA-75, ID-07.
    """
    unknown: bool | Needs = False
    for token in tokens:
        if token.is_member_check():
            member = is_member(user, token.text[1:], facts)
            if member is True:
                return True
            unknown = member or unknown
        elif token.is_keyword("all") or token.matches(user):
            return True
    return unknown
