"""The process that is started: reads, binds, serves, reloads, stops."""

import gc
import os
import resource
import signal
from typing import Final

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import log, pid_file
from pgproxy.server.generation import (
    ConfigurationRejected,
    Generation,
    Source,
    load,
)
from pgproxy.server.listener import bind
from pgproxy.server.pid_file import AlreadyRunning, PidFile
from pgproxy.server.reload import Reloader
from pgproxy.server.seats import Seats
from pgproxy.server.signals import SIGNALS
from pgproxy.server.single import Single
from pgproxy.server.watch import Files
from pgproxy.server.worker import run_loop
from pgproxy.server.workers import Workers
from pgproxy.settings.catalogue import AUTO

DESCRIPTORS_PER_SESSION: Final = 2
"""The client's and the backend's."""

DESCRIPTORS_APART: Final = 64
"""For listening, files, and cancel requests when all sessions are taken."""


class CannotStart(Exception):
    """The log has been told why."""


def serve(source: Source) -> None:
    """
    Serve *source* in the foreground until a signal ends it.

    Raises:
        CannotStart: Something is wrong; the log says all of it.

    """
    log.configure("console")
    files = Files()
    generation = _load(source, files)
    log.configure(generation.settings.log_format)
    log.write_all(generation.notices)
    settings = generation.settings
    _check_descriptors(settings.max_connections)
    count = _workers(settings.workers)
    # Whoever finds the pid file may send a signal at once; it waits until there is
    # somebody to hear it. And none ends us while we clean up.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        pid_file.check_free(source.directory)
        sockets = bind(settings.listen_addresses, settings.port)
        if not sockets:
            raise _fatal("could not create any TCP/IP sockets")
        address, port = sockets[0].getsockname()[:2]
        mine = PidFile.create(source.directory, port, address)
    except AlreadyRunning as other:
        raise _fatal(
            f'lock file "{pid_file.NAME}" already exists',
            sqlstate=SqlState.LOCK_FILE_EXISTS,
            hint=f"Is another pgproxy (PID {other.pid}) running in data directory "
            f'"{source.directory}"?',
        ) from other
    except OSError as error:
        raise _fatal(
            f'could not create lock file "{pid_file.NAME}": {error.strerror}'
        ) from error
    # What there is now stays: to look through it for garbage takes up to 4 % of a new
    # connection, and in workers it copies the pages that they share.
    gc.collect()
    gc.freeze()
    try:
        reloader = Reloader(source, generation, files)
        seats = Seats(settings.max_connections)
        if count == 1:
            run_loop(Single(reloader, sockets, seats).run)
        else:
            Workers(reloader, sockets, seats, count).run()
    finally:
        mine.remove()
    log.note("pgproxy is shut down", "postmaster.stopped")


def _workers(setting: str) -> int:
    """
    Return how many processes are to serve.

    Raises:
        CannotStart: There can only be one on this system.

    """
    can_wait = hasattr(signal, "sigtimedwait")  # macOS has none
    if setting == AUTO:
        # What this process may use, which in a container is less than there is.
        may_use = getattr(os, "sched_getaffinity", lambda _pid: range(1))(0)
        return len(may_use) if can_wait else 1
    if setting != "1" and not can_wait:
        raise _fatal(
            "several workers are not supported on this system",
            sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
            hint='Set "pgproxy.workers" to 1, or to auto.',
        )
    return int(setting)


def _load(source: Source, files: Files) -> Generation:
    try:
        return load(source, files=files)
    except ConfigurationRejected as rejected:
        log.write_all(rejected.at_start())
        raise CannotStart from rejected


def _fatal(
    message: str,
    *,
    sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
    detail: str | None = None,
    hint: str | None = None,
) -> CannotStart:
    log.write(
        Report(
            severity=Severity.FATAL,
            sqlstate=sqlstate,
            message=message,
            detail=detail,
            hint=hint,
            event="postmaster.failed",
        )
    )
    return CannotStart(message)


def _check_descriptors(max_connections: int) -> None:
    """
    Make sure that all sessions that are allowed can be had.

    Raises:
        CannotStart: The system gives too few descriptors.

    """
    needed = max_connections * DESCRIPTORS_PER_SESSION + DESCRIPTORS_APART
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise _fatal(
            "insufficient file descriptors available to start server process",
            detail=f"System allows {hard}, server needs at least {needed}.",
            hint="Lower max_connections, or raise the limit (ulimit -n, LimitNOFILE).",
        )
    if soft != hard:
        # All there are: clients that have not logged in yet take some, too.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
