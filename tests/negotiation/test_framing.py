"""The first byte, and where a start-up packet ends: NEG-01 to NEG-11."""

import socket

import pytest

from tests.negotiation.differences import alike, differs
from tests.support import wire
from tests.support.client import CLEAN, FIN, Client, context
from tests.support.endpoints import Servers, log_in
from tests.support.logs import commerror

pytestmark = pytest.mark.interop

INVALID_LENGTH = commerror("invalid length of startup packet")
INCOMPLETE = commerror("incomplete startup packet")


def test_first_byte_of_tls(servers: Servers) -> None:
    """0x16 opens a handshake, and no byte comes before it (NEG-01, NEG-02)."""
    server = servers()
    with server.connect() as client:
        if differs("NEG-01", servers.kind):
            client.send_raw(client.begin_tls())
            client.tls = None
            assert client.read_end()[0] == b""
            assert server.log_of(client) == [INVALID_LENGTH]
            return
        client.direct_tls()
        assert client.received[0] == 0x16
        log_in(client)


def test_first_byte_of_tls_without_ssl(servers: Servers) -> None:
    """A ClientHello where there is no TLS: closed without a word (NEG-03)."""
    server = servers(ssl=False)
    with server.connect() as client:
        client.send_raw(wire.client_hello())
        assert client.read_end()[0] == b""
        if differs("NEG-01", servers.kind):
            assert server.log_of(client) == [INVALID_LENGTH]
        else:
            assert server.log_of(client) == []


def test_first_byte_is_looked_at_once(servers: Servers) -> None:
    """Behind N a ClientHello is a length again, and no valid one (NEG-04)."""
    server = servers(ssl=False)
    with server.connect() as client:
        client.send(wire.SSL_REQUEST)
        assert client.read(1) == b"N"
        client.send_raw(wire.client_hello())
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == [INVALID_LENGTH]


@pytest.mark.parametrize("asked", [False, True], ids=["at once", "after N"])
def test_no_byte_at_all(servers: Servers, asked: bool) -> None:
    """A port scan, or a health check: nothing is said, nothing logged (NEG-05)."""
    server = servers(ssl=False)
    with server.connect() as client:
        if asked:
            client.send(wire.SSL_REQUEST)
            assert client.read(1) == b"N"
        client.fin()
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == []


@pytest.mark.parametrize("asked", [False, True], ids=["at once", "after N"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_part_of_a_length(servers: Servers, count: int, asked: bool) -> None:
    """Logged, unless the client had been answered N: it thinks again (NEG-06)."""
    server = servers(ssl=False)
    with server.connect() as client:
        if asked:
            client.send(wire.SSL_REQUEST)
            assert client.read(1) == b"N"
        client.send(b"\0\0\0"[:count])
        client.fin()
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == ([] if asked else [INCOMPLETE])


@alike("NEG-23")
def test_part_of_a_length_after_gssenc_request(servers: Servers) -> None:
    """The other request counts as well (NEG-06)."""
    server = servers()
    with server.connect() as client:
        client.send(wire.GSSENC_REQUEST)
        assert client.read(1) == b"N"
        client.send(b"\0\0")
        client.fin()
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == []


@pytest.mark.parametrize("after_n", [False, True], ids=["first", "after N"])
@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\0\0",
        b"\0\0\0\4",
        b"\0\0\0\7",
        (10_005).to_bytes(4),
        b"\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x80\x2e\1\0\2",
    ],
    ids=["0", "4", "7", "10005", "-1", "lowest", "HTTP", "SSLv2"],
)
def test_length_out_of_range(servers: Servers, head: bytes, after_n: bool) -> None:
    """Refused as soon as four bytes are there (NEG-07)."""
    server = servers(ssl=False)
    with server.connect() as client:
        if after_n:
            client.send(wire.SSL_REQUEST)
            assert client.read(1) == b"N"
        client.send(head)
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == [INVALID_LENGTH]


@pytest.mark.parametrize("received", [4, 5, 8, 30], ids=str)
@pytest.mark.parametrize("asked", [False, True], ids=["at once", "after N"])
def test_part_of_a_packet(servers: Servers, received: int, asked: bool) -> None:
    """Always logged, whatever came before (NEG-08)."""
    server = servers(ssl=False)
    with server.connect() as client:
        if asked:
            client.send(wire.SSL_REQUEST)
            assert client.read(1) == b"N"
        client.send(wire.startup()[:received])
        client.fin()
        assert client.read_end() == (b"", FIN)
        assert server.log_of(client) == [INCOMPLETE]


def test_part_of_a_packet_in_tls(servers: Servers) -> None:
    """The same inside TLS, which ends in good order (NEG-08, NEG-67)."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        client.send(wire.startup()[:9])
        client.end_tls()
        client.fin()
        assert client.read_end() == (b"", CLEAN)
        assert server.log_of(client) == [INCOMPLETE]


def test_bad_length_in_tls(servers: Servers) -> None:
    """NEG-07 inside TLS: close_notify, then FIN."""
    server = servers()
    with server.connect() as client:
        client.request_tls()
        client.send(b"\0\0\0\7")
        assert client.read_end() == (b"", CLEAN)
        assert server.log_of(client) == [INVALID_LENGTH]


def longest() -> bytes:
    """Return a StartupMessage of 10,004 bytes, the most there may be."""
    name = b"application_name\0"
    rest = 10_004 - len(wire.startup(name + b"\0"))
    return wire.startup(name + b"x" * rest + b"\0")


def test_longest_packet(servers: Servers) -> None:
    """10,004 bytes are accepted, 10,005 are not (NEG-09; NEG-07)."""
    server = servers()
    assert len(longest()) == 10_004
    with server.connect() as client:
        log_in(client, longest())
    with server.connect() as client:
        client.request_tls()
        log_in(client, longest())


def send_one_by_one(client: Client, data: bytes) -> None:
    """Send each byte in a segment, and within TLS in a record, of its own."""
    for position in range(len(data)):
        client.send(data[position : position + 1])


def test_byte_by_byte(servers: Servers) -> None:
    """A packet may arrive in any number of pieces (NEG-09)."""
    server = servers()
    with server.connect() as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        send_one_by_one(client, wire.SSL_REQUEST)
        assert client.read(1) == b"S"
        for byte in client.begin_tls(context()):
            client.send_raw(bytes([byte]))
        client.handshake()
        send_one_by_one(client, wire.startup())
        assert client.read_message().kind == "R"
        client.read_until("Z")


@pytest.mark.parametrize("extra", [1, 4, 100], ids=str)
def test_request_with_a_body(servers: Servers, extra: int) -> None:
    """Only the code of a request counts; a body is swallowed (NEG-10)."""
    server = servers()
    with server.connect() as client:
        client.send(wire.packet(wire.SSL_REQUEST[4:] + b"x" * extra))
        assert client.read(1) == b"S"
        client.start_tls()
        log_in(client)


@alike("NEG-23")
def test_gssenc_request_with_a_body(servers: Servers) -> None:
    """The same for the other request (NEG-10)."""
    with servers().connect() as client:
        client.send(wire.packet(wire.GSSENC_REQUEST[4:] + b"x"))
        assert client.read(1) == b"N"
        log_in(client)
