"""One reading of the whole configuration: taken as a whole, or not at all."""

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pgproxy.auth.hba_file import HbaFile, load_hba
from pgproxy.auth.hba_index import HbaIndex
from pgproxy.auth.hba_line import ConnType, HbaLine
from pgproxy.auth.hosts import HostsLine
from pgproxy.auth.ident import IdentLine
from pgproxy.auth.ident_file import load_ident
from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import lint, system
from pgproxy.server.roles import DriverMissingError, RoleCache, check_driver
from pgproxy.server.tls import Tls, build_context, host_of
from pgproxy.server.tls_error import TlsConfigurationError
from pgproxy.server.tls_files import digests_of, hosts_of, tls_files
from pgproxy.server.watch import Files
from pgproxy.session.policy import Policy
from pgproxy.settings import conf
from pgproxy.settings.catalogue import Settings, resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    Where the configuration is, as the command line has it.

    Args:
        directory: What relative paths are relative to (``-D``).
        config_file: In postgresql.conf's syntax.
        overrides: ``-c name=value``; they win.

    """

    directory: Path
    config_file: Path
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """
    What every session that begins now is ruled by.

    Args:
        settings: As read.
        policy: What sessions need of it.
        tls: None while ``ssl`` is off.
        roles: Who is a member of which role; None without ``role_conninfo``.
        sources: Where each value comes from, for those who want to print it.
        notices: What the administrator should know, though nothing is wrong.
        digests: Of the files of TLS, by their names as configured.
        hosts: Of pg_hosts.conf; none where there is only one certificate.

    """

    settings: Settings
    policy: Policy
    tls: Tls | None
    roles: RoleCache | None
    sources: Mapping[str, conf.Source]
    notices: tuple[Report, ...]
    digests: Mapping[str, bytes]
    hosts: tuple[HostsLine, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is wrong with one part of the configuration.

    Args:
        problems: All that is wrong with it.
        at_start: How PostgreSQL sums them up when it does not start (FATAL); None if
            the last of them does.
        at_reload: And when it goes on with what it has (LOG).

    """

    problems: tuple[Report, ...]
    at_start: str | None
    at_reload: str


class ConfigurationRejected(Exception):
    """
    Something is wrong with the configuration.

    Args:
        faults: Of every part that is wrong, not just of the first.
        rules: pg_hba.conf, for those who want to print it; None if it was not read.

    """

    def __init__(self, *faults: Fault, rules: HbaFile | None = None) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults
        self.rules = rules

    def at_start(self) -> Iterator[Report]:
        """Yield what the log is told of a server that does not start (TLS-91)."""
        for fault in self.faults:
            *others, last = fault.problems
            yield from others
            if fault.at_start is None:
                yield replace(last, severity=Severity.FATAL)
            else:
                yield last
                yield _rejected(Severity.FATAL, fault.at_start)

    def at_reload(self) -> Iterator[Report]:
        """Yield what the log is told of one that goes on as it was (TLS-92)."""
        for fault in self.faults:
            for problem in fault.problems:
                yield replace(problem, severity=Severity.LOG)
            yield _rejected(Severity.LOG, fault.at_reload)


def _rejected(severity: Severity, message: str) -> Report:
    return Report(
        severity=severity,
        sqlstate=SqlState.CONFIG_FILE_ERROR,
        message=message,
        event="configuration.rejected",
    )


def load(
    source: Source, *, at_start: bool = True, files: Files | None = None
) -> Generation:
    """
    Read settings, rules, maps, certificates and keys.

    Args:
        source: Where they are.
        at_start: Whether somebody may sit at the terminal, to be asked for the
            passphrase of the key.
        files: Remembers which files were read, also if they are rejected.

    Raises:
        ConfigurationRejected: Something is wrong. Nothing has been changed.

    """
    files = files or Files()
    found = conf.load(
        str(source.config_file),
        overrides=source.overrides,
        read=files.read_file,
        list_directory=files.list_directory,
    )
    if isinstance(found, conf.Rejected):
        summary = f'configuration file "{source.config_file}" contains errors'
        raise ConfigurationRejected(
            Fault(found.problems, summary, f"{summary}; no changes were applied")
        )
    settings, directory = found.settings, source.directory
    hba_path = str(resolve(directory, settings.hba_file))
    rules = load_rules(hba_path, settings, files)
    notices = [*found.notices, *rules.notices]
    faults = _file_faults(hba_path, rules.problems)
    local = [line for line in rules.lines if line.conntype is ConnType.LOCAL]
    if local:
        notices.append(_no_socket(local))
    # PostgreSQL always has a pg_ident.conf, because initdb makes one. Here it only
    # has to be there if it is asked for, by name or by a rule.
    maps: tuple[IdentLine, ...] = ()
    ident_path = str(resolve(directory, settings.ident_file))
    wanted = "ident_file" in found.sources or any(line.usermap for line in rules.lines)
    if wanted or Path(ident_path).exists():
        file = load_ident(
            ident_path,
            roles=bool(settings.role_conninfo),
            read=files.read_file,
            list_directory=files.list_directory,
        )
        maps = file.lines
        notices += file.notices
        faults += _file_faults(ident_path, file.problems)
    roles = None
    if settings.role_conninfo:
        roles = RoleCache(settings.role_conninfo, settings.role_cache_ttl)
        try:
            check_driver()
        except DriverMissingError as error:
            faults.append(_no_driver(error, found.sources))
    tls, digests, hosts = None, dict[str, bytes](), tuple[HostsLine, ...]()
    if settings.ssl:
        try:
            hosts, told = hosts_of(settings, directory, files)
            notices += told
            read = tls_files(settings, hosts or [host_of(settings)], directory)
            for path in read.values():
                files.note(path)
            tls, warnings = _build_tls(settings, directory, hosts, at_start=at_start)
            notices += warnings
            # Only now: what is no file, a FIFO say, has been refused.
            digests = digests_of(read)
        except TlsConfigurationError as error:
            summary = "SSL configuration was not reloaded"
            faults.append(Fault(error.reports, None, summary))
    if faults:
        raise ConfigurationRejected(*faults, rules=rules)
    return Generation(
        settings=settings,
        policy=_policy(settings, rules.lines, maps, hosts),
        tls=tls,
        roles=roles,
        sources=found.sources,
        notices=tuple(notices),
        digests=digests,
        hosts=hosts,
    )


