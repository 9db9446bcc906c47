"""What becomes of a client that is only described: what becomes of one that comes."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import Client, Facts, Memberships, Mismatch, Needs, Roles
from pgproxy.auth.hba_methods import METHODS as ALL_METHODS
from pgproxy.auth.hba_methods import REFUSED_METHODS
from pgproxy.protocol.errors import SessionRefused, SqlState
from pgproxy.session.actions import ConnectBackend
from pgproxy.session.admission import PASSWORD_METHODS
from pgproxy.session.events import CAC, CanAccept
from pgproxy.session.forecast import METHODS, Forecast, follows, forecast, unknown
from pgproxy.session.session import Session, memberships_unknown
from tests.session.builders import in_clear, in_tls, policy, steps

BOB = Client(
    user="ana",
    database="app",
    host="10.1.1.1",
    address=ip_address("10.1.1.1"),
    ssl_in_use=True,
)


def peer(cn: str | None = "ana", dn: str = "CN=ana,O=o") -> PeerCertificate:
    return PeerCertificate(
        common_name=cn, distinguished_name=dn, issuer_dn="CN=ca", serial_number=1
    )


def outcome(
    hba: str,
    certificate: PeerCertificate | None = None,
    ident: str = "",
    facts: Facts | None = None,
    **more: object,
) -> Forecast:
    found = forecast(policy(hba, ident, **more), BOB, certificate, facts or Facts())
    assert isinstance(found, Forecast)
    return found


def told(found: Forecast) -> tuple[SqlState, str] | None:
    """Return what the client is told."""
    refused = found.refused
    return None if refused is None else (refused.sqlstate, refused.message)


def test_lines_that_are_passed_over() -> None:
    found = outcome(
        "hostnossl all all all trust\nhost x all all trust\nhost all all all md5\n"
        "host all all all reject\n"
    )
    assert [(line.line_number, why) for line, why in found.passed_over] == [
        (1, Mismatch.NO_SSL),
        (2, Mismatch.DATABASE),
    ]
    assert found.line is not None
    assert found.line.line_number == 3
    assert found.refused is None
    assert list(follows(found, BOB)) == [
        "`md5`: the backend has to ask for MD5 or SCRAM"
    ]


def test_no_line() -> None:
    """HBA-82."""
    found = outcome("host x all all trust")
    assert found.line is None
    assert told(found) == (
        SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
        (
            'no pg_hba.conf entry for host "10.1.1.1", user "ana", database "app", '
            "SSL encryption"
        ),
    )
    assert not found.after_method
    assert list(follows(found, BOB)) == []


VERIFY = "`clientcert=verify-full` asks for a certificate; the client "
SHOWS = f"{VERIFY}shows that of `CN=ana,O=o`"
CERT = "`cert`: the certificate decides; the backend has to let the user in unasked"
SCRAM = "`scram-sha-256`: the backend has to ask for SCRAM"


@pytest.mark.parametrize(
    ("line", "certificate", "ident", "then", "code"),
    [
        (
            "host all all all reject",
            None,
            "",
            ["`reject`: the client is refused"],
            "28000",
        ),
        # CERT-02, CERT-03, HBA-87: no certificate is told before anything else.
        ("hostssl all all all cert", None, "", [f"{VERIFY}shows none"], "28000"),
        (
            *("hostssl all all all scram-sha-256 clientcert=verify-full", None, ""),
            *([f"{VERIFY}shows none"], "28000"),
        ),
        (
            *("hostssl all all all reject clientcert=verify-full", peer(), ""),
            *([SHOWS, "`reject`: the client is refused"], "28000"),
        ),
        # CERT-04
        (
            *("hostssl all all all trust clientcert=verify-ca", peer("x"), ""),
            [
                SHOWS.replace("full", "ca"),
                "`trust`: nothing is asked for; the backend may ask for what it likes",
            ],
            None,
        ),
        # CERT-05, CERT-06
        (
            *("hostssl all all all cert", peer(), ""),
            [
                SHOWS,
                "the CN of the certificate is `ana`, which is the user `ana`",
                CERT,
            ],
            None,
        ),
        (
            *("hostssl all all all cert", peer("x"), ""),
            [SHOWS, "the CN of the certificate is `x`, which is not the user `ana`"],
            "28000",
        ),
        (
            *("hostssl all all all cert", peer(None), ""),
            *([SHOWS, "the certificate has no CN"], "28000"),
        ),
        (
            *("hostssl all all all cert clientname=DN", peer(), ""),
            [
                SHOWS,
                "the DN of the certificate is `CN=ana,O=o`, which is not the user `ana`",
            ],
            "28000",
        ),
        # CERT-07: after the password, and so it stands.
        (
            *(
                "hostssl all all all scram-sha-256 clientcert=verify-full",
                peer("x"),
                "",
            ),
            [
                *(SHOWS, SCRAM),
                "the CN of the certificate is `x`, which is not the user `ana`",
            ],
            "28P01",
        ),
        # ID-05, ID-12, ID-15
        (
            *("hostssl all all all cert map=m", peer("x"), "n x ana\nm x ana\n"),
            [
                SHOWS,
                (
                    "the CN of the certificate is `x`, and line 2 of the map `m` lets it be "
                    "`ana`: `m x ana`"
                ),
                CERT,
            ],
            None,
        ),
        (
            *("hostssl all all all cert map=m", peer("x"), "m /x \\1\nm x ana\n"),
            [
                SHOWS,
                (
                    "the CN of the certificate is `x`, and line 1 of the map `m` ends the "
                    r"search: `m /x \1`"
                ),
            ],
            "28000",
        ),
        (
            *("hostssl all all all cert map=m", peer("x"), "m x bob\n"),
            [
                SHOWS,
                (
                    "the CN of the certificate is `x`, and no line of the map `m` in "
                    "pg_ident.conf lets it be `ana`"
                ),
            ],
            "28000",
        ),
    ],
)
def test_follows(
    line: str,
    certificate: PeerCertificate | None,
    ident: str,
    then: list[str],
    code: str | None,
) -> None:
    found = outcome(line, certificate, ident)
    assert list(follows(found, BOB)) == then
    assert (found.refused and found.refused.sqlstate.value) == code
    assert found.after_method is (code == "28P01")


def test_the_log_is_told_more() -> None:
    """ID-15, ID-16."""
    found = outcome("hostssl all all all cert map=m", peer("x"), "")
    assert 'no match in usermap "m" for user "ana" authenticated as "x"' in [
        report.message for report in found.log
    ]


def test_without_ca() -> None:
    """CERT-01; and then no name has been compared."""
    found = outcome(
        "hostssl all all all cert map=m", peer(), "m +x +y", ca_loaded=False
    )
    assert told(found) == (
        SqlState.CONFIG_FILE_ERROR,
        (
            "client certificates can only be checked if a root certificate store is "
            "available"
        ),
    )
    assert found.identity is None


@pytest.mark.parametrize(
    ("hba", "ident"),
    [
        ("host all +staff all trust", ""),
        ("hostssl all all all cert map=m", "m ana +staff"),
    ],
)
def test_what_must_be_known_first(hba: str, ident: str) -> None:
    """HBA-75, ID-07; and if it cannot be known, what a session then says."""
    rules = policy(f"host x all all md5\n{hba}", ident)
    assert forecast(rules, BOB, peer(), Facts()) == Needs(Memberships())
    known = Facts(roles=Roles({"ana": ["staff"], "staff": []}))
    found = forecast(rules, BOB, peer(), known)
    assert isinstance(found, Forecast)
    assert found.refused is None
    refused = memberships_unknown("no route to host")
    found = unknown(rules, BOB, peer(), Facts(), refused)
    assert found.undecided
    assert found.line is not None
    assert found.line.line_number == 2
    assert len(found.passed_over) == 1
    assert found.refused is refused
    assert refused.sqlstate is SqlState.CANNOT_CONNECT_NOW
    assert refused.log_detail == "could not look up role memberships: no route to host"
    assert list(follows(found, BOB)) == ["what this line asks for cannot be found out"]


def test_every_method_has_words() -> None:
    """Of those that a line can have that matches a client here (HBA-54)."""
    assert METHODS.keys() == ALL_METHODS - REFUSED_METHODS - {"peer"}
    assert METHODS.keys() >= PASSWORD_METHODS


LINES = st.builds(
    "{} {} {} {}".format,
    st.just("hostssl"),
    st.sampled_from(["all", "app", "x"]),
    st.sampled_from(["all", "ana", "bob"]),
    st.sampled_from(
        [
            "all reject",
            "all trust",
            "all cert",
            "all cert map=m",
            "all cert clientname=DN",
            "all md5 clientcert=verify-ca",
            "all reject clientcert=verify-ca",
            "all trust clientcert=verify-full",
            "10.2.0.0/16 trust",
        ]
    ),
)


@given(
    st.lists(LINES, min_size=1, max_size=4),
    st.sampled_from([None, "ana", "bob"]),
    st.booleans(),
    st.booleans(),
)
def test_a_session_says_the_same(
    text: list[str], cn: str | None, ssl: bool, ca_loaded: bool
) -> None:
    """The same line, and the same refusal, word by word."""
    rules = policy("\n".join(text), "m /^b(.*)b$ x\nm ana bob\nm bob ana\n")
    rules = replace(rules, ca_loaded=ca_loaded)
    session = Session(rules)
    events = in_tls(subject=cn) if ssl else in_clear()
    *_, last = steps(session, *events, CanAccept(CAC.OK))
    found = forecast(
        rules,
        replace(BOB, ssl_in_use=ssl),
        session.peer,
        Facts(),
    )
    assert isinstance(found, Forecast)
    if isinstance(last.next, ConnectBackend):
        assert found.refused is None or found.after_method
        assert found.line == session.line
    else:
        assert isinstance(session.failure, SessionRefused)
        assert found.refused is not None
        assert found.refused.report() == session.failure.report()
