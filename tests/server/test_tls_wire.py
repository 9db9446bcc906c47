"""What a client sees of a handshake, on the wire."""

import asyncio
import contextlib
import shutil
import ssl
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.protocol.errors import SqlState
from pgproxy.server.port import IncompleteRead, Port
from pgproxy.server.tls import handshake
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.testing.authority import (
    Authority,
    rsa_key,
    write_certificates,
    write_crls,
)
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support import wire
from tests.support.client import CLEAN, Client, End
from tests.support.meeting import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    NEW_SESSION_TICKET,
    SERVER_HELLO,
    Seen,
    Watcher,
    accept,
    handshake_messages,
    listen,
    meet,
    requested_cas,
    try_tls,
)
from tests.support.tls_files import Folder

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS_1_3 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
VERSIONS = pytest.mark.parametrize("versions", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])


@VERSIONS
def test_established(folder: Folder, run: Run[Any], versions: Any) -> None:
    """The event holds what was negotiated; the close says goodbye."""
    event, seen = run(
        meet(folder.context(), try_tls(tls_client.context(versions=versions)))
    )
    assert event == TlsEstablished(
        version=seen.version, cipher=seen.cipher, bits=256, alpn=None, certificate=None
    )
    assert seen.version == ("TLSv1.2" if versions == TLS_1_2 else "TLSv1.3")
    assert seen.end == CLEAN


