"""Certificates of clients, asked of every server: TLS-47, TLS-69, TLS-84 to TLS-89."""

import ssl
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509

from pgproxy.testing.authority import (
    Authority,
    Credentials,
    rsa_key,
    write_certificates,
    write_private,
)
from tests.negotiation.differences import differs
from tests.support import logs, openssl, wire
from tests.support.client import CLEAN, End, HandshakeFailedError, context
from tests.support.endpoints import Config, Endpoint, Servers, log_in
from tests.support.meeting import CERTIFICATE_REQUEST, Watcher
from tests.support.oracles import PG15
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

TLS_1_2: Final = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS_1_3: Final = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
VERSIONS = pytest.mark.parametrize("versions", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])

BAD_CERTIFICATE, UNKNOWN_CA = 42, 48


def show(
    server: Endpoint, files: tuple[Path, Path], versions: Any = TLS_1_3
) -> tuple[list[wire.Message], End, list[logs.LogLine]]:
    """Log in with the certificate in *files*; return what comes, and the log."""

    def weak(client: ssl.SSLContext) -> None:
        # Or it would itself refuse to show what is weak.
        client.set_ciphers("DEFAULT:@SECLEVEL=0")
        client.load_cert_chain(*files)

    messages: list[wire.Message] = []
    with server.connect() as client:
        try:
            client.request_tls(context(versions=versions, configure=weak))
            client.send(wire.startup())
            messages = [client.read_message()]
            while messages[-1].kind not in "ZE":
                messages.append(client.read_message())
            if messages[-1].kind == "Z":
                client.send(wire.TERMINATE)
        except (HandshakeFailedError, AssertionError, ConnectionError):
            pass  # the end tells
        _data, end = client.read_end()
        return messages, end, server.log_of(client)


# --- Weak certificates ------------------------------------------------------------------


def small_key(folder: Path, ca: Authority) -> tuple[Path, Path]:
    files = folder / "small.crt", folder / "small.key"
    ca.client("tom", key=rsa_key(1024)).write(*files)
    return files


def signed_with_sha1(folder: Path, ca: Authority) -> tuple[Path, Path]:
    """Return a certificate that only openssl still makes."""
    cert, key, request = (folder / name for name in ("old.crt", "old.key", "old.csr"))
    write_certificates(folder / "ca.crt", ca.certificate)
    write_private(folder / "ca.key", Credentials(ca.certificate, ca.key).key_pem())
    for command in (
        f"req -new -newkey rsa:2048 -nodes -keyout {key} -subj /CN=tom -out {request}",
        (
            f"x509 -req -in {request} -CA {folder / 'ca.crt'} -CAkey "
            f"{folder / 'ca.key'} -sha1 -days 2 -set_serial 7 -out {cert}"
        ),
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("make", [small_key, signed_with_sha1])
@VERSIONS
def test_weak(
    servers: Servers, pki: Pki, tmp_path: Path, make: Any, versions: Any
) -> None:
    """
    TLS-69, TLS-79: level 1 lets it through, level 2 does not.

    The first is that of OpenSSL 1.1.1; the second Debian's, and everybody's from
    OpenSSL 3.2 on.
    """
    files = make(tmp_path, pki.client_ca)
    messages, end, _log = show(servers(ca=True), files, versions)
    if openssl.major(servers.kind) == 1:
        assert messages[-1].kind == "Z"
    else:
        assert not messages
        assert BAD_CERTIFICATE in end.alerts


@VERSIONS
def test_weak_and_welcome(
    servers: Servers, pki: Pki, tmp_path: Path, versions: Any
) -> None:
    """TLS-69, TLS-07: ssl_ciphers can lower the level, for certificates as well."""
    server = servers(ca=True, ssl_ciphers="HIGH:@SECLEVEL=0")
    messages, _end, _log = show(server, small_key(tmp_path, pki.client_ca), versions)
    assert messages[-1].kind == "Z"


# --- Which certificate it was ------------------------------------------------------------


def test_failing_element(servers: Servers, tmp_path: Path) -> None:
    """TLS-84: of an intermediate that nobody knows, it is the intermediate's data."""
    stranger = Authority.root("stranger")
    issuing = stranger.intermediate("issuing CA")
    files = tmp_path / "tom.crt", tmp_path / "tom.key"
    issuing.client("tom").write(*files)
    messages, end, lines = show(servers(ca=True), files)
    assert not messages
    assert UNKNOWN_CA in end.alerts
    (line,) = [one for one in lines if "certificate verify failed" in one.message]
    assert line.detail == (
        None
        if servers.kind == PG15
        else "Client certificate verification failed at depth 1: unable to get local "
        "issuer certificate.\nFailed certificate data (unverified): subject "
        f'"/CN=issuing CA", serial number {issuing.certificate.serial_number}, issuer '
        '"/CN=stranger".'
    )


# --- When it is asked for ----------------------------------------------------------------


@pytest.mark.parametrize("ca", [False, True])
@VERSIONS
def test_asked_once(servers: Servers, ca: bool, versions: Any) -> None:
    """TLS-85, TLS-04: in the handshake, and never after it."""

    def willing(client: ssl.SSLContext) -> None:
        client.post_handshake_auth = True

    with Watcher(servers(ca=ca).address) as client:
        client.request_tls(context(versions=versions, configure=willing))
        asked = [CERTIFICATE_REQUEST] if ca else []
        log_in(client)
        client.send(wire.query("SELECT 1"))
        client.read_until("Z")
        client.send(wire.TERMINATE)
        assert client.read_end() == (b"", CLEAN)
    assert [one for one in client.handshakes if one == CERTIFICATE_REQUEST] == asked


def test_lists_without_a_ca(servers: Servers, pki: Pki) -> None:
    """TLS-47: nobody is asked for a certificate, so nobody's can be revoked."""
    with servers(ssl_crl_dir="nowhere").connect() as client:
        client.request_tls(context(certificate=pki.client("tom")))
        assert log_in(client)[0].kind == "R"


# --- Names that OpenSSL has no word for --------------------------------------------------

UNHEARD_OF: Final = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
NAME: Final = x509.Name(
    [
        x509.NameAttribute(UNHEARD_OF, "x"),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "tom"),
    ]
)
DN: Final = "CN=tom,1.3.6.1.4.1.99999.1=#0C0178"
"""The value in hexadecimal is a UTF8String of one letter."""


