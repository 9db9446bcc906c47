"""Settings to an `ssl.SSLContext`; a handshake to an event."""

import errno
import os
import re
import ssl
import stat
import tempfile
import warnings
from pathlib import Path
from typing import Final

from pgproxy.auth.certificate import verification_failure
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server.libssl import Door, take_verify_failure
from pgproxy.server.port import Port, reason, ssl_reason
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.settings.catalogue import Settings

GROUPS: Final = "X25519:prime256v1"
"""PostgreSQL 18's default for ``ssl_groups`` (TLS-10)."""

VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}

CRL_FILE_NAME: Final = re.compile(r"[0-9a-f]{8}\.r[0-9]+")
"""What ``openssl rehash`` calls a CRL."""

_CRL_BLOCK: Final = re.compile(
    rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----\s*", re.DOTALL
)
_CERTIFICATE_HEAD: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----"
)


class TlsConfigurationError(Exception):
    """
    A TLS setting cannot be honoured.

    Args:
        report: What the log is told, in PostgreSQL's words (TLS-25 to TLS-43).

    """

    def __init__(self, report: Report) -> None:
        super().__init__(report.message)
        self.report = report


def _error(
    message: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
) -> TlsConfigurationError:
    return TlsConfigurationError(
        Report(
            severity=Severity.ERROR,
            sqlstate=sqlstate,
            message=message,
            detail=detail,
            hint=hint,
            event="tls.rejected",
        )
    )


class _Encrypted(Exception):
    """The key asks for a passphrase."""


def _no_passphrase() -> str:
    raise _Encrypted


def build_context(settings: Settings, directory: Path) -> tuple[ssl.SSLContext, bool]:
    """
    Return a context that behaves like PostgreSQL's, and whether it does in all.

    The order is PostgreSQL's, so that of several faults the same one is told
    (TLS-23). A context is built completely before it is used (TLS-24).

    Args:
        settings: Their ``ssl`` is on.
        directory: What relative paths are relative to.

    Returns:
        The context; and False where `pgproxy.server.libssl` could not be used.

    Raises:
        TlsConfigurationError: The first thing that is wrong.

    """
    # A bare context: create_default_context adds flags that PostgreSQL has not
    # (LIB-08).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context, settings, directory)
    _set_versions(context, settings)
    context.num_tickets = 0
    context.options |= (
        ssl.OP_NO_TICKET
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_SINGLE_DH_USE
        | ssl.OP_SINGLE_ECDH_USE
    )
    try:
        context.set_ciphers(settings.ssl_ciphers)
    except (ssl.SSLError, ValueError) as error:  # ValueError: it is not even UTF-8
        raise _error(
            "could not set the TLSv1.2 cipher list (no valid ciphers available)"
        ) from error
    if settings.ssl_prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.ssl_ca_file:
        _load_client_ca(context, settings.ssl_ca_file, directory)
    # Without a CA they have no effect, and are loaded all the same (TLS-47).
    _load_crls(context, settings, directory)
    door = Door.open(context)
    if door is None:
        context.set_alpn_protocols(["postgresql"])
        return context, False
    door.disable_session_cache()
    if not door.set_groups(GROUPS):
        raise _error(
            f"could not set group names specified in ssl_groups: {GROUPS}",
            hint="Ensure that each group name is spelled correctly and supported by "
            "the installed version of OpenSSL.",
        )
    door.require_alpn()
    if settings.ssl_ca_file:
        door.name_client_cas(str(directory / settings.ssl_ca_file))
        door.note_verify_failures()
    return context, True


def _load_certificate(
    context: ssl.SSLContext, settings: Settings, directory: Path
) -> None:
    cert, key = settings.ssl_cert_file, settings.ssl_key_file
    try:
        pem = _path(directory, cert).read_bytes()
        if not _CERTIFICATE_HEAD.search(pem):
            raise _error(
                f'could not load server certificate file "{cert}": no start line'
            )
        # Of a faulty pair load_cert_chain does not say which half it means.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(directory / cert)
    except ssl.SSLError as error:
        raise _error(
            f'could not load server certificate file "{cert}": {ssl_reason(error)}'
        ) from error
    except OSError as error:
        raise _error(
            f'could not load server certificate file "{cert}": {error.strerror}'
        ) from error
    check_key_permissions(key, directory)
    try:
        context.load_cert_chain(directory / cert, directory / key, _no_passphrase)
    except _Encrypted:
        raise _error(
            f'could not load private key file "{key}": it requires a passphrase',
            hint="ssl_passphrase_command is not supported yet; store the key without "
            "a passphrase, readable by its owner only.",
        ) from None
    except ssl.SSLError as error:
        reason = ssl_reason(error)
        # Python loses OpenSSL's word for a file without a key in it.
        reason = "no start line" if reason.endswith("PEM lib") else reason
        raise _error(f'could not load private key file "{key}": {reason}') from error
    except OSError as error:
        raise _error(
            f'could not load private key file "{key}": {error.strerror}'
        ) from error


