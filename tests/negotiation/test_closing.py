"""Refusals, timeouts, and how a connection ends: NEG-60 to NEG-70, NEG-83 to 86."""

import signal
import ssl
import time

import pytest

from tests.negotiation.differences import differs
from tests.negotiation.test_ssl_request import read_refusal
from tests.support import wire
from tests.support.client import CLEAN, FIN, Client, context
from tests.support.endpoints import Endpoint, Servers, log_in, wait_until
from tests.support.logs import LogLine
from tests.support.meeting import records
from tests.support.wire import SSL_REQUEST, error, startup

pytestmark = pytest.mark.interop

TOO_MANY = error("53300", "sorry, too many clients already")
SHUTTING_DOWN = error("57P03", "the database system is shutting down")
SASL = 10


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_too_many_clients(servers: Servers, tls: bool) -> None:
    """After S and the start-up packet, inside TLS, before the rules (NEG-60)."""
    with servers.private(max_connections="5") as server:
        others = [server.connect() for _ in range(5)]
        for other in others:
            log_in(other, startup(user="postgres"))
        with server.connect() as client:
            if tls:
                client.request_tls()
            client.send(startup(user="eve"))
            assert read_refusal(client, CLEAN if tls else FIN) == TOO_MANY
            assert server.log_of(client) == [
                LogLine("FATAL", TOO_MANY["M"], TOO_MANY["C"])
            ]
        for other in others:
            other.sock.close()


def test_shutting_down(servers: Servers) -> None:
    """Who comes now is told so, inside TLS; who is there may stay (NEG-60)."""
    with servers.private() as server, server.connect() as session:
        log_in(session)
        server.signal(signal.SIGTERM)
        wait_until(
            lambda: "received smart shutdown request" in server.log_text(),
            server.log_text,
        )
        with server.connect() as client:
            client.request_tls()
            client.send(startup(user="eve"))
            assert read_refusal(client, CLEAN) == SHUTTING_DOWN
        session.send(wire.query("SELECT 1"))
        assert wire.kinds(session.read_until("Z")) == "TDCZ"


def start_nothing(client: Client) -> None:
    """Connect, and say nothing."""


def start_packet(client: Client) -> None:
    """Say half a packet."""
    client.send(startup()[:10])


def start_request(client: Client) -> None:
    """Ask for TLS, and do not begin it."""
    client.send(SSL_REQUEST)
    assert client.read(1) == b"S"


def start_hello(client: Client) -> None:
    """Begin a handshake, and do not finish it."""
    start_request(client)
    client.send_raw(client.begin_tls()[:50])
    client.tls = None


def start_tls(client: Client) -> None:
    """Have TLS, and say nothing in it."""
    client.request_tls()


def test_time_for_the_startup_packet(servers: Servers) -> None:
    """authentication_timeout: no message, no close_notify, no log (NEG-65)."""
    server = servers(authentication_timeout="1")
    began = time.monotonic()
    clients = []
    # All at once: it is a second of waiting.
    for begin in (start_nothing, start_packet, start_request, start_hello, start_tls):
        clients.append(server.connect())
        begin(clients[-1])
    for client in clients:
        assert client.read_end() == (b"", FIN)
        assert 0.8 < time.monotonic() - began < 10
        assert server.log_of(client) == []
        client.sock.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_time_for_the_login(servers: Servers, tls: bool) -> None:
    """Who does not answer is dropped; only the log is told why (NEG-66)."""
    server = servers(authentication_timeout="1")
    with server.connect() as client:
        if tls:
            client.request_tls()
        client.send(startup(user="ana"))
        assert client.read_message().code == SASL
        assert client.read_end() == (b"", CLEAN if tls else FIN)
        assert server.log_of(client) == [
            LogLine("FATAL", "canceling authentication due to timeout", "57014")
        ]


def test_time_begins_anew(servers: Servers) -> None:
    """The login has a time of its own, behind the start-up packet's (NEG-66)."""
    server = servers(authentication_timeout="2")
    with server.connect() as client:
        began = time.monotonic()
        assert client.is_silent(1.2)
        client.send(startup(user="ana"))
        assert client.read_message().code == SASL
        assert client.read_end() == (b"", FIN)
        # 1.2 s for the packet, and then 2 s for the login.
        assert time.monotonic() - began > 2.9