@pytest.fixture
def odd(pki: Pki, tmp_path: Path) -> tuple[Path, Path]:
    """Return a certificate with such a name in it."""
    files = tmp_path / "odd.crt", tmp_path / "odd.key"
    pki.client_ca.client(NAME).write(*files)
    return files


def test_unheard_of(servers: Servers, odd: tuple[Path, Path]) -> None:
    """TLS-88b: BUG-21 of PostgreSQL, which lets nobody in with it, is its own."""
    messages, _end, _log = show(servers(ca=True), odd)
    assert (messages[0].kind, messages[0].code) == ("R", 0)
    if differs("TLS-88b", servers.kind):
        assert messages[-1].kind == "Z"
    else:
        assert messages[-1].kind == "E"
        assert messages[-1].fields["C"] == "22023"
        assert messages[-1].fields["M"] == "could not get NID for ASN1_OBJECT object"


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (DN, f'role "{DN}" does not exist'),
        ("CN=tom", 'certificate authentication failed for user "CN=tom"'),
    ],
)
def test_unheard_of_in_a_dn(
    servers: Servers, odd: tuple[Path, Path], user: str, message: str
) -> None:
    """TLS-88b, TLS-87: as a DN it can be compared, everywhere."""
    server = servers(ca=True, hba="hostssl all all 127.0.0.1/32 cert clientname=DN\n")
    with server.connect() as client:
        client.request_tls(context(certificate=odd))
        client.send(wire.startup(user=user))
        *_others, refusal = client.read_until("E")
    assert refusal.fields["M"] == message


def test_unheard_of_and_unknown(servers: Servers, tmp_path: Path) -> None:
    """TLS-88b: where it is not even valid, PostgreSQL 16 and later lose the alert."""
    files = tmp_path / "odd.crt", tmp_path / "odd.key"
    stranger = Authority.root("stranger").client(NAME)
    stranger.write(*files)
    messages, end, lines = show(servers(ca=True), files)
    assert not messages
    if servers.kind == PG15 or differs("TLS-88b", servers.kind):
        assert UNKNOWN_CA in end.alerts
        (line,) = lines
        assert line.message == (
            "could not accept SSL connection: certificate verify failed"
        )
        assert line.detail == (
            None
            if servers.kind == PG15
            else "Client certificate verification failed at depth 0: unable to get "
            "local issuer certificate.\nFailed certificate data (unverified): subject "
            f'"/{UNHEARD_OF.dotted_string}=x/CN=tom", serial number '
            f'{stranger.certificate.serial_number}, issuer "/CN=stranger".'
        )
    else:
        assert UNKNOWN_CA not in end.alerts
        assert "could not get NID for ASN1_OBJECT object" in {
            one.message for one in lines
        }


# --- What the log has of it --------------------------------------------------------------


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        (True, ("CN=tom", "tom")),
        (False, ("(anonymous)", "(anonymous)")),
    ],
)
def test_names_in_the_log(
    servers: Servers, pki: Pki, certificate: bool, names: tuple[str, str]
) -> None:
    """TLS-89: on DEBUG2; pgproxy has it in the keys of every line."""
    more = {"log_connections": "on"}
    if not differs("TLS-89", servers.kind):
        more["log_min_messages"] = "debug2"
    server = servers.farm.get(servers.kind, Config(ca=True, settings=more))
    files = pki.client("tom") if certificate else None
    mark = logs.size(server.log_file)
    with server.connect() as client:
        client.request_tls(context(certificate=files))
        log_in(client)
        client.send(wire.TERMINATE)
        client.read_end()
        server.log_of(client)
    lines = [
        line
        for line in logs.read(server.log_file, mark)
        if line.get("remote_port") == client.local_port
    ]
    if not differs("TLS-89", servers.kind):
        dn, cn = names
        assert f'SSL connection from DN:"{dn}" CN:"{cn}"' in {
            line.get("message") for line in lines
        }
        return
    received, *others = lines
    assert "client_dn" not in received
    assert others
    for line in others:
        found = line.get("client_dn"), line.get("client_cn")
        assert found == (names if certificate else (None, None))
