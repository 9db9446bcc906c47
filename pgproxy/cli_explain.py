"""`pgproxy explain`: who gets in, and why."""

import asyncio
import json
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import click

from pgproxy.auth.address import numeric_host
from pgproxy.auth.certificate import CertificateError, PeerCertificate, parse
from pgproxy.auth.explanation import why_not
from pgproxy.auth.hba import (
    Client,
    Facts,
    ForwardLookup,
    Interfaces,
    Memberships,
    Needs,
    Replication,
    ReverseLookup,
)
from pgproxy.auth.hba_line import HbaLine
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.lexer import TEXT
from pgproxy.protocol.frontend import truncate_name
from pgproxy.server import system
from pgproxy.server.generation import Generation
from pgproxy.server.log import printable
from pgproxy.server.lookups import Lookups
from pgproxy.server.roles import RolesUnknownError
from pgproxy.session.forecast import Forecast, follows, forecast, unknown
from pgproxy.session.session import memberships_unknown

F = TypeVar("F", bound=Callable[..., object])

EXIT_REFUSED: Final = 1

_CERTIFICATE: Final = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A client, as the command line or a record of the log has it."""

    user: str | None = None
    database: str | None = None
    address: str | None = None
    ssl: bool | None = None
    replication: str | None = None
    peer: PeerCertificate | None = None


def options(command: F) -> F:
    """Add the options that describe a client."""
    for option in reversed(
        [
            click.option("--user", metavar="NAME", help="Who wants to log in."),
            click.option(
                "--database",
                metavar="NAME",
                help="Where to; by default the database that is called as the user is.",
            ),
            click.option(
                "--address", metavar="IP", help="Where from; an address, not a name."
            ),
            click.option(
                "--ssl/--no-ssl", "with_ssl", default=None, help="With TLS or without."
            ),
            click.option(
                "--cert",
                metavar="FILE",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="The certificate that the client shows, in PEM or DER. Only the "
                "names in it are read.",
            ),
            click.option(
                "--replication",
                type=click.Choice(["true", "database"]),
                help="The client asks for a replication connection.",
            ),
            click.option(
                "--log-record",
                metavar="FILE",
                type=click.File("rb"),
                help="Take the client from a line of the log, written with "
                "pgproxy.log_format = json; - is standard input. Options say what it "
                "does not.",
            ),
            click.option("--json", "as_json", is_flag=True, help="For programs."),
        ]
    ):
        command = option(command)
    return command


def described(
    user: str | None,
    database: str | None,
    address: str | None,
    with_ssl: bool | None,
    cert: Path | None,
    replication: str | None,
    record: bytes | None,
) -> Described:
    """
    Return the client that the options describe; they win over the record.

    Raises:
        click.UsageError: The description is not to be understood.

    """
    found = Described() if record is None else from_record(record)
    said: dict[str, object] = {
        "user": user,
        "database": database,
        "address": address,
        "ssl": with_ssl,
        "replication": replication,
        "peer": None if cert is None else read_certificate(cert),
    }
    if cert is not None and with_ssl is None:
        said["ssl"] = True
    return replace(found, **{key: one for key, one in said.items() if one is not None})  # type: ignore[arg-type]  # as the fields have them


def client_of(found: Described, *, ssl_is_on: bool) -> Client:
    """
    Return *found* as pg_hba.conf sees it.

    Raises:
        click.UsageError: Something is missing, or cannot be.

    """
    missing = [
        option
        for option, value in (
            ("--user", found.user),
            ("--address", found.address),
            ("--ssl or --no-ssl", found.ssl),
        )
        if value is None or value == ""
    ]
    if missing:
        raise click.UsageError(f"say {', '.join(missing)}")
    assert found.user is not None
    assert found.address is not None
    assert found.ssl is not None
    address = system.parse_address(found.address)
    if address is None:
        raise click.UsageError(
            f'"{found.address}" is not an IP address; its host name is looked up where '
            "a line asks for it"
        )
    if found.ssl and not ssl_is_on:
        raise click.UsageError(
            "with ssl = off no client has TLS; say --no-ssl, or -c ssl=on"
        )
    if found.peer is not None and not found.ssl:
        raise click.UsageError("without TLS no client shows a certificate")
    host, address = system.peer_address(numeric_host(address))
    user = truncate_name(found.user)
    return Client(
        user=user,
        database=truncate_name(found.database or "") or user,
        host=host,
        address=address,
        ssl_in_use=found.ssl,
        replication={
            None: Replication.NONE,
            "true": Replication.PHYSICAL,
            "database": Replication.DATABASE,
        }[found.replication],
    )


def read_certificate(path: Path) -> PeerCertificate:
    """
    Return what the first certificate in *path* says.

    Raises:
        click.UsageError: There is none.

    """
    data = path.read_bytes()
    begin, end = _CERTIFICATE
    text = data.decode("latin-1")
    try:
        if begin in text:
            pem = begin + text.partition(begin)[2].partition(end)[0] + end
            data = ssl.PEM_cert_to_DER_cert(pem)
        return parse(data)
    except CertificateError as error:
        raise click.UsageError(f"{path}: {error}") from None
    except ValueError:
        raise click.UsageError(f"{path}: no certificate in PEM or DER") from None


def from_record(record: bytes) -> Described:
    """
    Return the client that a line of our log is about.

    Raises:
        click.UsageError: It is no such line.

    """
    lines = [line for line in record.splitlines() if line.strip()]
    if len(lines) != 1:
        raise click.UsageError(
            f"the log record has {len(lines)} lines; give one, that of a login"
        )
    try:
        found = json.loads(lines[0].decode(*TEXT))
    except ValueError as error:
        raise click.UsageError(
            f"the log record is not JSON: {error}. Is pgproxy.log_format json?"
        ) from None
    if not isinstance(found, dict):
        raise click.UsageError("the log record is not an object of JSON")
    text = {
        field: _typed(found, key, str)
        for field, key in (
            ("user", "user"),
            ("database", "dbname"),
            ("address", "remote_host"),
            ("replication", "replication"),
        )
    }
    # With log_hostname, remote_host is a name.
    text["address"] = _typed(found, "client_addr", str) or text["address"]
    if text["replication"] not in {None, "true", "database"}:
        raise click.UsageError('the log record has another "replication" than we write')
    if not text["user"]:
        raise click.UsageError(
            "the log record has no user: it was written before the client said who it "
            "is"
        )
    dn, cn = _typed(found, "client_dn", str), _typed(found, "client_cn", str)
    peer = None
    if dn is not None:
        peer = PeerCertificate(
            common_name=cn, distinguished_name=dn, issuer_dn="", serial_number=0
        )
    return Described(**text, ssl=_typed(found, "ssl", bool), peer=peer)


T = TypeVar("T")


def _typed(record: Mapping[str, object], key: str, kind: type[T]) -> T | None:
    value = record.get(key)
    if value is None or isinstance(value, kind):
        return value
    raise click.UsageError(f'the log record has no {kind.__name__} under "{key}"')


async def find_out(
    generation: Generation, client: Client, peer: PeerCertificate | None
) -> tuple[Forecast, Facts]:
    """Return what becomes of *client*; what is needed for that is looked up."""
    facts, lookups = Facts(), Lookups()
    timeout_s = generation.settings.hostname_lookup_timeout / 1000
    while True:
        found = forecast(generation.policy, client, peer, facts)
        if not isinstance(found, Needs):
            return found, facts
        match found.fact:
            case Interfaces():
                try:
                    interfaces = await lookups.interfaces()
                except OSError:
                    interfaces = ()  # as a session has it (HBA-70)
                facts = replace(facts, interfaces=interfaces)
            case ReverseLookup():
                name = await lookups.remote_hostname(client.address, timeout_s)
                facts = replace(facts, remote_hostname=name)
            case ForwardLookup(name):
                addresses = await lookups.remote_addresses(name, timeout_s)
                facts = replace(facts, remote_addresses=addresses)
            case Memberships():
                assert generation.roles is not None, "or the files were not loaded"
                try:
                    facts = replace(facts, roles=await generation.roles.get())
                except RolesUnknownError as error:
                    refused = memberships_unknown(str(error))
                    return unknown(
                        generation.policy, client, peer, facts, refused
                    ), facts


def run(
    generation: Generation, directory: Path, found: Described, *, as_json: bool
) -> None:
    """Print what becomes of the client; the exit status is 1 if it is refused."""
    client = client_of(found, ssl_is_on=generation.settings.ssl)
    if not generation.policy.ca_loaded:
        found = replace(found, peer=None)  # it would not be asked for one
    outcome, facts = asyncio.run(find_out(generation, client, found.peer))
    if as_json:
        click.echo(json.dumps(as_object(outcome, client, facts), indent=2))
    else:
        for text in as_text(outcome, client, facts, directory):
            click.echo(printable(text))
    if outcome.refused is not None:
        sys.exit(EXIT_REFUSED)


def as_text(
    found: Forecast, client: Client, facts: Facts, directory: Path
) -> list[str]:
    """Return the explanation, line by line."""
    how = "with TLS" if client.ssl_in_use else "without TLS"
    what = {
        Replication.NONE: f'database "{client.database}"',
        Replication.PHYSICAL: "physical replication",
        Replication.DATABASE: f'replication from database "{client.database}"',
    }[client.replication]
    text = [f'User "{client.user}", {what}, from {client.host}, {how}']
    if found.peer is not None:
        dn = found.peer.distinguished_name
        text[0] += f", certificate {dn} (whether it is valid is not checked here)"
    text.append("")
    for line, mismatch in found.passed_over:
        text.append(f"{_place(line, directory)}: {line.raw_line.expandtabs()}")
        text.append(f"    does not match: {why_not(line, mismatch, client, facts)}")
    if found.line is None:
        text.append("No line matches.")
    else:
        text.append(
            f"{_place(found.line, directory)}: {found.line.raw_line.expandtabs()}"
        )
        if not found.undecided:
            text.append("    matches; it decides")
        text += [f"    {clause}" for clause in follows(found, client)]
    text.append("")
    if found.refused is None:
        text.append("The client is let through to its method.")
        return text
    when = "once its password was right" if found.after_method else "at once"
    text.append(f"The client is refused, {when}. It is told")
    text.append(f"    FATAL {found.refused.sqlstate}: {found.refused.message}")
    told = [report.message for report in found.log]
    if found.refused.log_detail:
        told += found.refused.log_detail.expandtabs().split("\n")
    if told:
        text.append("and the log")
        text += [f"    {one}" for one in told]
    return text


def as_object(found: Forecast, client: Client, facts: Facts) -> dict[str, object]:
    """Return the explanation for programs; docs/reference/commands.md has its shape."""
    peer, refused = found.peer, found.refused
    return {
        "client": {
            "user": client.user,
            "database": (
                None if client.replication is Replication.PHYSICAL else client.database
            ),
            "address": client.host,
            "ssl": client.ssl_in_use,
            "replication": client.replication.value,
            "certificate": (
                None
                if peer is None
                else {"cn": peer.common_name, "dn": peer.distinguished_name}
            ),
        },
        "passed_over": [
            {
                **_line(line),
                "field": mismatch.name.lower(),
                "reason": why_not(line, mismatch, client, facts),
            }
            for line, mismatch in found.passed_over
        ],
        "line": None if found.line is None else _line(found.line),
        "undecided": found.undecided,
        "follows": list(follows(found, client)),
        "ident_line": (
            None
            if found.ident_line is None
            else {
                "file_name": found.ident_line.source,
                "line_number": found.ident_line.line_number,
                "map_name": found.ident_line.usermap,
                "sys_name": found.ident_line.system_user.text,
                "pg_username": found.ident_line.pg_user.text,
            }
        ),
        "let_through": refused is None,
        "refusal": (
            None
            if refused is None
            else {
                "sqlstate": refused.sqlstate.value,
                "message": refused.message,
                "after_method": found.after_method,
                "log_detail": refused.log_detail,
                "log": [report.message for report in found.log],
            }
        ),
    }


def _line(line: HbaLine) -> dict[str, object]:
    return {
        "file_name": line.source,
        "line_number": line.line_number,
        "raw_line": line.raw_line,
        "auth_method": line.auth_method,
    }


def _place(line: HbaLine | IdentLine, directory: Path) -> str:
    """Return where *line* stands, with a path that is as short as it can be."""
    path = Path(line.source)
    if path.is_relative_to(directory):
        path = path.relative_to(directory)
    return f"{path}:{line.line_number}"
