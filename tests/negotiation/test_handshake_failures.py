"""Handshakes that fail, on the wire and in the log: NEG-71 to NEG-82, TLS-60."""

import ssl

import pytest

from tests.negotiation.differences import alike, differs
from tests.negotiation.test_early_bytes import HINT, dropped
from tests.support.client import Client, HandshakeFailedError, context
from tests.support.endpoints import Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.pki import Pki
from tests.support.wire import SSL_REQUEST, client_hello, startup

pytestmark = pytest.mark.interop

versions = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)

P_256, P_384 = 0x0017, 0x0018
HANDSHAKE_FAILURE, UNKNOWN_CA = 40, 48


def failure(reason: str, hint: str | None = None) -> LogLine:
    """Return what is logged of a handshake that failed for *reason*."""
    line = commerror(f"could not accept SSL connection: {reason}")
    return LogLine(line.severity, line.message, line.state_code, hint=hint)


def sslv2_hello(ciphers: int = 3) -> bytes:
    """
    Return a hello of SSL 2.0; *ciphers* is the length that it claims they have.

    ::

        Int16 0x8000 + length
        Byte1 1, Int16 version, Int16 each: length of ciphers, session id, challenge
        3 bytes each (ciphers), challenge
    """
    lengths = b"".join(one.to_bytes(2) for one in (ciphers, 0, 16))
    body = b"\1\0\2" + lengths + b"\1\0\x80" + b"c" * 16
    return (0x8000 + len(body)).to_bytes(2) + body


