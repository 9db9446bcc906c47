"""The process that is started: reads, binds, serves, reloads, stops."""

import asyncio
import resource
import signal
from typing import Final

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server import log, pid_file
from pgproxy.server.changes import changes
from pgproxy.server.generation import (
    ConfigurationRejected,
    Fault,
    Generation,
    Source,
    load,
)
from pgproxy.server.listener import bind
from pgproxy.server.pid_file import AlreadyRunning, PidFile
from pgproxy.server.threads import in_daemon_thread
from pgproxy.server.watch import Files
from pgproxy.server.worker import Shutdown, Worker, run_loop
from pgproxy.settings.reload import changed_postmaster_settings

DESCRIPTORS_PER_SESSION: Final = 2
"""The client's and the backend's."""

DESCRIPTORS_APART: Final = 64
"""For listening, files, and cancel requests when all sessions are taken."""

WATCH_INTERVAL: Final = 1.0
"""Seconds between two looks at the files."""

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
    files = Files()
    generation = _load(source, files)
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
        run_loop(_Postmaster(source, Worker(generation, sockets), files).run)
    finally:
        mine.remove()
    log.note("pgproxy is shut down", "postmaster.stopped")


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


class _Postmaster:
    """Hears signals, and looks at files, while the worker serves."""

    def __init__(self, source: Source, worker: Worker, files: Files) -> None:
        self._source = source
        self._worker = worker
        self._files = files
        self._wanted = asyncio.Event()
        self._loading = False

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number, mode in MODES.items():
            loop.add_signal_handler(number, self._worker.shut_down, mode)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        try:
            async with asyncio.TaskGroup() as tasks:
                reloads = tasks.create_task(self._reload_when_wanted())
                watch = tasks.create_task(self._watch())
                await self._worker.run()
                reloads.cancel()
                watch.cancel()
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def _hang_up(self) -> None:
        if not self._worker.is_stopping:
            log.note(
                "received SIGHUP, reloading configuration files", "postmaster.reloading"
            )
            self._wanted.set()

    async def _reload_when_wanted(self) -> None:
        """
        Reload once for all that was asked for since the last time began.

        The files are read in a thread: the command that knows the passphrase may
        take its time, and nobody else shall wait for it.
        """
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            files, self._loading = Files(), True
            try:
                new = await in_daemon_thread(self._load, files)
            finally:
                self._files, self._loading = files, False
            if not self._worker.is_stopping:
                self._take(new)

    def _load(self, files: Files) -> Generation | ConfigurationRejected:
        try:
            new = load(self._source, at_start=False, files=files)
            self._check_unchanged(new)
        except ConfigurationRejected as rejected:
            return rejected
        return new

    def _take(self, new: Generation | ConfigurationRejected) -> None:
        """Take all of the new configuration, or keep all of the old one."""
        if isinstance(new, ConfigurationRejected):
            log.write_all(new.at_reload())
            # PostgreSQL applies what it can; a proxy with half a configuration may
            # let in whom the other half keeps out.
            log.note("nothing was reloaded", "settings.rejected")
            return
        old, self._worker.generation = self._worker.generation, new
        log.configure(new.settings.log_format)
        log.write_all(changes(old, new))
        log.write_all(new.notices)
        log.note("configuration was reloaded", "settings.reloaded")

    async def _watch(self) -> None:
        """
        Have a reload when a file has changed, where ``pgproxy.watch_files`` is on.

        A change counts when the next look finds nothing more: whoever writes several
        files is not read in the middle of it.
        """
        before = self._files.now()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if not self._worker.generation.settings.watch_files:
                continue
            now = self._files.now()
            changed = self._files.changed()
            if changed and now == before and not self._loading:
                names = ", ".join(f'"{path}"' for path in changed)
                log.note(
                    f"files have changed, reloading configuration files: {names}",
                    "postmaster.reloading",
                )
                self._wanted.set()
            before = now

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
