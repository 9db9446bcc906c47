"""The ladder: what happened, what was done. NEG-*, CERT-*, CAN-*, PRX-*."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import Interface
from pgproxy.auth.hba import (
    ForwardLookup,
    Interfaces,
    LookupFailed,
    Memberships,
    Replication,
    ReverseLookup,
)
from pgproxy.auth.roles import Roles
from pgproxy.protocol.errors import (
    AdminShutdown,
    CannotConnectNow,
    CommunicationError,
    Severity,
    SqlState,
)
from pgproxy.protocol.frontend import CancelRequest
from pgproxy.session.actions import (
    BeginRelay,
    Close,
    ConnectBackend,
    Forward,
    ForwardCancel,
    LookUp,
    PeekFirstByte,
    ReadEither,
    ReadExactly,
    StartTls,
)
from pgproxy.session.events import (
    CAC,
    AddressesFound,
    BackendConnected,
    BackendGone,
    BackendMessage,
    BackendUnreachable,
    BytesRead,
    CanAccept,
    CanAcceptConnections,
    CancelForwarded,
    ClientGone,
    Event,
    FirstByte,
    HostNameFound,
    InterfacesFound,
    RelayEnded,
    RolesFound,
    RolesUnknown,
    Terminated,
    TimedOut,
    TlsFailed,
)
from pgproxy.session.session import Session
from pgproxy.session.states import State, Step
from tests.session.builders import (
    ACCEPTED,
    ANSWER,
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    LOGIN_PACKET,
    OK,
    PASSWORD,
    READY,
    SASL,
    SASL_CONTINUE,
    SASL_FINAL,
    SSL_REQUEST,
    direct,
    error_fields,
    in_clear,
    in_tls,
    message,
    packet,
    play,
    said,
    session,
    startup,
    steps,
    tls,
    told,
)

SCRAM = "host all all all scram-sha-256"
MITM = (
    "This could be either a client-software bug or evidence of an attempted "
    "man-in-the-middle attack."
)
ADMITTED = CanAccept(CAC.OK)
CONNECTED = BackendConnected("somewhere")
TO_LOGIN: list[Event] = [*in_clear(), ADMITTED, CONNECTED]


def last(ladder: Session, *events: Event) -> Step:
    return steps(ladder, *events)[-1]


def refused(step: Step, prefix: bytes = b"") -> tuple[str, str]:
    """Return SQLSTATE and message of what the client is refused with."""
    assert step.send.startswith(prefix)
    assert step.next == Close()
    assert step.after is State.CLOSED
    fields = error_fields(step.send[len(prefix) :])
    assert fields["S"] == fields["V"] == "FATAL"
    report = step.log[-1]
    assert (report.sqlstate, report.message) == (fields["C"], fields["M"])
    assert report.severity is Severity.FATAL
    assert report.event == "session.refused"
    return fields["C"], fields["M"]


# --- From the first byte to the relay ------------------------------------------------


def test_tls_then_login() -> None:
    """A client asks for TLS, gets it, and logs in; the packet goes on as it came."""
    assert play(
        session(SCRAM),
        *in_tls(),
        ADMITTED,
        CONNECTED,
        *said(SASL),
        BytesRead(ANSWER[:5]),
        BytesRead(ANSWER[5:]),
        *said(SASL_CONTINUE),
        BytesRead(ANSWER[:5]),
        BytesRead(ANSWER[5:]),
        *said(SASL_FINAL, OK, message(b"S", b"a\0b\0"), READY),
        RelayEnded(),
    ) == [
        (b"", PeekFirstByte()),
        (b"", ReadExactly(4)),
        (b"", ReadExactly(4, look=True)),
        (b"S", StartTls()),
        (b"", ReadExactly(4)),
        (b"", ReadExactly(len(LOGIN_PACKET) - 4, look=True)),
        (b"", LookUp(CanAcceptConnections())),
        (b"", ConnectBackend()),
        (b"", Forward(LOGIN_PACKET)),
        (SASL, ReadEither(5)),
        (b"", ReadEither(len(ANSWER) - 5)),
        (b"", Forward(ANSWER)),
        (SASL_CONTINUE, ReadEither(5)),
        (b"", ReadEither(len(ANSWER) - 5)),
        (b"", Forward(ANSWER)),
        (SASL_FINAL, ReadEither()),
        (OK, ReadEither()),
        (message(b"S", b"a\0b\0"), ReadEither()),
        (READY, BeginRelay()),
        (b"", Close()),
    ]


def test_in_clear() -> None:
    """A client that does not ask for TLS does without."""
    assert play(session(), *in_clear(), ADMITTED, CONNECTED, *said(OK, READY)) == [
        (b"", PeekFirstByte()),
        (b"", ReadExactly(4)),
        (b"", ReadExactly(len(LOGIN_PACKET) - 4, look=True)),
        (b"", LookUp(CanAcceptConnections())),
        (b"", ConnectBackend()),
        (b"", Forward(LOGIN_PACKET)),
        (OK, ReadEither()),
        (READY, BeginRelay()),
    ]


def test_direct_ssl() -> None:
    """NEG-01, NEG-26: TLS first; no byte of an answer goes before it."""
    assert play(session(), *direct()) == [
        (b"", PeekFirstByte()),
        (b"", StartTls()),
        (b"", ReadExactly(4)),
        (b"", ReadExactly(len(LOGIN_PACKET) - 4, look=True)),
        (b"", LookUp(CanAcceptConnections())),
    ]


def test_libpq_with_a_ticket() -> None:
    """NEG-19: GSSENCRequest, N, SSLRequest, S: libpq's order where it has GSS."""
    asked = [*in_clear(GSSENC_REQUEST), *packet(SSL_REQUEST), tls()]
    assert play(session(), *asked)[3:] == [
        (b"N", ReadExactly(4)),
        (b"", ReadExactly(4, look=True)),
        (b"S", StartTls()),
        (b"", ReadExactly(4)),
    ]


