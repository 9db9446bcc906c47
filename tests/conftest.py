"""Fixtures that all tests share: certificates, a backend, and servers to compare."""

from collections.abc import Iterator

import pytest

from pgproxy.testing.postgres import Instance
from tests.support import oracles
from tests.support.endpoints import BACKEND_HBA, ROLES, Farm, Servers
from tests.support.pki import Pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, issued for this run."""
    return Pki.make(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def backend() -> Iterator[Instance]:
    """Return a PostgreSQL 18 without TLS, as it stands behind pgproxy."""
    with Instance(
        oracles.find(oracles.PGPROXY),
        settings={"wal_level": "logical"},
        hba=BACKEND_HBA,
        sql=ROLES,
    ) as instance:
        yield instance


@pytest.fixture(scope="session")
def farm(pki: Pki, request: pytest.FixtureRequest) -> Iterator[Farm]:
    """Whatever servers the tests ask for; they stay until the last one."""

    def find_backend() -> Instance:
        found: Instance = request.getfixturevalue("backend")
        return found

    made = Farm(pki, find_backend)
    yield made
    made.remove()


@pytest.fixture(params=oracles.SERVERS)
def servers(request: pytest.FixtureRequest, farm: Farm) -> Servers:
    """Return a server that speaks TLS: the same test runs against each kind."""
    return Servers(request.param, farm)
