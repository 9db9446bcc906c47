"""
Bytes that come before they may: NEG-33 to NEG-41, CVE-2021-23214.

Whoever stands between client and server can add to what the client says in the
clear. Nothing of that may be taken for something that came through TLS.
"""

import pytest

from tests.negotiation.differences import alike, differs
from tests.negotiation.test_ssl_request import read_refusal
from tests.support import wire
from tests.support.client import CLEAN, FIN, RST, End, context
from tests.support.endpoints import Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST, error

pytestmark = pytest.mark.interop

direct = alike("NEG-01")

DETAIL = (
    "This could be either a client-software bug or evidence of an attempted "
    "man-in-the-middle attack."
)
AFTER_SSL = error("08P01", "received unencrypted data after SSL request", detail=DETAIL)
AFTER_GSS = error(
    "08P01",
    "received unencrypted data after GSSAPI encryption request",
    detail=DETAIL,
)
HINT = (
    "This may indicate that the client does not support any SSL protocol version "
    "between TLSv1.2 and TLSv1.3."
)
NO_TLS = commerror("could not accept SSL connection: wrong version number", hint=HINT)


def dropped(servers: Servers) -> set[End]:
    """Return how a connection may end on which there are bytes that nobody read."""
    # The kernel says RST for a server that closes without having read all.
    return {FIN} if differs("NEG-69", servers.kind) else {FIN, RST}


@pytest.mark.parametrize("more", [wire.startup(), SSL_REQUEST, b"x"], ids=len)
def test_behind_n(servers: Servers, more: bytes) -> None:
    """N, and then the refusal, in the clear: a client may not go ahead (NEG-34)."""
    server = servers(ssl=False)
    with server.connect() as client:
        client.send(SSL_REQUEST, more)
        assert client.read(1) == b"N"
        assert read_refusal(client, FIN) == AFTER_SSL
        (line,) = server.log_of(client)
        assert (line.severity, line.state_code) == ("FATAL", "08P01")
        assert (line.message, line.detail) == (AFTER_SSL["M"], DETAIL)


@alike("NEG-23")
@pytest.mark.parametrize("ssl", [True, False], ids=["ssl on", "ssl off"])
@pytest.mark.parametrize("more", [wire.startup(), SSL_REQUEST], ids=len)
def test_behind_gssenc_request(servers: Servers, more: bytes, ssl: bool) -> None:
    """The same, with a message of its own (NEG-33, NEG-34)."""
    with servers(ssl=ssl).connect() as client:
        client.send(GSSENC_REQUEST, more)
        assert client.read(1) == b"N"
        assert read_refusal(client, FIN) == AFTER_GSS


def test_with_a_delay_behind_n(servers: Servers) -> None:
    """What comes once N was said is simply the next packet (NEG-40)."""
    with servers(ssl=False).connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"N"
        log_in(client)


def test_eager_client_hello(servers: Servers) -> None:
    """A ClientHello in the segment of its SSLRequest works (NEG-37; not NEG-36)."""
    old = differs("NEG-33", servers.kind)
    server = servers(authentication_timeout="1") if old else servers()
    with server.connect() as client:
        client.send_raw(SSL_REQUEST + client.begin_tls(context()))
        tls, client.tls = client.tls, None
        assert client.read(1) == b"S"
        if old:
            # It is stuck in a buffer that TLS does not look into.
            assert client.read_end() == (b"", FIN)
            return
        client.tls = tls
        client.handshake()
        log_in(client)


@pytest.mark.parametrize(
    "more",
    [wire.startup(), wire.cancel(1, b"1234"), SSL_REQUEST],
    ids=["StartupMessage", "CancelRequest", "SSLRequest"],
)
def test_plain_text_behind_s(servers: Servers, more: bytes) -> None:
    """It meets TLS, where it is no ClientHello: closed, in silence (NEG-37)."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST, more)
        assert client.read(1) == b"S"
        if differs("NEG-33", servers.kind):
            client.start_tls()
            assert read_refusal(client, CLEAN) == AFTER_SSL
            return
        data, end = client.read_end()
        assert data == b""
        assert end in dropped(servers)
        remains = LogLine(
            "LOG", "buffered unencrypted data remains after negotiating SSL connection"
        )
        more_lines = [] if differs("NEG-37", servers.kind) else [remains]
        assert server.log_of(client) == [NO_TLS, *more_lines]


@direct
def test_one_byte_behind_s(servers: Servers) -> None:
    """Five bytes make a record's head: until then the server waits (NEG-38)."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST, b"x")
        assert client.read(1) == b"S"
        assert client.is_silent()
        client.fin()
        data, end = client.read_end()
        assert data == b""
        assert end in dropped(servers)
        assert server.log_of(client)[0] == commerror(
            "could not accept SSL connection: EOF detected"
        )


@direct
def test_injected_before_a_real_handshake(servers: Servers) -> None:
    """What stood before the ClientHello is never read as PostgreSQL's (NEG-41)."""
    server = servers(log_connections="on")
    with server.connect() as client:
        injected = wire.startup(user="mallory")
        client.send_raw(SSL_REQUEST + injected + client.begin_tls(context()))
        client.tls = None
        assert client.read(1) == b"S"
        data, end = client.read_end()
        assert data == b""
        assert end in dropped(servers)
        server.log_of(client)
        assert "mallory" not in server.log_text()


@direct
def test_pipelined_inside_direct_tls(servers: Servers) -> None:
    """Here the same refusal comes, though its data was encrypted (NEG-39)."""
    with servers().connect() as client:
        client.direct_tls()
        client.send(SSL_REQUEST + wire.startup())
        assert client.read(1) == b"N"
        assert read_refusal(client, CLEAN) == AFTER_SSL


@direct
def test_pipelined_in_records_inside_direct_tls(servers: Servers) -> None:
    """
    Two records in one segment: PostgreSQL has read both of them, or one.

    Nothing worse than the refusal may come of it, nor anything else than a login.
    """
    with servers().connect() as client:
        client.direct_tls()
        client.send(SSL_REQUEST, wire.startup())
        assert client.read(1) == b"N"
        message = client.read_message()
        assert message.kind in "RE"
        if message.kind == "E":
            assert wire.told(message) == AFTER_SSL