@VERSIONS
def test_client_certificate(folder: Folder, run: Run[Any], versions: Any) -> None:
    """LIB-11: the event has the certificate as it came, in DER."""
    ana = folder.authority.client("ana")
    client = tls_client.context(
        versions=versions, certificate=folder.client("ana", ana)
    )
    event, seen = run(meet(folder.context(ssl_ca_file="root.crt"), try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.certificate == ana.certificate.public_bytes(Encoding.DER)
    assert seen.end == CLEAN


@VERSIONS
@pytest.mark.parametrize("ca", ["", "root.crt"])
def test_certificate_is_optional(
    folder: Folder, run: Run[Any], versions: Any, ca: str
) -> None:
    """TLS-65: whether a certificate is needed is for pg_hba.conf to say."""
    client = tls_client.context(versions=versions)
    event, _seen = run(meet(folder.context(ssl_ca_file=ca), try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.certificate is None


def test_not_asked_for_a_certificate(folder: Folder, run: Run[Any]) -> None:
    """TLS-63, TLS-04: without ssl_ca_file there is no CertificateRequest."""
    ana = folder.client("ana", folder.authority.client("ana"))
    client = tls_client.context(versions=TLS_1_2, certificate=ana)
    event, seen = run(meet(folder.context(), try_tls(client)))
    kinds = [kind for kind, _body in handshake_messages(seen.received)]
    assert SERVER_HELLO in kinds
    assert CERTIFICATE_REQUEST not in kinds
    assert isinstance(event, TlsEstablished)
    assert event.certificate is None


def test_client_ca_names(folder: Folder, run: Run[Any]) -> None:
    """TLS-64: the subject of every certificate in the file, in its order."""
    others = [Authority.root([("O", "z"), ("CN", f"CA {n}")]) for n in (3, 1, 2)]
    certificates = [
        others[0].certificate,
        folder.authority.certificate,
        *(one.certificate for one in others[1:]),
    ]
    write_certificates(folder.path / "cas.crt", *certificates)
    context = folder.context(ssl_ca_file="cas.crt")
    client = tls_client.context(versions=TLS_1_2)
    _event, seen = run(meet(context, try_tls(client)))
    assert requested_cas(seen.received) == [
        one.subject.public_bytes() for one in certificates
    ]


def test_names_that_are_not_utf8(folder: Folder, run: Run[Any]) -> None:
    """A file's name is bytes; every use of it takes them as they are."""
    cert, key, ca = "\udce9.crt", "\udce9.key", "\udcfe.crt"
    folder.server.write(folder.path / cert, folder.path / key)
    write_certificates(folder.path / ca, folder.authority.certificate)
    context = folder.context(ssl_cert_file=cert, ssl_key_file=key, ssl_ca_file=ca)
    client = tls_client.context(versions=TLS_1_2)
    _event, seen = run(meet(context, try_tls(client)))
    assert requested_cas(seen.received) == [
        folder.authority.certificate.subject.public_bytes()
    ]


@VERSIONS
@pytest.mark.parametrize("ca", ["", "root.crt"])
def test_no_tickets(folder: Folder, run: Run[Any], versions: Any, ca: str) -> None:
    """TLS-55: NewSessionTicket is never sent, in neither version (BUG-14)."""

    def act(client: Watcher) -> Watcher:
        client.start_tls(tls_client.context(versions=versions))
        client.read_end()
        return client

    _event, client = run(meet(folder.context(ssl_ca_file=ca), act, Watcher))
    assert SERVER_HELLO in client.handshakes
    assert NEW_SESSION_TICKET not in client.handshakes
    assert client.tls is not None
    session = client.tls.session
    assert session is None or not session.has_ticket


def test_empty_session_id(folder: Folder, run: Run[Any]) -> None:
    """TLS-56: the ServerHello of TLS 1.2 offers nothing to come back to."""
    client = tls_client.context(versions=TLS_1_2)
    _event, seen = run(meet(folder.context(), try_tls(client)))
    # Int16 version, 32 bytes random, Byte1 length of the session id.
    [hello] = [
        body for kind, body in handshake_messages(seen.received) if kind == SERVER_HELLO
    ]
    assert hello[34] == 0


@VERSIONS
def test_no_resumption(folder: Folder, run: Run[Any], versions: Any) -> None:
    """TLS-56: a session that is offered again is not taken up."""
    server = folder.context()
    client = tls_client.context(versions=versions)
    sessions: list[Any] = [None]

    def act(connection: Client) -> bool:
        hello = connection.begin_tls(client)
        assert connection.tls is not None
        if sessions[-1] is not None:
            connection.tls.session = sessions[-1]
        connection.send_raw(hello)
        connection.handshake()
        connection.read_end()
        sessions.append(connection.tls.session)
        return bool(connection.tls.session_reused)

    assert run(meet(server, act))[1] is False
    assert run(meet(server, act))[1] is False


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to ask with")
def test_no_renegotiation(folder: Folder, run: Run[Any]) -> None:
    """TLS-57: a client that asks for it is told no."""

    async def main() -> str:
        with listen() as listening:
            port = listening.getsockname()[1]
            client = await asyncio.create_subprocess_exec(
                *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            listening.setblocking(False)
            loop = asyncio.get_running_loop()
            sock, _address = await loop.sock_accept(listening)
            sock.setblocking(False)
            server = Port(loop, sock)
            await handshake(server, folder.context())

            async def serve() -> None:
                with contextlib.suppress(IncompleteRead):
                    await server.read_exactly(1)

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(serve())
                # A line that is R alone is a command of s_client's.
                said, _none = await client.communicate(b"R\n")
            await server.close()
            return said.decode()

    assert "no renegotiation" in run(main())


def test_options(folder: Folder) -> None:
    """TLS-57: no compression either."""
    options = folder.context().options
    for option in (ssl.OP_NO_RENEGOTIATION, ssl.OP_NO_COMPRESSION, ssl.OP_NO_TICKET):
        assert options & option


@pytest.mark.parametrize(
    ("curve", "versions", "works"),
    [
        ("X25519", TLS_1_3, True),
        ("prime256v1", TLS_1_3, True),
        ("prime256v1", TLS_1_2, True),
        ("secp384r1", TLS_1_3, False),
        ("secp384r1", TLS_1_2, False),
        ("secp521r1", TLS_1_3, False),
    ],
)
def test_groups(
    folder: Folder, run: Run[Any], curve: str, versions: Any, works: bool
) -> None:
    """TLS-60: X25519 and P-256, and no other (NEG-77, NEG-77b)."""
    # Of a key on a curve, TLS 1.2 needs the curve as well.
    folder.authority.server("localhost", key=rsa_key()).write(
        folder.path / "server.crt", folder.path / "server.key"
    )

    def only(client: ssl.SSLContext) -> None:
        client.set_ecdh_curve(curve)
        client.set_ciphers("ECDHE")  # or TLS 1.2 would do without a curve

    client = tls_client.context(versions=versions, configure=only)
    event, seen = run(meet(folder.context(), try_tls(client)))
    if works:
        assert isinstance(event, TlsEstablished)
        return
    assert event == TlsFailed(
        "no suitable key share" if versions == TLS_1_3 else "no shared cipher"
    )
    assert seen.end == End("FIN", (40,))


@VERSIONS
@pytest.mark.parametrize(
    ("offered", "selected", "alerts"),
    [
        (None, None, ()),
        (["postgresql"], "postgresql", ()),
        (["h2", "postgresql"], "postgresql", ()),
        (["a" * 255, "postgresql"], "postgresql", ()),
        (["h2"], None, (120,)),
        (["h2", "http/1.1"], None, (120,)),
        (["PostgreSQL"], None, (120,)),
        (["postgres"], None, (120,)),
        (["postgresql2"], None, (120,)),
    ],
)
def test_alpn(
    folder: Folder,
    run: Run[Any],
    versions: Any,
    offered: list[str] | None,
    selected: str | None,
    alerts: tuple[int, ...],
) -> None:
    """NEG-26 to NEG-30: an exact match, or alert 120 in place of a ServerHello."""
    client = tls_client.context(versions=versions, alpn=offered)
    event, seen = run(meet(folder.context(), try_tls(client)))
    if not alerts:
        assert isinstance(event, TlsEstablished)
        assert (event.alpn, seen.alpn) == (selected, selected)
        return
    assert event == TlsFailed("no application protocol")
    assert seen.end == End("FIN", alerts)
    assert seen.received == bytes.fromhex("15 0303 0002 0278")


TLS1_0, TLS1_1 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
TLS1_2, TLS1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize(
    ("low", "high", "client", "version"),
    [
        ("TLSv1.2", "", (TLS1_2, TLS1_3), "TLSv1.3"),
        ("TLSv1.2", "", (TLS1_2, TLS1_2), "TLSv1.2"),
        ("TLSv1.2", "TLSv1.2", (TLS1_2, TLS1_3), "TLSv1.2"),
        ("TLSv1.2", "TLSv1.2", (TLS1_3, TLS1_3), None),
        ("TLSv1.3", "", (TLS1_2, TLS1_3), "TLSv1.3"),
        ("TLSv1.3", "", (TLS1_2, TLS1_2), None),
        ("TLSv1.3", "TLSv1.3", (TLS1_3, TLS1_3), "TLSv1.3"),
    ],
)
def test_versions(
    folder: Folder, run: Run[Any], low: str, high: str, client: Any, version: str | None
) -> None:
    """TLS-11, TLS-12, TLS-61."""
    context = folder.context(
        ssl_min_protocol_version=low, ssl_max_protocol_version=high
    )
    event, seen = run(meet(context, try_tls(tls_client.context(versions=client))))
    assert seen.version == version
    if version is None:
        assert event == TlsFailed("unsupported protocol")
        assert seen.end == End("FIN", (70,))


@pytest.mark.filterwarnings("ignore:.*TLSVersion.*deprecated:DeprecationWarning")
def test_old_versions(folder: Folder, run: Run[Any]) -> None:
    """TLS-61: TLS 1.0 for whoever asks for it by name, and lowers the level."""
    ciphers = "HIGH:MEDIUM:@SECLEVEL=0"
    client = tls_client.context(
        versions=(TLS1_0, TLS1_0),
        configure=lambda context: context.set_ciphers(ciphers),
    )
    modern, ancient = (
        folder.context(),
        folder.context(ssl_min_protocol_version="TLSv1", ssl_ciphers=ciphers),
    )
    event, seen = run(meet(modern, try_tls(client)))
    assert event == TlsFailed("unsupported protocol")
    event, seen = run(meet(ancient, try_tls(client)))
    assert seen.version == "TLSv1"


@pytest.mark.parametrize(
    ("prefer", "cipher"),
    [(True, "ECDHE-ECDSA-AES256-GCM-SHA384"), (False, "ECDHE-ECDSA-AES128-GCM-SHA256")],
)
def test_preference(folder: Folder, run: Run[Any], prefer: bool, cipher: str) -> None:
    """TLS-59, TLS-09: whose order of ciphers counts."""
    both = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    client = tls_client.context(
        versions=TLS_1_2, configure=lambda context: context.set_ciphers(both)
    )
    context = folder.context(ssl_prefer_server_ciphers=prefer)
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert seen.cipher == event.cipher == cipher


def test_ciphers(folder: Folder, run: Run[Any]) -> None:
    """TLS-07, NEG-77: of TLS 1.2 only those that are named."""
    context = folder.context(ssl_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    _event, seen = run(meet(context, try_tls(tls_client.context(versions=TLS_1_2))))
    assert seen.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    client = tls_client.context(
        versions=TLS_1_2, configure=lambda one: one.set_ciphers("ECDHE+AES256")
    )
    event, seen = run(meet(context, try_tls(client)))
    assert event == TlsFailed("no shared cipher")
    assert seen.end == End("FIN", (40,))


def test_chain(folder: Folder, run: Run[Any]) -> None:
    """TLS-02: the intermediates behind the certificate are sent with it."""
    issuing = folder.authority.intermediate("issuing CA")
    issuing.server("localhost").write(
        folder.path / "server.crt", folder.path / "server.key"
    )
    client = tls_client.context(versions=TLS_1_2, ca_file=folder.path / "root.crt")
    event, seen = run(meet(folder.context(), try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert certificates_sent(seen) == 2


def test_chain_completed_from_the_cas(folder: Folder, run: Run[Any]) -> None:
    """TLS-70: a certificate alone gets what is missing from ssl_ca_file."""
    client = tls_client.context(versions=TLS_1_2)
    _event, seen = run(meet(folder.context(), try_tls(client)))
    assert certificates_sent(seen) == 1
    context = folder.context(ssl_ca_file="root.crt")
    _event, seen = run(meet(context, try_tls(client)))
    assert certificates_sent(seen) == 2


@VERSIONS
def test_lists_without_a_ca(folder: Folder, run: Run[Any], versions: Any) -> None:
    """TLS-47: they are loaded, and turn nobody down: nobody shows a certificate."""
    ana = folder.authority.client("ana")
    write_crls(folder.path / "root.crl", folder.authority.crl(ana.certificate))
    client = tls_client.context(
        versions=versions, certificate=folder.client("ana", ana)
    )
    context = folder.context(ssl_crl_file="root.crl")
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert seen.end == CLEAN


def certificates_sent(seen: Seen) -> int:
    """
    Count what a Certificate message of TLS 1.2 holds.

    ::

        Int24 length, then any number of: Int24 length, certificate
    """
    [body] = [
        body for kind, body in handshake_messages(seen.received) if kind == CERTIFICATE
    ]
    count, at = 0, 3
    while at < len(body):
        at += 3 + int.from_bytes(body[at : at + 3])
        count += 1
    return count


@pytest.mark.parametrize(
    ("sends", "reason"),
    [
        pytest.param(b"", "EOF detected", id="NEG-79 closes"),
        pytest.param(b"\x16\x03\x01", "EOF detected", id="NEG-79 half a head"),
        pytest.param(
            wire.client_hello()[:60], "EOF detected", id="NEG-79 half a ClientHello"
        ),
        pytest.param(wire.startup(), "wrong version number", id="NEG-72 in clear"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", "http request", id="NEG-73 HTTP"),
        pytest.param(
            bytes.fromhex("15 0301 0002 0100"), "unexpected message", id="NEG-75 alert"
        ),
        pytest.param(
            bytes.fromhex("16 0301 ffff 01"), "packet length too long", id="NEG-76"
        ),
    ],
)
def test_no_tls(folder: Folder, run: Run[Any], sends: bytes, reason: str) -> None:
    """What is no handshake is told apart (NEG-71 to NEG-79)."""

    def act(client: Client) -> None:
        client.send_raw(sends)
        client.fin()
        client.read_end()

    assert run(meet(folder.context(), act))[0] == TlsFailed(reason)


def test_reset(folder: Folder, run: Run[Any]) -> None:
    """NEG-14: a reset is the connection's fault and not the protocol's."""
    event, _none = run(meet(folder.context(), Client.rst))
    assert event == TlsFailed("Connection reset by peer", SqlState.CONNECTION_FAILURE)


def test_client_rejects_us(folder: Folder, run: Run[Any]) -> None:
    """NEG-79b: the client's alert is the reason."""
    write_certificates(folder.path / "other.crt", Authority.root("other").certificate)
    client = tls_client.context(ca_file=folder.path / "other.crt")
    event, seen = run(meet(folder.context(), try_tls(client)))
    assert event == TlsFailed("tlsv1 alert unknown ca")
    assert seen.error is not None


def test_port_knows(folder: Folder, run: Run[Any]) -> None:
    """TLS is in use only once it is up."""

    async def main(act: Any) -> tuple[bool, bool, bool]:
        with listen() as listening:
            port, task = await accept(listening, act)
            before = port.ssl_in_use
            await handshake(port, folder.context())
            after = port.ssl_in_use
            await port.close()
            await task
            return before, after, isinstance(port, Port)

    assert run(main(try_tls(tls_client.context()))) == (False, True, True)
    assert run(main(lambda client: client.fin())) == (False, False, True)
