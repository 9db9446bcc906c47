"""Servers that a scanner looks at, and scans that are done once."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest

from pgproxy.testing.authority import rsa_key
from pgproxy.testing.postgres import Instance
from tests.scanners.programs import Facts, Scanner
from tests.support.endpoints import Config, Farm
from tests.support.pki import Pki

Look = Callable[[Scanner, str, Config], Future[Facts]]


@pytest.fixture(scope="session")
def rsa_farm(pki: Pki, request: pytest.FixtureRequest) -> Iterator[Farm]:
    """Return servers with an RSA certificate: it goes with most ciphers."""
    server = pki.root.intermediate("issuing CA").server(
        "localhost", "127.0.0.1", key=rsa_key()
    )

    def find_backend() -> Instance:
        found: Instance = request.getfixturevalue("backend")
        return found

    made = Farm(replace(pki, server=server), find_backend)
    yield made
    made.remove()


@pytest.fixture(scope="session")
def look(rsa_farm: Farm) -> Iterator[Look]:
    """Return what begins a scan; two run at a time, and none of them twice."""
    begun: list[tuple[tuple[Scanner, str, Config], Future[Facts]]] = []
    with ThreadPoolExecutor(2) as pool:

        def begin(scanner: Scanner, kind: str, config: Config) -> Future[Facts]:
            for asked, scan in begun:
                if asked == (scanner, kind, config):
                    return scan
            scanner.find()  # or the test is skipped, here
            scan = pool.submit(scanner.scan, rsa_farm.get(kind, config).port)
            begun.append(((scanner, kind, config), scan))
            return scan

        yield begin