def _path(directory: Path, name: str) -> Path:
    # The empty name would be the directory itself; to fopen it is no file
    # (TLS-02, TLS-03).
    if not name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return directory / name


def check_key_permissions(key: str, directory: Path) -> None:
    """
    Refuse a private key that others could read.

    Raises:
        TlsConfigurationError: As PostgreSQL words it (TLS-26 to TLS-29, TLS-48).

    Source: ``check_ssl_key_file_permissions`` in be-secure-common.c.

    """
    try:
        info = _path(directory, key).stat()
    except OSError as error:
        raise _error(
            f'could not access private key file "{key}": {error.strerror}',
            sqlstate=SqlState.UNDEFINED_FILE,
        ) from error
    if not stat.S_ISREG(info.st_mode):
        raise _error(f'private key file "{key}" is not a regular file')
    if info.st_uid not in {os.geteuid(), 0}:
        raise _error(
            f'private key file "{key}" must be owned by the database user or root'
        )
    # Running as root, it is the first rule that counts.
    forbidden = 0o077 if info.st_uid == os.geteuid() else 0o037
    if info.st_mode & forbidden:
        raise _error(
            f'private key file "{key}" has group or world access',
            detail="File must have permissions u=rw (0600) or less if owned by the "
            "database user, or permissions u=rw,g=r (0640) or less if owned by root.",
        )


def _set_versions(context: ssl.SSLContext, settings: Settings) -> None:
    low = settings.ssl_min_protocol_version
    high = settings.ssl_max_protocol_version
    with warnings.catch_warnings():
        # The administrator has asked for TLS 1.0 by name and need not be told.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = VERSIONS[low]
        if high:
            if VERSIONS[low] > VERSIONS[high]:
                raise _error(
                    "could not set SSL protocol version range",
                    detail='"ssl_min_protocol_version" cannot be higher than '
                    '"ssl_max_protocol_version"',
                )
            context.maximum_version = VERSIONS[high]


def _load_client_ca(context: ssl.SSLContext, ca: str, directory: Path) -> None:
    message = f'could not load root certificate file "{ca}"'
    try:
        context.load_verify_locations(directory / ca)
    except ssl.SSLError as error:
        raise _error(f"{message}: {ssl_reason(error)}") from error
    except OSError as error:
        raise _error(f"{message}: {error.strerror}") from error
    # Optional: a client without a certificate is left to pg_hba.conf (TLS-65).
    context.verify_mode = ssl.CERT_OPTIONAL


def _load_crls(context: ssl.SSLContext, settings: Settings, directory: Path) -> None:
    file, folder = settings.ssl_crl_file, settings.ssl_crl_dir
    if not file and not folder:
        return
    # Check the whole chain: a CA without a CRL fails (TLS-72, TLS-80).
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    kinds = {"file": file, "directory": folder}
    where = " or ".join(f'{kind} "{name}"' for kind, name in kinds.items() if name)
    what = f"could not load SSL certificate revocation list {where}"
    path = directory / file
    try:
        if file:
            _load_crl_blocks(context, path)
        if folder and (directory / folder).is_dir():
            for path in sorted((directory / folder).iterdir()):
                if CRL_FILE_NAME.fullmatch(path.name):
                    _load_crl_blocks(context, path)
    except (ssl.SSLError, OSError) as error:
        reason = (
            ssl_reason(error) if isinstance(error, ssl.SSLError) else error.strerror
        )
        raise _error(
            f"{what}: {reason}",
            detail=f'It is "{path.name}" that cannot be loaded.' if folder else None,
        ) from error


def _load_crl_blocks(context: ssl.SSLContext, path: Path) -> None:
    # Only the CRLs: a certificate in such a file would be one more CA that may
    # vouch for clients (TLS-46). The standard library takes CRLs from files alone.
    blocks = _CRL_BLOCK.findall(path.read_bytes())
    if not blocks:
        raise ssl.SSLError(1, "no certificate or crl found")
    with tempfile.NamedTemporaryFile() as only_crls:
        only_crls.write(b"\n".join(blocks))
        only_crls.flush()
        context.load_verify_locations(only_crls.name)


async def handshake(port: Port, context: ssl.SSLContext) -> TlsEstablished | TlsFailed:
    """Do the server's side of a handshake on *port*, and tell how it went."""
    try:
        tls = await port.start_tls(context)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return TlsFailed("EOF detected")
    except ssl.SSLCertVerificationError:
        failed = take_verify_failure()
        return TlsFailed(
            "certificate verify failed",
            detail=None
            if failed is None
            else verification_failure(failed.depth, failed.reason, failed.certificate),
        )
    except ssl.SSLError as error:
        return TlsFailed(ssl_reason(error))
    except OSError as error:
        return TlsFailed(reason(error), SqlState.CONNECTION_FAILURE)
    cipher, _protocol, bits = tls.cipher() or ("", "", 0)
    return TlsEstablished(
        version=tls.version() or "",
        cipher=cipher,
        bits=bits,
        alpn=tls.selected_alpn_protocol(),
        certificate=tls.getpeercert(binary_form=True),
    )
