"""Reads pg_hosts.conf: every line or none, and every complaint at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgproxy.auth.auth_file import AuthLine, tokenize_auth_file
from pgproxy.auth.hosts import DEFAULT_HOST, NO_SNI, HostsLine
from pgproxy.protocol.booleans import ascii_lower, parse_bool
from pgproxy.protocol.conffiles import ListDirectory, Read, error_text
from pgproxy.protocol.errors import Report, Severity, SqlState, log_line


@dataclass(frozen=True, slots=True, kw_only=True)
class HostsFile:
    """
    pg_hosts.conf as read.

    Args:
        lines: Its lines, in order; none if it is empty or missing, and the settings
            are to be used. Not to be used if there are *problems* or *duplicates*.
        problems: What cannot be understood of it, all of that.
        duplicates: What is said of a host that another line has spoken of already.
        notices: What the log should say, though the file is good.

    """

    lines: tuple[HostsLine, ...]
    problems: tuple[Report, ...] = ()
    duplicates: tuple[Report, ...] = ()
    notices: tuple[Report, ...] = ()


def load_hosts(path: str, *, read: Read, list_directory: ListDirectory) -> HostsFile:
    """
    Read the hosts in *path* and in what it includes.

    Args:
        path: Absolute.
        read: How to read a file.
        list_directory: How to list a directory.

    Source: ``load_hosts`` in be-secure-common.c, ``be_tls_init`` in
    be-secure-openssl.c of PostgreSQL 19; TLS-98.

    """
    try:
        read(path)
    except FileNotFoundError as error:
        missing = f'could not open file "{path}": {error_text(error)}'
        notice = log_line(missing, event="hosts.missing")
        return HostsFile(lines=(), notices=(notice,))
    except OSError:
        pass  # the tokenizer has words for it
    file = tokenize_auth_file(path, read=read, list_directory=list_directory)
    lines: list[HostsLine] = []
    problems = list(file.problems)
    for auth_line in file.lines:
        try:
            lines.append(_parse(auth_line))
        except _InvalidError as error:
            problems.append(_complaint(str(error), auth_line.context))
    return HostsFile(
        lines=tuple(lines),
        problems=tuple(problems),
        duplicates=tuple(_duplicates(lines)),
        notices=file.notices,
    )


class _InvalidError(Exception):
    """What is wrong with a line, in PostgreSQL's words."""


def _parse(line: AuthLine) -> HostsLine:
    """
    Return what *line* says.

    ::

        hostname[,...]  certificate  key  [CA  [command  [boolean]]]

    Source: ``parse_hosts_line`` in be-secure-common.c.
    """
    hostnames = tuple(token.text for token in line.fields[0])
    if len(hostnames) > 1 and not {DEFAULT_HOST, NO_SNI}.isdisjoint(hostnames):
        raise _InvalidError(
            "default and non-SNI entries cannot be mixed with other entries"
        )
    cert, key, ca, command = (
        _single(line, number, what)
        for number, what in enumerate(
            ("certificate", "key", "CA", "passphrase command"), start=1
        )
    )
    reload: bool | None = False
    if len(line.fields) > 6:
        raise _InvalidError("extra fields at end of line")
    if len(line.fields) == 6:
        value, *others = line.fields[5]
        reload = None if others else parse_bool(value.text)
    if reload is None:
        raise _InvalidError(
            "incorrect syntax for boolean value SSL_passphrase_cmd_reload"
        )
    return HostsLine(
        hostnames=hostnames,
        ssl_cert=cert,
        ssl_key=key,
        ssl_ca=ca,
        ssl_passphrase_cmd=command,
        ssl_passphrase_reload=reload,
        source=line.source,
        line_number=line.line_number,
    )


def _single(line: AuthLine, number: int, what: str) -> str:
    """Return the only value of a field; empty if it is one that may be left out."""
    if len(line.fields) <= number:
        if number <= 2:
            raise _InvalidError("missing entry at end of line")
        return ""
    token, *others = line.fields[number]
    if others:
        raise _InvalidError(f"multiple values specified for SSL {what}")
    return token.text


def _duplicates(lines: Sequence[HostsLine]) -> Iterator[Report]:
    """Yield a complaint for each name that comes again, in whichever case."""
    seen: set[str] = set()
    for line in lines:
        for name in line.hostnames:
            folded = ascii_lower(name)
            if folded in seen:
                message = {
                    DEFAULT_HOST: "multiple default hosts specified",
                    NO_SNI: "multiple no_sni hosts specified",
                }.get(name, f'multiple entries for host "{name}" specified')
                yield _complaint(message, line.context)
            seen.add(folded)


def _complaint(message: str, context: str) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=SqlState.CONFIG_FILE_ERROR,
        message=message,
        context=context,
        event="hosts.line_invalid",
    )
