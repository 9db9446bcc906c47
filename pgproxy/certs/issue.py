"""A certificate for a server or a client, in files that either finds by itself."""

import contextlib
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pgproxy.certs import files
from pgproxy.certs.errors import CertsError
from pgproxy.certs.folder import ROOT_CERTIFICATE, Folder
from pgproxy.certs.index import Entry, Kind
from pgproxy.certs.issuing import (
    CLIENT_AUTH,
    NEW_KEY,
    SERVER_AUTH,
    certificates_pem,
    key_pem,
    leaf_extensions,
    sign,
    subject_name,
)
from pgproxy.certs.names import Dn, role_name, server_names

LEAVES: Final = {Kind.SERVER: "server", Kind.CLIENT: "postgresql"}
"""
What the files are called: the defaults of ``ssl_cert_file`` and ``ssl_key_file``, and
what libpq looks for in ``~/.postgresql``.
"""

PURPOSES: Final = {Kind.SERVER: SERVER_AUTH, Kind.CLIENT: CLIENT_AUTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What a certificate is to be.

    Args:
        kind: A server's or a client's.
        names: A server's names, or one role.
        dn: What is in front of the common name.
        key_type: One of `NEW_KEY`.
        days: How long it is to be valid.
        out: The folder for its files; made if it is not there.
        force: Whether files that are there may go.

    """

    kind: Kind
    names: tuple[str, ...]
    dn: Dn = ()
    key_type: str = "ecdsa"
    days: int
    out: Path
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """
    What has come of a request.

    Args:
        entry: The certificate.
        certificate: The file that it is in, with the intermediate CA behind it.
        key: The file of its key.
        root: The file of the root.
        shortened: Whether it ends earlier than was asked for, together with its CA.
        others: Certificates for the same that are still good.

    """

    entry: Entry
    certificate: Path
    key: Path
    root: Path
    shortened: bool
    others: tuple[Entry, ...]


def issue(path: Path, request: Request, now: dt.datetime) -> Issued:
    """
    Issue a certificate.

    Raises:
        CertsError: A name is none, a file is in the way, or the CA may not.
        OSError: Something cannot be read or written.

    """
    server = request.kind is Kind.SERVER
    names = (
        server_names(request.names) if server else tuple(map(role_name, request.names))
    )
    key = NEW_KEY[request.key_type]()  # takes its time, and needs no lock
    with Folder.changing(path) as folder:
        if request.out.resolve() == path.resolve():
            raise CertsError(
                f"{path} is the CA's own folder; --out DIR writes elsewhere"
            )
        issuer = folder.issuer(now)
        validity, shortened = folder.validity(now, request.days)
        certificate = sign(
            subject_name([*request.dn, ("CN", names[0])]),
            key,
            issuer=issuer.certificate.subject,
            issuer_key=issuer.key,
            extensions=leaf_extensions(
                key,
                names=names if server else (),
                purposes=[PURPOSES[request.kind]],
            ),
            validity=validity,
        )
        base = request.out.absolute() / LEAVES[request.kind]
        wanted = [
            one
            for one in (
                _File(
                    base.with_name(ROOT_CERTIFICATE), certificates_pem([folder.root])
                ),
                _File(base.with_suffix(".key"), key_pem(key), files.PRIVATE),
                # Last: without its certificate a key is nobody's.
                _File(
                    base.with_suffix(".crt"),
                    certificates_pem([certificate, *folder.chain]),
                ),
            )
            if _is_to_be_written(one, force=request.force)
        ]
        entry = Entry.of(
            certificate,
            request.kind,
            issuer.kind,
            names=names,
            file=str(base.with_suffix(".crt")),
        )
        others = tuple(
            one
            for one in folder.index.issued
            if (one.kind, one.names) == (entry.kind, entry.names)
            and one.state(now) == "valid"
        )
        # Before there is a certificate that could be used it stands in the index.
        folder.save(folder.index.add(entry))
        try:
            _write(request.out, wanted, force=request.force)
        except OSError:
            folder.save(folder.index)
            raise
    return Issued(
        entry=entry,
        certificate=base.with_suffix(".crt"),
        key=base.with_suffix(".key"),
        root=base.with_name(ROOT_CERTIFICATE),
        shortened=shortened,
        others=others,
    )


class _File(NamedTuple):
    path: Path
    content: bytes
    mode: int = files.PUBLIC


def _is_to_be_written(file: _File, *, force: bool) -> bool:
    """
    Return False if *file* is there, with this content.

    Raises:
        CertsError: It has another, and is not to go.

    """
    path = file.path
    if not path.exists():
        return True
    if path.is_file() and path.read_bytes() == file.content:
        return False
    if not force:
        raise CertsError(
            f"{path} is there already. --force replaces it; --out DIR writes elsewhere"
        )
    return True


def _write(folder: Path, wanted: Iterable[_File], *, force: bool) -> None:
    """Write all of it; if that fails, what is new and useless goes again."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        for one in wanted:
            new = not one.path.exists()
            files.write(one.path, one.content, mode=one.mode, replace=force)
            if new:
                undo.callback(one.path.unlink)
        undo.pop_all()
