"""SSLRequest, and the one byte that answers it: NEG-12 to NEG-22."""

import pytest

from tests.negotiation.differences import alike, differs
from tests.support import wire
from tests.support.client import CLEAN, FIN, Client
from tests.support.endpoints import Endpoint, Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST, error, told

pytestmark = pytest.mark.interop

REJECT = "host all all 127.0.0.1/32 reject\n"


def unsupported(server: Endpoint, version: str) -> dict[str, str]:
    """Return the refusal of a protocol *version*."""
    newest = "3.0" if differs("NEG-42", server.kind) else "3.2"
    return error(
        "0A000",
        f"unsupported frontend protocol {version}: server supports 3.0 to {newest}",
    )


def read_refusal(client: Client, end: object) -> dict[str, str]:
    """Return the one ErrorResponse that comes before the *end*."""
    messages, ended = client.read_messages()
    assert ended == end
    assert wire.kinds(messages) == "E"
    return told(messages[0])


@pytest.mark.parametrize(("ssl", "answer"), [(True, b"S"), (False, b"N")])
def test_one_byte(servers: Servers, ssl: bool, answer: bytes) -> None:
    """S or N, and nothing behind it (NEG-12, NEG-81)."""
    with servers(ssl=ssl).connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == answer
        assert client.is_silent()


def test_answer_does_not_depend_on_the_rules(servers: Servers) -> None:
    """Who may not connect hears of it inside TLS, and after S (NEG-13)."""
    server = servers(hba=REJECT)
    with server.connect() as client:
        client.request_tls()
        client.send(wire.startup())
        assert read_refusal(client, CLEAN) == error(
            "28000",
            'pg_hba.conf rejects connection for host "127.0.0.1", user "tom", '
            'database "postgres", SSL encryption',
        )


def test_client_leaves_after_s(servers: Servers) -> None:
    """No handshake is a handshake that failed (NEG-14, NEG-79)."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"S"
        client.fin()
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == [
            commerror("could not accept SSL connection: EOF detected")
        ]


def test_client_is_gone_after_s(servers: Servers) -> None:
    """The same with an RST, which is no protocol violation (NEG-14)."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"S"
        client.rst()
        reset = "could not accept SSL connection: Connection reset by peer"
        assert server.log_of(client) == [LogLine("LOG", reset, "08006")]


def test_login_after_n(servers: Servers) -> None:
    """N leaves the choice to the client, who may go on in the clear (NEG-15)."""
    with servers(ssl=False).connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"N"
        assert client.is_silent()
        log_in(client)


def test_asked_twice_after_n(servers: Servers) -> None:
    """The second SSLRequest is read as an absurd version (NEG-16)."""
    server = servers(ssl=False)
    with server.connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"N"
        client.send(SSL_REQUEST)
        assert read_refusal(client, FIN) == unsupported(server, "1234.5679")


@alike("NEG-23")
def test_both_answered_n(servers: Servers) -> None:
    """SSLRequest N, GSSENCRequest N, then a login (NEG-17)."""
    with servers(ssl=False).connect() as client:
        for request in (SSL_REQUEST, GSSENC_REQUEST):
            client.send(request)
            assert client.read(1) == b"N"
        log_in(client)


@alike("NEG-23")
@pytest.mark.parametrize(
    ("again", "version"), [(SSL_REQUEST, "1234.5679"), (GSSENC_REQUEST, "1234.5680")]
)
def test_no_alternation(servers: Servers, again: bytes, version: str) -> None:
    """Each is answered once; taking turns is no way round (NEG-18, CVE-2026-6479)."""
    server = servers(ssl=False)
    with server.connect() as client:
        for request in (SSL_REQUEST, GSSENC_REQUEST):
            client.send(request)
            assert client.read(1) == b"N"
        client.send(again)
        assert read_refusal(client, FIN) == unsupported(server, version)


@alike("NEG-23")
def test_gss_then_ssl(servers: Servers) -> None:
    """The order of a libpq that was built with GSSAPI (NEG-19)."""
    with servers().connect() as client:
        client.send(GSSENC_REQUEST)
        assert client.read(1) == b"N"
        client.request_tls()
        log_in(client)


@pytest.mark.parametrize(
    ("again", "version"), [(SSL_REQUEST, "1234.5679"), (GSSENC_REQUEST, "1234.5680")]
)
def test_request_inside_tls(servers: Servers, again: bytes, version: str) -> None:
    """TLS inside TLS is not to be had, nor GSSAPI (NEG-20)."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        client.send(again)
        assert read_refusal(client, CLEAN) == unsupported(server, version)


def test_login_inside_tls_ends_in_order(servers: Servers) -> None:
    """A session that is terminated: close_notify, then FIN (NEG-67)."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        log_in(client)
        client.send(wire.TERMINATE)
        assert client.read_end() == (b"", CLEAN)
        assert server.log_of(client) == []
