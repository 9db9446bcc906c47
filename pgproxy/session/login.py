"""A login, as it passes between the client and the backend."""

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import Client, Facts, Replication
from pgproxy.auth.hba_line import HbaLine
from pgproxy.protocol.backend import (
    AUTH_REQ_OK,
    AUTH_REQ_SASL,
    AUTH_REQ_SASL_FIN,
    authentication_request,
    sasl_mechanisms,
)
from pgproxy.protocol.errors import (
    CommunicationError,
    Report,
    Severity,
    SqlState,
    log_line,
)
from pgproxy.protocol.framing import (
    MESSAGE_HEAD_SIZE,
    PG_MAX_AUTH_TOKEN_LENGTH,
    PG_MAX_SASL_MESSAGE_LENGTH,
    message_length,
)
from pgproxy.session.actions import BeginRelay, ReadEither
from pgproxy.session.admission import (
    PASSWORD_METHODS,
    authenticated,
    check_name,
)
from pgproxy.session.events import ClientMessage, TlsEstablished
from pgproxy.session.policy import Policy
from pgproxy.session.promise import Promise


class Login:
    """
    Watches a login until ReadyForQuery, and holds the backend to the line.

    The two take turns: what the client sends ahead of its turn is not read, and
    waits where it would with PostgreSQL.

    Attributes:
        silent: Whether the backend has not said anything yet.
        backend_key: What BackendKeyData holds, as a CancelRequest would repeat it.

    """

    def __init__(
        self,
        line: HbaLine,
        client: Client,
        policy: Policy,
        *,
        peer: PeerCertificate | None,
        tls: TlsEstablished | None,
        application_name: str,
    ) -> None:
        self.silent = True
        self.backend_key = b""
        self._line = line
        self._client = client
        self._policy = policy
        self._peer = peer
        self._tls = tls
        self._application_name = application_name
        self._promise = Promise(line.auth_method, line.connection_matched)
        self._answer: bytes
        self._answer_limit: int
        self._authenticated = False
        self._scram = False
        self._unbound_sasl = False

    def on_backend_message(
        self, message: bytes, log: list[Report]
    ) -> ReadEither | BeginRelay:
        """
        Judge a message of the backend's; return what to do once it is passed on.

        Raises:
            SessionRefused: The message must not reach the client: the backend asks
                for something else than the line has promised, or the name in the
                certificate is another one.

        """
        self.silent = False
        match message[:1]:
            case b"R":
                return self._on_authentication_request(message, log)
            case b"Z" if not self._authenticated:
                raise CommunicationError("the backend skipped the authentication")
            case b"Z":
                return BeginRelay()
            case b"K":
                self.backend_key = message[MESSAGE_HEAD_SIZE:]
            case _:
                pass
        return ReadEither()

    def _on_authentication_request(
        self, message: bytes, log: list[Report]
    ) -> ReadEither:
        code = authentication_request(message)
        if code == AUTH_REQ_OK:
            self._promise.completed()
            self._on_authenticated(log)
            self._authenticated = True
            return ReadEither()
        self._promise.asked(code)
        self._answer, self._unbound_sasl = b"", False
        if code == AUTH_REQ_SASL_FIN:
            return ReadEither()
        if code == AUTH_REQ_SASL:
            offered = sasl_mechanisms(message)
            # Another mechanism may have more to say: OAUTHBEARER has a token.
            self._scram = "SCRAM-SHA-256" in offered
            self._unbound_sasl = (
                self._tls is not None
                and self._scram
                and "SCRAM-SHA-256-PLUS" not in offered
            )
        is_scram = self._scram and code >= AUTH_REQ_SASL
        self._answer_limit = (
            PG_MAX_SASL_MESSAGE_LENGTH if is_scram else PG_MAX_AUTH_TOKEN_LENGTH
        )
        return ReadEither(MESSAGE_HEAD_SIZE)

    def _on_authenticated(self, log: list[Report]) -> None:
        """Do what stands between the backend's word and the client's ear (CERT-18)."""
        line, aspects = self._line, self._policy.log_connections
        # A `cert` line has been through both, before there was a backend.
        if line.auth_method != "cert" and "authentication" in aspects:
            log.append(authenticated(line, self._client.user))
        if line.auth_method in PASSWORD_METHODS:
            needs = check_name(
                line, self._client, self._peer, self._policy, Facts(), log
            )
            assert needs is None, "only a cert line can have a map"
        if "authorization" in aspects:
            log.append(log_line(self._authorized(), event="connection.authorized"))

    def _authorized(self) -> str:
        """Return what PostgreSQL logs of a session that may begin (TLS-90)."""
        client, tls = self._client, self._tls
        parts = [f"replication connection authorized: user={client.user}"]
        if client.replication is Replication.NONE:
            parts = [f"connection authorized: user={client.user}"]
            parts.append(f"database={client.database}")
        if self._application_name:
            parts.append(f"application_name={self._application_name}")
        if tls is not None:
            parts.append(
                f"SSL enabled (protocol={tls.version}, cipher={tls.cipher}, "
                f"bits={tls.bits})"
            )
        return " ".join(parts)

    def on_bytes_read(self, data: bytes) -> ReadEither | ClientMessage:
        """
        Put together what the client answers; return it when it is whole.

        Raises:
            CommunicationError: It is longer than such an answer may be.

        """
        self._answer += data
        head = self._answer[:MESSAGE_HEAD_SIZE]
        if head.startswith(b"p"):
            rest = message_length(head, self._answer_limit) - len(self._answer)
            if rest:
                return ReadEither(rest)
        # Of any other message the backend only looks at the type (SCR-17): the head
        # is enough to be told what is wrong with it.
        self._unbound_sasl = False
        return ClientMessage(self._answer)

    def on_client_gone(self) -> tuple[Report, ...]:
        """Explain a client that leaves where one that wants channel binding does."""
        if not self._unbound_sasl:
            return ()
        return (
            Report(
                severity=Severity.LOG,
                sqlstate=SqlState.SUCCESSFUL_COMPLETION,
                message="client closed the connection when it was offered SCRAM "
                "without channel binding",
                event="channel_binding.missing",
                once=True,
                hint="A client does so to ask its user for the password. If it does so "
                "because it requires channel binding, which a backend without TLS "
                "cannot offer, set channel_binding=prefer there.",
            ),
        )
