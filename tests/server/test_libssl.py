"""The door to what ``ssl`` does not expose: when it opens, and what goes without it."""

import platform
import ssl
import subprocess
import sys
from typing import Any

import pytest

from pgproxy.server import openssl
from pgproxy.server.libssl import TRIED_ON, Door, take_verify_failure
from pgproxy.server.tls import build_context
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.testing.authority import Authority
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support.client import CLEAN
from tests.support.meeting import SERVER_HELLO, handshake_messages, meet, try_tls
from tests.support.oracles import CHECKOUT
from tests.support.tls_files import Folder

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)

tried = pytest.mark.skipif(
    sys.version_info[:2] not in TRIED_ON, reason="the door was not tried on this Python"
)


@pytest.fixture
def context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@tried
def test_opens(context: ssl.SSLContext) -> None:
    """On the interpreters that it was tried on."""
    assert Door.open(context) is not None


@tried
def test_opens_with_any_options(context: ssl.SSLContext) -> None:
    """What OpenSSL answers is compared whole: 64 bits, the highest among them."""
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET | 1 << 40 | 1 << 31
    assert Door.open(context) is not None


def test_version_not_tried(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout of another version's object is nobody's promise."""
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert Door.open(context) is None


def test_other_implementation(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyPy's objects are not CPython's."""
    monkeypatch.setattr(platform, "python_implementation", lambda: "PyPy")
    assert Door.open(context) is None


def test_no_library(context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libssl is linked statically, there is nothing to call."""
    monkeypatch.setattr(openssl, "lib", None)
    assert Door.open(context) is None


class Liar:
    """An OpenSSL that knows nothing of the context it is asked about."""

    @staticmethod
    def SSL_CTX_get_options(_pointer: int) -> int:  # noqa: N802 - OpenSSL's name
        return 0x1234


def test_options_differ(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the pointer was none."""
    monkeypatch.setattr(openssl, "lib", Liar)
    assert Door.open(context) is None


@tried
def test_unknown_group(context: ssl.SSLContext) -> None:
    """One bad name fails the list (TLS-39), and leaves no error behind."""
    door = Door.open(context)
    assert door is not None
    assert door.set_groups("X25519:prime256v1")
    assert not door.set_groups("X25519:nonsense")
    context.set_ciphers("DEFAULT")


@tried
def test_ca_file_without_certificates(context: ssl.SSLContext, folder: Folder) -> None:
    """There is nothing to name then, and no error is left behind."""
    door = Door.open(context)
    assert door is not None
    door.trust(folder.path / "server.key")
    context.set_ciphers("DEFAULT")


def test_no_failure_to_take() -> None:
    """Of a handshake that did not fail there is nothing to tell."""
    assert take_verify_failure() is None


@pytest.fixture
def shut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Door, "open", lambda _context: None)


@pytest.mark.usefixtures("shut")
def test_serves_without(folder: Folder, run: Run[Any]) -> None:
    """What ssl itself can do is done, and the caller knows that it is not all."""
    tls = build_context(folder.settings(ssl_ca_file="root.crt"), folder.path)
    assert not tls.complete
    context = tls.context
    ana = folder.client("ana", folder.authority.client("ana"))
    client = tls_client.context(alpn=["h2", "postgresql"], certificate=ana)
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.alpn == "postgresql"
    assert event.certificate is not None
    assert seen.end == CLEAN


@pytest.mark.usefixtures("shut")
def test_without_differs(folder: Folder, run: Run[Any]) -> None:
    """LIB-02, LIB-03, LIB-04: a foreign ALPN, a session id, a group too many."""
    context = build_context(folder.settings(), folder.path).context
    client = tls_client.context(versions=TLS_1_2, alpn=["h2"])
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.alpn is None
    [hello] = [
        body for kind, body in handshake_messages(seen.received) if kind == SERVER_HELLO
    ]
    assert hello[34] == 32
    client = tls_client.context(configure=lambda one: one.set_ecdh_curve("secp384r1"))
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)


@pytest.mark.usefixtures("shut")
def test_verification_without(folder: Folder, run: Run[Any]) -> None:
    """LIB-06: a certificate is refused all the same; which one, nobody can say."""
    eve = folder.client("eve", Authority.root("stranger").client("eve"))
    context = folder.context(ssl_ca_file="root.crt")
    event, seen = run(meet(context, try_tls(tls_client.context(certificate=eve))))
    assert event == TlsFailed("certificate verify failed")
    assert seen.end.alerts == (48,)


@tried
def test_complete(folder: Folder) -> None:
    """With the door, nothing is missing."""
    assert build_context(folder.settings(), folder.path).complete


WITHOUT_SYMBOLS = """
import ctypes
class Empty:
    def __init__(self, *args): pass
ctypes.CDLL = Empty
from pgproxy.server import openssl
assert openssl.lib is None
import ssl
from pgproxy.server.libssl import Door
assert Door.open(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) is None
"""


def test_library_that_hides_its_symbols() -> None:
    """The import succeeds; the door stays shut."""
    subprocess.run([sys.executable, "-c", WITHOUT_SYMBOLS], check=True, cwd=CHECKOUT)


MANY = """
import gc, ssl, sys
from pathlib import Path
from pgproxy.server.tls import build_context
from pgproxy.settings.catalogue import Settings
def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4
folder = Path(sys.argv[1])
settings = Settings(ssl=True, ssl_ca_file="root.crt")
for round in range(300):
    build_context(settings, folder)
    if round == 100:
        before = rss()
gc.collect()
print(rss() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reloads_leak_nothing(folder: Folder) -> None:
    """A context that is dropped takes with it what the door has put in: KiB."""
    grown = subprocess.run(
        [sys.executable, "-c", MANY, folder.path],
        check=True,
        cwd=CHECKOUT,
        capture_output=True,
    ).stdout
    assert int(grown) < 1000
