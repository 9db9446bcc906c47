"""A login between a client and its backend: CERT-18, CERT-20, SCR-07 to SCR-17."""

from ipaddress import ip_address

import pytest

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import Client, Replication
from pgproxy.protocol.errors import (
    CommunicationError,
    ConfigFileError,
    InvalidPassword,
    Report,
    Severity,
    SqlState,
)
from pgproxy.session.actions import BeginRelay, ReadEither
from pgproxy.session.events import ClientMessage, TlsEstablished
from pgproxy.session.login import Login
from tests.session.builders import (
    ANSWER,
    MD5,
    OK,
    PASSWORD,
    READY,
    SASL,
    SASL_CONTINUE,
    SASL_FINAL,
    SASL_PLUS_NAMES,
    TLS13,
    authentication,
    message,
    policy,
    rules,
)

ANA = PeerCertificate(
    common_name="ana", distinguished_name="CN=ana", issuer_dn="CN=ca", serial_number=1
)
HEAD, DONE = ReadEither(5), ReadEither()


def login(
    line: str = "hostssl all all all scram-sha-256",
    *,
    peer: PeerCertificate | None = None,
    tls: TlsEstablished | None = TLS13,
    application_name: str = "",
    replication: Replication = Replication.NONE,
    aspects: frozenset[str] = frozenset({"authentication", "authorization"}),
) -> Login:
    client = Client(
        user="ana",
        database="app",
        host="10.1.1.1",
        address=ip_address("10.1.1.1"),
        ssl_in_use=tls is not None,
        replication=replication,
    )
    return Login(
        rules(line)[0],
        client,
        policy(log_connections=aspects),
        peer=peer,
        tls=tls,
        application_name=application_name,
    )


def hear(watched: Login, *messages: bytes) -> tuple[list[object], list[str]]:
    """Return what is done after each message, and what the log is told in all."""
    log: list[Report] = []
    done: list[object] = [watched.on_backend_message(data, log) for data in messages]
    return done, [report.message for report in log]


def test_scram() -> None:
    """The client is read when it is its turn, and not before or after."""
    done, log = hear(login(), SASL, SASL_CONTINUE, SASL_FINAL, OK, message(b"S"), READY)
    assert done == [HEAD, HEAD, DONE, DONE, DONE, BeginRelay()]
    assert log == [
        (
            'connection authenticated: identity="ana" method=scram-sha-256 '
            "(/etc/pg_hba.conf:1)"
        ),
        (
            "connection authorized: user=ana database=app SSL enabled (protocol=TLSv1.3, "
            "cipher=TLS_AES_256_GCM_SHA384, bits=256)"
        ),
    ]


@pytest.mark.parametrize(
    ("method", "request_"), [("md5", MD5), ("md5", SASL), ("password", PASSWORD)]
)
def test_passwords(method: str, request_: bytes) -> None:
    """The backend asks for what the line promised, and the client is read."""
    done, _log = hear(login(f"host all all all {method}"), request_)
    assert done == [HEAD]


def test_trust() -> None:
    """CERT-14: nobody has been authenticated, so it is a user and no identity."""
    done, log = hear(login("host all all all trust", tls=None), OK, READY)
    assert done == [DONE, BeginRelay()]
    assert log == [
        'connection authenticated: user="ana" method=trust (/etc/pg_hba.conf:1)',
        "connection authorized: user=ana database=app",
    ]


def test_cert() -> None:
    """CERT-13: who it is was logged when the certificate was looked at."""
    _done, log = hear(login("hostssl all all all cert", peer=ANA), OK)
    assert [line.partition(":")[0] for line in log] == ["connection authorized"]


@pytest.mark.parametrize(
    ("aspects", "begins"),
    [
        (frozenset[str](), []),
        (frozenset({"receipt"}), []),
        (frozenset({"authentication"}), ["connection authenticated"]),
        (frozenset({"authorization"}), ["connection authorized"]),
    ],
)
def test_what_is_logged(aspects: frozenset[str], begins: list[str]) -> None:
    """log_connections, in PostgreSQL 18's aspects (TLS-17)."""
    _done, log = hear(login("host all all all trust", aspects=aspects), OK)
    assert [line.partition(":")[0] for line in log] == begins


