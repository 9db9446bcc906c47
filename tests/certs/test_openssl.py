"""
What the commands make, judged by openssl: strictly, for its purpose, with the lists.

``-x509_strict`` asks for all that RFC 5280 does; ``-crl_check_all`` for a list of
every CA in the chain, as PostgreSQL does (TLS-72).
"""

import subprocess
from pathlib import Path

import pytest

from tests.support.ca import Ca, openssl

KEY_TYPES = ("ecdsa", "rsa", "ed25519")


@pytest.fixture(
    scope="module",
    params=[(key_type, option) for key_type in KEY_TYPES for option in ("", "-i")],
    ids="".join,
)
def ca(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ca:
    """Return a CA of each kind, with lists."""
    key_type, option = request.param
    made = Ca(tmp_path_factory.mktemp("ca"))
    made.do("init", "--key-type", key_type, *(["--intermediate"] if option else []))
    made.do("crl")
    return made


def verify(ca: Ca, file: Path, purpose: str, *more: str) -> str:
    """Verify the first certificate in *file*, with what is behind it as its chain."""
    return openssl(
        *("verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose),
        *("-crl_check_all", "-CRLfile", ca.path / "root.crl"),
        *("-CAfile", ca.path / "root.crt", "-untrusted", file),
        *more,
        file,
    )


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_server(ca: Ca, key_type: str, tmp_path: Path) -> None:
    out = tmp_path / "server"
    ca.do("issue", "server", "db.example.com", "*.x.example", "127.0.0.1",
          "--key-type", key_type, "--out", out)  # fmt: skip
    file = out / "server.crt"
    verify(ca, file, "sslserver")
    for name in ("db.example.com", "DB.example.com", "a.x.example"):
        verify(ca, file, "sslserver", "-verify_hostname", name)
    verify(ca, file, "sslserver", "-verify_ip", "127.0.0.1")
    for wrong in (["-verify_hostname", "a.b.x.example"], ["-verify_ip", "127.0.0.2"]):
        with pytest.raises(AssertionError, match="mismatch"):
            verify(ca, file, "sslserver", *wrong)
    with pytest.raises(AssertionError, match=r"(?i)unsuitable certificate purpose"):
        verify(ca, file, "sslclient")
    assert openssl("pkey", "-in", out / "server.key", "-check", "-noout")


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_client(ca: Ca, key_type: str, tmp_path: Path) -> None:
    """And no more once it is revoked."""
    out = tmp_path / "client"
    ca.do("issue", "client", "jürgen", "--dn", "C=DE", "--dn", "O=Exämple",
          "--key-type", key_type, "--out", out)  # fmt: skip
    file = out / "postgresql.crt"
    verify(ca, file, "sslclient")
    with pytest.raises(AssertionError, match=r"(?i)unsuitable certificate purpose"):
        verify(ca, file, "sslserver")
    subject = openssl("x509", "-in", file, "-noout", "-subject", "-nameopt", "RFC2253")
    shown = ca.do("list").stdout
    assert subject.strip() == r"subject=CN=j\C3\BCrgen,O=Ex\C3\A4mple,C=DE"
    serial = openssl("x509", "-in", file, "-noout", "-serial").strip()
    assert serial.removeprefix("serial=") in shown
    ca.do("revoke", serial.removeprefix("serial="))
    ca.do("crl")
    with pytest.raises(AssertionError, match="certificate revoked"):
        verify(ca, file, "sslclient")


def test_lists(ca: Ca) -> None:
    """Each is signed by its CA, and openssl can read it."""
    text = openssl("crl", "-in", ca.path / "root.crl", "-noout", "-text")
    assert "X509v3 CRL Number" in text
    assert "X509v3 Authority Key Identifier" in text


def test_leaf_is_no_ca(tmp_path: Path) -> None:
    """What a leaf has signed is worth nothing, and openssl says so."""
    made = Ca(tmp_path)
    made.do("init", "--intermediate")
    made.do("crl")
    out = made.client("mallory")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=alice",
         "-CA", out / "postgresql.crt", "-CAkey", out / "postgresql.key",
         "-keyout", tmp_path / "alice.key", "-out", tmp_path / "alice.crt"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    chain = tmp_path / "chain.crt"
    alice = (tmp_path / "alice.crt").read_bytes()
    chain.write_bytes(alice + (out / "postgresql.crt").read_bytes())
    with pytest.raises(AssertionError, match="invalid CA certificate"):
        verify(made, chain, "sslclient")
