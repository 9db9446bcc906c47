"""Finds the few lines of a long pg_hba.conf that can match a client at all."""

from collections.abc import Iterable, Iterator
from typing import Final

from pgproxy.auth.address import AddressRange, IPAddress
from pgproxy.auth.hba import Client, Replication
from pgproxy.auth.hba_line import ConnType, HbaLine
from pgproxy.auth.lexer import Field

MOST_PAIRS: Final = 1024
"""
Pairs of a database and a user that one line may stand under.

A line with long lists of both stands under the names of one list only: an index may
be coarse, and must not outgrow the file.
"""

_Key = str | None
"""A name; None: any."""

_PHYSICAL: Final = Replication.PHYSICAL
"""Stands for the keyword ``replication`` where a database would stand."""


class HbaIndex:
    """
    The lines of pg_hba.conf, by database, user and network.

    ::

        (database or any, user or any)  ->  netmask or any  ->  network  ->  lines

    It decides nothing: `candidates` leaves out lines that cannot match, and
    `first_match` goes through the others as it would through all.

    Args:
        lines: All of them, in the order of the file.

    """

    def __init__(self, lines: Iterable[HbaLine]) -> None:
        self.lines = tuple(lines)
        self._tables: dict[tuple[_Key | Replication, _Key], _Networks] = {}
        for number, line in enumerate(self.lines):
            if line.conntype in {ConnType.LOCAL, ConnType.HOSTGSSENC}:
                continue  # for clients that come another way
            databases, users = _databases(line.databases), _names(line.users)
            if len(databases) * len(users) > MOST_PAIRS:
                # The longer list tells more.
                if len(users) < len(databases):
                    users = {None}
                else:
                    databases = {None} | (databases & {_PHYSICAL})
            for database in databases:
                for user in users:
                    self._tables.setdefault((database, user), _Networks()).add(
                        number, line
                    )

    def candidates(self, client: Client) -> Iterator[HbaLine]:
        """Yield, in the order of the file, all lines that may match *client*."""
        numbers: set[int] = set()
        databases: tuple[_Key | Replication, ...] = (client.database, None)
        if client.replication is _PHYSICAL:
            databases = (_PHYSICAL,)
        for database in databases:
            for user in (client.user, None):
                table = self._tables.get((database, user))
                if table is not None:
                    table.find(client.address, numbers)
        for number in sorted(numbers):
            yield self.lines[number]


class _Networks:
    """Some of the lines, by the addresses that they are about."""

    def __init__(self) -> None:
        self._any: list[int] = []
        self._by_mask: dict[tuple[int, int], dict[int, list[int]]] = {}

    def add(self, number: int, line: HbaLine) -> None:
        """Add *line*, whose place in the file is *number*."""
        spec = line.address
        if not isinstance(spec, AddressRange):
            self._any.append(number)
            return
        mask = int(spec.netmask)
        networks = self._by_mask.setdefault((spec.address.version, mask), {})
        networks.setdefault(int(spec.address) & mask, []).append(number)

    def find(self, client: IPAddress, numbers: set[int]) -> None:
        """Add to *numbers* the places of all lines whose addresses have *client*."""
        numbers.update(self._any)
        address = int(client)
        for (version, mask), networks in self._by_mask.items():
            if version == client.version:
                numbers.update(networks.get(address & mask, ()))


def _databases(tokens: Field) -> set[_Key | Replication]:
    """Return what a client's database may be, as far as the names tell (HBA-74)."""
    keys: set[_Key | Replication] = set()
    for token in tokens:
        if token.is_keyword("replication"):
            keys.add(_PHYSICAL)
        elif token.regex is not None or any(map(token.is_keyword, _NOT_NAMES)):
            keys.add(None)
        else:
            keys.add(token.text)
    return (keys & {None, _PHYSICAL}) if None in keys else keys


_NOT_NAMES: Final = ("all", "sameuser", "samerole", "samegroup")


def _names(tokens: Field) -> set[_Key]:
    """Return who a client may be, as far as the names tell (HBA-75)."""
    for token in tokens:
        if (
            token.regex is not None
            or token.is_keyword("all")
            or token.is_member_check()
        ):
            return {None}
    return {token.text for token in tokens}
