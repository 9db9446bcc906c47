"""What is read out of what pgbench, psql and openssl say."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from benchmarks.certificates import Certificates
from benchmarks.clients import (
    ClientError,
    Clients,
    Psql,
    Transaction,
    cycles,
    negotiated,
)

BRIEF: Final = """\
CONNECTION ESTABLISHED
Protocol version: TLSv1.3
Ciphersuite: TLS_AES_256_GCM_SHA384
Peer certificate: CN = localhost
Hash used: SHA256
Signature type: ECDSA
Verification: OK
Server Temp Key: ECDH, prime256v1, 256 bits
DONE
"""
"""``openssl s_client -brief`` of OpenSSL 3.0."""

BRIEF_NEWER: Final = """\
Connecting to 127.0.0.1
CONNECTION ESTABLISHED
Protocol version: TLSv1.3
Ciphersuite: TLS_AES_256_GCM_SHA384
Peer certificate: CN=localhost
Hash used: SHA256
Signature type: ecdsa_secp256r1_sha256
Verification: OK
Negotiated TLS1.3 group: secp256r1
DONE
"""
"""That of OpenSSL 3.5."""


@pytest.mark.parametrize(
    "line",
    [
        "3 199 2241 0 1175850568 995598",
        # With a rate, or with retries, there is more.
        "3 199 2241 0 1175850568 995598 7",
        "3 199 2241 0 1175850568 995598 7 0",
    ],
)
def test_transaction(line: str) -> None:
    """The first line is like the one in the manual of pgbench."""
    assert Transaction.of(line) == Transaction(3, 1175850568.995598, 0.002241)


def test_transaction_of_something_else() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        Transaction.of("pgbench: error")


def test_cycles() -> None:
    """From one end to the next of the same client, and the first has no start."""
    log = [
        Transaction(0, 10.0, 0.1),
        Transaction(1, 11.0, 0.1),
        Transaction(0, 12.5, 0.1),
        Transaction(1, 13.0, 0.1),
        Transaction(0, 13.0, 0.1),
    ]
    assert cycles(log) == [
        Transaction(0, 12.5, 2.5),
        Transaction(1, 13.0, 2.0),
        Transaction(0, 13.0, 0.5),
    ]


@pytest.mark.parametrize(
    ("said", "signature", "group"),
    [
        (BRIEF, "ECDSA", "ECDH, prime256v1, 256 bits"),
        (BRIEF_NEWER, "ecdsa_secp256r1_sha256", "secp256r1"),
    ],
)
def test_negotiated(said: str, signature: str, group: str) -> None:
    assert negotiated(said) == {
        "version": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "key exchange": group,
        "signature": signature,
    }


def test_negotiated_nothing() -> None:
    with pytest.raises(ClientError, match="version"):
        negotiated("connect:errno=111")


def test_environment(tmp_path: Path) -> None:
    """A client shows its certificate only where it is to."""
    certificates = Certificates.make(tmp_path)
    shown = Clients(tmp_path, certificates, 5432, shown=True).environment()
    hidden = Clients(tmp_path, certificates, 5432, shown=False).environment()
    assert Path(shown["PGSSLCERT"]).exists()
    assert Path(shown["PGSSLKEY"]).exists()
    # Not the default, which would be of whoever measures.
    assert not Path(hidden["PGSSLCERT"]).exists()
    assert not Path(hidden["PGSSLKEY"]).exists()
    assert Path(hidden["PGSSLROOTCERT"]).exists()
    assert Path(hidden["OPENSSL_CONF"]).exists()


def psql(program: str) -> "subprocess.Popen[str]":
    """Start *program*, which takes psql's place."""
    return subprocess.Popen(
        [sys.executable, "-uc", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_psql_is_timed() -> None:
    program = """
import time
input()
print("COPY 5")
time.sleep(0.1)
print(input().split("'")[1])
"""
    with psql(program) as process:
        assert 0.1 <= Psql(process).run("copy") < 5


def test_psql_that_ends() -> None:
    with (
        psql("input(); print('ERROR:  no such table')") as process,
        pytest.raises(ClientError, match="no such table"),
    ):
        Psql(process).run("copy")
