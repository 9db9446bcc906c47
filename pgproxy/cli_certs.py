"""The commands of `pgproxy certs`."""

import contextlib
import datetime as dt
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NoReturn

import click
from cryptography import x509

from pgproxy.certs import folder, summary
from pgproxy.certs.errors import CertsError
from pgproxy.certs.index import Kind
from pgproxy.certs.issue import Request, issue
from pgproxy.certs.issuing import NEW_KEY
from pgproxy.certs.load import read_crls
from pgproxy.certs.names import dn_parts
from pgproxy.certs.revoke import make_crls, revoke
from pgproxy.server.log import printable

REASONS: Final = [
    one.value
    for one in x509.ReasonFlags
    # These two belong into lists of another kind.
    if one not in {x509.ReasonFlags.remove_from_crl, x509.ReasonFlags.certificate_hold}
]

_ca = click.option(
    "--ca",
    "path",
    metavar="DIR",
    default="ca",
    show_default=True,
    envvar="PGPROXYCA",
    type=click.Path(path_type=Path),
    help="The folder of the CA. [env: PGPROXYCA]",
)
_key_type = click.option(
    "--key-type",
    type=click.Choice(list(NEW_KEY)),
    default=next(iter(NEW_KEY)),
    show_default=True,
    help="ecdsa is P-256, rsa has 3072 bits.",
)
_dn = click.option(
    "--dn",
    metavar="TYPE=VALUE",
    multiple=True,
    help="In front of the common name, the most general first: O=Example.",
)
_out = click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the files go; by default a folder named after the first NAME.",
)
_force = click.option(
    "--force", is_flag=True, help="Replace files that are there already."
)


_leaf_days = click.option(
    "--days",
    type=click.IntRange(min=1),
    default=365,
    show_default=True,
    help="How long it is valid; never longer than its CA.",
)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell what went wrong, and end with exit status 1."""
    try:
        yield
    except CertsError as error:
        _fail(str(error))
    except OSError as error:
        where = "" if error.filename is None else f'"{error.filename}": '
        _fail(f"{where}{error.strerror or error}")


def _fail(message: str) -> NoReturn:
    click.echo(f"pgproxy: {printable(message)}", err=True)
    sys.exit(1)


def _print(lines: Iterable[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(printable(line), err=err)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@click.group()
def certs() -> None:
    """
    Make certificates: a CA in a folder, and what it issues and revokes.

    This is what the manual does with openssl in "Creating Certificates".
    """


@certs.command()
@_ca
@click.option(
    "--name",
    default="PostgreSQL",
    show_default=True,
    help="What its names begin with: NAME root CA, NAME issuing CA.",
)
@click.option(
    "--intermediate",
    is_flag=True,
    help="Issue with a CA under the root, whose key can then be kept elsewhere.",
)
@_key_type
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=3650,
    show_default=True,
    help="How long the CA is valid.",
)
@_dn
def init(
    path: Path,
    name: str,
    intermediate: bool,
    key_type: str,
    days: int,
    dn: tuple[str, ...],
) -> None:
    """Make a CA in a new folder."""
    with _told():
        made = folder.create(
            path,
            name=name,
            dn=dn_parts(dn),
            intermediate=intermediate,
            key_type=key_type,
            days=days,
            now=_now(),
        )
        _print(summary.of_new_folder(made))
    if key_type == "ed25519":
        _print([f"pgproxy: WARNING:  {summary.ED25519}"], err=True)


@certs.group("issue")
def issue_() -> None:
    """Issue a certificate for a server or a client."""


@issue_.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_ca
@_out
@_force
@_key_type
@_leaf_days
@_dn
def server(
    names: tuple[str, ...],
    path: Path,
    out: Path | None,
    force: bool,
    key_type: str,
    days: int,
    dn: tuple[str, ...],
) -> None:
    """
    Issue server.crt and server.key for host names and IP addresses.

    Clients with sslmode=verify-full connect to one of these names. *.example.com
    stands for every name with one label in front of example.com.
    """
    _issue(
        path,
        kind=Kind.SERVER,
        names=names,
        out=out,
        force=force,
        key_type=key_type,
        days=days,
        dn=dn,
    )


@issue_.command()
@click.argument("role", metavar="ROLE")
@_ca
@_out
@_force
@_key_type
@_leaf_days
@_dn
def client(
    role: str,
    path: Path,
    out: Path | None,
    force: bool,
    key_type: str,
    days: int,
    dn: tuple[str, ...],
) -> None:
    """
    Issue postgresql.crt and postgresql.key for a role.

    Its common name is ROLE, byte by byte; that is what the method `cert` compares.
    """
    _issue(
        path,
        kind=Kind.CLIENT,
        names=(role,),
        out=out,
        force=force,
        key_type=key_type,
        days=days,
        dn=dn,
    )


def _issue(
    path: Path,
    *,
    kind: Kind,
    names: tuple[str, ...],
    out: Path | None,
    force: bool,
    key_type: str,
    days: int,
    dn: tuple[str, ...],
) -> None:
    with _told():
        request = Request(
            kind=kind,
            names=names,
            dn=dn_parts(dn),
            key_type=key_type,
            days=days,
            out=summary.folder_for(names[0]) if out is None else out,
            force=force,
        )
        issued = issue(path, request, _now())
    _print((f"pgproxy: WARNING:  {one}" for one in summary.warnings(issued)), err=True)
    _print(summary.of_issued(issued))


@certs.command("revoke")
@click.argument("what", metavar="FILE|SERIAL")
@_ca
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    default=x509.ReasonFlags.unspecified.value,
    show_default=True,
    help="What the list says of it.",
)
def revoke_(what: str, path: Path, reason: str) -> None:
    """
    Revoke a certificate: the first one in FILE, or the one with this number.

    It counts from when servers have the next list: `pgproxy certs crl`.
    """
    with _told():
        entry = revoke(path, what, reason, _now())
    _print(
        [
            f"{entry.serial} is revoked: {entry.kind} {' '.join(entry.names)}",
            "Servers do not know yet: run `pgproxy certs crl`, and give them the list.",
        ]
    )


@certs.command()
@_ca
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    help="When the next list comes; later than that this one counts no more.",
)
def crl(path: Path, days: int) -> None:
    """
    Make the revocation lists, or make them anew: root.crl in the CA's folder.

    With an intermediate CA the root's list is in it as well, because PostgreSQL wants
    one of every CA.
    """
    with _told():
        crls, file = make_crls(path, days, _now())
    _print(summary.of_crls(crls, file))


@certs.command("list")
@_ca
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def list_(path: Path, as_json: bool) -> None:
    """List what was issued, until when it is valid, and what was revoked."""
    with _told():
        found = folder.Folder.read(path)
        crls = read_crls(path / folder.CRL)
    if as_json:
        click.echo(json.dumps(summary.as_json(found, crls, _now()), indent=2))
    else:
        _print(summary.of_list(found, crls, _now()))