@pytest.mark.parametrize(
    ("replication", "name", "tls", "line"),
    [
        (
            Replication.NONE,
            "psql",
            None,
            "connection authorized: user=ana database=app application_name=psql",
        ),
        (
            Replication.PHYSICAL,
            "",
            None,
            "replication connection authorized: user=ana",
        ),
        (
            Replication.DATABASE,
            "sub",
            TlsEstablished("TLSv1.2", "ECDHE", 128),
            (
                "replication connection authorized: user=ana "
                "application_name=sub SSL enabled (protocol=TLSv1.2, cipher=ECDHE, "
                "bits=128)"
            ),
        ),
    ],
)
def test_authorized(
    replication: Replication, name: str, tls: TlsEstablished | None, line: str
) -> None:
    """TLS-90."""
    watched = login(
        "host all,replication all all trust",
        replication=replication,
        application_name=name,
        tls=tls,
        aspects=frozenset({"authorization"}),
    )
    log: list[Report] = []
    watched.on_backend_message(OK, log)
    assert [(report.message, report.event) for report in log] == [
        (line, "connection.authorized")
    ]


def test_the_name_is_compared_before_the_client_hears_of_success() -> None:
    """CERT-07, CERT-18: after SASLFinal, instead of AuthenticationOk."""
    watched = login(
        "hostssl all all all scram-sha-256 clientcert=verify-full",
        peer=PeerCertificate(
            common_name="bob", distinguished_name="", issuer_dn="", serial_number=1
        ),
    )
    assert hear(watched, SASL, SASL_CONTINUE, SASL_FINAL)[0] == [HEAD, HEAD, DONE]
    log: list[Report] = []
    with pytest.raises(InvalidPassword):
        watched.on_backend_message(OK, log)
    assert [report.message.partition(":")[0] for report in log] == [
        "connection authenticated",
        "provided user name (ana) and authenticated user name (bob) do not match",
        'certificate validation (clientcert=verify-full) failed for user "ana"',
    ]


def test_a_backend_that_asks_for_less() -> None:
    """CERT-20."""
    with pytest.raises(ConfigFileError) as caught:
        hear(login(), OK)
    assert caught.value.log_detail is not None
    assert caught.value.log_detail.endswith(
        'Connection matched file "/etc/pg_hba.conf" line 1: '
        '"hostssl all all all scram-sha-256"'
    )
    with pytest.raises(ConfigFileError):
        hear(login(), PASSWORD)


def test_a_backend_that_skips_the_authentication() -> None:
    """CERT-18, CERT-20: without AuthenticationOk there is nothing that was checked."""
    for line in ("host all all all trust", "host all all all scram-sha-256"):
        with pytest.raises(
            CommunicationError, match=r"^the backend skipped the authentication$"
        ):
            hear(login(line), READY)
    with pytest.raises(
        CommunicationError, match=r"^the backend skipped the authentication$"
    ):
        hear(login(), SASL, SASL_CONTINUE, SASL_FINAL, READY)


def test_silence_ends_with_the_first_message() -> None:
    """Whatever it is."""
    watched = login()
    assert watched.silent
    hear(watched, message(b"N", b"notice"))
    assert not watched.silent


def test_what_is_not_understood_is_passed_on() -> None:
    """NegotiateProtocolVersion, ParameterStatus, ErrorResponse: the backend's own."""
    done, log = hear(
        login(), message(b"v"), message(b"S"), message(b"E"), message(b"N")
    )
    assert done == [DONE] * 4
    assert log == []


def test_the_key_is_noted() -> None:
    """CAN-03: with protocol 3.2 it is longer."""
    watched = login("host all all all trust")
    assert watched.backend_key == b""
    hear(watched, OK, message(b"K", b"\0\0\0\x2a" + b"k" * 32))
    assert watched.backend_key == b"\0\0\0\x2a" + b"k" * 32


def test_an_answer_is_put_together() -> None:
    """Its head, then exactly the rest."""
    watched = login()
    hear(watched, SASL)
    assert watched.on_bytes_read(ANSWER[:5]) == ReadEither(len(ANSWER) - 5)
    assert watched.on_bytes_read(ANSWER[5:]) == ClientMessage(ANSWER)
    hear(watched, SASL_CONTINUE)
    assert watched.on_bytes_read(ANSWER[:5]) == ReadEither(len(ANSWER) - 5)


