"""What lies in files: certificates, keys, lists; read, and judged."""

import stat
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pgproxy.certs.errors import CertsError
from pgproxy.certs.issuing import Key


def read_certificate(file: Path) -> x509.Certificate:
    """
    Return the first certificate in *file*: a leaf stands before its chain.

    Raises:
        CertsError: There is none.
        OSError: It cannot be read.

    """
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise CertsError(f"there is no certificate in {file}: {error}") from error


def read_key(file: Path, certificate: x509.Certificate) -> Key:
    """
    Return the key in *file*, which is that of a CA's *certificate*.

    Raises:
        CertsError: It is not, or cannot be used, or others may read it.
        OSError: It cannot be read.

    """
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        raise CertsError(
            f"{file} has group or world access, and whoever has read it can be anybody: "
            f"chmod 600, and consider making a new CA"
        )
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except TypeError as error:
        raise CertsError(
            f"{file} is encrypted, and this command asks for no passphrase. Decrypt it, "
            f"for the time it takes, with: openssl pkey"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertsError(f"there is no private key in {file}: {error}") from error
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
    ):
        raise CertsError(
            f"the key in {file} is of a kind that signs no certificates here"
        )
    if key.public_key() != certificate.public_key():
        raise CertsError(f"the key in {file} is not that of the certificate beside it")
    return key


def read_crls(file: Path) -> list[x509.CertificateRevocationList]:
    """
    Return the lists in *file*; none if there is no such file.

    Raises:
        CertsError: It is damaged.
        OSError: It cannot be read.

    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return []
    end = b"-----END X509 CRL-----\n"
    try:
        return [
            x509.load_pem_x509_crl(one + end)
            for one in content.split(end)
            if one.strip()
        ]
    except ValueError as error:
        raise CertsError(
            f"{file} has something in it that is no list: {error}"
        ) from error
