"""Settings to an `ssl.SSLContext`; a handshake to an event."""

import base64
import contextlib
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pgproxy.auth.certificate import verification_failure
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server.crls import (
    LiveCrls,
    crl_files,
    fingerprint,
    read_crl_file,
    read_hashed_crl_file,
)
from pgproxy.server.dh_params import load_dh_params
from pgproxy.server.libssl import Door, take_verify_failure
from pgproxy.server.port import Port, reason, ssl_reason
from pgproxy.server.private_key import load_certificate
from pgproxy.server.tls_error import tls_error
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.settings.catalogue import GUCS, Settings

VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class Tls:
    """
    What handshakes are done with.

    Args:
        context: With certificate, key and all settings.
        door: None where there is none; see `pgproxy.server.libssl`.
        live: Where the lists of revoked certificates are looked for each time.

    Attributes:
        complete: Whether it behaves like PostgreSQL's in all.

    """

    def __init__(
        self, context: ssl.SSLContext, door: Door | None, live: LiveCrls | None = None
    ) -> None:
        self.context = context
        self.complete = door is not None
        self._door = door
        self._live = live
        self._seen = None if live is None else fingerprint(live.directory)

    def refresh(self) -> Report | None:
        """
        Look for new lists in ``ssl_crl_dir``; return what is wrong with them.

        PostgreSQL looks there for each client, and so do we: a list that was added,
        replaced or taken away counts for the next handshake, without a reload. What
        has not changed is not read again (TLS-81, PRX-14).
        """
        live, door = self._live, self._door
        if live is None or door is None:
            return None
        now = fingerprint(live.directory)
        if now == self._seen:
            return None
        crls, problems = live.read()
        if not door.replace_store(str(live.ca_file), crls):
            problems.append("OpenSSL could not read all of them")
        self._seen = now
        if not problems:
            return None
        return Report(
            severity=Severity.WARNING,
            sqlstate=SqlState.CONFIG_FILE_ERROR,
            message="could not load SSL certificate revocation list directory "
            f'"{live.directory}"',
            detail="\n".join(problems),
            hint="Certificates whose CA has no list now are refused.",
            event="tls.crl_unreadable",
        )


def build_context(settings: Settings, directory: Path, *, at_start: bool = True) -> Tls:
    """
    Return a context that behaves like PostgreSQL's.

    The order is PostgreSQL's, so that of several faults the same one is told
    (TLS-23). A context is built completely before it is used (TLS-24).

    Args:
        settings: Their ``ssl`` is on.
        directory: What relative paths are relative to.
        at_start: Whether somebody may sit at the terminal, to be asked for the
            passphrase of the key.

    Raises:
        TlsConfigurationError: The first thing that is wrong.

    """
    context = _bare_context()
    load_certificate(context, settings, directory, at_start=at_start)
    _set_versions(context, settings)
    context.num_tickets = 0
    context.options |= (
        ssl.OP_NO_TICKET
        | ssl.OP_NO_RENEGOTIATION
        | ssl.OP_NO_COMPRESSION
        | ssl.OP_SINGLE_DH_USE
        | ssl.OP_SINGLE_ECDH_USE
    )
    load_dh_params(context, settings.ssl_dh_params_file, directory)
    door = Door.open(context)
    _set_groups(door, settings)
    _set_ciphers(context, door, settings)
    if settings.ssl_prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.ssl_ca_file:
        _load_client_ca(context, settings.ssl_ca_file, directory)
    # Without a CA they have no effect, and are loaded all the same (TLS-47).
    in_file = _load_crls(context, settings, directory)
    if door is None:
        context.set_alpn_protocols(["postgresql"])
        return Tls(context, None)
    door.disable_session_cache()
    door.require_alpn()
    live = None
    if settings.ssl_ca_file:
        ca_file = directory / settings.ssl_ca_file
        door.name_client_cas(str(ca_file))
        door.note_verify_failures()
        if settings.ssl_crl_dir:
            live = LiveCrls(ca_file, in_file, directory / settings.ssl_crl_dir)
    return Tls(context, door, live)


def _bare_context() -> ssl.SSLContext:
    # create_default_context would add flags that PostgreSQL has not (LIB-08).
    try:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    except ssl.SSLError as error:
        raise tls_error(f"could not create SSL context: {ssl_reason(error)}") from error


def _set_groups(door: Door | None, settings: Settings) -> None:
    groups = settings.ssl_groups
    if door is None:
        _must_be_default(settings, "ssl_groups")
    elif not door.set_groups(groups):
        raise tls_error(
            "could not set group names specified in ssl_groups: No valid groups found",
            hint="Ensure that each group name is spelled correctly and supported by "
            "the installed version of OpenSSL.",
        )


def _set_ciphers(
    context: ssl.SSLContext, door: Door | None, settings: Settings
) -> None:
    try:
        context.set_ciphers(settings.ssl_ciphers)
    except (ssl.SSLError, ValueError) as error:  # ValueError: it is not even UTF-8
        raise tls_error(
            "could not set the TLSv1.2 cipher list (no valid ciphers available)"
        ) from error
    suites = settings.ssl_tls13_ciphers
    if not suites:
        return
    if door is None:
        _must_be_default(settings, "ssl_tls13_ciphers")
    elif not door.set_ciphersuites(suites):
        raise tls_error(
            "could not set the TLSv1.3 cipher suites (no valid ciphers available)"
        )


def _must_be_default(settings: Settings, name: str) -> None:
    """Refuse what this Python cannot do; a setting that does nothing is a trap."""
    if getattr(settings, name) != GUCS[name].default:
        raise tls_error(
            f'"{name}" cannot be set on this Python',
            detail="Its ssl module has no function for it, and the library behind "
            "cannot be reached.",
            hint="Run pgproxy on CPython 3.11, 3.12 or 3.13 with a shared OpenSSL "
            f"library, or leave {name} at its default.",
            sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        )


def _set_versions(context: ssl.SSLContext, settings: Settings) -> None:
    low = settings.ssl_min_protocol_version
    high = settings.ssl_max_protocol_version
    with _supported("ssl_min_protocol_version", low):
        context.minimum_version = VERSIONS[low]
    if not high:
        return
    if VERSIONS[low] > VERSIONS[high]:
        raise tls_error(
            "could not set SSL protocol version range",
            detail='"ssl_min_protocol_version" cannot be higher than '
            '"ssl_max_protocol_version"',
        )
    with _supported("ssl_max_protocol_version", high):
        context.maximum_version = VERSIONS[high]


@contextlib.contextmanager
def _supported(name: str, version: str) -> Iterator[None]:
    """Say so where the library has no such version (TLS-33)."""
    with warnings.catch_warnings():
        # The administrator has asked for TLS 1.0 by name and need not be told.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
        except ValueError as error:
            raise tls_error(
                f'"{name}" setting "{version}" not supported by this build',
                sqlstate=SqlState.INTERNAL_ERROR,
            ) from error


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


def _load_crls(
    context: ssl.SSLContext, settings: Settings, directory: Path
) -> tuple[bytes, ...]:
    """Load the lists in both places; return those of ``ssl_crl_file``."""
    file, folder = settings.ssl_crl_file, settings.ssl_crl_dir
    if not file and not folder:
        return ()
    # Check the whole chain: a CA without a CRL fails (TLS-72, TLS-80).
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
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