def load_rules(path: str, settings: Settings, files: Files) -> HbaFile:
    """Read the rules in *path*."""
    with _keeping_all():
        return load_hba(
            path,
            read=files.read_file,
            list_directory=files.list_directory,
            parse_address=system.parse_address,
            ssl=settings.ssl,
            roles=bool(settings.role_conninfo),
        )


@contextlib.contextmanager
def _keeping_all() -> Iterator[None]:
    """
    Let nobody look for garbage meanwhile.

    All that is made of a file of ten thousand lines stays, and to look through it,
    again and again as it grows, takes as long as the reading.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _build_tls(
    settings: Settings, directory: Path, hosts: Sequence[HostsLine], *, at_start: bool
) -> tuple[Tls, list[Report]]:
    tls = build_context(settings, directory, at_start=at_start, hosts=hosts)
    warnings = list(lint.dates(settings, directory, datetime.now(UTC), hosts))
    return tls, warnings if tls.complete else [_no_door(), *warnings]


def _policy(
    settings: Settings,
    lines: tuple[HbaLine, ...],
    maps: tuple[IdentLine, ...],
    hosts: Sequence[HostsLine],
) -> Policy:
    return Policy(
        ssl=settings.ssl,
        hba=HbaIndex(lines),
        ident=maps,
        ca_loaded=settings.ssl
        and any(host.ssl_ca for host in hosts or [host_of(settings)]),
        ssl_min_protocol_version=settings.ssl_min_protocol_version,
        ssl_max_protocol_version=settings.ssl_max_protocol_version or "TLSv1.3",
        log_connections=frozenset(settings.log_connections),
        log_hostname=settings.log_hostname,
        trace_connection_negotiation=settings.trace_connection_negotiation,
    )


def _file_faults(path: str, problems: tuple[Report, ...]) -> list[Fault]:
    if not problems:
        return []
    return [Fault(problems, f"could not load {path}", f"{path} was not reloaded")]


def _no_socket(lines: Sequence[HbaLine]) -> Report:
    """Say once for all of them that ``local`` lines are in vain here."""
    where = ", ".join(f"{line.source}:{line.line_number}" for line in lines)
    return Report(
        severity=Severity.NOTICE,
        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
        message='"local" records cannot match because pgproxy has no Unix-domain '
        "socket to listen on",
        detail=f"They are read and otherwise ignored: {where}.",
        event="hba.local",
    )


def _no_driver(error: DriverMissingError, sources: Mapping[str, conf.Source]) -> Fault:
    name = "pgproxy.role_conninfo"
    problem = Report(
        severity=Severity.ERROR,
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        message=f'"{name}" needs a driver that is not installed',
        detail=str(error),
        hint="Install it: pip install 'pgproxy[roles]'",
        context=str(sources[name]),
        event="roles.no_driver",
    )
    return Fault((problem,), None, f'"{name}" cannot be used')


def _no_door() -> Report:
    return Report(
        severity=Severity.WARNING,
        sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
        message="this Python does not let pgproxy configure all of TLS",
        detail="Other than PostgreSQL, the server accepts a client that offers only "
        "foreign ALPN protocols, keeps a TLS 1.2 session cache, offers all of "
        "OpenSSL's groups, does not name its CAs to clients, and does not log which "
        "certificate failed.",
        hint="Run it on CPython 3.11, 3.12 or 3.13 with a shared OpenSSL library.",
        event="tls.incomplete",
    )