@pytest.mark.parametrize(
    ("ssl", "events", "answers"),
    [
        # NEG-12, NEG-15, NEG-17: N to both, in either order, and the login goes on.
        (False, [*in_clear(SSL_REQUEST), *packet(GSSENC_REQUEST)], b"NN"),
        (False, [*in_clear(GSSENC_REQUEST), *packet(SSL_REQUEST)], b"NN"),
        # NEG-25, NEG-31: inside direct SSL both are answered N.
        (True, [*direct(SSL_REQUEST), *packet(GSSENC_REQUEST)], b"NN"),
        (True, [*direct(GSSENC_REQUEST), *packet(SSL_REQUEST)], b"NN"),
    ],
)
def test_requests_that_are_answered_n(
    ssl: bool, events: list[Event], answers: bytes
) -> None:
    """And then the login, as if nothing had been asked."""
    ladder = session(ssl=ssl)
    done = play(ladder, *events, *packet(LOGIN_PACKET))
    assert b"".join(sent for sent, _next in done) == answers
    assert ladder.state is State.AUTHORIZING


# --- What is misplaced ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("ssl", "events", "prefix", "shown"),
    [
        # NEG-16, NEG-18
        (False, [*in_clear(SSL_REQUEST), *packet(SSL_REQUEST)], b"", "1234.5679"),
        (
            False,
            [
                *in_clear(SSL_REQUEST),
                *packet(GSSENC_REQUEST),
                *packet(SSL_REQUEST),
            ],
            b"",
            "1234.5679",
        ),
        (True, [*in_clear(GSSENC_REQUEST), *packet(GSSENC_REQUEST)], b"", "1234.5680"),
        (True, in_tls(SSL_REQUEST), b"", "1234.5679"),  # NEG-20
        (True, in_tls(GSSENC_REQUEST), b"", "1234.5680"),
        (True, [*direct(SSL_REQUEST), *packet(SSL_REQUEST)], b"", "1234.5679"),
        (True, in_clear(startup(4 << 16)), b"", "4.0"),
        (True, in_clear(startup(0)), b"", "0.0"),
    ],
)
def test_absurd_versions(
    ssl: bool, events: list[Event], prefix: bytes, shown: str
) -> None:
    """NEG-42: a request where it has no place is a version that nobody speaks."""
    assert refused(last(session(ssl=ssl), *events), prefix) == (
        "0A000",
        f"unsupported frontend protocol {shown}: server supports 3.0 to 3.2",
    )


@pytest.mark.parametrize("version", [1 << 16, 2 << 16, 2 << 16 | 7, 1])
def test_old_versions_are_told_in_their_own_format(version: int) -> None:
    """NEG-43."""
    step = last(session(), *in_clear(startup(version)))
    major, minor = version >> 16, version & 0xFFFF
    assert (
        step.send
        == (
            f"EFATAL:  unsupported frontend protocol {major}.{minor}: "
            "server supports 3.0 to 3.2\n\0"
        ).encode()
    )
    assert step.next == Close()


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([ACCEPTED, FirstByte(0), *packet(SSL_REQUEST, more=True)], "SSL"),
        (
            [ACCEPTED, FirstByte(0), *packet(GSSENC_REQUEST, more=True)],
            "GSSAPI encryption",
        ),
        (
            [
                ACCEPTED,
                FirstByte(22),
                tls(alpn="postgresql"),
                *packet(SSL_REQUEST, more=True),
            ],
            "SSL",
        ),
        (
            [
                ACCEPTED,
                FirstByte(22),
                tls(alpn="postgresql"),
                *packet(GSSENC_REQUEST, more=True),
            ],
            "GSSAPI encryption",
        ),
    ],
)
def test_bytes_behind_a_request_that_is_answered_n(
    events: list[Event], what: str
) -> None:
    """NEG-33, NEG-34, NEG-39 (CVE-2021-23214): first N, then the refusal."""
    step = last(session(ssl=events[1] == FirstByte(0x16)), *events)
    assert refused(step, b"N") == (
        "08P01",
        f"received unencrypted data after {what} request",
    )
    assert error_fields(step.send[1:])["D"] == MITM
    assert step.log[-1].detail == MITM


