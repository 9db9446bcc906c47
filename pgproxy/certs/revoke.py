"""What a CA takes back, and the lists that say so."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from pgproxy.certs import files
from pgproxy.certs.errors import CertsError
from pgproxy.certs.folder import BACKDATED, CRL, FILES, Folder, later
from pgproxy.certs.index import Entry, Index, Kind
from pgproxy.certs.issuing import SERVER_AUTH, Period, Revoked, crls_pem, sign_crl
from pgproxy.certs.load import read_certificate, read_crls


def revoke(path: Path, what: str, reason: str, now: dt.datetime) -> Entry:
    """
    Revoke the certificate *what*: a file it is in, or its serial number.

    It counts when the next lists are where the servers read them.

    Raises:
        CertsError: This CA has not issued it, or it is revoked already.
        OSError: Something cannot be read or written.

    """
    with Folder.changing(path) as folder:
        file = Path(what)
        index = folder.index
        if file.exists() and not file.is_dir():
            index, serial = _with_certificate(folder, file)
        else:
            serial = what
        entry = index.find(serial)
        index = index.revoke(entry, now, reason)
        folder.save(index)
        return index.find(entry.serial)


def _with_certificate(folder: Folder, file: Path) -> tuple[Index, str]:
    """
    Return the index with the certificate in *file*, and its serial number.

    It may be missing there, if the index is an old one from a backup: what the CA has
    signed it can revoke.
    """
    certificate = read_certificate(file)
    serial = f"{certificate.serial_number:X}"
    issuer = _issuer(folder, certificate)
    if issuer is None:
        raise CertsError(
            f"the certificate in {file} was not issued by the CA in {folder.path}"
        )
    if any(
        one.serial_number == certificate.serial_number for one in folder.index.issued
    ):
        return folder.index, serial
    names = [
        str(one.value)
        for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    server = any(
        SERVER_AUTH in one.value
        for one in certificate.extensions
        if isinstance(one.value, x509.ExtendedKeyUsage)
    )
    entry = Entry.of(
        certificate,
        Kind.SERVER if server else Kind.CLIENT,
        issuer,
        names=names,
        file=str(file.absolute()),
    )
    return folder.index.add(entry), serial


def _issuer(folder: Folder, certificate: x509.Certificate) -> Kind | None:
    """Return which CA of *folder* has signed the *certificate*."""
    authorities = {Kind.ROOT: folder.root, folder.index.issuing: folder.issuing}
    for kind, issuer in authorities.items():
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue  # not this one
        return kind
    return None


def make_crls(
    path: Path, days: int, now: dt.datetime
) -> tuple[tuple[x509.CertificateRevocationList, ...], Path]:
    """
    Write ``root.crl`` anew: a list of each CA, the issuing one first.

    Returns:
        The lists, and the file.

    Raises:
        CertsError: A key is missing that is needed.
        OSError: Something cannot be read or written.

    """
    with Folder.changing(path) as folder:
        folder.check_current(now)
        number = folder.index.crl_number + 1
        current = Period(now - BACKDATED, later(now, days))
        kinds = dict.fromkeys((folder.index.issuing, Kind.ROOT))
        crls = tuple(_crl(folder, kind, current, number, now) for kind in kinds)
        # A number that was given is not given again, even if the file is not written.
        folder.save(replace(folder.index, crl_number=number))
        file = path / CRL
        files.write(file, crls_pem(crls), mode=files.PUBLIC, replace=True)
    return crls, file


def _crl(
    folder: Folder, kind: Kind, current: Period, number: int, now: dt.datetime
) -> x509.CertificateRevocationList:
    revoked = [
        Revoked(
            one.serial_number,
            dt.datetime.fromisoformat(one.revoked),
            x509.ReasonFlags(one.reason),
        )
        for one in folder.index.issued
        if one.issuer is kind and one.revoked is not None
    ]
    if kind is not folder.index.issuing and not _key_file(folder, kind).exists():
        return _kept_crl(folder, revoked, now)
    authority = folder.authority(kind)
    return sign_crl(
        authority.certificate.subject,
        authority.key,
        revoked=revoked,
        current=current,
        number=number,
    )


def _key_file(folder: Folder, kind: Kind) -> Path:
    return folder.path / f"{FILES[kind]}.key"


def _kept_crl(
    folder: Folder, revoked: list[Revoked], now: dt.datetime
) -> x509.CertificateRevocationList:
    """
    Return the root's list that is there: its key is kept somewhere else.

    Raises:
        CertsError: It will not do any more.

    """
    for crl in read_crls(folder.path / CRL):
        end = crl.next_update_utc
        missing = [
            one
            for one in revoked
            if crl.get_revoked_certificate_by_serial_number(one.serial_number) is None
        ]
        if crl.issuer == folder.root.subject and end and now < end and not missing:
            return crl
    raise CertsError(
        f"the root's list has to be made, and its key is not there: bring back "
        f"{_key_file(folder, Kind.ROOT)} for the time it takes. With a list that is "
        f"valid for long (--days) it is seldom needed"
    )
