"""
Where the servers differ, and only there: each difference is stated once.

What is not in this list must be the same in PostgreSQL 15, 17, 18 and pgproxy. A
test asks `differs`, so that what it expects of each is in plain sight.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.oracles import PG15, PG17, PGPROXY, SERVERS


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One way in which a server is not like PostgreSQL 18.

    Args:
        servers: Which ones.
        why: For what reason.

    """

    servers: frozenset[str]
    why: str


def _of(*servers: str, why: str) -> Difference:
    return Difference(frozenset(servers), why)


DIFFERENCES: Final[Mapping[str, Difference]] = {
    "NEG-01": _of(PG15, why="direct SSL began with 17: a ClientHello is a length"),
    "NEG-23": _of(PG15, PG17, why="built with GSSAPI, so they answer G"),
    "NEG-28": _of(PG15, why="up to 16 no server looks at ALPN"),
    "NEG-33": _of(
        PG15,
        why="up to 16 what came early is not given to TLS: the handshake runs "
        "beside it (NEG-35, NEG-36)",
    ),
    "NEG-37": _of(
        PGPROXY,
        why="has no buffer that could hold unencrypted data, so none to complain of",
    ),
    "NEG-42": _of(PG15, PG17, why="3.2 began with 18"),
    "NEG-47": _of(
        PGPROXY,
        why="refuses what decides on who may connect and can be read two ways",
    ),
    "NEG-69": _of(
        PGPROXY,
        why="reads away what nobody wants before it closes, so that the end is a FIN "
        "and no RST overtakes the last message",
    ),
    "NEG-70": _of(
        PGPROXY,
        why="a client that requires channel binding leaves at this point, and the "
        "log is the only place to tell its owner",
    ),
    "NEG-83": _of(
        PG15, why="up to 16 the send buffer is 8 KiB, and a record no larger"
    ),
    "TLS-20": _of(
        PGPROXY,
        why="names what it has no use for in a NOTICE, whatever its value",
    ),
    "TLS-38": _of(PG15, PG17, why="one curve and no list of groups before 18"),
    "TLS-40": _of(PG15, PG17, why="TLS 1.3 suites had no setting before 18"),
    "TLS-60": _of(PG15, PG17, why="X25519 is among the groups from 18 on"),
    "TLS-88b": _of(
        PGPROXY,
        why="does not fill pg_stat_ssl, the printer of which does not know such names",
    ),
    "TLS-89": _of(
        PGPROXY,
        why="has no debug levels: every line of the session names its certificate",
    ),
    "CAN-01": _of(PG15, PG17, why="keys of any other length than 4 began with 18"),
    "CAN-04": _of(PGPROXY, why="the backend has the keys, and notes it in its own log"),
}


def differs(statement: str, server: str) -> bool:
    """Whether *server* is one of those that differ in *statement*."""
    return server in DIFFERENCES[statement].servers


def alike(*statements: str) -> pytest.MarkDecorator:
    """Run a test against those servers only that differ in none of *statements*."""
    servers = [
        server
        for server in SERVERS
        if not any(differs(statement, server) for statement in statements)
    ]
    return pytest.mark.parametrize("servers", servers, indirect=True)