def test_bytes_behind_a_request_that_is_answered_s() -> None:
    """NEG-37: they meet the TLS layer, which knows a ClientHello when it sees one."""
    step = last(session(), ACCEPTED, FirstByte(0), *packet(SSL_REQUEST, more=True))
    assert (step.send, step.next) == (b"S", StartTls())


def test_bytes_behind_a_start_up_packet() -> None:
    """NEG-40: a message of the session that is to come; nobody looks at it yet."""
    step = last(session(), ACCEPTED, FirstByte(0), *packet(LOGIN_PACKET, more=True))
    assert step.next == LookUp(CanAcceptConnections())


def test_direct_ssl_while_ssl_is_off() -> None:
    """NEG-03: closed without a byte."""
    ladder = session(ssl=False)
    step = last(ladder, ACCEPTED, FirstByte(0x16))
    assert (step.send, step.next, step.log) == (b"", Close(), ())


def test_a_client_hello_after_n() -> None:
    """NEG-04: only the very first byte opens TLS."""
    events = [*in_clear(SSL_REQUEST), BytesRead(b"\x16\x03\x01\x02")]
    step = last(session(ssl=False), *events)
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["invalid length of startup packet"]
    assert step.log[0].sqlstate is SqlState.PROTOCOL_VIOLATION
    assert step.log[0].severity is Severity.LOG


def test_direct_ssl_without_alpn() -> None:
    """NEG-27: the handshake is done, and then it ends without a word."""
    ladder = session()
    step = last(ladder, ACCEPTED, FirstByte(0x16), tls())
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == [
        (
            "received direct SSL connection request without ALPN protocol negotiation "
            "extension"
        )
    ]
    assert isinstance(ladder.failure, CommunicationError)


def test_ssl_request_without_alpn() -> None:
    """NEG-29: there it may be left out."""
    assert last(session(), *in_clear(SSL_REQUEST), tls()).next == ReadExactly(4)


def test_tls_fails() -> None:
    """NEG-79, NEG-81: whatever was due went out in TLS; nothing follows in clear."""
    step = last(session(), *in_clear(SSL_REQUEST), TlsFailed("EOF detected"))
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["could not accept SSL connection: EOF detected"]
    limits = session(ssl_min_protocol_version="TLSv1.3")
    step = last(limits, *in_clear(SSL_REQUEST), TlsFailed("unsupported protocol"))
    assert "between TLSv1.3 and TLSv1.3" in str(step.log[0].hint)


def test_a_name_with_a_nul_in_it() -> None:
    """TLS-88, CVE-2009-4034: TLS is up, and ends without a message."""
    step = last(session(), *in_clear(SSL_REQUEST), tls("ana\0.evil.example"))
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["SSL certificate's common name contains embedded null"]


@pytest.mark.parametrize(
    ("packet_", "sqlstate", "text"),
    [
        (
            startup(database="app"),
            "28000",
            "no PostgreSQL user name specified in startup packet",
        ),
        (
            startup(user="", database="app"),
            "28000",
            "no PostgreSQL user name specified in startup packet",
        ),
        (
            startup(user="a", replication="maybe"),
            "22023",
            'invalid value for parameter "replication": "maybe"',
        ),
        (
            startup(user="a")[:-1] + b"x",
            None,
            None,
        ),
        (
            b"\0\0\0\x08\0\x03\0\0",
            "08P01",
            "invalid startup packet layout: expected terminator as last byte",
        ),
    ],
)
def test_start_up_packets(
    packet_: bytes, sqlstate: str | None, text: str | None
) -> None:
    """NEG-44, NEG-48, NEG-50."""
    step = last(session(), *in_clear(packet_))
    if sqlstate is None:
        assert step.next == LookUp(CanAcceptConnections())
    else:
        assert refused(step) == (sqlstate, text)


# --- Cancel -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ssl", "events"),
    [
        (True, in_clear(CANCEL_REQUEST)),
        (False, [*in_clear(SSL_REQUEST), *packet(CANCEL_REQUEST)]),
        (True, [*in_clear(GSSENC_REQUEST), *packet(CANCEL_REQUEST)]),
        (True, in_tls(CANCEL_REQUEST)),
        (True, direct(CANCEL_REQUEST)),
        (True, [*direct(SSL_REQUEST), *packet(CANCEL_REQUEST)]),
    ],
)
def test_cancel(ssl: bool, events: list[Event]) -> None:
    """CAN-04 to CAN-06, NEG-21: no answer, no rule; it goes on as it came."""
    ladder = session("host all all all reject", ssl=ssl)
    assert play(ladder, *events, CancelForwarded())[-2:] == [
        (b"", ForwardCancel(CANCEL_REQUEST)),
        (b"", Close()),
    ]