def refuse_tls(servers: Servers, data: bytes) -> tuple[bytes, list[LogLine]]:
    """Send *data* where a ClientHello should be; return the answer, and the log."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"S"
        client.send_raw(data)
        answer, end = client.read_end()
        assert end in dropped(servers)
        return answer, server.log_of(client)


@pytest.mark.parametrize(
    ("hello", "answer", "line"),
    [
        (
            client_hello(version=0x0302),
            "15 0302 0002 02 46",
            failure("unsupported protocol", HINT),
        ),
        (
            client_hello(version=0x0301),
            "15 0301 0002 02 46",
            failure("unsupported protocol", HINT),
        ),
        (startup(), "", failure("wrong version number", HINT)),
        (b"\0" * 100, "", failure("wrong version number", HINT)),
        (b"GET / HTTP/1.1\r\n\r\n", "", failure("http request")),
        (sslv2_hello(), "15 0303 0002 02 46", failure("unknown protocol", HINT)),
        (sslv2_hello(255), "15 0303 0002 02 32", failure("record length mismatch")),
        (
            bytes.fromhex("15 0301 0002 02 28"),
            "15 0301 0002 02 0a",
            failure("unexpected message"),
        ),
        (
            bytes.fromhex("16 0301 ffff 01 000000"),
            "15 0303 0002 02 16",
            failure("packet length too long"),
        ),
        (
            # Only suites for an RSA certificate; the server's is ECDSA.
            client_hello(ciphers=[0xC02F, 0x002F]),
            "15 0303 0002 02 28",
            failure("no shared cipher"),
        ),
        (
            client_hello(groups=[P_384]),
            "15 0303 0002 02 28",
            failure("no shared cipher"),
        ),
    ],
    ids=[
        "NEG-71 TLS 1.1",
        "NEG-71 TLS 1.0",
        "NEG-72 StartupMessage",
        "NEG-72 zeros",
        "NEG-73 HTTP",
        "NEG-74 SSL 2.0",
        "NEG-74b malformed",
        "NEG-75 alert",
        "NEG-76 overflow",
        "NEG-77 cipher",
        "NEG-77 group",
    ],
)
def test_no_client_hello(
    servers: Servers, hello: bytes, answer: str, line: LogLine
) -> None:
    """What comes is no ClientHello, or none that can be answered (NEG-71 to 77)."""
    answered, lines = refuse_tls(servers, hello)
    assert answered.hex() == bytes.fromhex(answer).hex()
    assert lines[0] == line
    # PostgreSQL 17 has read more than TLS has taken; pgproxy reads nothing ahead.
    assert {one.message for one in lines[1:]} <= {
        "buffered unencrypted data remains after negotiating SSL connection"
    }


def test_empty_record(servers: Servers) -> None:
    """A record of no bytes is no end: the server waits for more (NEG-76b)."""
    server = servers()
    with server.connect() as client:
        client.send(SSL_REQUEST)
        assert client.read(1) == b"S"
        client.send_raw(bytes.fromhex("16 0301 0000"))
        assert client.is_silent()
        client.fin()
        answer, end = client.read_end()
        assert answer == b""
        assert end in dropped(servers)
        assert server.log_of(client) == [failure("EOF detected")]


def fail_handshake(client: Client, with_context: ssl.SSLContext) -> None:
    """Ask for TLS, and see the handshake fail."""
    client.send(SSL_REQUEST)
    assert client.read(1) == b"S"
    with pytest.raises(HandshakeFailedError):
        client.start_tls(with_context)
    client.fin()
    client.read_end()


def test_no_common_group(servers: Servers) -> None:
    """TLS 1.3 with P-384 alone, which nobody has by default (NEG-77b, TLS-60)."""
    server = servers()
    with server.connect() as client:
        fail_handshake(
            client,
            context(configure=lambda made: made.set_ecdh_curve("secp384r1")),
        )
        assert client.alerts == [HANDSHAKE_FAILURE]
        assert server.log_of(client) == [failure("no suitable key share")]


@pytest.mark.parametrize("group", ["prime256v1", "X25519"])
def test_groups(servers: Servers, group: str) -> None:
    """P-256 everywhere; X25519 from 18 on (TLS-60)."""
    server = servers()
    with server.connect() as client:
        offer = context(configure=lambda made: made.set_ecdh_curve(group))
        if group == "X25519" and differs("TLS-60", servers.kind):
            fail_handshake(client, offer)
            assert client.alerts == [HANDSHAKE_FAILURE]
            return
        client.request_tls(offer)
        log_in(client)


@versions
def test_client_refuses_the_server(
    servers: Servers, pki: Pki, version: ssl.TLSVersion
) -> None:
    """The server hears of it before the handshake is over (NEG-79b, NEG-82)."""
    server = servers()
    with server.connect() as client:
        stranger = pki.client_ca_file
        fail_handshake(client, context(ca_file=stranger, versions=(version, version)))
        assert server.log_of(client) == [failure("tlsv1 alert unknown ca")]


@versions
def test_client_believes_the_server(
    servers: Servers, pki: Pki, version: ssl.TLSVersion
) -> None:
    """The control of the test above: the chain reaches the root."""
    with servers().connect() as client:
        client.request_tls(context(ca_file=pki.root_file, versions=(version, version)))
        log_in(client)


@alike("NEG-01")
@pytest.mark.parametrize(
    ("data", "answer", "line"),
    [
        (
            client_hello(version=0x0302),
            "15 0302 0002 02 46",
            failure("unsupported protocol", HINT),
        ),
        (
            bytes.fromhex("16 0301 ffff 01 000000"),
            "15 0303 0002 02 16",
            failure("packet length too long"),
        ),
        (bytes.fromhex("16 ffff 0010"), "", failure("wrong version number", HINT)),
    ],
    ids=["TLS 1.1", "overflow", "version"],
)
def test_direct_ssl_that_fails(
    servers: Servers, data: bytes, answer: str, line: LogLine
) -> None:
    """Without an SSLRequest the same becomes of it (NEG-71, NEG-76)."""
    server = servers()
    with server.connect() as client:
        client.send_raw(data)
        answered, end = client.read_end()
        assert end in dropped(servers)
        assert answered.hex() == bytes.fromhex(answer).hex()
        assert server.log_of(client)[0] == line
