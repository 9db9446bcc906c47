"""TLS from the first byte, and ALPN: NEG-26 to NEG-32."""

import ssl

import pytest

from tests.negotiation.differences import differs
from tests.negotiation.test_ssl_request import read_refusal, unsupported
from tests.support import wire
from tests.support.client import CLEAN, HandshakeFailedError, context
from tests.support.endpoints import Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.oracles import PG17, PG18, PGPROXY
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST

pytestmark = pytest.mark.interop

direct = pytest.mark.parametrize("servers", [PG17, PG18, PGPROXY], indirect=True)
"""Direct SSL began with PostgreSQL 17; what 15 makes of it is in test_framing."""

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


@versions
@pytest.mark.parametrize("first", [b"", SSL_REQUEST], ids=["direct", "SSLRequest"])
@pytest.mark.parametrize(
    "alpn",
    [["h2"], ["http/1.1", "h2"], ["PostgreSQL"], ["postgres"], ["postgresql2"]],
    ids=",".join,
)
def test_alien_alpn(
    servers: Servers, alpn: list[str], first: bytes, version: ssl.TLSVersion
) -> None:
    """A list without it is fatal, however TLS began (NEG-28, NEG-30, NEG-78)."""
    old = differs("NEG-28", servers.kind)
    if old and not first:
        pytest.skip("knows no direct SSL")
    server = servers()
    with server.connect() as client:
        if first:
            client.send(first)
            assert client.read(1) == b"S"
        if old:
            client.start_tls(context(alpn=alpn, versions=(version, version)))
            assert client.tls is not None
            assert client.tls.selected_alpn_protocol() is None
            log_in(client)
            return
        client.received.clear()
        with pytest.raises(HandshakeFailedError):
            client.start_tls(context(alpn=alpn, versions=(version, version)))
        client.read_end()
        assert client.received == NO_APPLICATION_PROTOCOL
        assert server.log_of(client) == [
            commerror("could not accept SSL connection: no application protocol")
        ]


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


@direct
def test_both_requests_inside(servers: Servers) -> None:
    """SSLRequest N, GSSENCRequest N, then a login (NEG-31)."""
    if differs("NEG-23", servers.kind):
        pytest.skip("answers GSSENCRequest with G")
    with servers().connect() as client:
        client.direct_tls()
        for request in (SSL_REQUEST, GSSENC_REQUEST):
            client.send(request)
            assert client.read(1) == b"N"
        log_in(client)


@direct
@pytest.mark.parametrize(
    ("asks", "ssl_on", "traced"),
    [
        ([SSL_REQUEST], True, ["SSLRequest accepted"]),
        ([SSL_REQUEST], False, ["SSLRequest rejected"]),
        ([GSSENC_REQUEST], False, ["GSSENCRequest rejected"]),
        (
            [GSSENC_REQUEST, SSL_REQUEST],
            True,
            ["GSSENCRequest rejected", "SSLRequest accepted"],
        ),
    ],
    ids=["S", "N", "GSS", "GSS then S"],
)
def test_trace_of_requests(
    servers: Servers, asks: list[bytes], ssl_on: bool, traced: list[str]
) -> None:
    """trace_connection_negotiation tells what was asked for and had (NEG-32)."""
    if GSSENC_REQUEST in asks and differs("NEG-23", servers.kind):
        pytest.skip("answers GSSENCRequest with G")
    server = servers(ssl=ssl_on, trace_connection_negotiation="on")
    with server.connect() as client:
        for ask in asks:
            client.send(ask)
            answer = client.read(1)
        if answer == b"S":
            client.start_tls()
        client.send(b"\0\0\0\0")
        client.read_end()
        bad = commerror("invalid length of startup packet")
        assert server.log_of(client) == [*(LogLine("LOG", t) for t in traced), bad]


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