def test_cancel_with_a_long_key() -> None:
    """CAN-03: 32 bytes with protocol 3.2."""
    data = CancelRequest(1, b"k" * 32).encode()
    assert last(session(), *in_clear(data)).next == ForwardCancel(data)


def test_cancel_with_a_bad_key() -> None:
    """CAN-02: closed without a word."""
    step = last(session(), *in_clear(b"\0\0\0\x0c" + CANCEL_REQUEST[4:12]))
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["invalid length of cancel key in cancel request packet"]


def test_cancel_that_reaches_nobody() -> None:
    """The requester learns nothing either way (CAN-04); the log does."""
    events = [*in_clear(CANCEL_REQUEST), CancelForwarded(("a: no", "b: no"))]
    step = last(session(), *events)
    assert told(step) == [
        "could not forward cancel request: a: no",
        "could not forward cancel request: b: no",
    ]
    assert step.log[0].sqlstate is SqlState.CONNECTION_FAILURE
    assert step.log[0].event == "cancel.failed"


# --- Admission ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "sqlstate", "text"),
    [
        (CAC.TOOMANY, "53300", "sorry, too many clients already"),
        (CAC.SHUTDOWN, "57P03", "the database system is shutting down"),
    ],
)
def test_no_room_or_no_time(state: CAC, sqlstate: str, text: str) -> None:
    """NEG-60, PRX-05: after the start-up packet, before pg_hba.conf."""
    step = last(session("host all all all reject"), *in_clear(), CanAccept(state))
    assert refused(step) == (sqlstate, text)


@pytest.mark.parametrize(
    ("hba", "sqlstate", "text"),
    [
        (
            "hostssl all all all trust",
            "28000",
            (
                'no pg_hba.conf entry for host "10.1.1.1", user "ana", database "app", '
                "no encryption"
            ),
        ),
        (
            "host all all all reject",
            "28000",
            (
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", no encryption'
            ),
        ),
    ],
)
def test_the_rules_refuse(hba: str, sqlstate: str, text: str) -> None:
    """HBA-82, HBA-84: and the backend is not even connected to."""
    assert refused(last(session(hba), *in_clear(), ADMITTED)) == (sqlstate, text)


def test_the_rules_see_tls() -> None:
    """HBA-73."""
    step = last(session("hostnossl all all all trust"), *in_tls(), ADMITTED)
    assert refused(step)[1].endswith('database "app", SSL encryption')
    step = last(session("hostssl all all all trust"), *in_tls(), ADMITTED)
    assert step.next == ConnectBackend()


@pytest.mark.parametrize(
    ("parameters", "replication", "database"),
    [
        ({"user": "ana", "database": "app"}, Replication.NONE, "app"),
        ({"user": "ana", "replication": "off"}, Replication.NONE, "ana"),
        ({"user": "ana", "replication": "on"}, Replication.PHYSICAL, ""),
        (
            {"user": "ana", "database": "app", "replication": "database"},
            Replication.DATABASE,
            "app",
        ),
    ],
)
def test_the_rules_see_the_client(
    parameters: dict[str, str], replication: Replication, database: str
) -> None:
    """Who it is, from where, and what for."""
    ladder = session()
    last(ladder, *in_clear(startup(**parameters)))
    client = ladder.client
    assert (client.user, client.database) == ("ana", database)
    assert client.replication is replication
    assert (client.host, client.address) == (ACCEPTED.host, ACCEPTED.address)
    assert not client.ssl_in_use


def test_a_rule_that_needs_to_know_more() -> None:
    """HBA-70: the machine's addresses are asked for, once, and then it is decided."""
    ladder = session("host all all samehost trust")
    step = last(ladder, *in_clear(), ADMITTED)
    assert step.next == LookUp(Interfaces())
    mine = Interface(address=ip_address("10.1.1.1"), netmask=ip_address("255.0.0.0"))
    assert ladder.handle(InterfacesFound((mine,))).next == ConnectBackend()
    assert ladder.line is not None
    assert ladder.line.line_number == 1


def test_a_host_name_takes_two_questions() -> None:
    """HBA-68: what the address is called, and whether that is what is called so."""
    ladder = session("host all all .example.com trust")
    assert last(ladder, *in_clear(), ADMITTED).next == LookUp(ReverseLookup())
    step = ladder.handle(HostNameFound("a.example.com"))
    assert step.next == LookUp(ForwardLookup("a.example.com"))
    assert ladder.state is State.AUTHORIZING
    step = ladder.handle(AddressesFound(frozenset({ACCEPTED.address})))
    assert step.next == ConnectBackend()


@pytest.mark.parametrize(
    ("events", "detail"),
    [
        # HBA-69: for the log alone.
        (
            [HostNameFound(LookupFailed("Try again"))],
            "Could not resolve client IP address to a host name: Try again.",
        ),
        (
            [HostNameFound("a"), AddressesFound(frozenset())],
            'Client IP address resolved to "a", forward lookup does not match.',
        ),
    ],
)
def test_no_host_that_a_line_names(events: list[Event], detail: str) -> None:
    step = last(session("host all all a trust"), *in_clear(), ADMITTED, *events)
    assert error_fields(step.send).get("D") is None
    (report,) = step.log
    assert report.message.startswith("no pg_hba.conf entry for host")
    assert report.detail == detail


