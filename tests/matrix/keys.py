"""Server certificates with a key of each type."""

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pgproxy.certs.issuing import key_pem
from pgproxy.testing.authority import (
    Authority,
    Key,
    certificates_pem,
    ec_key,
    rsa_key,
    write_private,
)
from tests.matrix.cells import ED25519, P_256, P_384, RSA, RSA_PSS
from tests.matrix.s_client import program

NAMES: Final = ("localhost", "127.0.0.1")

ISSUE: Final[Mapping[str, Callable[[], Key]]] = {
    RSA: rsa_key,
    P_256: ec_key,
    P_384: lambda: ec_key(ec.SECP384R1()),
    ED25519: ed25519.Ed25519PrivateKey.generate,
}


def server_files(issuing: Authority, key_type: str) -> dict[str, bytes]:
    """Return certificate and key of a server at `NAMES`."""
    if key_type == RSA_PSS:
        return _rsa_pss(issuing)
    issued = issuing.server(*NAMES, key=ISSUE[key_type]())
    return {"server.crt": issued.certificate_pem(), "server.key": issued.key_pem()}


def _rsa_pss(issuing: Authority) -> dict[str, bytes]:
    """
    Do the same with a key that is for RSA-PSS alone (RFC 4055, 1.2).

    ``cryptography`` takes such a key for an ordinary one, and would issue it a
    certificate for an ordinary one. So openssl does it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_private(folder / "ca.key", key_pem(issuing.key))
        (folder / "ca.crt").write_bytes(certificates_pem(issuing.chain))
        (folder / "extensions").write_text(
            "subjectAltName = DNS:localhost, IP:127.0.0.1\n"
            "extendedKeyUsage = serverAuth\n"
        )
        for command in (
            "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out server.key",
            "req -new -key server.key -subj /CN=localhost -out request",
            (
                "x509 -req -in request -CA ca.crt -CAkey ca.key -set_serial 7 -days 2 "
                "-extfile extensions -out server.crt"
            ),
        ):
            subprocess.run(
                [program(), *command.split()],
                cwd=folder,
                check=True,
                capture_output=True,
            )
        return {
            "server.crt": (folder / "server.crt").read_bytes()
            + certificates_pem(issuing.chain),
            "server.key": (folder / "server.key").read_bytes(),
        }
