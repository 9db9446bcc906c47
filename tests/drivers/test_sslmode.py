"""
Every sslmode against every kind of line: what PostgreSQL's own t/005 looks at.

What counts is not only whether a client gets in, but on which way: a server that
closes, or refuses, at the wrong moment sends a client with ``prefer`` into plain text.
"""

import re
from dataclasses import replace

import psycopg
import pytest

from tests.drivers.conftest import People
from tests.support.drivers_base import Login
from tests.support.drivers_servers import Connection, DriverConfig, LogWatch
from tests.support.endpoints import Endpoint, Farm
from tests.support.oracles import PG17, PG18, PGPROXY
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

# As in 005_negotiate_encryption.pl: what the server logs of each connection, and how
# the client ends. A bar is a new connection. The modes with verify- are require.
WITH_SSL = """
USER       SSLMODE  NEGOTIATION  EVENTS                           OUTCOME
testuser   disable  postgres     authok                        -> plain
testuser   allow    postgres     authok                        -> plain
testuser   prefer   postgres     sslaccept authok              -> ssl
testuser   require  postgres     sslaccept authok              -> ssl
testuser   require  direct       directaccept authok           -> ssl
ssluser    disable  postgres     authfail                      -> fail
ssluser    allow    postgres     authfail | sslaccept authok   -> ssl
ssluser    prefer   postgres     sslaccept authok              -> ssl
ssluser    require  postgres     sslaccept authok              -> ssl
ssluser    require  direct       directaccept authok           -> ssl
nossluser  disable  postgres     authok                        -> plain
nossluser  allow    postgres     authok                        -> plain
nossluser  prefer   postgres     sslaccept authfail | authok   -> plain
nossluser  require  postgres     sslaccept authfail            -> fail
nossluser  require  direct       directaccept authfail         -> fail
testuser   disable  direct       -                             -> fail
testuser   allow    direct       -                             -> fail
testuser   prefer   direct       -                             -> fail
"""

WITHOUT_SSL = """
USER       SSLMODE  NEGOTIATION  EVENTS                           OUTCOME
testuser   disable  postgres     authok                        -> plain
testuser   allow    postgres     authok                        -> plain
testuser   prefer   postgres     sslreject authok              -> plain
testuser   require  postgres     sslreject                     -> fail
testuser   require  direct       directreject                  -> fail
ssluser    disable  postgres     authfail                      -> fail
ssluser    allow    postgres     authfail | sslreject          -> fail
ssluser    prefer   postgres     sslreject authfail            -> fail
ssluser    require  postgres     sslreject                     -> fail
nossluser  prefer   postgres     sslreject authok              -> plain
testuser   prefer   direct       -                             -> fail
"""

EVENTS = {
    r"SSLRequest accepted": "sslaccept",
    r"SSLRequest rejected": "sslreject",
    r"direct SSL connection accepted": "directaccept",
    r"direct SSL connection rejected": "directreject",
    r"connection authenticated: user=.* method=trust": "authok",
    r"no pg_hba\.conf entry": "authfail",
}

Row = tuple[str, str, str, str, str]


def rows(table: str) -> list[Row]:
    """Read *table*; ``require`` stands for all modes that insist."""
    found: list[Row] = []
    for line in table.strip().splitlines()[1:]:
        left, outcome = line.split(" -> ")
        user, mode, negotiation, events = left.split(maxsplit=3)
        insist = ("require", "verify-ca", "verify-full")
        modes = insist if mode == "require" else (mode,)
        rest = negotiation, events.strip(), outcome.strip()
        found.extend((user, one, *rest) for one in modes)
    return found


def events_of(connections: list[Connection]) -> str:
    """Return what the table has of *connections*."""
    told = [
        " ".join(
            event
            for message in connection.messages
            for pattern, event in EVENTS.items()
            if re.match(pattern, message)
        )
        for connection in connections
    ]
    return " | ".join(told) or "-"