def test_a_reject_line_says_nothing_of_names() -> None:
    """HBA-69 is about a client that no line is about."""
    ladder = session("host all all a trust\nhost all all all reject")
    step = last(ladder, *in_clear(), ADMITTED, HostNameFound("b"))
    (report,) = step.log
    assert report.message.startswith("pg_hba.conf rejects")
    assert report.detail is None


NAMED = "host all all a.example trust"


@pytest.mark.parametrize(
    ("name", "shown", "asks"),
    [
        # What is known is not asked for again, unless it could be an address.
        ("app.example", "app.example", False),
        ("cafe", "cafe", True),
        ("10.1.1.1", "10.1.1.1", True),
        (LookupFailed("Try again"), "10.1.1.1", True),
    ],
)
def test_log_hostname(name: str | LookupFailed, shown: str, asks: bool) -> None:
    """TLS-19: the name is looked up first, and then the client is looked at."""
    ladder = session(NAMED, log_hostname=True)
    step = ladder.handle(ACCEPTED)
    assert (step.next, step.log) == (LookUp(ReverseLookup()), ())
    step = ladder.handle(HostNameFound(name))
    assert step.next == PeekFirstByte()
    assert told(step) == [f"connection received: host={shown} port=40000"]
    assert ladder.remote_host == shown
    step = last(ladder, *in_clear()[1:], ADMITTED)
    if asks:
        assert step.next == LookUp(ReverseLookup())
    else:
        # The client is told its address, as without log_hostname.
        assert 'for host "10.1.1.1"' in error_fields(step.send)["M"]
        assert step.log[-1].detail == (
            'Client IP address resolved to "app.example", forward lookup not checked.'
        )


def test_a_line_goes_by_the_name_that_is_known() -> None:
    """TLS-19, HBA-68: only the second of the two questions is left."""
    ladder = session(NAMED, log_hostname=True)
    known = [ACCEPTED, HostNameFound("a.example"), *in_clear()[1:], ADMITTED]
    assert last(ladder, *known).next == LookUp(ForwardLookup("a.example"))


def test_no_log_hostname() -> None:
    """TLS-19: it is off unless it is on, and then nobody is asked."""
    ladder = session()
    assert ladder.handle(ACCEPTED).next == PeekFirstByte()
    assert ladder.remote_host == "10.1.1.1"


def test_members() -> None:
    """HBA-75: the backend's catalogue says who is one."""
    for granted, then in (("staff", ConnectBackend()), ("x", Close())):
        ladder = session("host all +staff all trust")
        assert last(ladder, *in_clear(), ADMITTED).next == LookUp(Memberships())
        assert ladder.handle(RolesFound(Roles({"ana": [granted]}))).next == then


def test_nobody_can_say_who_is_a_member() -> None:
    """HBA-80: then nobody is let in, nor sent away for good; only the log has why."""
    ladder = session("host all +staff all trust\nhost all all all trust")
    step = last(ladder, *in_clear(), ADMITTED, RolesUnknown("no route to host"))
    fields = error_fields(step.send)
    assert fields["C"] == "57P03"
    assert fields["M"] == "the database system is not accepting connections"
    assert not fields.keys() & {"D", "H"}
    (report,) = step.log
    assert report.detail == "could not look up role memberships: no route to host"
    assert report.hint is not None
    assert "pgproxy.role_conninfo" in report.hint
    assert step.next == Close()
    assert ladder.line is None


def test_members_in_a_map() -> None:
    """ID-07: asked for when the certificate is known, and everything is logged once."""
    ladder = session("hostssl all all all cert map=m", ident="m bob +staff")
    step = last(ladder, *in_tls(subject="bob"), ADMITTED)
    assert (step.next, told(step)) == (LookUp(Memberships()), [])
    step = ladder.handle(RolesFound(Roles({"ana": ["staff"], "staff": []})))
    assert step.next == ConnectBackend()
    assert told(step) == [
        'connection authenticated: identity="CN=bob" method=cert (/etc/pg_hba.conf:1)'
    ]


@pytest.mark.parametrize(
    ("hba", "subject", "ca", "sqlstate", "text"),
    [
        (
            "hostssl all all all cert",
            None,
            True,
            "28000",
            "connection requires a valid client certificate",
        ),
        (
            "hostssl all all all cert",
            None,
            False,
            "F0000",
            (
                "client certificates can only be checked if a root certificate store is "
                "available"
            ),
        ),
        (
            "hostssl all all all cert",
            "bob",
            True,
            "28000",
            'certificate authentication failed for user "ana"',
        ),
        (
            "hostssl all all all trust clientcert=verify-full",
            "bob",
            True,
            "28000",
            '"trust" authentication failed for user "ana"',
        ),
    ],
)
def test_certificates_that_do_not_do(
    hba: str, subject: str | None, ca: bool, sqlstate: str, text: str
) -> None:
    """CERT-01, CERT-02, CERT-06: refused before there is a backend."""
    step = last(session(hba, ca_loaded=ca), *in_tls(subject=subject), ADMITTED)
    assert refused(step) == (sqlstate, text)


