"""Settings of TLS, seen on the wire: TLS-03, TLS-08, TLS-10, TLS-60, TLS-62."""

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pgproxy.server.tls import build_context
from pgproxy.server.tls_error import TlsConfigurationError
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.settings.catalogue import MAX_TLS_RECORD
from pgproxy.settings.values import InvalidValue, read_int
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support import wire
from tests.support.endpoints import Config, Farm, log_in
from tests.support.meeting import meet, records, try_tls
from tests.support.oracles import CHECKOUT, PGPROXY
from tests.support.tls_files import Folder

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS_1_3 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


@pytest.mark.parametrize(
    ("suites", "cipher"),
    [
        ("", "TLS_AES_256_GCM_SHA384"),
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
        (
            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
        ),
    ],
)
def test_ssl_tls13_ciphers(
    folder: Folder, run: Run[Any], suites: str, cipher: str
) -> None:
    """TLS-08: in the server's order."""
    context = folder.context(ssl_tls13_ciphers=suites)
    client = tls_client.context(versions=TLS_1_3)
    event, _seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.cipher == cipher


@pytest.mark.parametrize(
    ("groups", "curve", "works"),
    [
        ("X25519:prime256v1", "secp384r1", False),
        ("secp384r1", "secp384r1", True),
        ("X25519:secp384r1", "secp384r1", True),
        ("P-521", "secp521r1", True),
        ("prime256v1", "X25519", False),
    ],
)
def test_ssl_groups(
    folder: Folder, run: Run[Any], groups: str, curve: str, works: bool
) -> None:
    """TLS-10, TLS-60: these and no others."""
    client = tls_client.context(
        versions=TLS_1_3, configure=lambda context: context.set_ecdh_curve(curve)
    )
    event, _seen = run(meet(folder.context(ssl_groups=groups), try_tls(client)))
    if works:
        assert isinstance(event, TlsEstablished)
    else:
        assert event == TlsFailed("no suitable key share")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        # TLS-39, TLS-40: one bad name fails the list.
        (
            {"ssl_groups": "X25519:nonsense"},
            "could not set group names specified in ssl_groups: No valid groups found",
        ),
        (
            {"ssl_groups": ""},
            "could not set group names specified in ssl_groups: No valid groups found",
        ),
        (
            {"ssl_tls13_ciphers": "nonsense"},
            "could not set the TLSv1.3 cipher suites (no valid ciphers available)",
        ),
    ],
)
def test_rejected(folder: Folder, settings: dict[str, str], message: str) -> None:
    with pytest.raises(TlsConfigurationError) as error:
        build_context(folder.settings(**settings), folder.path)
    assert error.value.reports[-1].message == message


KEYS = {
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("versions", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_kinds_of_keys(folder: Folder, run: Run[Any], kind: str, versions: Any) -> None:
    """TLS-03: whatever OpenSSL signs with."""
    key: Any = KEYS[kind]()
    credentials = folder.authority.server("localhost", key=key)
    credentials.write(folder.path / "server.crt", folder.path / "server.key")
    # In TLS 1.2 the curve of an ECDSA key has to be one of the groups.
    context = folder.context(ssl_groups="X25519:prime256v1:secp384r1")
    client = tls_client.context(versions=versions, ca_file=folder.path / "root.crt")
    event, _seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)


def test_rsa_pss_key(folder: Folder, run: Run[Any]) -> None:
    """TLS-03: a key that may sign with RSA-PSS only, and a certificate for it."""
    key, request = folder.path / "server.key", folder.path / "server.csr"
    for command in (
        f"genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out {key}",
        (
            f"req -new -x509 -key {key} -subj /CN=localhost -days 2 "
            f"-out {folder.path / 'server.crt'}"
        ),
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    assert not request.exists()
    key.chmod(0o600)
    client = tls_client.context(versions=TLS_1_3)
    event, _seen = run(meet(folder.context(), try_tls(client)))
    assert isinstance(event, TlsEstablished)


OPENSSL_CNF = """\
openssl_conf = the_init
[the_init]
ssl_conf = the_ssl
[the_ssl]
system_default = the_default
[the_default]
Ciphersuites = TLS_CHACHA20_POLY1305_SHA256
"""

SUITES = """
import sys
from pathlib import Path
from pgproxy.server.tls import build_context
from pgproxy.settings.catalogue import Settings
context = build_context(Settings(ssl=True), Path(sys.argv[1])).context
print(*[c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.3"])
"""


def test_openssl_conf(folder: Folder, tmp_path: Path) -> None:
    """TLS-62: what the system narrows stays narrow."""
    cnf = tmp_path / "openssl.cnf"
    cnf.write_text(OPENSSL_CNF)
    done = subprocess.run(
        [sys.executable, "-c", SUITES, folder.path],
        env={"OPENSSL_CONF": str(cnf), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["TLS_CHACHA20_POLY1305_SHA256"]


@pytest.mark.parametrize(("size", "largest"), [(16384, 16384), (8192, 8192)])
def test_tls_record_size(farm: Farm, size: int, largest: int) -> None:
    """NEG-83: what PostgreSQL 17 sends, and what 16 does."""
    settings = {"pgproxy.tls_record_size": str(size)}
    config = Config(hba="host all all all trust\n", settings=settings)
    with farm.private(PGPROXY, config) as server, server.connect() as client:
        client.request_tls()
        log_in(client)
        client.received.clear()
        client.send(wire.query("SELECT repeat('x', 1000000)"))
        client.read_until("Z")
        # TLS 1.3 adds a byte for the type and 16 for the tag.
        sizes = [length - 17 for length in records(bytes(client.received))]
        assert max(sizes) == largest


@pytest.mark.parametrize("size", [511, 16385])
def test_no_size_of_a_record(size: int) -> None:
    """OpenSSL takes no other, and would not say so."""
    with pytest.raises(InvalidValue):
        read_int(
            "pgproxy.tls_record_size", str(size), unit="B", low=512, high=MAX_TLS_RECORD
        )
