"""Fixtures of the matrix: whose certificates there are, and a server of each kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pgproxy.certs.issuing import crls_pem
from pgproxy.testing.authority import (
    SERVER_AUTH,
    Authority,
    Credentials,
    certificates_pem,
    days,
)
from tests.matrix import cells
from tests.matrix.keys import server_files
from tests.support.drivers_servers import DriverConfig
from tests.support.endpoints import Endpoint, Farm
from tests.support.pki import Pki

Files = tuple[Path, Path]

OVER = days(-3, -1)


@dataclass(frozen=True, slots=True)
class Clients:
    """
    What clients may show, and what servers know of them.

    Args:
        files: For each state, by its name, certificate and key; or None.
        server: What a server's data folder has of it.

    """

    files: Mapping[str, Files | None]
    server: Mapping[str, bytes]


@pytest.fixture(scope="session")
def clients(pki: Pki) -> Clients:
    """
    Issue a certificate in each state; all of them fit one server.

    There is a CA for each thing that can be wrong with a CA. Each has a revocation
    list, but for the one that is there to have none.
    """
    root = Authority.root(cells.ROOT)
    issuing = root.intermediate(cells.ISSUING)
    closed = root.intermediate(cells.CLOSED)
    stale = root.intermediate(cells.STALE)
    unlisted = root.intermediate(cells.UNLISTED)
    stranger = Authority.root(cells.STRANGER)
    user = cells.USER
    issued = {
        cells.GOOD: issuing.client(user),
        cells.WRONG_NAME: issuing.client(cells.SOMEBODY_ELSE),
        cells.WRONG_NAME_PASSWORD: issuing.client(cells.SOMEBODY_ELSE),
        cells.EXPIRED: issuing.client(user, validity=OVER),
        cells.REVOKED: issuing.client(user),
        cells.CA_REVOKED: closed.client(user),
        cells.UNKNOWN_CA: stranger.client(user),
        cells.NO_INTERMEDIATE: _alone(issuing.client(user)),
        cells.WRONG_PURPOSE: issuing.issue(user, purposes=[SERVER_AUTH]),
        cells.CRL_EXPIRED: stale.client(user),
        cells.CRL_MISSING: unlisted.client(user),
    }
    lists = (
        root.crl(closed.certificate),
        issuing.crl(issued[cells.REVOKED].certificate),
        closed.crl(),
        stale.crl(current=OVER),
    )
    files: dict[str, Files | None] = {
        state.name: pki.client(f"matrix {state.name}", one)
        for state, one in issued.items()
    }
    return Clients(
        {cells.NONE.name: None, **files},
        {"root.crt": certificates_pem([root.certificate]), "root.crl": crls_pem(lists)},
    )


def _alone(credentials: Credentials) -> Credentials:
    return Credentials(credentials.certificate, credentials.key)


@pytest.fixture(scope="session")
def issuing(pki: Pki) -> Authority:
    """Return a CA for servers."""
    return pki.root.intermediate("issuing CA for the matrix")


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, farm: Farm, clients: Clients, issuing: Authority
) -> Iterator[Endpoint]:
    """Return a server of one kind, with a key of one type; it stays for its cells."""
    kind, key_type = request.param
    config = DriverConfig(
        hba=cells.HBA,
        settings=cells.SETTINGS,
        more_files={**clients.server, **server_files(issuing, key_type)},
    )
    with farm.private(kind, config) as endpoint:
        yield endpoint