@pytest.mark.parametrize(
    "hba",
    ["hostssl all all all cert", "hostssl all all all trust clientcert=verify-full"],
)
def test_certificates_that_do(hba: str) -> None:
    """The name is the user's; only then is the backend connected to (CERT-05)."""
    ladder = session(hba)
    step = last(ladder, *in_tls(subject="ana"), ADMITTED)
    assert step.next == ConnectBackend()
    assert ladder.peer is not None
    assert ladder.peer.common_name == "ana"


def test_the_name_waits_for_the_password() -> None:
    """CERT-18: of a password line it is compared at AuthenticationOk."""
    hba = "hostssl all all all password clientcert=verify-full"
    done = steps(
        session(hba),
        *in_tls(subject="bob"),
        ADMITTED,
        CONNECTED,
        *said(PASSWORD),
        BytesRead(ANSWER[:5]),
        BytesRead(ANSWER[5:]),
        *said(OK),
    )
    assert done[-4].send == PASSWORD
    assert refused(done[-1]) == (
        "28P01",
        'password authentication failed for user "ana"',
    )


# --- NegotiateProtocolVersion ----------------------------------------------------------------

NEGOTIATE = b"v\0\0\0\x0c\0\x03\0\x02\0\0\0\0"


@pytest.mark.parametrize(
    ("hba", "events"),
    [
        ("host all all all reject", [ADMITTED]),
        ("host all all all trust", [CanAccept(CAC.TOOMANY)]),
        ("host all all all trust", [ADMITTED, BackendUnreachable(("no",))]),
        ("host all all all trust", [ADMITTED, CONNECTED, BackendGone()]),
        ("host all all all trust", [ADMITTED, Terminated()]),
    ],
)
def test_v_goes_before_a_refusal_of_ours(hba: str, events: list[Event]) -> None:
    """NEG-58: in one write."""
    newer = startup(3 << 16 | 9, user="ana")
    step = last(session(hba), *in_clear(newer), *events)
    refused(step, NEGOTIATE)


def test_v_goes_before_the_complaint_about_the_user() -> None:
    """NEG-50 comes after NEG-56, as in ProcessStartupPacket."""
    newer = startup(3 << 16 | 9, database="app")
    assert refused(last(session(), *in_clear(newer)), NEGOTIATE)[0] == "28000"


def test_v_is_the_backends_once_it_speaks() -> None:
    """NEG-58, BUG-36: exactly one of them; ours is forgotten."""
    newer = startup(3 << 16 | 9, user="ana")
    ladder = session(SCRAM)
    done = steps(ladder, *in_clear(newer), ADMITTED, CONNECTED, *said(NEGOTIATE, OK))
    assert done[-2].send == NEGOTIATE
    refused(done[-1])


def test_n_is_not_said_twice() -> None:
    """What was owed to one packet is not owed to the next."""
    ladder = session("host all all all reject", ssl=False)
    step = last(ladder, *in_clear(SSL_REQUEST), *packet(LOGIN_PACKET), ADMITTED)
    assert refused(step)[0] == "28000"


# --- The login -----------------------------------------------------------------------------------


def test_backend_unreachable() -> None:
    """PRX-04: 57P03, so that libpq tries its next host; the reason is for the log."""
    ladder = session()
    step = last(ladder, *in_clear(), ADMITTED, BackendUnreachable(("a: no", "b: no")))
    assert refused(step) == (
        "57P03",
        "the database system is not accepting connections",
    )
    assert b"a: no" not in step.send
    assert step.log[-1].detail == "a: no\nb: no"
    assert step.log[-1].hint == (
        "Check pgproxy.backend_conninfo, and that the backend is running."
    )
    assert isinstance(ladder.failure, CannotConnectNow)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (None, "the backend closed the connection without an answer"),
        ("Connection reset by peer", "Connection reset by peer"),
    ],
)
def test_backend_that_leaves_without_a_word(error: str | None, detail: str) -> None:
    """Then nobody has answered the client yet, and we do."""
    step = last(session(), *TO_LOGIN, BackendGone(error))
    assert refused(step) == (
        "57P03",
        "the database system is not accepting connections",
    )
    assert step.log[-1].detail == detail


def test_backend_that_leaves_after_a_word() -> None:
    """What it had to say was said; PostgreSQL's own refusals end like this."""
    fatal = message(b"E", b"SFATAL\0\0")
    done = steps(session(), *TO_LOGIN, *said(fatal), BackendGone())
    assert (done[-2].send, done[-2].next) == (fatal, ReadEither())
    assert (done[-1].send, done[-1].next, done[-1].log) == (b"", Close(), ())


