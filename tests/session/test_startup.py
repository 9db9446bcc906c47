"""Packets are put together and told apart: NEG-04 to NEG-11, NEG-71 to NEG-80."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.errors import (
    CommunicationError,
    FeatureNotSupported,
    SessionRefused,
    Severity,
    SqlState,
)
from pgproxy.protocol.frontend import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from pgproxy.session.actions import ReadExactly
from pgproxy.session.events import BytesRead, TlsFailed
from pgproxy.session.startup import VERSION_REASONS, Packet, Startup, tls_failure
from tests.session.builders import (
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    LOGIN_PACKET,
    SSL_REQUEST,
    policy,
)


def read(startup: Startup, data: bytes, *, more: bool = False) -> Packet:
    assert startup.begin_packet() == ReadExactly(4)
    rest = startup.on_bytes_read(BytesRead(data[:4]))
    assert rest == ReadExactly(len(data) - 4, look=True)
    packet = startup.on_bytes_read(BytesRead(data[4:], more=more))
    assert not isinstance(packet, ReadExactly)
    return packet


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        (SSL_REQUEST, SSLRequest()),
        (GSSENC_REQUEST, GSSENCRequest()),
        (CANCEL_REQUEST, CancelRequest(42, b"\1\2\3\4")),
        (
            LOGIN_PACKET,
            StartupMessage(0x30000, (("user", "ana"), ("database", "app"))),
        ),
        # NEG-10: only the code is looked at.
        (b"\0\0\0\x0c" + SSL_REQUEST[4:] + b"1234", SSLRequest()),
        (b"\0\0\0\x09" + GSSENC_REQUEST[4:] + b"1", GSSENCRequest()),
    ],
)
def test_packets_are_told_apart(data: bytes, packet: Packet) -> None:
    """NEG-11: by their code."""
    startup = Startup()
    assert read(startup, data) == packet
    assert startup.packet == data
    assert not startup.more
    assert startup.ssl_done is isinstance(packet, SSLRequest)
    assert startup.gss_done is isinstance(packet, GSSENCRequest)
    assert startup.version == (0x30000 if isinstance(packet, StartupMessage) else 0)


def test_more_is_what_is_behind_the_packet() -> None:
    """Behind the length word there is always more, and that says nothing."""
    begun = Startup()
    begun.on_bytes_read(BytesRead(SSL_REQUEST[:4], more=True))
    assert not begun.more
    whole = Startup()
    read(whole, SSL_REQUEST, more=True)
    assert whole.more
    follower = Startup()
    read(follower, SSL_REQUEST, more=True)
    read(follower, GSSENC_REQUEST, more=False)
    assert not follower.more


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (SSL_REQUEST, SSL_REQUEST, "1234.5679"),  # NEG-16, NEG-18
        (GSSENC_REQUEST, GSSENC_REQUEST, "1234.5680"),  # NEG-24
    ],
)
def test_a_request_that_is_repeated_is_a_version(
    first: bytes, second: bytes, shown: str
) -> None:
    """There is no other special case."""
    startup = Startup()
    read(startup, first)
    with pytest.raises(FeatureNotSupported, match=shown):
        read(startup, second)
    assert startup.version == int.from_bytes(second[4:8])


def test_the_two_requests_are_counted_apart() -> None:
    """NEG-17, NEG-19; and CancelRequest is good at any time (NEG-21)."""
    startup = Startup()
    assert read(startup, SSL_REQUEST) == SSLRequest()
    assert read(startup, GSSENC_REQUEST) == GSSENCRequest()
    assert read(startup, CANCEL_REQUEST) == CancelRequest(42, b"\1\2\3\4")
    assert read(startup, CANCEL_REQUEST) == CancelRequest(42, b"\1\2\3\4")


def test_a_length_that_cannot_be() -> None:
    """NEG-07: told by the first four bytes."""
    with pytest.raises(CommunicationError, match="invalid length of startup packet"):
        Startup().on_bytes_read(BytesRead(b"\0\0\0\7"))


@given(st.binary(min_size=4, max_size=40))
def test_any_packet_is_told_or_refused(body: bytes) -> None:
    """No packet crashes it."""
    data = (4 + len(body)).to_bytes(4) + body
    with contextlib.suppress(SessionRefused, CommunicationError):
        read(Startup(), data)


@pytest.mark.parametrize(
    ("ssl_done", "gss_done", "begun", "received", "incomplete"),
    [
        (False, False, False, 0, False),  # NEG-05
        (True, False, False, 0, False),
        (False, False, False, 1, True),  # NEG-06
        (False, False, False, 3, True),
        (True, False, False, 3, False),
        (False, True, False, 3, False),
        (False, False, True, 0, True),  # NEG-08
        (True, True, True, 0, True),
        (True, True, True, 3, True),
    ],
)
def test_is_incomplete(
    ssl_done: bool, gss_done: bool, begun: bool, received: int, incomplete: bool
) -> None:
    """What PostgreSQL has a word for depends on where the client left."""
    startup = Startup()
    startup.ssl_done, startup.gss_done = ssl_done, gss_done
    if begun:
        startup.on_bytes_read(BytesRead(SSL_REQUEST[:4]))
    assert startup.is_incomplete(received) is incomplete


def test_begin_packet_forgets() -> None:
    """Between two packets nothing is incomplete."""
    startup = Startup()
    read(startup, SSL_REQUEST)
    startup.begin_packet()
    assert startup.packet == b""
    assert not startup.is_incomplete(0)


@pytest.mark.parametrize(
    "reason",
    [
        "no protocols available",
        "unsupported protocol",
        "bad protocol version number",
        "unknown protocol",
        "unknown ssl version",
        "unsupported ssl version",
        "wrong ssl version",
        "wrong version number",
        "tlsv1 alert protocol version",
        "version too high",
        "version too low",
    ],
)
def test_reasons_that_are_about_versions(reason: str) -> None:
    """NEG-80: the hint names the bounds."""
    assert len(VERSION_REASONS) == 11
    rules = policy(
        ssl_min_protocol_version="TLSv1.1", ssl_max_protocol_version="TLSv1.2"
    )
    (report,) = tls_failure(TlsFailed(reason), rules)
    assert report.hint == (
        "This may indicate that the client does not support any SSL protocol version "
        "between TLSv1.1 and TLSv1.2."
    )


def test_tls_failure() -> None:
    """NEG-73, NEG-14, TLS-82: other reasons have no hint; a detail is passed on."""
    failed = TlsFailed("http request", SqlState.CONNECTION_FAILURE, "which", "why")
    cause, report = tls_failure(failed, policy())
    assert (cause.message, cause.sqlstate) == ("why", SqlState.CONNECTION_FAILURE)
    assert cause.severity is Severity.LOG
    assert report.message == "could not accept SSL connection: http request"
    assert report.severity is Severity.LOG
    assert report.sqlstate is SqlState.CONNECTION_FAILURE
    assert (report.detail, report.hint) == ("which", None)
    assert report.event == "tls.failed"
    assert TlsFailed("x").sqlstate is SqlState.PROTOCOL_VIOLATION