def test_an_answer_without_a_body() -> None:
    """PostgreSQL knows what is wrong with it, and so says the backend."""
    watched = login()
    hear(watched, SASL)
    assert watched.on_bytes_read(message(b"p")) == ClientMessage(message(b"p"))


@pytest.mark.parametrize(
    ("line", "request_", "limit"),
    [
        ("host all all all scram-sha-256", SASL, 1024),
        ("host all all all md5", MD5, 65_535),
        ("host all all all password", PASSWORD, 65_535),
        ("host all all all trust", authentication(9), 65_535),
        ("host all all all trust", authentication(11), 65_535),
        ("host all all all trust", authentication(10, b"OAUTHBEARER\0\0"), 65_535),
        ("host all all all trust", SASL, 1024),
        (
            "host all all all trust",
            authentication(10, b"OAUTHBEARER\0SCRAM-SHA-256\0\0"),
            1024,
        ),
    ],
)
def test_an_answer_has_a_limit(line: str, request_: bytes, limit: int) -> None:
    """SCR-17: 1,024 bytes for SASL, 65,535 for a password."""
    watched = login(line)
    hear(watched, request_)
    longest = b"p" + (4 + limit).to_bytes(4)
    assert watched.on_bytes_read(longest) == ReadEither(limit)
    watched = login(line)
    hear(watched, request_)
    with pytest.raises(CommunicationError, match="invalid message length"):
        watched.on_bytes_read(b"p" + (5 + limit).to_bytes(4))


@pytest.mark.parametrize(
    "head", [b"Q\0\0\0\x10", b"\0\0\0\x10\0", b"X\xff\xff\xff\xff"]
)
def test_another_message_instead_of_an_answer(head: bytes) -> None:
    """SCR-17: the backend only looks at its type, so the head is enough for it."""
    watched = login()
    hear(watched, SASL)
    assert watched.on_bytes_read(head) == ClientMessage(head)


def test_a_client_that_needs_channel_binding() -> None:
    """SCR-09: it leaves when it is offered none, and the log says why."""
    watched = login()
    hear(watched, SASL)
    (report,) = watched.on_client_gone()
    assert report.event == "channel_binding.missing"
    assert report.severity is Severity.LOG
    assert report.once
    assert report.sqlstate is SqlState.SUCCESSFUL_COMPLETION
    assert report.message == (
        "client closed the connection when it was offered SCRAM without channel binding"
    )
    assert report.hint == (
        "A client does so to ask its user for the password. If it does so because it "
        "requires channel binding, which a backend without TLS cannot offer, set "
        "channel_binding=prefer there."
    )


def test_scram_goes_on_as_scram() -> None:
    """SCR-17: the second answer has the limit of the first; a new question has not."""
    watched = login("host all all all trust")
    hear(watched, SASL)
    watched.on_bytes_read(ANSWER)
    hear(watched, SASL_CONTINUE)
    assert watched.on_bytes_read(b"p" + (4 + 1024).to_bytes(4)) == ReadEither(1024)
    again = login("host all all all trust")
    hear(again, SASL)
    hear(again, PASSWORD)
    assert again.on_bytes_read(b"p" + (4 + 1025).to_bytes(4)) == ReadEither(1025)


def test_a_token_needs_no_channel_binding() -> None:
    """What is not SCRAM has none to miss."""
    watched = login("host all all all trust")
    hear(watched, authentication(10, b"OAUTHBEARER\0\0"))
    assert watched.on_client_gone() == ()


def test_a_client_that_leaves_for_another_reason() -> None:
    """It was not asked yet; not in TLS; offered it; has answered; or is asked more."""
    assert login().on_client_gone() == ()
    in_clear = login("host all all all scram-sha-256", tls=None)
    hear(in_clear, SASL)
    assert in_clear.on_client_gone() == ()
    offered = login()
    hear(offered, authentication(10, SASL_PLUS_NAMES))
    assert offered.on_client_gone() == ()
    answered = login()
    hear(answered, SASL)
    answered.on_bytes_read(ANSWER[:5])
    assert answered.on_client_gone() != ()
    answered.on_bytes_read(ANSWER[5:])
    assert answered.on_client_gone() == ()
    asked_more = login()
    hear(asked_more, SASL, SASL_CONTINUE)
    assert asked_more.on_client_gone() == ()
    password = login("host all all all password")
    hear(password, PASSWORD)
    assert password.on_client_gone() == ()