def test_backend_that_breaks() -> None:
    """An unorderly end is told."""
    step = last(session(), *TO_LOGIN, *said(PASSWORD), BackendGone("broken"))
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["could not receive data from backend: broken"]
    assert step.log[0].event == "backend.lost"
    assert step.log[0].sqlstate is SqlState.CONNECTION_FAILURE


def test_a_backend_that_does_less_than_promised() -> None:
    """CERT-20: its AuthenticationOk does not reach the client."""
    step = last(session(SCRAM), *TO_LOGIN, *said(OK))
    assert refused(step)[0] == "F0000"
    assert OK not in step.send


def test_a_backend_that_does_not_say_what_it_asks_for() -> None:
    """Then it is no PostgreSQL, and the client is told nothing."""
    step = last(session(), *TO_LOGIN, BackendMessage(message(b"R")))
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["invalid authentication request from the backend"]


def test_an_answer_that_is_too_long() -> None:
    """SCR-17: silently closed."""
    events = [*TO_LOGIN, *said(SASL), BytesRead(b"p\0\1\0\0")]
    step = last(session(SCRAM), *events)
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == ["invalid message length"]
    assert step.log[0].event == "session.broken"


# --- Ends -----------------------------------------------------------------------------------------

HALF = [ACCEPTED, FirstByte(0), BytesRead(SSL_REQUEST[:4])]
BETWEEN = in_clear(SSL_REQUEST)
BETWEEN_TLS = in_clear(SSL_REQUEST)
"""With TLS on: S is on its way (NEG-22)."""
RESET = "could not receive data from client: Connection reset by peer"
NOT_SENT = "failed to send SSL negotiation response: Broken pipe"
INCOMPLETE = "incomplete startup packet"


@pytest.mark.parametrize(
    ("events", "gone", "log"),
    [
        ([ACCEPTED], ClientGone(), []),  # NEG-05
        ([ACCEPTED], ClientGone(0, "Connection reset by peer"), [RESET]),
        ([ACCEPTED, FirstByte(0)], ClientGone(0), []),
        ([ACCEPTED, FirstByte(0)], ClientGone(1), [INCOMPLETE]),  # NEG-06
        ([ACCEPTED, FirstByte(0)], ClientGone(3), [INCOMPLETE]),
        (HALF, ClientGone(0), [INCOMPLETE]),  # NEG-08
        (HALF, ClientGone(0, "Connection reset by peer"), [RESET, INCOMPLETE]),
        (BETWEEN, ClientGone(0), []),
        (BETWEEN, ClientGone(3), []),
        (BETWEEN_TLS, ClientGone(0, "Broken pipe"), [NOT_SENT]),
        (TO_LOGIN, ClientGone(0), []),  # NEG-70
        (TO_LOGIN, ClientGone(2, "Connection reset by peer"), [RESET]),
    ],
)
def test_a_client_that_leaves(
    events: list[Event], gone: ClientGone, log: list[str]
) -> None:
    """NEG-05 to NEG-08, NEG-68, NEG-70: nothing is sent, and PostgreSQL's log it is."""
    ssl = events is BETWEEN_TLS
    step = last(session(ssl=ssl, log_connections=frozenset()), *events, gone)
    assert (step.send, step.next) == (b"", Close())
    assert told(step) == log
    assert {report.severity for report in step.log} <= {Severity.LOG}


def test_a_lost_client_has_a_sqlstate() -> None:
    """NEG-68: 08006."""
    for way in ([ACCEPTED], in_clear(SSL_REQUEST)):
        step = last(session(), *way, ClientGone(0, "Connection reset by peer"))
        assert step.log[0].sqlstate is SqlState.CONNECTION_FAILURE
        assert step.log[0].event == "client.lost"


def test_a_client_that_leaves_for_want_of_channel_binding() -> None:
    """SCR-09: in TLS, when it was offered SCRAM without it."""
    events = [*in_tls(), ADMITTED, CONNECTED, *said(SASL), ClientGone()]
    step = last(session(SCRAM), *events)
    assert [report.event for report in step.log] == ["channel_binding.missing"]


def test_relay_ends() -> None:
    """PRX-11: with a word only if something went wrong with the client."""
    to_relay = [*TO_LOGIN, *said(OK, READY)]
    assert last(session(), *to_relay, RelayEnded()).log == ()
    step = last(session(), *to_relay, RelayEnded("Connection reset by peer"))
    assert told(step) == [RESET]
    assert step.next == Close()


CANCELED = "canceling authentication due to timeout"


@pytest.mark.parametrize(
    ("events", "notify", "log"),
    [
        ([ACCEPTED], False, []),  # NEG-65
        ([ACCEPTED, FirstByte(0)], False, []),
        (in_clear(SSL_REQUEST), False, []),
        ([*in_clear(SSL_REQUEST), tls()], False, []),
        (in_clear(), True, [CANCELED]),  # NEG-66
        ([*in_clear(), ADMITTED], True, [CANCELED]),
        (TO_LOGIN, True, [CANCELED]),
        (in_clear(CANCEL_REQUEST), True, []),
    ],
)
def test_timeout(events: list[Event], notify: bool, log: list[str]) -> None:
    """NEG-65, NEG-66, PRX-17: the client is told nothing in either phase."""
    step = last(session(), *events, TimedOut())
    assert (step.send, step.next) == (b"", Close(notify=notify))
    assert told(step) == log
    for report in step.log:
        assert report.severity is Severity.FATAL
        assert report.sqlstate is SqlState.QUERY_CANCELED
        assert report.event == "session.timeout"


