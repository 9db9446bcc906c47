"""What the commands print: which files there are now, and the lines to paste."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote as percent_encode

from cryptography import x509

from pgproxy.certs.folder import Folder
from pgproxy.certs.index import Entry, Kind
from pgproxy.certs.issue import Issued
from pgproxy.settings.guc_scan import quote

ED25519: Final = (
    "what a CA with an Ed25519 key has signed has no digest to bind a channel to; "
    "PostgreSQL and libpq then fail in SCRAM. For servers that ask for passwords take "
    "--key-type ecdsa. (Keys of servers and clients may well be Ed25519.)"
)


def folder_for(name: str) -> Path:
    """
    Return the folder for what is issued to *name*, if no other is asked for.

    A role can be called anything: what is more than a file name is encoded, as in a
    URL, and so is a leading dot.
    """
    if name.startswith("*."):
        return Path(f"wildcard{name[1:]}")
    text = percent_encode(name, safe="@ +,=", errors="surrogateescape")
    return Path("%2E" + text[1:] if text.startswith(".") else text)


def conninfo(parameters: Mapping[str, str]) -> str:
    """Return *parameters* as a connection string of libpq's."""
    return " ".join(f"{key}={_quote(value)}" for key, value in parameters.items())


def _quote(value: str) -> str:
    if value and not any(one in "'\\" or one.isspace() for one in value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def of_new_folder(folder: Folder) -> Iterator[str]:
    """Yield what is said of a new CA."""
    yield from _table(
        [
            (one.file, f"{one.kind} CA: {one.subject}", _until(one))
            for one in folder.index.issued
        ]
    )
    yield "The keys beside them are for this command alone; no server needs them."
    if folder.index.intermediate:
        yield (
            "Keep root.key somewhere else: it is needed for the root's own revocation "
            "list, and for nothing else."
        )


def of_issued(issued: Issued) -> Iterator[str]:
    """Yield what is said of a new certificate."""
    yield from _table(
        [
            (
                str(issued.certificate),
                f"serial {issued.entry.serial}",
                _until(issued.entry),
            ),
            (str(issued.key), "its key"),
            (str(issued.root), "the root that vouches for it"),
        ]
    )
    yield ""
    root = {"sslmode": "verify-full", "sslrootcert": str(issued.root)}
    if issued.entry.kind is Kind.SERVER:
        yield "# postgresql.conf or pgproxy.conf; the file of the CA is for client"
        yield "# certificates, without them leave it out"
        yield "ssl = on"
        yield f"ssl_cert_file = {quote(str(issued.certificate))}"
        yield f"ssl_key_file = {quote(str(issued.key))}"
        yield f"ssl_ca_file = {quote(str(issued.root))}"
        yield ""
        yield "# whoever connects"
        yield conninfo(root)
        return
    mine = {"sslcert": str(issued.certificate), "sslkey": str(issued.key)}
    yield f"# subject: {issued.entry.subject}"
    yield "# for libpq; or put the three files into ~/.postgresql"
    yield conninfo(root | mine)
    yield ""
    yield "# pg_hba.conf, where the name of the role is the common name"
    yield "hostssl all all all cert"


def warnings(issued: Issued) -> Iterator[str]:
    """Yield what one might not expect of a new certificate."""
    if issued.shortened:
        yield (
            f"it is valid for less than was asked for: until "
            f"{issued.entry.end:%Y-%m-%d %H:%M} UTC, when its CA ends"
        )
    for one in issued.others:
        yield (
            f"another for the same is valid, {_until(one)}: serial {one.serial}. If it "
            f"is out of use, revoke it"
        )


def of_crls(
    crls: Sequence[x509.CertificateRevocationList], file: Path
) -> Iterator[str]:
    """Yield what is said of new lists."""
    for crl in crls:
        yield (
            f"{crl.issuer.rfc4514_string()}: {len(crl)} revoked, "
            f"next update {crl.next_update_utc:%Y-%m-%d %H:%M} UTC"
        )
    yield ""
    yield "# postgresql.conf or pgproxy.conf; a reload reads a new list"
    yield f"ssl_crl_file = {quote(str(file.absolute()))}"
    yield ""
    yield "From the time of the next update on no client certificate is accepted with"
    yield "this list: make the next one before."


def of_list(
    folder: Folder,
    crls: Sequence[x509.CertificateRevocationList],
    now: dt.datetime,
) -> Iterator[str]:
    """Yield the table of what was issued, and when the lists end."""
    header = ("serial", "kind", "name", "expires", "days", "state")
    yield from _table(
        [
            header,
            *(
                (
                    one.serial,
                    one.kind,
                    " ".join(one.names),
                    f"{one.end:%Y-%m-%d}",
                    str((one.end - now).days),
                    one.state(now),
                )
                for one in folder.index.issued
            ),
        ]
    )
    for crl in crls:
        assert crl.next_update_utc is not None  # we have made it
        yield (
            f"list of {crl.issuer.rfc4514_string()}: {len(crl)} revoked, next update in "
            f"{(crl.next_update_utc - now).days} days"
        )


def as_json(
    folder: Folder,
    crls: Sequence[x509.CertificateRevocationList],
    now: dt.datetime,
) -> dict[str, Any]:
    """Return the same for a program."""
    return {
        "certificates": [_entry_json(one, now) for one in folder.index.issued],
        "crls": [
            {
                "issuer": crl.issuer.rfc4514_string(),
                "revoked": [f"{one.serial_number:X}" for one in crl],
                "next_update": crl.next_update_utc and crl.next_update_utc.isoformat(),
                "days": crl.next_update_utc and (crl.next_update_utc - now).days,
            }
            for crl in crls
        ],
    }


def _entry_json(entry: Entry, now: dt.datetime) -> dict[str, Any]:
    return {
        "serial": entry.serial,
        "kind": entry.kind,
        "names": entry.names,
        "subject": entry.subject,
        "issuer": entry.issuer,
        "not_before": entry.not_before,
        "not_after": entry.not_after,
        "days": (entry.end - now).days,
        "state": entry.state(now),
        "revoked": entry.revoked,
        "reason": entry.reason if entry.revoked else None,
        "file": entry.file,
    }


def _until(entry: Entry) -> str:
    return f"until {entry.end:%Y-%m-%d}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield *rows* with their columns one below the other."""
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(cell))
    for row in rows:
        cells = [f"{cell:<{widths[column]}}" for column, cell in enumerate(row)]
        yield "  ".join(cells).rstrip()
