"""
The ladder: from the first byte of a connection to the relay.

A session is given one event after the other and answers each with a `Step`: the
bytes for the client, and the one thing to do next. It does nothing itself.
"""

import re
from dataclasses import replace
from typing import Final, assert_never

from pgproxy.auth import certificate
from pgproxy.auth.certificate import CertificateError, PeerCertificate
from pgproxy.auth.hba import (
    Client,
    Facts,
    Needs,
    Replication,
    ReverseLookup,
    first_match,
)
from pgproxy.auth.hba_line import HbaLine
from pgproxy.protocol.backend import (
    ErrorResponse,
    NegotiateProtocolVersion,
)
from pgproxy.protocol.errors import (
    AdminShutdown,
    CannotConnectNow,
    CommunicationError,
    InvalidAuthorization,
    ProtocolViolation,
    Report,
    SessionRefused,
    Severity,
    SqlState,
    TooManyConnections,
    log_line,
)
from pgproxy.protocol.frontend import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from pgproxy.session.actions import (
    Action,
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
from pgproxy.session.admission import (
    PASSWORD_METHODS,
    check_certificate,
    check_name,
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
    ClientMessage,
    Event,
    FirstByte,
    HostNameFound,
    InterfacesFound,
    RelayEnded,
    RolesFound,
    RolesUnknown,
    Terminated,
    TimedOut,
    TlsEstablished,
    TlsFailed,
)
from pgproxy.session.login import Login
from pgproxy.session.policy import Policy
from pgproxy.session.startup import Startup, tls_failure
from pgproxy.session.states import (
    AUTHORIZING,
    BACKEND,
    CANCEL,
    CLOSED,
    LOGIN,
    NEW,
    RELAY,
    STARTUP,
    TLS,
    TRANSITIONS,
    State,
    Step,
)

NOT_ACCEPTING: Final = "the database system is not accepting connections"

TLS_HANDSHAKE: Final = 0x16
"""The first byte of a TLS record that opens a handshake."""

_NUMERIC: Final = re.compile(r"[0-9.]*|[0-9A-Fa-f:]*")
"""What may be an address; ``BackendInitialize`` in backend_startup.c."""


def memberships_unknown(reason: str) -> CannotConnectNow:
    """Return the refusal of a client that a line needs the backend's roles for."""
    return CannotConnectNow(
        NOT_ACCEPTING,
        log_detail=f"could not look up role memberships: {reason}",
        log_hint="Check pgproxy.role_conninfo, and that the backend is running.",
    )


class Session:
    """
    One connection of a client.

    Args:
        policy: The configuration of the moment in which the client connected.

    Attributes:
        state: Where it stands.
        accepted: Who is at the other end, in the network's terms.
        remote_host: What the log calls it: its address, or with ``log_hostname`` its
            name.
        tls: What was negotiated; None in clear.
        peer: The certificate that the client has shown, verified.
        startup: The start-up packet.
        line: The line of pg_hba.conf that decides.
        failure: Why the client was refused, if it was.

    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.state: State = NEW
        self.accepted: Accepted | None = None
        self.remote_host = ""
        self.tls: TlsEstablished | None = None
        self.peer: PeerCertificate | None = None
        self.startup: StartupMessage | None = None
        self.line: HbaLine | None = None
        self.failure: SessionRefused | CommunicationError | None = None
        self._event: Event
        self._log: list[Report]
        self._startup = Startup()
        self._direct = False
        self._owed = b""
        self._facts = Facts()
        self._login: Login

    def handle(self, event: Event) -> Step:
        """
        Say what is to be done about *event*.

        Raises:
            AssertionError: The event cannot happen in this state: the shell is wrong.

        """
        self._log = []
        try:
            return self._dispatch(event)
        except SessionRefused as refused:
            self.failure = refused
            self._log.append(refused.report())
            return self._step(CLOSED, Close(), send=self._owed + self._encode(refused))
        except CommunicationError as broken:
            self.failure = broken
            self._tell(
                str(broken), "session.broken", sqlstate=SqlState.PROTOCOL_VIOLATION
            )
            return self._step(CLOSED, Close())

    def _dispatch(self, event: Event) -> Step:  # noqa: C901, PLR0912 - one case each
        # The type and no more of it: the log shows this, and an event may hold a
        # password.
        assert (self.state, type(event)) in TRANSITIONS, (self.state, type(event))
        self._event = event
        match event:
            case Accepted():
                return self._on_accepted(event)
            case FirstByte():
                return self._on_first_byte(event)
            case BytesRead():
                return self._on_bytes_read(event)
            case SSLRequest():
                return self._on_ssl_request()
            case GSSENCRequest():
                return self._on_gssenc_request()
            case CancelRequest():
                return self._on_cancel_request()
            case StartupMessage():
                return self._on_startup_message(event)
            case TlsEstablished():
                return self._on_tls_established(event)
            case TlsFailed():
                return self._on_tls_failed(event)
            case CanAccept():
                return self._on_can_accept(event)
            case InterfacesFound(interfaces):
                return self._on_fact(replace(self._facts, interfaces=interfaces))
            case HostNameFound():
                return self._on_host_name(event)
            case AddressesFound(addresses):
                return self._on_fact(replace(self._facts, remote_addresses=addresses))
            case RolesFound(roles):
                return self._on_fact(replace(self._facts, roles=roles))
            case RolesUnknown():
                return self._on_roles_unknown(event)
            case BackendConnected():
                return self._on_backend_connected()
            case BackendUnreachable():
                return self._on_backend_unreachable(event)
            case BackendMessage():
                return self._on_backend_message(event)
            case ClientMessage():
                return self._on_client_message(event)
            case RelayEnded():
                return self._on_relay_ended(event)
            case CancelForwarded():
                return self._on_cancel_forwarded(event)
            case ClientGone():
                return self._on_client_gone(event)
            case BackendGone():
                return self._on_backend_gone(event)
            case TimedOut():
                return self._on_timed_out()
            case Terminated():
                return self._on_terminated()
            case unheard_of:
                assert_never(unheard_of)

    def _step(self, after: State, then: Action, send: bytes = b"") -> Step:
        before = self.state
        kind = type(self._event)
        assert after in TRANSITIONS[before, kind], (before, kind, after)
        self.state = after
        return Step(self._event, before, after, then, send, tuple(self._log))

    def _encode(self, refused: SessionRefused) -> bytes:
        response = ErrorResponse.of(refused)
        # Who asks for protocol 1 or 2 is told so in its own (NEG-43); 0 is nobody's.
        if 0 < self._startup.version < 3 << 16:
            return response.encode_v2()
        return response.encode()

    def _tell(
        self,
        message: str,
        event: str,
        sqlstate: SqlState = SqlState.SUCCESSFUL_COMPLETION,
    ) -> None:
        self._log.append(log_line(message, event=event, sqlstate=sqlstate))

    def _trace(self, message: str) -> None:
        if self.policy.trace_connection_negotiation:
            self._tell(message, "connection.negotiation")

    # --- The start-up phase, in clear or inside TLS --------------------------------

    def _on_accepted(self, event: Accepted) -> Step:
        self.accepted, self.remote_host = event, event.host
        if self.policy.log_hostname:
            return self._step(NEW, LookUp(ReverseLookup()))
        return self._received(event)

    def _on_host_name(self, event: HostNameFound) -> Step:
        if self.state is AUTHORIZING:
            return self._on_fact(replace(self._facts, remote_hostname=event.name))
        # Without a name it goes on with the address; should a line ask for the name,
        # it is looked up again, and then a failure counts (TLS-19).
        if isinstance(event.name, str):
            self.remote_host = event.name
            if not _NUMERIC.fullmatch(event.name):
                self._facts = replace(self._facts, remote_hostname=event.name)
        assert self.accepted is not None
        return self._received(self.accepted)

    def _received(self, client: Accepted) -> Step:
        if "receipt" in self.policy.log_connections:
            self._tell(
                f"connection received: host={self.remote_host} port={client.port}",
                "connection.received",
            )
        return self._step(NEW, PeekFirstByte())

    def _on_first_byte(self, event: FirstByte) -> Step:
        if event.value != TLS_HANDSHAKE:
            return self._next_packet()
        if not self.policy.ssl:
            self._trace("direct SSL connection rejected")
            return self._step(CLOSED, Close())
        self._direct = True
        return self._step(TLS, StartTls())

    def _next_packet(self, send: bytes = b"") -> Step:
        return self._step(STARTUP, self._startup.begin_packet(), send)

    def _on_bytes_read(self, event: BytesRead) -> Step:
        if self.state is LOGIN:
            answer = self._login.on_bytes_read(event.data)
            if isinstance(answer, ReadEither):
                return self._step(LOGIN, answer)
            return self._dispatch(answer)
        packet = self._startup.on_bytes_read(event)
        if isinstance(packet, ReadExactly):
            return self._step(STARTUP, packet)
        return self._dispatch(packet)

    def _on_ssl_request(self) -> Step:
        # A direct SSL connection gets N: one layer of TLS is enough (NEG-31).
        if self.policy.ssl and self.tls is None:
            self._trace("SSLRequest accepted")
            self._startup.gss_done = True
            # What was waiting stays in the kernel and meets TLS there: a ClientHello
            # sent early works, anything else fails the handshake (NEG-37).
            return self._step(TLS, StartTls(), send=b"S")
        self._trace("SSLRequest rejected")
        return self._refuse_encryption("SSL")

    def _on_gssenc_request(self) -> Step:
        self._trace("GSSENCRequest rejected")
        return self._refuse_encryption("GSSAPI encryption")

    def _refuse_encryption(self, what: str) -> Step:
        if self._startup.more:
            self._owed = b"N"
            raise ProtocolViolation(
                f"received unencrypted data after {what} request",
                detail="This could be either a client-software bug or evidence of an "
                "attempted man-in-the-middle attack.",
            )
        return self._next_packet(send=b"N")

    def _on_tls_established(self, event: TlsEstablished) -> Step:
        if self._direct and event.alpn is None:
            raise CommunicationError(
                "received direct SSL connection request without ALPN protocol "
                "negotiation extension"
            )
        self.tls = event
        if event.certificate is not None:
            try:
                self.peer = certificate.parse(event.certificate)
            except CertificateError as error:
                raise CommunicationError(str(error)) from error
        if self._direct:
            self._trace("direct SSL connection accepted")
        return self._next_packet()

    def _on_tls_failed(self, event: TlsFailed) -> Step:
        self._log += tls_failure(event, self.policy)
        return self._step(CLOSED, Close())

    def _on_cancel_request(self) -> Step:
        # No rule is looked at: the key decides, and it is the backend's (CAN-06).
        return self._step(CANCEL, ForwardCancel(self._startup.packet))

    def _on_cancel_forwarded(self, event: CancelForwarded) -> Step:
        for failure in event.failures:
            self._tell(
                f"could not forward cancel request: {failure}",
                "cancel.failed",
                sqlstate=SqlState.CONNECTION_FAILURE,
            )
        return self._step(CLOSED, Close())

    def _on_startup_message(self, event: StartupMessage) -> Step:
        self.startup = event
        # Should we be the one who refuses, this goes first (NEG-58). If the backend
        # answers, the backend says it, and we add nothing.
        negotiate = NegotiateProtocolVersion.due(event)
        self._owed = negotiate.encode() if negotiate else b""
        if not event.user:
            raise InvalidAuthorization(
                "no PostgreSQL user name specified in startup packet"
            )
        return self._step(AUTHORIZING, LookUp(CanAcceptConnections()))

    # --- Admission ------------------------------------------------------------------

    def _on_can_accept(self, event: CanAccept) -> Step:
        match event.state:
            case CAC.TOOMANY:
                raise TooManyConnections(event.state.value)
            case CAC.SHUTDOWN:
                raise CannotConnectNow(event.state.value)
            case CAC.OK:
                return self._authorize()
            case unheard_of:
                assert_never(unheard_of)

    def _on_fact(self, facts: Facts) -> Step:
        self._facts = facts
        return self._authorize()

    def _on_roles_unknown(self, event: RolesUnknown) -> Step:
        # To guess would let in who may not, or shut out who may.
        raise memberships_unknown(event.reason)

    def _authorize(self) -> Step:
        assert self.startup is not None
        client = self.client
        found = first_match(self.policy.hba.candidates(client), client, self._facts)
        if isinstance(found, Needs):
            return self._step(AUTHORIZING, LookUp(found.fact))
        ca_loaded = self.policy.ca_loaded and (not self.tls or self.tls.ca_loaded)
        line = check_certificate(
            found.line, client, self.peer, self._facts, ca_loaded=ca_loaded
        )
        self.line = line
        if line.auth_method not in PASSWORD_METHODS:
            needs = check_name(
                line, client, self.peer, self.policy, self._facts, self._log
            )
            if needs is not None:
                return self._step(AUTHORIZING, LookUp(needs.fact))
        self._login = Login(
            line,
            client,
            self.policy,
            peer=self.peer,
            tls=self.tls,
            application_name=self.startup.application_name,
        )
        return self._step(BACKEND, ConnectBackend())

    @property
    def client(self) -> Client:
        """Who asks, as pg_hba.conf sees it; only after the start-up packet."""
        assert self.accepted is not None
        assert self.startup is not None
        replication = Replication.NONE
        if self.startup.am_walsender:
            by_name = self.startup.am_db_walsender
            replication = Replication.DATABASE if by_name else Replication.PHYSICAL
        return Client(
            user=self.startup.user,
            database=self.startup.database,
            host=self.accepted.host,
            address=self.accepted.address,
            ssl_in_use=self.tls is not None,
            replication=replication,
        )

    # --- The login, between the client and the backend ------------------------------

    def _on_backend_unreachable(self, event: BackendUnreachable) -> Step:
        raise CannotConnectNow(
            NOT_ACCEPTING,
            log_detail="\n".join(event.reasons),
            log_hint="Check pgproxy.backend_conninfo, and that the backend is running.",
        )

    def _on_backend_connected(self) -> Step:
        # The bytes that came, never an encoding of what we understood.
        return self._step(LOGIN, Forward(self._startup.packet))

    def _on_backend_message(self, event: BackendMessage) -> Step:
        self._owed = b""
        then = self._login.on_backend_message(event.data, self._log)
        return self._step(
            RELAY if then == BeginRelay() else LOGIN, then, send=event.data
        )

    def _on_client_message(self, event: ClientMessage) -> Step:
        return self._step(LOGIN, Forward(event.data))

    # --- Ends -------------------------------------------------------------------------

    def _on_relay_ended(self, event: RelayEnded) -> Step:
        if event.error is not None:
            self._tell_lost(event.error)
        return self._step(CLOSED, Close())

    def _tell_lost(self, error: str) -> None:
        self._tell(
            f"could not receive data from client: {error}",
            "client.lost",
            sqlstate=SqlState.CONNECTION_FAILURE,
        )

    def _on_client_gone(self, event: ClientGone) -> Step:
        if self.state is TLS:  # nothing but S has been on its way (NEG-22)
            self._tell(
                f"failed to send SSL negotiation response: {event.error}",
                "client.lost",
                sqlstate=SqlState.CONNECTION_FAILURE,
            )
        elif event.error is not None:
            self._tell_lost(event.error)
        if self.state is LOGIN:
            self._log.extend(self._login.on_client_gone())
        if self.state is STARTUP and self._startup.is_incomplete(event.received):
            raise CommunicationError("incomplete startup packet")
        return self._step(CLOSED, Close())

    def _on_backend_gone(self, event: BackendGone) -> Step:
        if self._login.silent:
            raise CannotConnectNow(
                NOT_ACCEPTING,
                log_detail=event.error
                or "the backend closed the connection without an answer",
            )
        if event.error is not None:
            self._tell(
                f"could not receive data from backend: {event.error}",
                "backend.lost",
                sqlstate=SqlState.CONNECTION_FAILURE,
            )
        return self._step(CLOSED, Close())

    def _on_timed_out(self) -> Step:
        # No word to the client in either phase; before its start-up packet is whole
        # not even a close_notify (NEG-65, NEG-66).
        if self.state in {NEW, STARTUP, TLS}:
            return self._step(CLOSED, Close(notify=False))
        if self.state is not CANCEL:
            self._log.append(
                Report(
                    severity=Severity.FATAL,
                    sqlstate=SqlState.QUERY_CANCELED,
                    message="canceling authentication due to timeout",
                    event="session.timeout",
                )
            )
        return self._step(CLOSED, Close())

    def _on_terminated(self) -> Step:
        # A relay does not know where a message ends, so it says nothing; before the
        # start-up packet there is nobody who would understand.
        if self.state in {AUTHORIZING, BACKEND, LOGIN}:
            raise AdminShutdown("terminating connection due to administrator command")
        return self._step(CLOSED, Close(notify=self.state in {RELAY, CANCEL}))
