"""Whether one line of pg_hba.conf takes all the clients that another is about."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from pgproxy.auth.address import AddressKeyword, AddressRange, AddressSpec, HostName
from pgproxy.auth.hba_index import MOST_PAIRS
from pgproxy.auth.hba_line import ConnType, HbaLine
from pgproxy.auth.lexer import Token

_Key = tuple[str, str]
"""What a token means: its kind, and its text."""

ALL: Final = ("keyword", "all")
REPLICATION: Final = ("keyword", "replication")

_BOTH: Final = frozenset({True, False})

_TYPES: Final = {
    ConnType.LOCAL: frozenset[bool](),
    ConnType.HOST: _BOTH,
    ConnType.HOSTSSL: frozenset({True}),
    ConnType.HOSTNOSSL: frozenset({False}),
    ConnType.HOSTGSSENC: frozenset[bool](),
    ConnType.HOSTNOGSSENC: _BOTH,
}
"""Which clients a type is for, with TLS or without (HBA-71, HBA-73)."""


def can_match(line: HbaLine, *, ssl: bool) -> bool:
    """Return whether *line* is for clients that can come at all."""
    return bool(_types(line, ssl=ssl))


def covers(earlier: HbaLine, line: HbaLine, *, ssl: bool) -> bool:
    """
    Return whether *earlier* matches every client that *line* does.

    True is certain, whatever the world is like. False may be for want of knowing:
    regular expressions are alike only if they are the same text, and roles only by
    their names.

    Args:
        earlier: A line.
        line: Another.
        ssl: Whether there is TLS.

    """
    return (
        _types(line, ssl=ssl) <= _types(earlier, ssl=ssl)
        and _covers_address(earlier.address, line.address)
        and _covers_names(_databases(earlier), _databases(line))
        and _covers_names(_users(earlier), _users(line))
    )


class Earlier:
    """
    The lines so far, found by one database, one user and the network of another line.

    Args:
        ssl: Whether there is TLS.

    """

    def __init__(self, *, ssl: bool) -> None:
        self._ssl = ssl
        self._tables: dict[tuple[_Key | None, _Key | None], _Networks] = {}
        self._seen: Counter[_Key] = Counter()

    def add(self, line: HbaLine) -> None:
        """Add *line*."""
        databases: Iterable[_Key | None] = _databases(line)
        users: Iterable[_Key | None] = _users(line)
        self._seen.update(_databases(line) | _users(line))
        if len(_databases(line)) * len(_users(line)) > MOST_PAIRS:
            # The longer list tells more.
            if len(_users(line)) < len(_databases(line)):
                users = (None,)
            else:
                databases = (None,)
        for database in databases:
            for user in users:
                self._tables.setdefault((database, user), _Networks()).add(line)

    def cover(self, line: HbaLine) -> HbaLine | None:
        """Return a line that takes all that *line* could; None: there is none."""
        # Whoever covers all of its names covers the rarest, which has fewest lines.
        database = min(_databases(line), key=self._seen.__getitem__)
        user = min(_users(line), key=self._seen.__getitem__)
        for some in (database, ALL, None):
            for other in (user, ALL, None):
                table = self._tables.get((some, other))
                if table is None:
                    continue
                for found in table.find(line.address):
                    if covers(found, line, ssl=self._ssl):
                        return found
        return None


class _Networks:
    """Some of the lines, by the addresses that they are about."""

    def __init__(self) -> None:
        self._keywords: dict[AddressSpec, list[HbaLine]] = {}
        self._names: dict[str, list[HbaLine]] = {}
        self._by_mask: dict[tuple[int, int], dict[int, list[HbaLine]]] = {}

    def add(self, line: HbaLine) -> None:
        spec = line.address
        if isinstance(spec, AddressRange):
            mask = int(spec.netmask)
            networks = self._by_mask.setdefault((spec.address.version, mask), {})
            networks.setdefault(int(spec.address) & mask, []).append(line)
        elif isinstance(spec, HostName):
            self._names.setdefault(spec.name.lower(), []).append(line)
        else:
            assert spec is not None, "a local line is for nobody here"
            self._keywords.setdefault(spec, []).append(line)

    def find(self, spec: AddressSpec | None) -> Iterator[HbaLine]:
        """Yield the lines that may have all addresses of *spec*."""
        for keyword in AddressKeyword:
            yield from self._keywords.get(keyword, ())
        if isinstance(spec, AddressRange):
            address = int(spec.address)
            for (version, mask), networks in self._by_mask.items():
                if version == spec.address.version:
                    yield from networks.get(address & mask, ())
        elif isinstance(spec, HostName):
            name = spec.name.lower()
            yield from self._names.get(name, ())
            for at in range(1, len(name)):
                if name[at] == ".":
                    yield from self._names.get(name[at:], ())


def _types(line: HbaLine, *, ssl: bool) -> frozenset[bool]:
    return _TYPES[line.conntype] if ssl else _TYPES[line.conntype] - {True}


def _covers_address(earlier: AddressSpec | None, spec: AddressSpec | None) -> bool:
    if earlier is AddressKeyword.ALL or earlier == spec:
        return True
    match earlier, spec:
        case AddressRange(), AddressRange():
            return earlier.covers(spec)
        case AddressKeyword.SAMENET, AddressKeyword.SAMEHOST:
            return True  # an address is in its own network
        case HostName(), HostName():
            # Both are asked about the same name, and about its addresses.
            return earlier.matches(spec.name)
        case _:
            return False


def _covers_names(earlier: frozenset[_Key], names: frozenset[_Key]) -> bool:
    """``all`` is not physical replication, and in a user column nothing is (HBA-74)."""
    rest = names - earlier
    return not rest or (ALL in earlier and REPLICATION not in rest)


def _databases(line: HbaLine) -> frozenset[_Key]:
    return frozenset(map(_database, line.databases))


def _database(token: Token) -> _Key:
    if token.regex is not None:
        return "regex", token.text
    if token.is_keyword("samegroup"):
        return "keyword", "samerole"  # its old name
    if any(map(token.is_keyword, ("all", "sameuser", "samerole", "replication"))):
        return "keyword", token.text
    return "name", token.text


def _users(line: HbaLine) -> frozenset[_Key]:
    return frozenset(map(_user, line.users))


def _user(token: Token) -> _Key:
    if token.is_member_check():
        return "member", token.text
    if token.regex is not None:
        return "regex", token.text
    return ALL if token.is_keyword("all") else ("name", token.text)
