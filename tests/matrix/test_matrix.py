"""
Every cell of the handshake matrix: state, version of TLS, server's key, client.

The log names the cause, the certificate and where in the chain it is (TLS-71 to
TLS-77, TLS-82 to TLS-84); a list is needed of every CA (TLS-72), and one that has
expired refuses all (TLS-73b); what is wrong with the leaf comes first (TLS-80). A
certificate that fails ends the handshake, and no line is looked at (TLS-66, CERT-08);
whether there is one, and whose, the line asks (TLS-65, CERT-02, CERT-05 to CERT-07,
CERT-13, CERT-15).
"""

import select
import ssl
from collections.abc import Mapping
from itertools import product
from typing import Final

import pytest

from tests.matrix import cells
from tests.matrix.cells import CAUSE, CLIENTS, KEY_TYPES, STATES, VERSIONS, State
from tests.matrix.conftest import Clients
from tests.matrix.s_client import SClient
from tests.matrix.seeing import attempt, logged
from tests.support import oracles, wire
from tests.support.client import TIMEOUT, Client, End, context
from tests.support.drivers_base import TLS_1_2, TLS_1_3, Driver, Login
from tests.support.drivers_clients import Asyncpg, Psycopg
from tests.support.drivers_servers import LogWatch
from tests.support.endpoints import Endpoint
from tests.support.logs import LogLine
from tests.support.oracles import PG17, PG18, PGPROXY
from tests.support.pki import Pki

DRIVERS: Final[Mapping[str, Driver]] = {
    driver.name: driver for driver in (Psycopg(), Asyncpg(), SClient())
}
TLS_VERSIONS: Final = {cells.TLS_1_2: TLS_1_2, cells.TLS_1_3: TLS_1_3}

CERTIFICATE_EXPIRED: Final = 45

SERVERS: Final = [
    *product((PGPROXY, PG18), KEY_TYPES),
    # Keys are OpenSSL's business, which is as old there as Python's.
    (PG17, cells.P_256),
]


@pytest.mark.interop
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("server", SERVERS, ids="-".join, indirect=True)
def test_cell(
    server: Endpoint,
    clients: Clients,
    pki: Pki,
    version: str,
    state: State,
    client: str,
) -> None:
    """What the table says is what the client sees, and what is logged."""
    watch = LogWatch(server)
    login = Login(
        port=server.port,
        root_file=pki.root_file,
        user=state.user,
        version=TLS_VERSIONS[version],
        certificate=clients.files[state.name],
    )
    assert attempt(DRIVERS[client], login) in expected_views(
        server.kind, version, state, client
    )
    assert logged(watch) == tuple(
        expected_line(server.kind, version, line) for line in state.outcome.log
    )


def expected_views(kind: str, version: str, state: State, client: str) -> set[str]:
    """Return the texts of which the client has to see one: NEG-69."""
    text = state.seen(client, version)
    if kind == PGPROXY or version != cells.TLS_1_3 or not state.fails_handshake:
        return {text}
    if client not in cells.LOST_ALERTS:
        return {text}
    said, cause, _alert = text.rpartition(CAUSE)
    return {text, said + cause + cells.LOST_ALERTS[client]}


def expected_line(kind: str, version: str, line: LogLine) -> LogLine:
    """Return what is logged where the table has *line*: TLS-68."""
    detail = line.detail
    if detail and has_openssl_1_1(kind):
        for new, old in cells.WORDS_OF_OPENSSL_1_1.items():
            detail = detail.replace(new, old)
    return LogLine(
        line.severity,
        line.message.replace("TLSv1.x", version),
        line.state_code,
        detail,
        line.hint,
    )


def has_openssl_1_1(kind: str) -> bool:
    """Whether a server is linked to OpenSSL 1.1.1, and not to 3."""
    if kind == PGPROXY:
        return ssl.OPENSSL_VERSION_INFO < (3,)
    return (oracles.find(kind).folder / "lib" / "libssl.so.1.1").exists()


@pytest.mark.interop
@pytest.mark.parametrize(
    "server",
    [(kind, cells.P_256) for kind in (PGPROXY, PG17, PG18)],
    ids="-".join,
    indirect=True,
)
def test_client_that_takes_its_time(server: Endpoint, clients: Clients) -> None:
    """Where an alert may be lost: the server has closed before the client writes."""
    files = clients.files[cells.EXPIRED.name]
    with server.connect() as client:
        client.request_tls(context(certificate=files, versions=(TLS_1_3, TLS_1_3)))
        wait_for_end(client)
        try:
            client.send(wire.startup(user=cells.USER))
        except ConnectionResetError:
            assert server.kind != PGPROXY
        else:
            assert server.kind == PGPROXY
        # Whoever reads in spite of it sees the alert, as libpq does.
        assert client.read_end() == (b"", End("FIN", (CERTIFICATE_EXPIRED,)))


def wait_for_end(client: Client) -> None:
    """Wait for FIN or RST, without reading what comes before it."""
    poll = select.poll()
    poll.register(client.sock, select.POLLRDHUP)
    assert poll.poll(1000 * TIMEOUT)


def test_each_cell_is_there_once() -> None:
    """And no more than that: a text that no cell has would stand on the page unseen."""
    assert len({state.name for state in STATES}) == len(STATES)
    for state in STATES:
        found = [
            (seen.client, version)
            for seen in state.outcome.seen
            for version in seen.versions
        ]
        assert sorted(found) == sorted(product(CLIENTS, VERSIONS)), state.name


def test_clients_are_those_of_the_table() -> None:
    assert tuple(DRIVERS) == CLIENTS
