"""Fixtures for real drivers: certificates, and servers that have a role for each method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.testing.authority import Authority, Credentials, days
from tests.support.drivers_clients import Login
from tests.support.drivers_servers import HBA, DriverConfig
from tests.support.endpoints import Endpoint, Farm
from tests.support.oracles import PG18, PGPROXY
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
def server(
    request: pytest.FixtureRequest, farm: Farm, config: DriverConfig
) -> Endpoint:
    """Return a server to log in to: PostgreSQL itself, and pgproxy in front of one."""
    return farm.get(request.param, config)


@pytest.fixture
def login(server: Endpoint, pki: Pki) -> Login:
    """Return how to log in to *server*, as ana."""
    return Login(port=server.port, root_file=pki.root_file)
