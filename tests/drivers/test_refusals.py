"""
Logins that are refused: each driver hears PostgreSQL's own words.

Some of them are the backend's, which pgproxy passes on, and some its own; a client
cannot tell.
"""

import ssl
from dataclasses import dataclass

import psycopg
import pytest

from tests.drivers.conftest import People
from tests.support.drivers_base import TLS_1_2, TLS_1_3, Driver, Login, RefusedError
from tests.support.drivers_clients import DRIVERS
from tests.support.drivers_servers import LogWatch
from tests.support.endpoints import Endpoint
from tests.support.oracles import PGPROXY

pytestmark = pytest.mark.interop

drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A login that fails.

    Args:
        user: Who asks.
        sqlstate: What it fails with.
        message: And in which words.
        by_backend: Whether pgproxy leaves that to the backend.
        password: What the user says.
        database: Where to.
        certificate: Whose certificate is shown.

    """

    user: str
    sqlstate: str
    message: str
    by_backend: bool = False
    password: str = "secret"
    database: str = "postgres"
    certificate: str | None = None


def wrong_password(user: str, certificate: str | None = None) -> Refusal:
    """Return what comes of it."""
    return Refusal(
        user,
        "28P01",
        f'password authentication failed for user "{user}"',
        by_backend=True,
        password="wrong",
        certificate=certificate,
    )


NO_CERTIFICATE = "connection requires a valid client certificate"
FOR_WHOM = 'host "127.0.0.1", user "{}", database "postgres", SSL encryption'

REFUSALS = {
    "wrong password, scram-sha-256": wrong_password("ana"),
    "wrong password, md5": wrong_password("mo"),
    "wrong password, password": wrong_password("pat"),
    "wrong password, right certificate": wrong_password("sam", "sam"),
    # CERT-07: of two reasons to refuse somebody, the password is told.
    "wrong password, wrong certificate": wrong_password("sam", "cleo"),
    "no entry": Refusal(
        "nobody", "28000", f"no pg_hba.conf entry for {FOR_WHOM.format('nobody')}"
    ),
    "reject": Refusal(
        "eve", "28000", f"pg_hba.conf rejects connection for {FOR_WHOM.format('eve')}"
    ),
    "unknown role": Refusal(
        "ghost", "28000", 'role "ghost" does not exist', by_backend=True
    ),
    "unknown database": Refusal(
        "tom",
        "3D000",
        'database "nowhere" does not exist',
        by_backend=True,
        database="nowhere",
    ),
    "no certificate, cert": Refusal("cleo", "28000", NO_CERTIFICATE),
    # Before anybody is asked for a password (CERT-03).
    "no certificate, scram-sha-256": Refusal("sam", "28000", NO_CERTIFICATE),
    "wrong certificate, cert": Refusal(
        "cleo",
        "28000",
        'certificate authentication failed for user "cleo"',
        certificate="sam",
    ),
    "wrong certificate, cert map": Refusal(
        "cora",
        "28000",
        'certificate authentication failed for user "cora"',
        certificate="cleo",
    ),
    "wrong certificate, cert DN map": Refusal(
        "dina",
        "28000",
        'certificate authentication failed for user "dina"',
        certificate="cleo",
    ),
    # With the right password; the method is what is named (CERT-06).
    "wrong certificate, scram-sha-256": Refusal(
        "sam",
        "28P01",
        'password authentication failed for user "sam"',
        certificate="cleo",
    ),
}


@drivers
@pytest.mark.parametrize("name", REFUSALS)
def test_refused(
    server: Endpoint, login: Login, driver: Driver, people: People, name: str
) -> None:
    """The same words and the same code, whoever it is that says no."""
    case = REFUSALS[name]
    watch = LogWatch(server)
    files = people.files[case.certificate] if case.certificate else None
    with pytest.raises(RefusedError) as caught:
        driver.ask(
            login.but(
                user=case.user,
                password=case.password,
                database=case.database,
                certificate=files,
            ),
            "SELECT 1",
        )
    if driver.is_libpq:
        # It adds whom it has asked, and in front of what it was told "FATAL:".
        assert caught.value.text.rstrip().endswith(f" FATAL:  {case.message}")
    else:
        assert caught.value.text == case.message
        assert caught.value.sqlstate == case.sqlstate
    fatal = [line for line in watch.connection().lines if line.severity == "FATAL"]
    told = [(line.message, line.state_code) for line in fatal]
    if server.kind == PGPROXY and case.by_backend:
        # It is in the backend's log.
        assert told == []
    else:
        assert told == [(case.message, case.sqlstate)]


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is wrong with a certificate.

    Args:
        certificate: Which one of `People`.
        reason: In OpenSSL's words.
        alert: What the client is sent.

    """

    certificate: str
    reason: str
    alert: str


