"""
Where the PostgreSQL servers are that pgproxy is compared with.

None of them is needed to run the tests: what is absent is skipped with a reason.
Where PGPROXY_REQUIRE_ORACLES is 1, as it is in CI, an absent one is a failure.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

import pytest

from pgproxy.testing import installation
from pgproxy.testing.installation import Installation, NotInstalledError

CHECKOUT: Final = Path(__file__).parents[2]

PG15: Final = "pg15"
PG17: Final = "pg17"
PG18: Final = "pg18"
PGPROXY: Final = "pgproxy"

NATIVE: Final = (PG15, PG17, PG18)
SERVERS: Final = (*NATIVE, PGPROXY)
"""All that the same tests run against; also the ids of those tests."""


def oracles() -> Path:
    """Return the folder that holds what comes from neither pip nor apt."""
    return CHECKOUT / os.environ.get("PGPROXY_ORACLES", ".cache/oracles")


_FIND: Final[Mapping[str, Callable[[], Installation]]] = {
    PG15: lambda: installation.debian(15),
    PG17: installation.celerp,
    PG18: lambda: installation.npm(oracles() / "node_modules"),
    PGPROXY: installation.embedded,
}


def find(server: str) -> Installation:
    """
    Return the PostgreSQL of *server*; for pgproxy, the one behind it.

    Skips the test, or fails it, if there is none.
    """
    try:
        return _FIND[server]()
    except NotInstalledError as error:
        absent(str(error))


def absent(what: str) -> NoReturn:
    """Skip the test, or fail it, because of *what* is not there."""
    if os.environ.get("PGPROXY_REQUIRE_ORACLES") == "1":
        pytest.fail(f"PGPROXY_REQUIRE_ORACLES=1, but {what}")
    pytest.skip(what)
