"""CancelRequest: no reply, no rules, in every position: CAN-01 to CAN-11."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.negotiation.differences import alike, differs
from tests.support import wire
from tests.support.client import CLEAN, FIN, Client, context
from tests.support.endpoints import Endpoint, Servers, log_in
from tests.support.logs import LogLine, commerror
from tests.support.pki import Pki
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST, cancel, error, told

pytestmark = pytest.mark.interop

CANCELED = error("57014", "canceling statement due to user request", severity="ERROR")
SLEEP = "DO $$ BEGIN RAISE NOTICE 'asleep'; PERFORM pg_sleep(60); END $$"
"""The notice arrives when the statement has begun, and can be cancelled."""


class Sleeper:
    """A session that sleeps until it is cancelled."""

    def __init__(self, client: Client, packet: bytes | None = None) -> None:
        messages = log_in(client, packet)
        self.client = client
        key = next(one for one in messages if one.kind == "K")
        self.pid, self.key = key.key
        client.send(wire.query(SLEEP))
        assert client.read_message().kind == "N"

    @property
    def request(self) -> bytes:
        """The CancelRequest that wakes it."""
        return cancel(self.pid, self.key)

    def wakes(self) -> None:
        """See that it was cancelled."""
        fields = told(self.client.read_message())
        fields.pop("W")  # PL/pgSQL says where it was
        assert fields == CANCELED
        assert self.client.read_message().kind == "Z"

    def sleeps_on(self) -> None:
        """See that it was not."""
        assert self.client.is_silent()


@contextlib.contextmanager
def asleep(server: Endpoint, packet: bytes | None = None) -> Iterator[Sleeper]:
    """Log in, and sleep."""
    with server.connect() as client:
        yield Sleeper(client, packet)


def at_once(client: Client) -> None:
    """As every client can."""


def after_n(client: Client) -> None:
    """A client that would have liked TLS."""
    client.send(SSL_REQUEST)
    assert client.read(1) == b"N"


def in_tls(client: Client) -> None:
    """As libpq does from 17 on."""
    client.request_tls()


def in_direct_tls(client: Client) -> None:
    """As libpq does with sslnegotiation=direct."""
    client.direct_tls()


def in_direct_tls_after_n(client: Client) -> None:
    """As nobody does, but may."""
    client.direct_tls()
    client.send(SSL_REQUEST)
    assert client.read(1) == b"N"


def check_cancel(server: Endpoint, prepare: Callable[[Client], None]) -> None:
    """Cancel a session of *server* by a client that *prepare* has brought there."""
    with asleep(server) as session, server.connect() as client:
        prepare(client)
        client.send(session.request)
        # Never a byte of answer; the end comes when the signal was sent.
        assert client.read_end() == (b"", CLEAN if client.tls else FIN)
        session.wakes()
        assert server.log_of(client) == []


@pytest.mark.parametrize(
    ("prepare", "ssl"),
    [(at_once, True), (at_once, False), (after_n, False), (in_tls, True)],
)
def test_positions(
    servers: Servers, prepare: Callable[[Client], None], ssl: bool
) -> None:
    """First, behind N, inside TLS (CAN-04, CAN-05, CAN-07, NEG-21)."""
    check_cancel(servers(ssl=ssl), prepare)


@alike("NEG-01")
@pytest.mark.parametrize("prepare", [in_direct_tls, in_direct_tls_after_n])
def test_positions_in_direct_tls(
    servers: Servers, prepare: Callable[[Client], None]
) -> None:
    """Inside TLS that began at once, too (CAN-05, NEG-31)."""
    check_cancel(servers(), prepare)


@alike("NEG-23")
def test_after_gssenc_request(servers: Servers) -> None:
    """Behind the other N (NEG-15)."""

    def after_gss(client: Client) -> None:
        client.send(GSSENC_REQUEST)
        assert client.read(1) == b"N"

    check_cancel(servers(), after_gss)


@alike("NEG-42")
def test_long_key(servers: Servers) -> None:
    """Protocol 3.2 has keys of 32 bytes (CAN-03)."""
    server = servers()
    packet = wire.startup(version=wire.PROTOCOL_3_2)
    with asleep(server, packet) as session, server.connect() as client:
        assert len(session.key) == 32
        client.send(session.request)
        assert client.read_end() == (b"", FIN)
        session.wakes()


def test_byte_by_byte(servers: Servers) -> None:
    """In pieces it is the same request (NEG-09)."""
    server = servers()
    with asleep(server) as session, server.connect() as client:
        for byte in session.request:
            client.send(bytes([byte]))
        assert client.read_end() == (b"", FIN)
        session.wakes()


def test_without_a_rule(servers: Servers, pki: Pki) -> None:
    """No rule is asked, and no certificate; plain text will do (CAN-06)."""
    server = servers(ca=True, hba="hostssl all all 127.0.0.1/32 cert\n")
    with server.connect() as client:
        client.request_tls(context(certificate=pki.client("tom")))
        session = Sleeper(client)
        with server.connect() as canceller:
            canceller.send(session.request)
            assert canceller.read_end() == (b"", FIN)
            session.wakes()


def test_when_there_are_too_many(servers: Servers) -> None:
    """The limit on clients is not for those who cancel (CAN-06, NEG-61)."""
    with (
        servers.private(max_connections="5") as server,
        contextlib.ExitStack() as stack,
    ):
        sessions = [stack.enter_context(server.connect()) for _ in range(5)]
        for session in sessions[1:]:
            log_in(session, wire.startup(user="postgres"))
        sleeper = Sleeper(sessions[0], wire.startup(user="postgres"))
        with server.connect() as client:
            client.send(wire.startup(user="postgres"))
            assert told(client.read_message())["C"] == "53300"
        with server.connect() as client:
            client.send(sleeper.request)
            assert client.read_end() == (b"", FIN)
        sleeper.wakes()


def flip(key: bytes) -> bytes:
    """Return another key of the same length."""
    return bytes([key[0] ^ 1]) + key[1:]


def test_wrong_key(servers: Servers) -> None:
    """Nothing happens, and who asked cannot tell (CAN-04)."""
    server = servers()
    with asleep(server) as session:
        with server.connect() as client:
            client.send(cancel(session.pid, flip(session.key)))
            assert client.read_end() == (b"", FIN)
            noted = f"wrong key in cancel request for process {session.pid}"
            backend_notes = differs("CAN-04", servers.kind)
            expected = [] if backend_notes else [LogLine("LOG", noted)]
            assert server.log_of(client) == expected
        session.sleeps_on()


def test_unknown_process(servers: Servers) -> None:
    """The same for a process that there is not (CAN-04)."""
    server = servers()
    with server.connect() as client:
        client.send(cancel(2**30, b"1234"))
        assert client.read_end() == (b"", FIN)
        noted = f"PID {2**30} in cancel request did not match any process"
        backend_notes = differs("CAN-04", servers.kind)
        expected = [] if backend_notes else [LogLine("LOG", noted)]
        assert server.log_of(client) == expected


@pytest.mark.parametrize(
    ("rest", "complaint"),
    [
        (0, "invalid length of cancel request packet"),
        (1, "invalid length of cancel request packet"),
        (3, "invalid length of cancel request packet"),
        (4, "invalid length of cancel key in cancel request packet"),
        (5, None),
        (7, None),
        (9, None),
        (4 + 256, None),
        (4 + 257, "invalid length of cancel key in cancel request packet"),
        (4 + 9000, "invalid length of cancel key in cancel request packet"),
    ],
    ids=repr,
)
def test_length(servers: Servers, rest: int, complaint: str | None) -> None:
    """4 bytes of process id, 1 to 256 of key; in silence (CAN-01, CAN-02)."""
    server = servers()
    with server.connect() as client:
        client.send(wire.packet(wire.CANCEL_CODE + b"\x7f" * rest))
        assert client.read_end() == (b"", FIN)
        lines = server.log_of(client)
        if differs("CAN-01", servers.kind):
            assert lines == [commerror("invalid length of startup packet")]
        elif complaint:
            assert lines == [commerror(complaint)]
        else:
            assert "08P01" not in {line.state_code for line in lines}


def test_behind_a_cancel_request(servers: Servers) -> None:
    """What follows in the same segment is nobody's, and does no harm."""
    server = servers()
    with asleep(server) as session, server.connect() as client:
        client.send(session.request, wire.startup())
        data, _end = client.read_end()
        assert data == b""
        session.wakes()
