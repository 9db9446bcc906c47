"""All that has to be there before anything is measured."""

import resource
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Final

from benchmarks import machine, servers
from benchmarks.certificates import Certificates
from benchmarks.effort import Cores, Effort, pinned
from benchmarks.proxies import PROXIES, PgBouncer, Pgproxy, Place, Stunnel
from benchmarks.running import Bench
from benchmarks.systems import Native, System, SystemMissingError
from pgproxy.testing import installation
from pgproxy.testing.installation import make_folder

SYSTEMS: Final = (*(kind.key for kind in PROXIES), Native.key)
"""All that can be compared."""

IN_SHORT: Final = (Pgproxy.key, PgBouncer.key, Stunnel.key)
BY_DEFAULT: Final = (*IN_SHORT, Native.key)

UNIX_NOTE: Final = "The proxies reach the PostgreSQL behind them over its Unix socket."


@contextmanager
def bench(chosen: Sequence[str], effort: Effort, *, unix: bool) -> Iterator[Bench]:
    """
    Start the servers, fill them, and find the proxies.

    Args:
        chosen: Which systems to compare; some of `SYSTEMS`.
        effort: How much will be done.
        unix: Whether proxies reach the PostgreSQL behind them over a Unix socket.

    """
    cores = Cores.of_this_machine()
    facts = machine.describe(cores)
    _many_files()
    postgresql = installation.celerp()
    with ExitStack() as stack:
        stack.enter_context(pinned(cores.others))
        folder = make_folder("pgproxy-bench-")
        stack.callback(rmtree, folder)
        certificates = Certificates.make(folder)
        plain = stack.enter_context(servers.plain(postgresql))
        servers.fill(plain, effort)
        place = Place(
            cores.proxy,
            str(plain.socket_dir) if unix else plain.host,
            plain.port,
            certificates,
        )
        systems: list[System] = [kind(place) for kind in PROXIES if kind.key in chosen]
        if Native.key in chosen:
            native = stack.enter_context(servers.native(postgresql, certificates))
            servers.fill(native, effort)
            systems.append(Native(native))
        present, notes = _present(systems)
        yield Bench(
            systems=present,
            programs=postgresql.bin_dir,
            certificates=certificates,
            effort=effort,
            lines=_lines(folder, effort),
            machine=facts,
            notes=[*([UNIX_NOTE] if unix else []), *notes],
        )


def _present(systems: Sequence[System]) -> tuple[list[System], list[str]]:
    """Return the systems that are here, and a note on each that is not."""
    present, notes = [], []
    for system in systems:
        try:
            system.version()
        except SystemMissingError as error:
            notes.append(f"{system.title} is left out: {error}")
        else:
            present.append(system)
    notes += [f"{one.title}: {one.differs}" for one in present if one.differs]
    return present, notes


def _lines(folder: Path, effort: Effort) -> Path:
    """Write a file to copy from."""
    path = folder / "lines"
    line = b"x" * (servers.ROW - 1) + b"\n"
    with path.open("wb") as out:
        for _ in range(effort.megabytes):
            out.write(line * (1_000_000 // servers.ROW))
    return path


def _many_files() -> None:
    """Allow us, and whom we start, as many open files as the system lets us have."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
