"""What the line that matched means: CERT-01 to CERT-16, HBA-82 to HBA-89."""

from ipaddress import ip_address

import pytest

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import Client, Facts, Memberships, Needs, Replication, Roles
from pgproxy.protocol.errors import (
    ConfigFileError,
    InvalidAuthorization,
    InvalidPassword,
    Report,
    SessionRefused,
    Severity,
)
from pgproxy.session.admission import (
    PASSWORD_METHODS,
    auth_failed,
    authenticated,
    check_certificate,
    check_name,
)
from tests.session.builders import policy, rules

CLIENT = Client(
    user="ana",
    database="app",
    host="10.1.1.1",
    address=ip_address("10.1.1.1"),
    ssl_in_use=True,
    replication=Replication.NONE,
)


def peer(common_name: str | None, dn: str = "CN=x,O=o") -> PeerCertificate:
    return PeerCertificate(
        common_name=common_name,
        distinguished_name=dn,
        issuer_dn="CN=ca",
        serial_number=1,
    )


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (
            "hostssl all all all cert",
            InvalidAuthorization,
            'certificate authentication failed for user "ana"',
        ),
        (
            "hostssl all all all trust clientcert=verify-full",
            InvalidAuthorization,
            '"trust" authentication failed for user "ana"',
        ),
        *[
            (
                f"hostssl all all all {method}",
                InvalidPassword,
                'password authentication failed for user "ana"',
            )
            for method in ("scram-sha-256", "md5", "password")
        ],
        *[
            (
                f"hostssl all all all {method} clientcert=verify-full",
                InvalidAuthorization,
                f'{called} authentication failed for user "ana"',
            )
            for method, called in [
                ("ldap ldapprefix=x", "LDAP"),
                ("radius radiusservers=a radiussecrets=b", "RADIUS"),
                ("pam", "PAM"),
                ("bsd", "BSD"),
            ]
        ],
    ],
)
def test_auth_failed(line: str, kind: type[SessionRefused], message: str) -> None:
    """CERT-06: the method is named, whatever failed; CERT-16: the line, in the log."""
    refused = auth_failed(rules(line)[0], CLIENT)
    assert type(refused) is kind
    assert refused.message == message
    assert refused.log_detail == (
        f'Connection matched file "/etc/pg_hba.conf" line 1: "{line}"'
    )
    assert refused.detail is None


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "cert",
            'connection authenticated: identity="x" method=cert (/etc/pg_hba.conf:1)',
        ),
        (
            "md5",
            'connection authenticated: identity="x" method=md5 (/etc/pg_hba.conf:1)',
        ),
        (
            "trust",
            'connection authenticated: user="x" method=trust (/etc/pg_hba.conf:1)',
        ),
    ],
)
def test_authenticated(method: str, message: str) -> None:
    """CERT-13, CERT-14."""
    report = authenticated(rules(f"hostssl all all all {method}")[0], "x")
    assert report.message == message
    assert report.event == "connection.authenticated"


def test_password_methods() -> None:
    """Their name is compared when the password was right (CERT-18)."""
    assert sorted(PASSWORD_METHODS) == [
        "bsd",
        "ldap",
        "md5",
        "pam",
        "password",
        "radius",
        "scram-sha-256",
    ]


@pytest.mark.parametrize(
    ("line", "ca", "shown", "error"),
    [
        (
            None,
            True,
            True,
            InvalidAuthorization(
                'no pg_hba.conf entry for host "10.1.1.1", user "ana", '
                'database "app", SSL encryption'
            ),
        ),
        (
            "hostssl all all all reject",
            False,
            False,
            InvalidAuthorization(
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", SSL encryption'
            ),
        ),
        # HBA-87: the certificate comes first.
        (
            "hostssl all all all reject clientcert=verify-ca",
            True,
            False,
            InvalidAuthorization("connection requires a valid client certificate"),
        ),
        (
            "hostssl all all all reject clientcert=verify-ca",
            True,
            True,
            InvalidAuthorization(
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", SSL encryption'
            ),
        ),
        (
            "hostssl all all all cert",
            False,
            False,
            ConfigFileError(
                "client certificates can only be checked if a root certificate store "
                "is available"
            ),
        ),
        (
            "hostssl all all all trust clientcert=verify-full",
            True,
            False,
            InvalidAuthorization("connection requires a valid client certificate"),
        ),
        ("hostssl all all all md5 clientcert=verify-ca", True, True, None),
        ("hostssl all all all md5", False, False, None),
        ("hostssl all all all cert", True, True, None),
    ],
)
def test_check_certificate(
    line: str | None, ca: bool, shown: bool, error: SessionRefused | None
) -> None:
    """CERT-01 to CERT-03: presence first, then reject; nobody is asked anything yet."""
    found = None if line is None else rules(line)[0]
    certificate = peer("ana") if shown else None
    if error is None:
        assert (
            check_certificate(found, CLIENT, certificate, Facts(), ca_loaded=ca)
            is found
        )
        return
    with pytest.raises(type(error)) as caught:
        check_certificate(found, CLIENT, certificate, Facts(), ca_loaded=ca)
    assert caught.value.message == error.message
    # HBA-89: these have no DETAIL, not even in the log.
    assert caught.value.report().detail is None


