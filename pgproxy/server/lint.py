"""
What is wrong with certificates and lists that can be loaded all the same.

None of it stops a server: OpenSSL, and PostgreSQL with it, takes these files. It is
clients who are then turned down, or will be soon. So each is a warning that says what
to do.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from pgproxy.auth.hosts import HostsLine
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server.crls import crl_files, read_crl_file
from pgproxy.settings.catalogue import Settings

SOON_CERTIFICATE: Final = timedelta(days=14)
"""How long before its end a certificate is worth a warning."""

SOON_CRL: Final = timedelta(days=3)
"""Likewise for a list: they are renewed more often."""

SMALLEST_RSA: Final = 2048
"""Bits of a key that clients still take."""

T = TypeVar("T")


def dates(
    settings: Settings,
    directory: Path,
    now: datetime,
    hosts: Sequence[HostsLine] = (),
) -> Iterator[Report]:
    """
    Yield a warning for each certificate and list whose time is over, or nearly.

    An expired list turns down every certificate of its issuer (TLS-73b).

    Args:
        settings: Their ``ssl`` is on, and their files could be loaded.
        directory: What relative paths are relative to.
        now: In UTC.
        hosts: Of pg_hosts.conf, if that counts and not the settings.

    """
    for what, file, setting in _certificate_files(settings, hosts):
        for certificate in _certificates(directory, file):
            yield from _period(
                f'{what} "{_name(certificate.subject)}" in file "{file}"',
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
                now,
                SOON_CERTIFICATE,
                hint=f"Renew it, put it into the file that {setting} names, and reload "
                "pgproxy.",
                event="tls.certificate_dates",
            )
    for file, crl in _crls(settings, directory):
        if crl.next_update_utc is None:
            continue
        yield from _period(
            f'certificate revocation list of "{_name(crl.issuer)}" in file "{file}"',
            crl.last_update_utc,
            crl.next_update_utc,
            now,
            SOON_CRL,
            hint="Get a new list from the CA. When it has expired, every certificate "
            "of this CA is refused.",
            event="tls.crl_dates",
        )


def _certificate_files(
    settings: Settings, hosts: Sequence[HostsLine]
) -> Iterator[tuple[str, str, str]]:
    """Yield what each file holds, its name, and where it is named."""
    if not hosts:
        yield "server certificate", settings.ssl_cert_file, "ssl_cert_file"
        yield "root certificate", settings.ssl_ca_file, "ssl_ca_file"
    # One file may be that of many hosts.
    for file in dict.fromkeys(host.ssl_cert for host in hosts):
        yield "server certificate", file, "hosts_file"
    for file in dict.fromkeys(host.ssl_ca for host in hosts):
        yield "root certificate", file, "hosts_file"


def lint(
    settings: Settings,
    directory: Path,
    now: datetime,
    hosts: Sequence[HostsLine] = (),
) -> Iterator[Report]:
    """
    Yield a warning for all that people get wrong, `dates` included.

    Args:
        settings: Their ``ssl`` is on, and their files could be loaded.
        directory: What relative paths are relative to.
        now: In UTC.
        hosts: Of pg_hosts.conf, if that counts and not the settings.

    """
    yield from dates(settings, directory, now, hosts)
    pairs = [(host.ssl_cert, host.ssl_ca) for host in hosts] or [
        (settings.ssl_cert_file, settings.ssl_ca_file)
    ]
    for cert, ca in dict.fromkeys(pairs):
        yield from _server(cert, ca, directory)
    for ca in dict.fromkeys(ca for _cert, ca in pairs):
        yield from _clients(ca, settings, directory)
    if settings.ssl_min_protocol_version in {"TLSv1", "TLSv1.1"}:
        yield _warning(
            f"{settings.ssl_min_protocol_version} is allowed, which is broken",
            hint="Remove ssl_min_protocol_version; the default is TLSv1.2, which all "
            "clients since 2014 have.",
            event="tls.old_version",
        )


def _server(file: str, ca_file: str, directory: Path) -> Iterator[Report]:
    """Look at what clients are shown."""
    chain = _certificates(directory, file)
    if not chain:
        return  # nothing that this library can read; OpenSSL could
    leaf, *others = chain
    if _extension(leaf, x509.SubjectAlternativeName) is None:
        yield _warning(
            f'server certificate file "{file}" has no subject alternative name',
            detail="libpq then looks at the common name, and drivers in Go, Java, "
            "JavaScript and Rust refuse it with sslmode=verify-full.",
            hint="Have it issued with the host names that clients use as DNS names.",
            event="tls.no_san",
        )
    access = _extension(leaf, x509.AuthorityInformationAccess)
    public = access is not None and any(
        one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in access
    )
    known = {other.subject for other in others}
    known |= {ca.subject for ca in _certificates(directory, ca_file)}
    if public and leaf.issuer not in known:
        yield _warning(
            f'server certificate file "{file}" does not have the certificate of the CA '
            "that has issued it",
            detail=f'It was issued by "{_name(leaf.issuer)}".',
            hint="Append the intermediate certificates, the issuer's first; clients do "
            "not fetch them.",
            event="tls.incomplete_chain",
        )
    key = _public_key(leaf)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA:
        yield _warning(
            f'the key of server certificate file "{file}" has {key.key_size} bits',
            hint=f"Use an ECDSA key, or RSA with at least {SMALLEST_RSA} bits.",
            event="tls.weak_key",
        )


def _clients(file: str, settings: Settings, directory: Path) -> Iterator[Report]:
    """Look at what clients are judged by."""
    cas = _certificates(directory, file)
    for ca in cas:
        constraints = _extension(ca, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            yield _warning(
                f'"{_name(ca.subject)}" in root certificate file "{file}" is not the '
                "certificate of a CA",
                hint="ssl_ca_file is for the CAs that issue certificates to clients.",
                event="tls.not_a_ca",
            )
    if cas and not any(ca.issuer == ca.subject for ca in cas):
        yield _warning(
            f'root certificate file "{file}" has no root certificate',
            detail="A chain is followed up to a certificate that is its own issuer; "
            "every client certificate is refused.",
            hint="Add the root to it.",
            event="tls.no_root",
        )
    if cas and (settings.ssl_crl_file or settings.ssl_crl_dir):
        have = {crl.issuer for _file, crl in _crls(settings, directory)}
        for ca in cas:
            if ca.subject not in have:
                yield _warning(
                    f'there is no revocation list of "{_name(ca.subject)}"',
                    detail="With ssl_crl_file or ssl_crl_dir, a certificate is refused "
                    "if any CA in its chain has none.",
                    hint="Get the list from the CA, or make one with nothing in it.",
                    event="tls.no_crl",
                )


def _period(
    what: str,
    begin: datetime,
    end: datetime,
    now: datetime,
    soon: timedelta,
    *,
    hint: str,
    event: str,
) -> Iterator[Report]:
    if now > end:
        yield _warning(f"{what} has expired on {_day(end)}", hint=hint, event=event)
    elif now < begin:
        yield _warning(
            f"{what} is not valid before {_day(begin)}", hint=hint, event=event
        )
    elif end - now < soon:
        yield _warning(f"{what} expires on {_day(end)}", hint=hint, event=event)


def _day(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _warning(
    message: str, *, event: str, hint: str, detail: str | None = None
) -> Report:
    return Report(
        severity=Severity.WARNING,
        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
        message=message,
        detail=detail,
        hint=hint,
        event=event,
    )


def _certificates(directory: Path, file: str) -> list[x509.Certificate]:
    """Return the certificates in *file*; none if this library cannot read them."""
    if not file:
        return []
    return (
        _or_none(
            lambda: x509.load_pem_x509_certificates((directory / file).read_bytes())
        )
        or []
    )


def _crls(
    settings: Settings, directory: Path
) -> Iterator[tuple[str, x509.CertificateRevocationList]]:
    """Yield every list that counts, with the file that it is in."""
    directory_name = settings.ssl_crl_dir
    files = [settings.ssl_crl_file] if settings.ssl_crl_file else []
    if directory_name:
        found = crl_files(directory / directory_name)
        files += [f"{directory_name}/{path.name}" for path in found]
    for file in files:
        for der in read_crl_file(directory / file):
            crl = _or_none(partial(x509.load_der_x509_crl, der))
            if crl is not None:
                yield file, crl


E = TypeVar("E", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    def get() -> E:
        return certificate.extensions.get_extension_for_class(kind).value

    return _or_none(get)


def _public_key(certificate: x509.Certificate) -> object:
    return _or_none(certificate.public_key)


def _or_none(read: Callable[[], T]) -> T | None:
    """
    Return what *read* returns; None if the library does not understand it.

    It is stricter than OpenSSL, which has loaded the file: nothing is then known to
    be wrong.
    """
    try:
        return read()
    except (ValueError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return None
