"""The process that is started: reads, binds, serves, reloads, stops."""

import asyncio
import resource
import signal
from typing import Final

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import log, pid_file
from pgproxy.server.generation import (
    ConfigurationRejected,
    Fault,
    Generation,
    Source,
    load,
)
from pgproxy.server.listener import bind
from pgproxy.server.pid_file import AlreadyRunning, PidFile
from pgproxy.server.worker import Shutdown, Worker, run_loop
from pgproxy.settings.reload import changed_postmaster_settings

DESCRIPTORS_PER_SESSION: Final = 2
"""The client's and the backend's."""

DESCRIPTORS_APART: Final = 64
"""For listening, files, and cancel requests when all sessions are taken."""

MODES: Final = {
    signal.SIGTERM: Shutdown.SMART,
    signal.SIGINT: Shutdown.FAST,
    signal.SIGQUIT: Shutdown.IMMEDIATE,
}
"""PostgreSQL's signals."""

SIGNALS: Final = frozenset({*MODES, signal.SIGHUP})


class CannotStart(Exception):
    """The log has been told why."""


def serve(source: Source) -> None:
    """
    Serve *source* in the foreground until a signal ends it.

    Raises:
        CannotStart: Something is wrong; the log says all of it.

    """
    log.configure("console")
    generation = _load(source)
    log.configure(generation.settings.log_format)
    log.write_all(generation.notices)
    settings = generation.settings
    _check_descriptors(settings.max_connections)
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
    try:
        run_loop(_Postmaster(source, Worker(generation, sockets)).run)
    finally:
        mine.remove()
    log.note("pgproxy is shut down", "postmaster.stopped")


def _load(source: Source) -> Generation:
    try:
        return load(source)
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


class _Postmaster:
    """Hears signals while the worker serves."""

    def __init__(self, source: Source, worker: Worker) -> None:
        self._source = source
        self._worker = worker

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number, mode in MODES.items():
            loop.add_signal_handler(number, self._worker.shut_down, mode)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            await self._worker.run()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _reload(self) -> None:
        """Take all of the new configuration, or keep all of the old one."""
        if self._worker.is_stopping:
            return
        log.note(
            "received SIGHUP, reloading configuration files", "postmaster.reloading"
        )
        try:
            new = load(self._source, at_start=False)
            self._check_unchanged(new)
        except ConfigurationRejected as rejected:
            log.write_all(rejected.at_reload())
            # PostgreSQL applies what it can; a proxy with half a configuration may
            # let in whom the other half keeps out.
            log.note("nothing was reloaded", "settings.rejected")
            return
        self._worker.generation = new
        log.configure(new.settings.log_format)
        log.write_all(new.notices)
        log.note("configuration was reloaded", "settings.reloaded")

    def _check_unchanged(self, new: Generation) -> None:
        """
        Make sure that *new* changes nothing that needs a restart.

        Raises:
            ConfigurationRejected: It does.

        """
        old = self._worker.generation.settings
        changed = changed_postmaster_settings(old, new.settings)
        if changed:
            summary = f'configuration file "{self._source.config_file}" contains errors'
            raise ConfigurationRejected(
                Fault(changed, summary, f"{summary}; no changes were applied")
            )
