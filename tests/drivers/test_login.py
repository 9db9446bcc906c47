"""
Every driver logs in: each version of TLS, each way to begin it, each method.

PostgreSQL 18 and pgproxy log the same of it, so both were asked for the same and
both have answered the same.
"""

import ssl
from dataclasses import dataclass

import pytest

from tests.drivers.conftest import People
from tests.support.drivers_base import TLS_1_2, TLS_1_3, VERSIONS, Driver, Login
from tests.support.drivers_clients import DRIVERS
from tests.support.drivers_servers import HBA, LogWatch
from tests.support.endpoints import Endpoint

pytestmark = pytest.mark.interop


@dataclass(frozen=True, slots=True)
class Method:
    """
    A way to prove who one is.

    Args:
        user: Whom the line of pg_hba.conf is for.
        shown: Who that is, in "connection authenticated"; ``trust`` shows nothing, so
            there it is a user and no identity.
        certificate: Whether the user's certificate is needed.

    """

    user: str
    shown: str
    certificate: bool = False


METHODS = {
    "scram-sha-256": Method("ana", 'identity="ana"'),
    "md5": Method("mo", 'identity="mo"'),
    "password": Method("pat", 'identity="pat"'),
    "trust": Method("tom", 'user="tom"'),
    "cert": Method("cleo", 'identity="CN=cleo"', certificate=True),
    "cert map": Method("cora", 'identity="CN=Cora Example"', certificate=True),
    "cert DN map": Method(
        "dina", 'identity="CN=dina,OU=Sales,O=Example"', certificate=True
    ),
    "scram-sha-256 clientcert": Method("sam", 'identity="sam"', certificate=True),
}


def line_number(user: str) -> int:
    """Return where in pg_hba.conf the line for *user* is."""
    lines = HBA.splitlines()
    (at,) = (n for n, line in enumerate(lines, 1) if line.split()[1:3] == ["all", user])
    return at


WAYS = [
    pytest.param(driver, direct, id=f"{driver.name}-{'direct' if direct else 'asked'}")
    for driver in DRIVERS
    for direct in (False, True)
    if driver.direct or not direct
]
"""A driver, and whether it begins with TLS instead of asking for it."""


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize(("driver", "direct"), WAYS)
def test_login(
    server: Endpoint,
    login: Login,
    driver: Driver,
    direct: bool,
    version: ssl.TLSVersion,
    method: str,
    people: People,
) -> None:
    """One connection, the wanted TLS, the wanted method (NEG-12, NEG-26, CERT-13)."""
    how = METHODS[method]
    watch = LogWatch(server)
    login = login.but(
        user=how.user,
        version=version,
        direct=direct,
        certificate=people.files[how.user] if how.certificate else None,
    )
    assert driver.ask(login, "SELECT current_user") == how.user
    begun = "direct SSL connection accepted" if direct else "SSLRequest accepted"
    authenticated = (
        f"connection authenticated: {how.shown} method={method.partition(' ')[0]} "
        f"(pg_hba.conf:{line_number(how.user)})"
    )
    authorized = (
        f"connection authorized: user={how.user} database=postgres "
        f"SSL enabled (protocol={VERSIONS[version]})"
    )
    assert watch.connection().way_in == [begun, authenticated, authorized]
