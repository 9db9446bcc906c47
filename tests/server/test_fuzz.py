"""
First packets from whoever finds the port: random ones, and real ones gone wrong.

Nothing of them may crash the proxy, keep a descriptor, or reach the backend. `stub`
notes whatever arrives there.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import wire
from tests.support.client import ALPN, Client, context
from tests.support.endpoints import Config, Endpoint, Farm, wait_until
from tests.support.oracles import PGPROXY
from tests.support.stub import StubBackend
from tests.support.wire import GSSENC_REQUEST, SSL_REQUEST

pytestmark = pytest.mark.interop

NOBODY = "host all all all reject"
EVERYBODY = "host all all all trust"
HIDDEN = wire.startup(user="hidden")

EXAMPLES = 10_000
"""First packets in clear; a tenth of it inside TLS, each behind a handshake."""


@pytest.fixture
def stub() -> Iterator[StubBackend]:
    with StubBackend() as backend:
        yield backend


@contextlib.contextmanager
def proxy(farm: Farm, stub: StubBackend, hba: str, **more: str) -> Iterator[Endpoint]:
    """Start a pgproxy of our own in front of *stub*."""
    more = {"pgproxy.backend_conninfo": stub.conninfo, **more}
    with farm.private(PGPROXY, Config(hba=hba, settings=more)) as endpoint:
        yield endpoint


def descriptors(endpoint: Endpoint) -> int:
    return len(list(Path(f"/proc/{endpoint.pid}/fd").iterdir()))


def is_cancel_request(packet: bytes) -> bool:
    """Whether it is one that PostgreSQL 18 would take (CAN-01)."""
    head = packet[4:8] == (80877102).to_bytes(4)
    return head and len(packet) == int.from_bytes(packet[:4]) and len(packet) > 12


# --- Ten thousand first packets ----------------------------------------------------------

PACKETS = st.sampled_from(
    [
        SSL_REQUEST,
        GSSENC_REQUEST,
        wire.cancel(1, b"1234"),
        wire.cancel(1, b"k" * 32),
        wire.startup(),
        wire.startup(("replication", "true")),
        wire.startup(("_pq_.x", "y"), version=(3 << 16) | 2),
        wire.startup(version=2 << 16),
        wire.client_hello(),
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
    ]
)
LENGTHS = st.sampled_from([0, 4, 7, 8, 9, 16, 10_004, 10_005, 2**31 - 1, 2**32 - 1])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a packet with a byte changed, cut short, or with another length."""
    packet = bytearray(draw(PACKETS) or b"\0")
    match draw(st.integers(0, 3)):
        case 0:
            packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
        case 1:
            del packet[draw(st.integers(0, len(packet))) :]
        case 2:
            packet[:4] = draw(LENGTHS).to_bytes(4)
        case _:
            packet += draw(st.binary(max_size=20))
    return bytes(packet)


FIRST = st.lists(
    st.one_of(mutated(), PACKETS, st.binary(max_size=40)), min_size=1, max_size=4
)