@pytest.mark.parametrize(
    ("events", "notify"),
    [
        ([ACCEPTED], False),
        ([ACCEPTED, FirstByte(0)], False),
        (in_clear(SSL_REQUEST), False),
        (in_clear(CANCEL_REQUEST), True),
        ([*TO_LOGIN, *said(OK, READY)], True),
    ],
)
def test_shutdown_without_a_word(events: list[Event], notify: bool) -> None:
    """A relay does not know where a message ends; before the login nobody listens."""
    step = last(session(), *events, Terminated())
    assert (step.send, step.next, step.log) == (b"", Close(notify=notify), ())


@pytest.mark.parametrize("events", [in_clear(), [*in_clear(), ADMITTED], TO_LOGIN])
def test_shutdown_of_a_login(events: list[Event]) -> None:
    """57P01, as PostgreSQL."""
    ladder = session()
    assert refused(last(ladder, *events, Terminated())) == (
        "57P01",
        "terminating connection due to administrator command",
    )
    assert isinstance(ladder.failure, AdminShutdown)


# --- What the log is told ------------------------------------------------------------------------


def test_connection_authorized() -> None:
    """TLS-90: with the name of the application, as the start-up packet has it."""
    named = startup(user="ana", database="app", application_name="psql")
    step = last(session(), *in_clear(named), ADMITTED, CONNECTED, *said(OK))
    assert told(step)[-1] == (
        "connection authorized: user=ana database=app application_name=psql"
    )


def test_connection_received() -> None:
    """NEG-86: before a byte is read; only where it is asked for."""
    step = session().handle(ACCEPTED)
    assert told(step) == ["connection received: host=10.1.1.1 port=40000"]
    assert step.log[0].event == "connection.received"
    assert step.log[0].sqlstate is SqlState.SUCCESSFUL_COMPLETION
    quiet = session(log_connections=frozenset({"authentication"}))
    assert quiet.handle(ACCEPTED).log == ()


@pytest.mark.parametrize(
    ("ssl", "events", "log"),
    [
        (True, in_clear(SSL_REQUEST), ["SSLRequest accepted"]),
        (False, in_clear(SSL_REQUEST), ["SSLRequest rejected"]),
        (True, in_clear(GSSENC_REQUEST), ["GSSENCRequest rejected"]),
        (True, [ACCEPTED, FirstByte(0x16)], []),
        (
            True,
            [ACCEPTED, FirstByte(0x16), tls(alpn="postgresql")],
            ["direct SSL connection accepted"],
        ),
        (False, [ACCEPTED, FirstByte(0x16)], ["direct SSL connection rejected"]),
        (True, [*in_clear(SSL_REQUEST), tls()], []),
    ],
)
def test_trace_connection_negotiation(
    ssl: bool, events: list[Event], log: list[str]
) -> None:
    """NEG-32, PRX-18."""
    step = last(session(ssl=ssl, trace_connection_negotiation=True), *events)
    assert told(step) == log
    assert {report.event for report in step.log} <= {"connection.negotiation"}
    assert last(session(ssl=ssl), *events).log == ()


def test_a_bug_does_not_tell_passwords() -> None:
    """An event that cannot be is named, and what is in it is not."""
    with pytest.raises(AssertionError) as caught:
        last(session(), *in_clear(SSL_REQUEST), BytesRead(b"secret"))
    assert "BytesRead" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_step_says_what_happened() -> None:
    """One value for whoever wants to know."""
    ladder = session()
    step = last(ladder, ACCEPTED, FirstByte(0))
    assert step == Step(
        event=FirstByte(0),
        before=State.NEW,
        after=State.STARTUP,
        next=ReadExactly(4),
        send=b"",
        log=(),
    )
    assert ladder.state is State.STARTUP
    assert ladder.startup is None
    assert ladder.failure is None
    assert ladder.line is None
    assert session().accepted is None


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), st.booleans())
def test_any_bytes_end_in_order(chunks: list[bytes], ssl: bool) -> None:
    """Whatever comes, each step is one of the table, and the backend is not asked."""
    ladder = session("host all all all reject", ssl=ssl)
    ladder.handle(ACCEPTED)
    step = ladder.handle(FirstByte(0))
    for chunk in chunks:
        while isinstance(step.next, ReadExactly):
            data = (chunk * step.next.count)[: step.next.count]
            step = ladder.handle(BytesRead(data))
            if len(chunk) < 8:
                break
        if not isinstance(step.next, ReadExactly):
            break
    assert not isinstance(step.next, ConnectBackend)
