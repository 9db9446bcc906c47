"""Fixtures for real drivers: certificates, and servers that have a role for each method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.testing.authority import Authority, Credentials, days
from pgproxy.testing.postgres import Instance
from tests.support import oracles
from tests.support.drivers_base import Login
from tests.support.drivers_servers import HBA, DriverConfig
from tests.support.endpoints import (
    BACKEND_HBA,
    ROLES,
    Endpoint,
    Farm,
    PgproxyEndpoint,
)
from tests.support.oracles import PG17, PG18, PGPROXY
from tests.support.pki import Pki

Files = tuple[Path, Path]


@dataclass(frozen=True, slots=True)
class People:
    """
    Certificates of clients, the honest ones and the others.

    Args:
        files: Of each, certificate and key.
        crl: The client CA's revocation list.

    """

    files: Mapping[str, Files]
    crl: bytes


@pytest.fixture(scope="session")
def people(pki: Pki) -> People:
    """Return a certificate for each role that needs one, and some that are no good."""
    ca = pki.client_ca
    stranger = Authority.root("a CA that nobody here knows")
    issued: dict[str, Credentials] = {
        "cleo": ca.client("cleo"),
        "cora": ca.client("Cora Example"),
        "dina": ca.client([("O", "Example"), ("OU", "Sales"), ("CN", "dina")]),
        "sam": ca.client("sam"),
        "expired": ca.client("cleo", validity=days(-2, -1)),
        "revoked": ca.client("cleo"),
        "unknown CA": stranger.client("cleo"),
    }
    crl = ca.crl(issued["revoked"].certificate).public_bytes(Encoding.PEM)
    files = {name: pki.client(f"driver {name}", one) for name, one in issued.items()}
    return People(files, crl)


@pytest.fixture(scope="session")
def config(people: People) -> DriverConfig:
    """Return the configuration that nearly all of these tests use."""
    return DriverConfig(
        ca=True,
        hba=HBA,
        settings={
            "ssl_crl_file": "root.crl",
            "log_connections": "on",
            "trace_connection_negotiation": "on",
        },
        more_files={"root.crl": people.crl},
    )


@pytest.fixture(params=[PG18, PGPROXY])
def server(request: pytest.FixtureRequest) -> Endpoint:
    """Return a server to log in to: PostgreSQL itself, and pgproxy in front of one."""
    name = {PG18: "native18", PGPROXY: "proxy"}[request.param]
    found: Endpoint = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def native18(farm: Farm, config: DriverConfig) -> Endpoint:
    """Return PostgreSQL 18 itself, with TLS; it can do what our backend can."""
    settings = {**config.settings, "wal_level": "logical"}
    return farm.get(PG18, replace(config, settings=settings))


@pytest.fixture
def login(server: Endpoint, pki: Pki) -> Login:
    """Return how to log in to *server*, as ana."""
    return Login(port=server.port, root_file=pki.root_file)


@pytest.fixture(scope="session")
def proxy(farm: Farm, config: DriverConfig) -> Endpoint:
    """Return pgproxy in front of PostgreSQL 18, for what concerns it alone."""
    return farm.get(PGPROXY, config)


@pytest.fixture(scope="session")
def native17(farm: Farm, config: DriverConfig) -> Endpoint:
    """Return PostgreSQL 17 itself, with TLS."""
    return farm.get(PG17, config)


@pytest.fixture(scope="session")
def proxy17(pki: Pki, config: DriverConfig) -> Iterator[Endpoint]:
    """Return pgproxy in front of PostgreSQL 17."""
    with Instance(
        oracles.find(PG17),
        settings={"wal_level": "logical"},
        hba=BACKEND_HBA,
        sql=ROLES,
    ) as backend:
        endpoint = PgproxyEndpoint(config, pki, backend)
        yield endpoint
        endpoint.remove()


@pytest.fixture
def proxy_login(proxy: Endpoint, pki: Pki) -> Login:
    """Return how to log in to *proxy*, as ana."""
    return Login(port=proxy.port, root_file=pki.root_file)
