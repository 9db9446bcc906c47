"""Which line of pg_hba.conf decides for a client, and why no earlier one does."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from pgproxy.auth.address import AddressKeyword, AddressRange, Interface, IPAddress
from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine, Rule

__all__ = [
    "Client",
    "ClientCert",
    "ClientName",
    "ConnType",
    "Facts",
    "HbaLine",
    "Interface",
    "Interfaces",
    "Mismatch",
    "Needs",
    "Replication",
    "Rule",
    "Verdict",
    "explain",
    "first_match",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What has been found out about this connection so far.

    Args:
        interfaces: None: not asked yet. Empty: nobody could say (HBA-70).

    """

    interfaces: tuple[Interface, ...] | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """No verdict yet: first this fact must be found out."""

    fact: Interfaces


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


def _matches(line: HbaLine, client: Client, facts: Facts) -> Mismatch | Needs | None:
    """Return None if *line* matches; else which field does not, or what to find out."""
    return (
        _conntype(line, client)
        or _address(line, client, facts)
        or _database(line, client)
        or _user(line, client)
    )


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


def _address(line: HbaLine, client: Client, facts: Facts) -> Mismatch | Needs | None:
    """Compare the address; only ``samehost`` and ``samenet`` need to ask (HBA-70)."""
    spec = line.address
    if isinstance(spec, AddressRange):
        return None if client.address in spec else Mismatch.ADDRESS
    if spec is AddressKeyword.ALL:
        return None
    if facts.interfaces is None:
        return Needs(Interfaces())
    for interface in facts.interfaces:
        same = interface.host() if spec is AddressKeyword.SAMEHOST else interface.net()
        if client.address in same:
            return None
    return Mismatch.ADDRESS


def _database(line: HbaLine, client: Client) -> Mismatch | None:
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
    for token in line.databases:
        if token.is_keyword("all"):
            return None
        if token.is_keyword("sameuser"):
            matches = client.database == client.user
        else:
            matches = token.text == client.database and not token.is_keyword(
                "replication"
            )
        if matches:
            return None
    return Mismatch.DATABASE


def _user(line: HbaLine, client: Client) -> Mismatch | None:
    """Compare the user, whom nobody needs to know (HBA-75, HBA-81; ``check_role``)."""
    for token in line.users:
        if token.is_keyword("all") or token.text == client.user:
            return None
    return Mismatch.USER
