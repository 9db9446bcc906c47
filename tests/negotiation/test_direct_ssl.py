"""TLS from the first byte, and ALPN: NEG-26 to NEG-32."""

import ssl

import pytest

from tests.negotiation.differences import alike, differs
from tests.negotiation.test_ssl_request import read_refusal, unsupported
from tests.support import wire
from tests.support.client import CLEAN, HandshakeFailedError, context
from tests.support.endpoints import Endpoint, Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.oracles import PG15
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST

pytestmark = pytest.mark.interop

direct = alike("NEG-01")

versions = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)

NO_APPLICATION_PROTOCOL = bytes.fromhex("15 03 03 00 02 02 78")


@direct
@versions
@pytest.mark.parametrize(
    "alpn",
    [["postgresql"], ["h2", "postgresql"], ["postgresql", "http/1.1"]],
    ids=",".join,
)
def test_with_alpn(servers: Servers, alpn: list[str], version: ssl.TLSVersion) -> None:
    """``postgresql`` is selected wherever it stands in the list (NEG-26)."""
    with servers().connect() as client:
        client.start_tls(context(alpn=alpn, versions=(version, version)))
        assert client.tls is not None
        assert client.tls.selected_alpn_protocol() == "postgresql"
        log_in(client)


@direct
@versions
def test_without_alpn(servers: Servers, version: ssl.TLSVersion) -> None:
    """The handshake completes, and that was all: what follows is not read (NEG-27)."""
    server = servers()
    with server.connect() as client:
        client.start_tls(context(versions=(version, version)))
        assert client.read_end() == (b"", CLEAN)
        assert server.log_of(client) == [
            commerror(
                "received direct SSL connection request without ALPN protocol "
                "negotiation extension"
            )
        ]


alien = pytest.mark.parametrize(
    "alpn",
    [["h2"], ["http/1.1", "h2"], ["PostgreSQL"], ["postgres"], ["postgresql2"]],
    ids=",".join,
)


@direct
@versions
@alien
@pytest.mark.parametrize("asked", [False, True], ids=["direct", "SSLRequest"])
def test_alien_alpn(
    servers: Servers, alpn: list[str], asked: bool, version: ssl.TLSVersion
) -> None:
    """A list without it is fatal, however TLS began (NEG-28, NEG-30, NEG-78)."""
    server = servers()
    with server.connect() as client:
        if asked:
            client.send(SSL_REQUEST)
            assert client.read(1) == b"S"
        client.received.clear()
        with pytest.raises(HandshakeFailedError):
            client.start_tls(context(alpn=alpn, versions=(version, version)))
        client.read_end()
        assert client.received == NO_APPLICATION_PROTOCOL
        assert server.log_of(client) == [
            commerror("could not accept SSL connection: no application protocol")
        ]


@alien
@pytest.mark.parametrize("servers", [PG15], indirect=True)
def test_alien_alpn_is_ignored(servers: Servers, alpn: list[str]) -> None:
    """Up to PostgreSQL 16 nobody looks at it (NEG-29)."""
    with servers().connect() as client:
        client.request_tls(context(alpn=alpn))
        assert client.tls is not None
        assert client.tls.selected_alpn_protocol() is None
        log_in(client)


@versions
@pytest.mark.parametrize("alpn", [None, ["postgresql"]], ids=["without", "with"])
def test_alpn_after_ssl_request(
    servers: Servers, alpn: list[str] | None, version: ssl.TLSVersion
) -> None:
    """There nobody has to offer it; who does, gets it (NEG-29)."""
    with servers().connect() as client:
        client.request_tls(context(alpn=alpn, versions=(version, version)))
        assert client.tls is not None
        old = differs("NEG-28", servers.kind)
        selected = "postgresql" if alpn and not old else None
        assert client.tls.selected_alpn_protocol() == selected
        log_in(client)


@direct
def test_ssl_request_inside(servers: Servers) -> None:
    """One layer is enough: N, encrypted, and then a login (NEG-12, NEG-31)."""
    with servers().connect() as client:
        client.direct_tls()
        client.send(SSL_REQUEST)
        assert client.read(1) == b"N"
        assert client.is_silent()
        log_in(client)


@direct
def test_two_ssl_requests_inside(servers: Servers) -> None:
    """The second is no longer a request (NEG-31)."""
    server = servers()
    with server.connect() as client:
        client.direct_tls()
        client.send(SSL_REQUEST)
        assert client.read(1) == b"N"
        client.send(SSL_REQUEST)
        assert read_refusal(client, CLEAN) == unsupported(server, "1234.5679")


@alike("NEG-01", "NEG-23")
def test_both_requests_inside(servers: Servers) -> None:
    """SSLRequest N, GSSENCRequest N, then a login (NEG-31)."""
    with servers().connect() as client:
        client.direct_tls()
        for request in (SSL_REQUEST, GSSENC_REQUEST):
            client.send(request)
            assert client.read(1) == b"N"
        log_in(client)


def trace(server: Endpoint, *asks: bytes) -> list[LogLine]:
    """Ask, end with a bad packet, and return what is logged before that."""
    with server.connect() as client:
        for ask in asks:
            client.send(ask)
            answer = client.read(1)
        if answer == b"S":
            client.start_tls()
        client.send(b"\0\0\0\0")
        client.read_end()
        *lines, last = server.log_of(client)
        assert last == commerror("invalid length of startup packet")
        return lines


@direct
@pytest.mark.parametrize(
    ("ssl_on", "verdict"), [(True, "accepted"), (False, "rejected")]
)
def test_trace_of_ssl_request(servers: Servers, ssl_on: bool, verdict: str) -> None:
    """trace_connection_negotiation tells what was asked for and had (NEG-32)."""
    server = servers(ssl=ssl_on, trace_connection_negotiation="on")
    assert trace(server, SSL_REQUEST) == [LogLine("LOG", f"SSLRequest {verdict}")]


@alike("NEG-01", "NEG-23")
def test_trace_of_both_requests(servers: Servers) -> None:
    """One line for each (NEG-32)."""
    server = servers(trace_connection_negotiation="on")
    assert trace(server, GSSENC_REQUEST, SSL_REQUEST) == [
        LogLine("LOG", "GSSENCRequest rejected"),
        LogLine("LOG", "SSLRequest accepted"),
    ]


@direct
@pytest.mark.parametrize("ssl_on", [True, False], ids=["ssl on", "ssl off"])
def test_trace_of_direct_ssl(servers: Servers, ssl_on: bool) -> None:
    """Accepted after the handshake; rejected where there is no TLS (NEG-32, NEG-03)."""
    server = servers(ssl=ssl_on, trace_connection_negotiation="on")
    with server.connect() as client:
        if ssl_on:
            client.direct_tls()
            client.send(b"\0\0\0\0")
        else:
            client.send_raw(wire.client_hello())
        client.read_end()
        accepted = [
            LogLine("LOG", "direct SSL connection accepted"),
            commerror("invalid length of startup packet"),
        ]
        rejected = [LogLine("LOG", "direct SSL connection rejected")]
        assert server.log_of(client) == (accepted if ssl_on else rejected)


@direct
def test_trace_without_alpn(servers: Servers) -> None:
    """What has no ALPN has not been accepted (NEG-27, NEG-32)."""
    server = servers(trace_connection_negotiation="on")
    with server.connect() as client:
        client.start_tls()
        client.read_end()
        words = [line.message for line in server.log_of(client)]
        assert "direct SSL connection accepted" not in words
