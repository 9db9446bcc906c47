"""One session: perform a step, bring the event, until there is nothing left to do."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, assert_never

from pgproxy.auth.hba import (
    ForwardLookup,
    Interfaces,
    LookupFailed,
    Memberships,
    ReverseLookup,
)
from pgproxy.protocol.errors import SqlState, log_line
from pgproxy.server import instance, log, tls
from pgproxy.server.generation import Generation
from pgproxy.server.instance import Gone, Instance, Unreachable
from pgproxy.server.lookups import Lookups, LookupTimedOut
from pgproxy.server.port import IncompleteRead, Port, ready, reason
from pgproxy.server.relay import Relay
from pgproxy.server.roles import RolesUnknownError
from pgproxy.session.actions import (
    BeginRelay,
    Close,
    ConnectBackend,
    Forward,
    ForwardCancel,
    LookUp,
    PeekFirstByte,
    ReadEither,
    ReadExactly,
    StartTls,
)
from pgproxy.session.events import (
    CAC,
    Accepted,
    AddressesFound,
    BackendConnected,
    BackendGone,
    BackendMessage,
    BackendUnreachable,
    BytesRead,
    CanAccept,
    CanAcceptConnections,
    CancelForwarded,
    ClientGone,
    Event,
    FirstByte,
    HostNameFound,
    InterfacesFound,
    LookedUp,
    Question,
    RelayEnded,
    RolesFound,
    RolesUnknown,
    Terminated,
    TimedOut,
    TlsEstablished,
    TlsFailed,
)
from pgproxy.session.session import Session
from pgproxy.session.states import AUTHORIZING, CLOSED, RELAY, STARTUP, Step
from pgproxy.settings.conninfo import BackendHost

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hooks:
    """
    What a session needs of the worker it runs in.

    Args:
        admit: Says whether a session may begin now, and counts it if so.
        lookups: Asks the name service.

    """

    admit: Callable[["Driver"], CAC]
    lookups: Lookups


class Driver:
    """
    Runs one session on real sockets. No rule of the protocol is in here.

    Args:
        loop: The loop of this worker.
        generation: The configuration that the session keeps.
        port: The client.
        accepted: Who that is.
        hooks: The worker.

    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        generation: Generation,
        port: Port,
        accepted: Accepted,
        hooks: Hooks,
    ) -> None:
        self._loop = loop
        self._generation = generation
        self._port = port
        self._accepted = accepted
        self._hooks = hooks
        self._instance: Instance | None = None
        self._relay: Relay | None = None
        self._interruption: Event | None = None
        self._aborted = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.session = Session(generation.policy)

    async def run(self) -> None:
        """See the session through. Whatever happens in it ends in it."""
        self._task = asyncio.current_task()
        began = time.monotonic()
        try:
            await self._climb()
        except Exception:  # noqa: BLE001 - a bug in one session must not end the others
            log.bug(self._keys())
        finally:
            # The normal way has closed them; this is for every other.
            self._port.close_now()
            if self._instance is not None:
                self._instance.close()
        self._log_disconnection(time.monotonic() - began)

    async def _climb(self) -> None:
        # A shutdown may have been quicker than the task.
        event: Event | None = self._interruption or self._accepted
        self._interruption = None
        try:
            while event is not None and not self._aborted:
                step = self.session.handle(event)
                for report in step.log:
                    log.write(report, self._keys())
                if step.after in {RELAY, CLOSED}:
                    self._stop_timer()
                elif isinstance(step.next, PeekFirstByte) or (
                    step.before is STARTUP and step.after is AUTHORIZING
                ):
                    # One span for negotiation, handshake and start-up packet; the
                    # login has another (NEG-65, NEG-66). What the name service takes
                    # before is not the client's fault (TLS-19).
                    self._start_timer()
                event = await self._perform_or_interrupt(step)
        finally:
            self._stop_timer()

    def _start_timer(self) -> None:
        self._stop_timer()
        seconds = self._generation.settings.authentication_timeout
        self._timer = self._loop.call_later(seconds, self.interrupt, TimedOut())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def interrupt(self, event: TimedOut | Terminated) -> None:
        """
        Have the session handle *event* instead of what it waits for.

        One that is closing has nothing more to handle, and closes at once.
        """
        if self._interruption is None:
            self._interruption = event
            self._cancel()

    def abort(self) -> None:
        """End the session now, without a word."""
        self._aborted = True
        self._cancel()

    def _cancel(self) -> None:
        # The descriptor is closed by the task, when it waits for it no more: uvloop
        # ends the process (``uv__io_poll``) when it is to watch one that is closed.
        if self._task is not None:
            self._task.cancel()

    async def _perform_or_interrupt(self, step: Step) -> Event | None:
        try:
            return await self.perform(step)
        except asyncio.CancelledError:
            event, self._interruption = self._interruption, None
            if event is None or self._aborted or self._task is None:
                raise
            self._task.uncancel()
            return event if self.session.state is not CLOSED else None

    async def perform(  # noqa: C901, PLR0912 - one case for each action
        self, step: Step
    ) -> Event | None:
        """Send what *step* sends, do the one thing it asks for, say what came of it."""
        self._port.queue(step.send)
        try:
            match step.next:
                case PeekFirstByte():
                    return FirstByte(await self._port.peek_first_byte())
                case ReadExactly(count, look):
                    await self._port.flush()
                    data = await self._port.read_exactly(count)
                    return BytesRead(data, more=look and self._port.more_waiting())
                case StartTls():
                    await self._port.flush()
                    return await self._start_tls()
                case LookUp(question):
                    return await self._answer(question)
                case ConnectBackend():
                    return await self._connect_backend()
                case Forward(data):
                    assert self._instance is not None
                    await self._instance.send(data)
                    return await self._read_either(0)
                case ReadEither(count):
                    return await self._read_either(count)
                case BeginRelay():
                    return await self._begin_relay()
                case ForwardCancel(packet):
                    return await self._forward_cancel(packet)
                case Close(notify):
                    await self._close(notify=notify)
                    return None
                case unheard_of:
                    assert_never(unheard_of)
        except IncompleteRead as gone:  # how many bytes had come decides what is logged
            return ClientGone(gone.received, gone.error)
        except Gone as gone:
            return BackendGone(gone.error)

    async def _answer(self, question: Question) -> LookedUp:
        lookups = self._hooks.lookups
        timeout_s = self._generation.settings.hostname_lookup_timeout / 1000
        match question:
            case CanAcceptConnections():
                return CanAccept(self._hooks.admit(self))
            case Interfaces():
                try:
                    return InterfacesFound(await lookups.interfaces())
                except OSError as error:
                    self._tell(
                        f"error enumerating network interfaces: {error.strerror}",
                        "interfaces.unknown",
                    )
                    return InterfacesFound(())
            case ReverseLookup():
                address = self._accepted.address
                name = await lookups.remote_hostname(address, timeout_s)
                return HostNameFound(self._told_if_slow(name))
            case ForwardLookup(name):
                found = await lookups.remote_addresses(name, timeout_s)
                return AddressesFound(self._told_if_slow(found))
            case Memberships():
                roles = self._generation.roles
                assert roles is not None, "without, no file that needs it is loaded"
                try:
                    return RolesFound(await roles.get())
                except RolesUnknownError as error:
                    return RolesUnknown(str(error))
            case unheard_of:
                assert_never(unheard_of)

    def _told_if_slow(self, answer: T | LookupFailed) -> T | LookupFailed:
        """Tell the log of a name service that takes too long: no other line does."""
        if isinstance(answer, LookupTimedOut):
            self._tell(
                f'looking up the host name of client "{self._accepted.host}" '
                f"{answer.reason}",
                "lookup.timed_out",
            )
        return answer

    def _tell(self, message: str, event: str) -> None:
        log.write(
            log_line(message, event=event, sqlstate=SqlState.INTERNAL_ERROR),
            self._keys(),
        )

    async def _start_tls(self) -> TlsEstablished | TlsFailed:
        with_what = self._generation.tls
        assert with_what is not None
        problem = with_what.refresh()
        if problem is not None:
            log.write(problem, self._keys())
        return await tls.handshake(self._port, with_what.context)

    async def _connect_backend(self) -> BackendConnected | BackendUnreachable:
        conninfo = self._generation.settings.backend_conninfo
        try:
            self._instance = await instance.connect(self._loop, conninfo)
        except Unreachable as failed:
            return BackendUnreachable(failed.reasons)
        return BackendConnected(self._instance.address)

    async def _read_either(self, count: int) -> BytesRead | BackendMessage:
        port, backend = self._port, self._instance
        assert backend is not None
        while True:
            # What the backend has said in one go, the client gets in one go.
            message = backend.buffered_message()
            if message is None:
                await port.flush()
                message = backend.try_message()
            if message is not None:
                return BackendMessage(message)
            if not count:
                await backend.readable()
                continue
            data = port.try_read(count)
            if data is not None:
                return BytesRead(data)
            await ready(self._loop, port.fileno(), backend.fileno())

    async def _begin_relay(self) -> RelayEnded:
        backend = self._instance
        assert backend is not None
        await self._port.flush()
        self._relay = Relay(
            self._loop, self._port.sock, backend.sock, bytes(backend.unread)
        )
        await self._relay.run()
        error = self._relay.error
        return RelayEnded(None if error is None else reason(error))

    async def _forward_cancel(self, packet: bytes) -> CancelForwarded:
        """Ask every host: the key decides whose it was, and it is the backend's."""
        conninfo = self._generation.settings.backend_conninfo
        failures: list[str] = []

        async def ask(host: BackendHost) -> None:
            try:
                backend = await instance.connect_host(
                    self._loop, host, conninfo.connect_timeout
                )
            except Unreachable as failed:
                failures.extend(failed.reasons)
                return
            try:
                await backend.send(packet)
                # PostgreSQL closes when it has sent the signal: so the client's call
                # returns when that is done, and not before (CAN-09).
                await backend.wait_for_end()
            except Gone as gone:
                failures.append(f"{backend.address}: {gone.error}")
            finally:
                backend.close()

        async with asyncio.TaskGroup() as requests:
            for host in conninfo.hosts:
                requests.create_task(ask(host))
        return CancelForwarded(tuple(failures))

    async def _close(self, *, notify: bool) -> None:
        if self._instance is not None:
            self._instance.close()
        await self._port.close(notify=notify)

    # --- What the log is told ------------------------------------------------------

    def _keys(self) -> dict[str, object]:
        """Return jsonlog's keys for this session."""
        startup, peer = self.session.startup, self.session.peer
        keys: dict[str, object] = {
            "user": startup.user if startup else None,
            "dbname": startup.database if startup else None,
            "remote_host": self.session.remote_host or self._accepted.host,
            "remote_port": self._accepted.port,
        }
        if keys["remote_host"] != self._accepted.host:
            keys["client_addr"] = self._accepted.host
        if startup is not None:  # what else decides, for `pgproxy explain`
            keys["ssl"] = self.session.tls is not None
            if startup.am_walsender:
                by_name = startup.am_db_walsender
                keys["replication"] = "database" if by_name else "true"
        if peer is not None:
            keys["client_dn"] = peer.distinguished_name
            keys["client_cn"] = peer.common_name
        return keys

    def _log_disconnection(self, seconds: float) -> None:
        startup = self.session.startup
        if (
            self._relay is None
            or startup is None
            or not self._generation.settings.log_disconnections
        ):
            return
        milliseconds = int(seconds * 1000)
        minutes, rest = divmod(milliseconds, 60_000)
        log.write(
            log_line(
                f"disconnection: session time: {minutes // 60}:"
                f"{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03} "
                f"user={startup.user} database={startup.database} "
                f"host={self.session.remote_host} port={self._accepted.port}",
                event="session.closed",
            ),
            {
                **self._keys(),
                "octets_from_client": self._relay.octets_from_client,
                "octets_from_backend": self._relay.octets_from_backend,
            },
        )
