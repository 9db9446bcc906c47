"""The files that TLS is made of: which they are, and what pg_hosts.conf says."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pgproxy.auth.hosts import HostsLine
from pgproxy.auth.hosts_file import load_hosts
from pgproxy.protocol.errors import Report
from pgproxy.server.tls_error import TlsConfigurationError, tls_error
from pgproxy.server.watch import Files
from pgproxy.settings.catalogue import Settings, resolve


def hosts_of(
    settings: Settings, directory: Path, files: Files
) -> tuple[tuple[HostsLine, ...], tuple[Report, ...]]:
    """
    Return the lines of pg_hosts.conf, if it is to be read, and what to say of it.

    Raises:
        TlsConfigurationError: There is something wrong with it, and to go by the
            settings instead is not what anybody has asked for.

    """
    if not settings.ssl_sni:
        return (), ()
    path = str(resolve(directory, settings.hosts_file))
    file = load_hosts(path, read=files.read_file, list_directory=files.list_directory)
    if file.problems:
        summary = tls_error(
            f'could not load "{Path(path).name}": loading config from "{path}" failed '
            "due to parsing error"
        )
        raise TlsConfigurationError(*file.problems, *summary.reports)
    if file.duplicates:
        raise TlsConfigurationError(*file.duplicates)
    return file.lines, file.notices


def tls_files(
    settings: Settings, hosts: Sequence[HostsLine], directory: Path
) -> dict[str, Path]:
    """
    Return the files that OpenSSL reads, by their names as configured.

    ssl_crl_dir is not among them: it is looked into for each client.
    """
    names = [settings.ssl_crl_file, settings.ssl_dh_params_file]
    for host in hosts:
        names += [host.ssl_cert, host.ssl_key, host.ssl_ca]
    return {name: resolve(directory, name) for name in names if name}


def digests_of(files: Mapping[str, Path]) -> dict[str, bytes]:
    """Return a hash of each file, to tell later which of them have changed."""
    found = {}
    for name, path in files.items():
        # One that has gone away meanwhile is a change that the next reload tells.
        with contextlib.suppress(OSError):
            found[name] = hashlib.sha256(path.read_bytes()).digest()
    return found