CN_FULL = "hostssl all all all scram-sha-256 clientcert=verify-full"
DN_FULL = CN_FULL + " clientname=DN"
CERT = "hostssl all all all cert"
MAPPED = "hostssl all all all cert map=m"
MAPPED_DN = "hostssl all all all cert map=m clientname=DN"
AUTHENTICATED = (
    'connection authenticated: identity="CN=x,O=o" method=cert (/etc/pg_hba.conf:1)'
)
PROVIDED = "provided user name (ana) and authenticated user name ({}) do not match"
NAMELESS = (
    'certificate authentication failed for user "ana": client certificate contains no '
    "user name"
)
MISMATCH = (
    'certificate validation (clientcert=verify-full) failed for user "ana": {} mismatch'
)


@pytest.mark.parametrize(
    ("line", "certificate", "passes", "log"),
    [
        ("hostssl all all all trust", peer("bob"), True, []),
        # CERT-04: verify-ca does not look at the name.
        ("hostssl all all all md5 clientcert=verify-ca", peer(None), True, []),
        (CN_FULL, peer("ana"), True, []),
        (CN_FULL, peer("Ana"), False, [PROVIDED.format("Ana"), MISMATCH.format("CN")]),
        (CN_FULL, peer(None), False, [NAMELESS]),  # CERT-09
        (CN_FULL, peer(""), False, [NAMELESS]),
        (DN_FULL, peer("bob", "ana"), True, []),
        (
            DN_FULL,
            peer("ana", "CN=ana"),
            False,
            [PROVIDED.format("CN=ana"), MISMATCH.format("DN")],
        ),
        (CERT, peer("ana"), True, [AUTHENTICATED]),  # CERT-13: the DN
        (CERT, peer("bob"), False, [AUTHENTICATED, PROVIDED.format("bob")]),
        (CERT, peer(None), False, [NAMELESS]),
        (MAPPED, peer("alice"), True, [AUTHENTICATED]),
        (MAPPED_DN, peer("no", "CN=x,O=o"), True, [AUTHENTICATED]),
        (
            MAPPED,
            peer("bob"),
            False,
            [
                AUTHENTICATED,
                'no match in usermap "m" for user "ana" authenticated as "bob"',
            ],
        ),
    ],
)
def test_check_name(
    line: str, certificate: PeerCertificate, passes: bool, log: list[str]
) -> None:
    """CERT-05, CERT-10, CERT-15, ID-14, ID-15."""
    ident = 'm alice ana\nm "CN=x,O=o" ana'
    told: list[Report] = []
    found = rules(line)[0]
    if passes:
        check_name(found, CLIENT, certificate, policy(ident=ident), Facts(), told)
    else:
        with pytest.raises(SessionRefused) as caught:
            check_name(found, CLIENT, certificate, policy(ident=ident), Facts(), told)
        assert caught.value.message == auth_failed(found, CLIENT).message
    assert [report.message for report in told] == log
    assert {report.severity for report in told} <= {Severity.LOG}


def test_a_map_that_needs_to_know_more() -> None:
    """ID-07: nothing is said before it is known."""
    told: list[Report] = []
    line, maps = rules(MAPPED)[0], policy(ident="m bob +staff")
    needs = check_name(line, CLIENT, peer("bob"), maps, Facts(), told)
    assert (needs, told) == (Needs(Memberships()), [])
    known = Facts(roles=Roles({"ana": ["staff"]}))
    assert check_name(line, CLIENT, peer("bob"), maps, known, told) is None
    assert [report.event for report in told] == ["connection.authenticated"]


def test_the_log_has_what_the_name_service_said() -> None:
    """HBA-69."""
    facts = Facts(remote_hostname="a")
    with pytest.raises(InvalidAuthorization) as caught:
        check_certificate(None, CLIENT, None, facts, ca_loaded=True)
    assert caught.value.detail is None
    assert caught.value.log_detail == (
        'Client IP address resolved to "a", forward lookup not checked.'
    )


def test_names_of_the_facts() -> None:
    """What a machine looks for in the log."""
    told: list[Report] = []
    for certificate in (peer(None), peer("bob")):
        with pytest.raises(SessionRefused):
            check_name(rules(CN_FULL)[0], CLIENT, certificate, policy(), Facts(), told)
    events = [report.event for report in told]
    assert events[0] == "certificate.nameless"
    assert events[-1] == "certificate.mismatch"


def test_without_a_certificate_there_is_no_name() -> None:
    """The presence was checked before; on its own the name check lets it be."""
    check_name(rules(CN_FULL)[0], CLIENT, None, policy(), Facts(), [])


def test_authentication_is_logged_only_if_asked_for() -> None:
    """log_connections = receipt says nothing of it."""
    told: list[Report] = []
    quiet = policy(log_connections=frozenset({"receipt", "authorization"}))
    check_name(rules(CERT)[0], CLIENT, peer("ana"), quiet, Facts(), told)
    assert told == []