def test_session_outlives_the_timeout(servers: Servers) -> None:
    """authentication_timeout ends with the authentication."""
    server = servers(authentication_timeout="1")
    with server.connect() as client:
        client.request_tls()
        log_in(client)
        assert client.is_silent(1.5)
        client.send(wire.query("SELECT 1"))
        assert wire.kinds(client.read_until("Z")) == "TDCZ"


def test_client_disappears(servers: Servers) -> None:
    """FIN inside TLS without close_notify: PostgreSQL takes note (NEG-68)."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        log_in(client)
        client.fin()
        client.read_end()
        reset = "could not receive data from client: Connection reset by peer"
        noted = [LogLine("LOG", reset, "08006")]
        assert server.log_of(client) == noted


def test_client_says_goodbye(servers: Servers) -> None:
    """With close_notify nothing is logged, and nobody waits (NEG-68)."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        log_in(client)
        client.end_tls()
        client.fin()
        data, end = client.read_end()
        assert data == b""
        assert end == CLEAN
        assert server.log_of(client) == []


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_client_leaves_at_the_password(servers: Servers, tls: bool) -> None:
    """So does psql, to ask its user for one: nothing is logged (NEG-70)."""
    server = servers()
    with server.connect() as client:
        if tls:
            client.request_tls()
        client.send(startup(user="ana"))
        assert client.read_message().code == SASL
        if tls:
            client.end_tls()
        client.fin()
        assert client.read_end() == (b"", CLEAN if tls else FIN)
        words = [line.message for line in server.log_of(client)]
        guess = (
            "client closed the connection when it was offered SCRAM without channel "
            "binding"
        )
        told = tls and differs("NEG-70", servers.kind)
        assert words == ([guess] if told else [])


def test_refusal_arrives_whatever_follows(servers: Servers) -> None:
    """What the client has sent beyond does not cost it the message (NEG-69)."""
    with servers().connect() as client:
        client.request_tls()
        client.send(startup(user="eve") + wire.query("SELECT 1"))
        assert read_refusal(client, CLEAN)["C"] == "28000"


def test_size_of_records(servers: Servers) -> None:
    """Up to 8 KiB of text before 17, up to 16 KiB since (NEG-83)."""
    with servers().connect() as client:
        client.request_tls()
        log_in(client)
        client.received.clear()
        client.send(wire.query("SELECT repeat('x', 200000)"))
        client.read_until("Z")
        # TLS 1.3 adds a byte for the type and 16 for the tag.
        largest = max(records(bytes(client.received))) - 17
        assert largest <= (8192 if differs("NEG-83", servers.kind) else 16384)


def no_tickets(server: Endpoint, version: ssl.TLSVersion) -> Client:
    """Return a client that has just finished a handshake."""
    return server.connect().request_tls(context(versions=(version, version)))


def test_no_tickets_of_tls_1_3(servers: Servers) -> None:
    """After the handshake the server has nothing to say (NEG-84, TLS-55)."""
    with no_tickets(servers(), ssl.TLSVersion.TLSv1_3) as client:
        assert client.is_silent()


def test_no_resumption_of_tls_1_2(servers: Servers) -> None:
    """Neither a ticket nor a session id is given out (NEG-84, TLS-56)."""
    with no_tickets(servers(), ssl.TLSVersion.TLSv1_2) as client:
        assert client.tls is not None
        session = client.tls.session
        assert session is not None
        assert not session.has_ticket
        assert session.id == b""


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)
def test_no_compression(servers: Servers, version: ssl.TLSVersion) -> None:
    """TLS compresses nothing, and the strongest cipher is chosen (NEG-84, TLS-59)."""
    with no_tickets(servers(), version) as client:
        assert client.tls is not None
        assert client.tls.compression() is None
        chosen = client.tls.cipher()
        assert chosen is not None
        assert chosen[0] in {"TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"}


def test_connection_received(servers: Servers) -> None:
    """Logged before a byte is read (NEG-86)."""
    server = servers(log_connections="on")
    with server.connect() as client:
        client.fin()
        client.read_end()
        assert server.log_of(client) == [
            LogLine(
                "LOG",
                f"connection received: host=127.0.0.1 port={client.local_port}",
            )
        ]
