"""What clients are judged by: the CAs and the lists of what they have revoked."""

import base64
import ssl
import tempfile
from pathlib import Path

from pgproxy.auth.hosts import HostsLine
from pgproxy.server.crls import crl_files, read_crl_file, read_hashed_crl_file
from pgproxy.server.port import ssl_reason
from pgproxy.server.tls_error import tls_error
from pgproxy.settings.catalogue import Settings


def load_trust(
    context: ssl.SSLContext, host: HostsLine, settings: Settings, directory: Path
) -> tuple[bytes, ...]:
    """Load what clients are judged by; return the lists in ``ssl_crl_file``."""
    if host.ssl_ca:
        _load_client_ca(context, host.ssl_ca, directory)
    # Without a CA they have no effect, and are loaded all the same (TLS-47).
    return _load_crls(context, settings, directory)


def _load_client_ca(context: ssl.SSLContext, ca: str, directory: Path) -> None:
    message = f'could not load root certificate file "{ca}"'
    try:
        context.load_verify_locations(directory / ca)
    except ssl.SSLError as error:
        raise tls_error(f"{message}: {ssl_reason(error)}") from error
    except OSError as error:
        raise tls_error(f"{message}: {error.strerror}") from error
    # Optional: a client without a certificate is left to pg_hba.conf (TLS-65).
    context.verify_mode = ssl.CERT_OPTIONAL


def check_crls(context: ssl.SSLContext, settings: Settings) -> None:
    """Have the whole chain checked: a CA without a CRL fails (TLS-72, TLS-80)."""
    if settings.ssl_crl_file or settings.ssl_crl_dir:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_crls(
    context: ssl.SSLContext, settings: Settings, directory: Path
) -> tuple[bytes, ...]:
    """Load the lists in both places; return those of ``ssl_crl_file``."""
    file, folder = settings.ssl_crl_file, settings.ssl_crl_dir
    if not file and not folder:
        return ()
    check_crls(context, settings)
    kinds = {"file": file, "directory": folder}
    where = " or ".join(f'{kind} "{name}"' for kind, name in kinds.items() if name)
    what = f"could not load SSL certificate revocation list {where}"
    path = directory / file
    in_file: list[bytes] = []
    try:
        if file:
            in_file = read_crl_file(path)
            _load_crl_blocks(context, in_file)
        if folder:
            for path in crl_files(directory / folder):
                _load_crl_blocks(context, read_hashed_crl_file(path))
    except (ssl.SSLError, OSError) as error:
        reason = (
            ssl_reason(error) if isinstance(error, ssl.SSLError) else error.strerror
        )
        raise tls_error(
            f"{what}: {reason}",
            detail=f'It is "{path.name}" that cannot be loaded.' if folder else None,
        ) from error
    return tuple(in_file)


def _load_crl_blocks(context: ssl.SSLContext, crls: list[bytes]) -> None:
    # The standard library takes lists from files alone.
    with tempfile.NamedTemporaryFile() as only_crls:
        for der in crls:
            body = base64.encodebytes(der)
            only_crls.write(
                b"-----BEGIN X509 CRL-----\n" + body + b"-----END X509 CRL-----\n"
            )
        only_crls.flush()
        context.load_verify_locations(only_crls.name)