def try_out(client: Client, pieces: list[bytes]) -> None:
    """Send *pieces*, end our side, and wait for the other to end its own."""
    with contextlib.suppress(OSError):
        client.send(*pieces)
        if client.tls is not None:
            client.end_tls()
        client.fin()
    client.read_end()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_first_packets(farm: Farm, stub: StubBackend) -> None:
    """NEG-05 to NEG-11, BUG-04, BUG-32, BUG-34: whatever comes, it goes on."""
    with proxy(farm, stub, NOBODY) as endpoint:
        tls = context(alpn=ALPN)
        with endpoint.connect() as client:
            client.request_tls(tls)  # by now the loop has all descriptors of its own
            before = descriptors(endpoint) - 1

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(FIRST)
        def in_clear(pieces: list[bytes]) -> None:
            with endpoint.connect() as client:
                try_out(client, pieces)

        @settings(
            max_examples=EXAMPLES // 10,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(FIRST, st.booleans())
        def in_tls(pieces: list[bytes], direct: bool) -> None:
            with endpoint.connect() as client:
                client.direct_tls(tls) if direct else client.request_tls(tls)
                try_out(client, pieces)

        in_clear()
        in_tls()
        wait_until(
            lambda: descriptors(endpoint) == before,
            lambda: f"descriptors: {before} before, {descriptors(endpoint)} after",
        )
        log = endpoint.log_text()
        assert "internal.error" not in log
        assert "Traceback" not in log
        with endpoint.connect() as client:
            client.request_tls()
        assert all(map(is_cancel_request, stub.received))
        # And cancel requests do get through, so that the line above can fail.
        assert stub.received


# --- Bytes hidden behind a request ---------------------------------------------------------


def behind_s(client: Client) -> None:
    client.send(SSL_REQUEST + HIDDEN)


def behind_s_in_two_segments(client: Client) -> None:
    client.send(SSL_REQUEST)
    client.send(HIDDEN)


def behind_s_then_tls(client: Client) -> None:
    """Somebody in the middle adds plain text; the client goes on with its TLS."""
    client.send(SSL_REQUEST + HIDDEN)
    client.send_raw(client.begin_tls(context()))


def behind_s_after_the_answer(client: Client) -> None:
    client.send(SSL_REQUEST)
    assert client.read(1) == b"S"
    client.send(HIDDEN)


def behind_gssenc_request(client: Client) -> None:
    client.send(GSSENC_REQUEST + HIDDEN)


def behind_gssenc_and_ssl_request(client: Client) -> None:
    client.send(GSSENC_REQUEST + SSL_REQUEST + HIDDEN)


def inside_direct_tls(client: Client) -> None:
    client.direct_tls()
    client.send(SSL_REQUEST + HIDDEN)


def behind_gssenc_request_inside_direct_tls(client: Client) -> None:
    client.direct_tls()
    client.send(GSSENC_REQUEST + HIDDEN)


def between_a_client_hello_and_its_end(client: Client) -> None:
    """In the clear, where TLS has begun."""
    client.send_raw(client.begin_tls(context(alpn=ALPN)) + HIDDEN)


HIDING = [
    behind_s,
    behind_s_in_two_segments,
    behind_s_then_tls,
    behind_s_after_the_answer,
    behind_gssenc_request,
    behind_gssenc_and_ssl_request,
    inside_direct_tls,
    behind_gssenc_request_inside_direct_tls,
    between_a_client_hello_and_its_end,
]


@pytest.mark.parametrize("hide", HIDING, ids=lambda hide: str(hide.__name__))
def test_hidden_bytes(hide: object, farm: Farm, stub: StubBackend) -> None:
    """NEG-33 to NEG-41, CVE-2021-23214: they never reach the backend."""
    assert callable(hide)
    with proxy(farm, stub, EVERYBODY) as endpoint:
        with endpoint.connect() as client:
            with contextlib.suppress(OSError):
                hide(client)
                client.fin()
            with contextlib.suppress(OSError):
                client.sock.settimeout(10)
                while client.sock.recv(65536):
                    pass
        # An honest login does reach it, and by then so would the hidden one have.
        with endpoint.connect() as client:
            client.request_tls()
            client.send(wire.startup(user="honest"))
            client.read_end()
        assert [b"honest" in packet for packet in stub.received] == [True]
        assert "internal.error" not in endpoint.log_text()


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST])
def test_hidden_bytes_behind_n(request_: bytes, farm: Farm, stub: StubBackend) -> None:
    """NEG-34: a client may not go ahead of the answer, TLS or not."""
    with proxy(farm, stub, EVERYBODY, ssl="off") as endpoint:
        with endpoint.connect() as client:
            client.send(request_ + HIDDEN)
            assert client.read_end()[0].startswith(b"NE")
        with endpoint.connect() as client:
            client.send(wire.startup(user="honest"))
            client.read_end()
        assert [b"honest" in packet for packet in stub.received] == [True]