FAULTS = [
    Fault("expired", "certificate has expired", "certificate expired"),
    Fault("revoked", "certificate revoked", "certificate revoked"),
    Fault("unknown CA", "unable to get local issuer certificate", "unknown ca"),
]


@drivers
@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.certificate)
@pytest.mark.parametrize("user", ["cleo", "tom"])
def test_bad_certificate(
    server: Endpoint,
    login: Login,
    driver: Driver,
    people: People,
    fault: Fault,
    version: ssl.TLSVersion,
    *,
    user: str,
) -> None:
    """Fatal for all, also where no certificate is asked for (TLS-66, CERT-08)."""
    watch = LogWatch(server)
    files = people.files[fault.certificate]
    with pytest.raises(RefusedError) as caught:
        driver.ask(login.but(user=user, version=version, certificate=files), "SELECT 1")
    if driver.is_libpq:
        assert f"alert {fault.alert}" in caught.value.text
    asked, failed = watch.connection().lines
    assert asked.message == "SSLRequest accepted"
    assert failed.message == (
        "could not accept SSL connection: certificate verify failed"
    )
    assert failed.state_code == "08P01"
    first, second = (failed.detail or "").split("\n")
    assert first == (
        f"Client certificate verification failed at depth 0: {fault.reason}."
    )
    assert second.startswith(
        'Failed certificate data (unverified): subject "/CN=cleo", serial number '
    )


def test_server_name(login: Login) -> None:
    """The client looks as well: whom it reaches has to be whom it wanted (LPQ-21)."""
    conninfo = login.conninfo(host="elsewhere.example", hostaddr="127.0.0.1")
    text = 'server certificate for "localhost" .* does not match host name "elsewhere'
    with pytest.raises(psycopg.OperationalError, match=text):
        psycopg.connect(conninfo)
    with psycopg.connect(conninfo, sslmode="verify-ca") as connection:
        assert connection.pgconn.ssl_in_use


@pytest.mark.parametrize(
    ("requirement", "user", "what"),
    [
        ("scram-sha-256", "mo", "server requested a hashed password"),
        ("scram-sha-256", "pat", "server requested a cleartext password"),
        ("md5", "ana", "server requested SASL authentication"),
        ("scram-sha-256", "tom", "server did not complete authentication"),
        ("!password", "pat", "server requested a cleartext password"),
    ],
)
def test_require_auth(login: Login, requirement: str, user: str, what: str) -> None:
    """What the client insists on is what the line promises (LPQ-28)."""
    conninfo = login.but(user=user).conninfo(require_auth=requirement)
    text = f'authentication method requirement "{requirement}" failed: {what}'
    with pytest.raises(psycopg.OperationalError, match=text):
        psycopg.connect(conninfo)


def test_sslcertmode(login: Login, people: People) -> None:
    """The server asks for a certificate and takes it, on any line (LPQ-27)."""
    with_one = login.but(user="tom", certificate=people.files["cleo"])
    with psycopg.connect(with_one.conninfo(sslcertmode="require")) as connection:
        assert connection.pgconn.ssl_in_use
    text = "server accepted connection without a valid SSL certificate"
    with pytest.raises(psycopg.OperationalError, match=text):
        psycopg.connect(login.but(user="tom").conninfo(sslcertmode="require"))