def outcome_of(conninfo: str) -> str:
    """Return what the client comes to."""
    try:
        with psycopg.connect(conninfo) as connection:
            return "ssl" if connection.pgconn.ssl_in_use else "plain"
    except psycopg.OperationalError:
        return "fail"


def check(server: Endpoint, pki: Pki, row: Row) -> None:
    """Have the server and libpq do what *row* says."""
    user, mode, negotiation, events, outcome = row
    login = Login(port=server.port, root_file=pki.root_file, user=user)
    watch = LogWatch(server)
    conninfo = login.conninfo(sslmode=mode, sslnegotiation=negotiation)
    assert outcome_of(conninfo) == outcome
    assert events_of(watch.connections()) == events


@pytest.mark.parametrize("row", rows(WITH_SSL), ids=lambda row: "-".join(row[:3]))
@pytest.mark.parametrize("name", ["native17", "native18", "proxy"])
def test_with_ssl(
    request: pytest.FixtureRequest, name: str, pki: Pki, row: Row
) -> None:
    """The way in, with ``ssl = on``."""
    check(request.getfixturevalue(name), pki, row)


@pytest.mark.parametrize("row", rows(WITHOUT_SSL), ids=lambda row: "-".join(row[:3]))
@pytest.mark.parametrize("kind", [PG17, PG18, PGPROXY])
def test_without_ssl(
    farm: Farm, config: DriverConfig, kind: str, pki: Pki, row: Row
) -> None:
    """The way in, with ``ssl = off``."""
    settings = {**config.settings, "ssl_crl_file": ""}
    check(farm.get(kind, replace(config, ssl=False, settings=settings)), pki, row)


@pytest.mark.parametrize("certificate", ["expired", "revoked", "unknown CA"])
@pytest.mark.parametrize(
    ("version", "outcome"), [("TLSv1.2", "plain"), ("TLSv1.3", "fail")]
)
def test_prefer_with_a_bad_certificate(
    server: Endpoint,
    login: Login,
    people: People,
    certificate: str,
    version: str,
    outcome: str,
) -> None:
    """
    With TLS 1.2 libpq goes on in plain text, with 1.3 it does not (LPQ-18, LPQ-19).

    The server cannot help it, other than by ``hostssl``.
    """
    conninfo = login.but(
        user="testuser", certificate=people.files[certificate]
    ).conninfo(
        sslmode="prefer",
        ssl_min_protocol_version=version,
        ssl_max_protocol_version=version,
    )
    watch = LogWatch(server)
    assert outcome_of(conninfo) == outcome
    events = "sslaccept | authok" if outcome == "plain" else "sslaccept"
    assert events_of(watch.connections()) == events


class TestNoBackend:
    """pgproxy alone: the backend is down."""

    @pytest.fixture
    def lonely(self, farm: Farm, config: DriverConfig) -> Endpoint:
        """Return pgproxy in front of nothing."""
        nowhere = {"pgproxy.backend_conninfo": "host=/nonexistent"}
        settings = {**config.settings, **nowhere}
        return farm.get(PGPROXY, replace(config, settings=settings))

    @pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require"])
    def test_one_attempt(self, lonely: Endpoint, pki: Pki, mode: str) -> None:
        """It is told with 57P03, after which libpq tries no other way (LPQ-14)."""
        login = Login(port=lonely.port, root_file=pki.root_file, user="testuser")
        watch = LogWatch(lonely)
        with pytest.raises(
            psycopg.OperationalError,
            match="FATAL:  the database system is not accepting connections",
        ):
            psycopg.connect(login.conninfo(sslmode=mode))
        (line,) = watch.connection().lines[-1:]
        assert line.state_code == "57P03"

    def test_next_host(self, lonely: Endpoint, proxy: Endpoint, pki: Pki) -> None:
        """But another host, if it knows one (PRX-04)."""
        login = Login(port=lonely.port, root_file=pki.root_file)
        both = f"{lonely.port},{proxy.port}"
        conninfo = login.conninfo(host="127.0.0.1,127.0.0.1", port=both)
        with psycopg.connect(conninfo) as connection:
            assert connection.info.port == proxy.port
