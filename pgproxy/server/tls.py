"""Settings to an `ssl.SSLContext`; a handshake to an event."""

import contextlib
import ssl
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pgproxy.auth.certificate import verification_failure
from pgproxy.auth.hosts import DEFAULT_HOST, Hosts, HostsLine, TlsAlert
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server.crls import LiveCrls, fingerprint
from pgproxy.server.dh_params import load_dh_params
from pgproxy.server.libssl import Door, take_choice, take_verify_failure
from pgproxy.server.port import Port, reason, ssl_reason
from pgproxy.server.private_key import load_certificate
from pgproxy.server.tls_error import TlsConfigurationError, tls_error
from pgproxy.server.trust import check_crls, load_trust
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
        context: With all settings, and with the certificate if there is only one.
        doors: To the contexts of which one is chosen for each client; the only one's
            own where there is no choice. None where there are no doors; see
            `pgproxy.server.libssl`.
        live: Where the lists of revoked certificates are looked for each time.

    Attributes:
        complete: Whether it behaves like PostgreSQL's in all.

    """

    def __init__(
        self,
        context: ssl.SSLContext,
        doors: Sequence[Door] | None,
        live: LiveCrls | None = None,
    ) -> None:
        self.context = context
        self.complete = doors is not None
        self._doors = doors or ()
        self._live = live
        self._seen = None if live is None else fingerprint(live.directory)

    def refresh(self) -> Report | None:
        """
        Look for new lists in ``ssl_crl_dir``; return what is wrong with them.

        PostgreSQL looks there for each client, and so do we: a list that was added,
        replaced or taken away counts for the next handshake, without a reload. What
        has not changed is not read again (TLS-81, PRX-14).
        """
        live = self._live
        if live is None:
            return None
        now = fingerprint(live.directory)
        if now == self._seen:
            return None
        crls, problems = live.read()
        replaced = [door.replace_crls(crls) for door in self._doors]
        if not all(replaced):
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


def build_context(
    settings: Settings,
    directory: Path,
    *,
    at_start: bool = True,
    hosts: Sequence[HostsLine] = (),
) -> Tls:
    """
    Return a context that behaves like PostgreSQL's.

    The order is PostgreSQL's, so that of several faults the same one is told
    (TLS-23). A context is built completely before it is used (TLS-24).

    Args:
        settings: Their ``ssl`` is on.
        directory: What relative paths are relative to.
        at_start: Whether somebody may sit at the terminal, to be asked for the
            passphrase of the key.
        hosts: Of pg_hosts.conf; none: the settings have the one certificate.

    Raises:
        TlsConfigurationError: The first thing that is wrong.

    """
    context = _bare_context()
    if hosts:
        return _with_hosts(context, settings, directory, hosts, at_start=at_start)
    only = host_of(settings)
    load_certificate(context, only, directory, at_start=at_start)
    door = _configure(context, settings, directory)
    in_file = load_trust(context, only, settings, directory)
    if door is None:
        return Tls(context, None)
    if only.ssl_ca:
        door.trust(directory / only.ssl_ca)
    live = LiveCrls.of(settings, directory, in_file) if only.ssl_ca else None
    return Tls(context, [door], live)


def _bare_context() -> ssl.SSLContext:
    # create_default_context would add flags that PostgreSQL has not (LIB-08).
    try:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    except ssl.SSLError as error:
        raise tls_error(f"could not create SSL context: {ssl_reason(error)}") from error


def _with_hosts(
    context: ssl.SSLContext,
    settings: Settings,
    directory: Path,
    hosts: Sequence[HostsLine],
    *,
    at_start: bool,
) -> Tls:
    """
    Have *context* show the certificate of the host that a client asks for.

    Source: ``be_tls_init``, ``init_host_context`` in be-secure-openssl.c of
    PostgreSQL 19; TLS-98.
    """
    doors: dict[HostsLine, Door] = {}
    in_file: tuple[bytes, ...] = ()
    for host in hosts:
        own = _bare_context()
        try:
            load_certificate(own, host, directory, at_start=at_start)
            in_file = load_trust(own, host, settings, directory)
        except TlsConfigurationError as error:
            raise error.in_context(host.context) from error
        door = Door.open(own)
        if door is None:
            break
        if host.ssl_ca:
            door.trust(directory / host.ssl_ca)
        doors[host] = door
    door = _configure(context, settings, directory)
    if door is None or len(doors) < len(hosts):
        _must_be_default(settings, "ssl_sni")
        raise AssertionError("pg_hosts.conf is only read with ssl_sni")
    check_crls(context, settings)
    choices = Hosts(hosts)

    def choose(extension: bytes | None) -> Door | int:
        choice = choices.choose(extension)
        return choice if isinstance(choice, TlsAlert) else doors[choice]

    door.choose_by_name(choose)
    checking = [doors[host] for host in hosts if host.ssl_ca]
    live = LiveCrls.of(settings, directory, in_file) if checking else None
    return Tls(context, checking, live)


def host_of(settings: Settings) -> HostsLine:
    """Return the one host that there is without pg_hosts.conf."""
    return HostsLine(
        hostnames=(DEFAULT_HOST,),
        ssl_cert=settings.ssl_cert_file,
        ssl_key=settings.ssl_key_file,
        ssl_ca=settings.ssl_ca_file,
        ssl_passphrase_cmd=settings.ssl_passphrase_command,
        ssl_passphrase_reload=settings.ssl_passphrase_command_supports_reload,
    )


def _configure(
    context: ssl.SSLContext, settings: Settings, directory: Path
) -> Door | None:
    """Set all that is the same for every host; return the door, if there is one."""
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
    if door is None:
        _must_be_default(settings, "pgproxy.tls_record_size")
        context.set_alpn_protocols(["postgresql"])
    else:
        door.limit_records(settings.tls_record_size)
        door.disable_session_cache()
        door.require_alpn()
    return door


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
    if getattr(settings, GUCS[name].attribute) != GUCS[name].default:
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


async def handshake(port: Port, context: ssl.SSLContext) -> TlsEstablished | TlsFailed:
    """Do the server's side of a handshake on *port*, and tell how it went."""
    fd = port.fileno()
    try:
        sock = await port.start_tls(context)
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
        cause = (
            "no hostname provided in callback, and no fallback configured"
            if take_choice(fd) is TlsAlert.MISSING_EXTENSION
            else None
        )
        return TlsFailed(ssl_reason(error), cause=cause)
    except OSError as error:
        return TlsFailed(reason(error), SqlState.CONNECTION_FAILURE)
    finally:
        host = take_choice(fd)
    cipher, _protocol, bits = sock.cipher() or ("", "", 0)
    return TlsEstablished(
        version=sock.version() or "",
        cipher=cipher,
        bits=bits,
        alpn=sock.selected_alpn_protocol(),
        certificate=sock.getpeercert(binary_form=True),
        ca_loaded=not isinstance(host, Door) or host.checks_clients,
    )
