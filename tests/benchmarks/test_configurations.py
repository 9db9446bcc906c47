"""What the proxies are configured with."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import configurations
from benchmarks.certificates import Certificates
from benchmarks.configurations import Setup
from benchmarks.running import TlsDiffersError, same
from pgproxy.cli import main
from pgproxy.testing.authority import write_private

TLS = {"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384", "signature": "ECDSA"}


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("client_certificates", [False, True])
def test_pgproxy_takes_it(
    tmp_path: Path, *, bare: bool, client_certificates: bool
) -> None:
    """And has nothing to say about it; the client of 127.0.0.1 gets in."""
    certificates = Certificates.make(tmp_path)
    for name, content in certificates.server_files().items():
        write_private(tmp_path / name, content)
    setup = Setup(6432, "127.0.0.1", 5432, client_certificates)
    for name, text in configurations.pgproxy(setup, bare=bare).items():
        (tmp_path / name).write_text(text)
    done = CliRunner().invoke(main, ["check", "--json", "-D", str(tmp_path)])
    said = json.loads(done.stdout)
    assert said["ok"]
    assert said["reports"] == []
    deciding = [rule for rule in said["rules"] if rule["address"] == "127.0.0.1"]
    method = "cert" if client_certificates else "trust"
    assert [rule["auth_method"] for rule in deciding] == [method]
    assert len(said["rules"]) == (1 if bare else 11)


def test_peers_are_told_where_the_backend_is(tmp_path: Path) -> None:
    tcp = Setup(6432, "127.0.0.1", 5432, client_certificates=False)
    unix = Setup(6432, "/run/pg", 5432, client_certificates=False)
    assert "connect = 127.0.0.1:5432\n" in configurations.stunnel(tcp)["stunnel.conf"]
    there = "connect = /run/pg/.s.PGSQL.5432\n"
    assert there in configurations.stunnel(unix)["stunnel.conf"]
    ini = configurations.pgbouncer(unix, tmp_path)["pgbouncer.ini"]
    assert "host=/run/pg port=5432" in ini


def test_peers_ask_for_certificates_where_they_are_to(tmp_path: Path) -> None:
    for asked in (False, True):
        setup = Setup(6432, "127.0.0.1", 5432, client_certificates=asked)
        stunnel = configurations.stunnel(setup)["stunnel.conf"]
        pgbouncer = configurations.pgbouncer(setup, tmp_path)["pgbouncer.ini"]
        assert ("verifyChain = yes" in stunnel) is asked
        assert ("CRLfile = root.crl" in stunnel) is asked
        assert ("client_tls_sslmode = verify-full" in pgbouncer) is asked
        assert ("auth_type = cert" in pgbouncer) is asked


def test_same_tls() -> None:
    assert same({"a": TLS, "b": dict(TLS)}) == TLS


@pytest.mark.parametrize(
    "other",
    [
        {**TLS, "signature": "RSA"},
        {**TLS, "cipher": "TLS_AES_128_GCM_SHA256"},
        {**TLS, "version": "TLSv1.2"},
    ],
)
def test_tls_that_differs(other: dict[str, str]) -> None:
    """From the others', or from what was wanted."""
    with pytest.raises(TlsDiffersError):
        same({"a": TLS, "b": other})
    if other["signature"] == "ECDSA":
        with pytest.raises(TlsDiffersError):
            same({"a": other, "b": other})
