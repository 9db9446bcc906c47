"""What can happen to a session: a closed union of facts, brought by the shell."""

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from pgproxy.auth.address import Interface, IPAddress
from pgproxy.auth.hba import Fact, LookupFailed
from pgproxy.auth.roles import Roles
from pgproxy.protocol.errors import SqlState
from pgproxy.protocol.frontend import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A client has connected; nothing of it has been read yet."""

    host: str
    port: int
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class FirstByte:
    """The first byte is there, and is still in the kernel: 0x16 opens TLS."""

    value: int


@dataclass(frozen=True, slots=True)
class BytesRead:
    """
    Exactly the bytes that were asked for.

    Args:
        data: The bytes.
        more: Whether others were waiting right behind them, which the shell looks
            for where `ReadExactly` says so (NEG-33, NEG-34, NEG-39).

    """

    data: bytes
    more: bool = False


@dataclass(frozen=True, slots=True)
class TlsEstablished:
    """
    TLS is up.

    Args:
        version: ``TLSv1.3``.
        cipher: As OpenSSL names it.
        bits: Of the cipher's secret.
        alpn: The protocol that was selected, if any.
        certificate: The client's, verified, in DER; None if it showed none.
        ca_loaded: Whether the host that it asked for has a CA to judge one by
            (TLS-98); without pg_hosts.conf it is for the policy to say.

    """

    version: str
    cipher: str
    bits: int
    alpn: str | None = None
    certificate: bytes | None = None
    ca_loaded: bool = True


@dataclass(frozen=True, slots=True)
class TlsFailed:
    """
    The handshake failed, and the alert that was due has been sent.

    Args:
        reason: In OpenSSL's words: ``wrong version number``, ``EOF detected``.
        sqlstate: 08P01, or 08006 if it was the connection that failed (NEG-14).
        detail: Which certificate failed, and how (TLS-82).
        cause: What the log is told first: why we have ended it (TLS-98).

    """

    reason: str
    sqlstate: SqlState = SqlState.PROTOCOL_VIOLATION
    detail: str | None = None
    cause: str | None = None


class CAC(Enum):
    """Whether a session may begin; ``CAC_state`` in backend_startup.h."""

    OK = "ok"
    SHUTDOWN = "the database system is shutting down"
    TOOMANY = "sorry, too many clients already"


@dataclass(frozen=True, slots=True)
class CanAcceptConnections:
    """The question whether there is room for a session, and time for it."""


@dataclass(frozen=True, slots=True)
class CanAccept:
    """The answer to `CanAcceptConnections`."""

    state: CAC


@dataclass(frozen=True, slots=True)
class InterfacesFound:
    """The answer to `Interfaces`: the addresses of this machine."""

    interfaces: tuple[Interface, ...]


@dataclass(frozen=True, slots=True)
class HostNameFound:
    """The answer to `ReverseLookup`: what the client's address is called."""

    name: str | LookupFailed


@dataclass(frozen=True, slots=True)
class AddressesFound:
    """The answer to `ForwardLookup`: which addresses that name has."""

    addresses: frozenset[IPAddress] | LookupFailed


@dataclass(frozen=True, slots=True)
class RolesFound:
    """The answer to `Memberships`: who is a member of which role."""

    roles: Roles


@dataclass(frozen=True, slots=True)
class RolesUnknown:
    """
    Nobody can say who is a member of which role.

    Args:
        reason: Why not.

    """

    reason: str


Question = CanAcceptConnections | Fact
"""What a session can need to know."""

LookedUp = (
    CanAccept
    | InterfacesFound
    | HostNameFound
    | AddressesFound
    | RolesFound
    | RolesUnknown
)
"""What it is told."""


@dataclass(frozen=True, slots=True)
class BackendConnected:
    """There is a connection to the backend at *address*."""

    address: str


@dataclass(frozen=True, slots=True)
class BackendUnreachable:
    """No backend could be connected to; a reason for each that was tried."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BackendMessage:
    """
    A whole message of the backend, as it came.

    Or several, if all of them are ParameterStatus: those are passed on unseen.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """A message of the client in its login: a password or a SASL response."""

    data: bytes


@dataclass(frozen=True, slots=True)
class RelayEnded:
    """
    One end has closed, and the other has got what it still had to get.

    Args:
        error: What went wrong with the client's connection, if anything did.

    """

    error: str | None = None


@dataclass(frozen=True, slots=True)
class CancelForwarded:
    """
    Every backend that could be reached has closed its end.

    Args:
        failures: A reason for each that could not be reached.

    """

    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientGone:
    """
    The client has closed its end while something was read from it.

    Args:
        received: How many bytes of what was asked for had come.
        error: None for an orderly end; else what the kernel or TLS says of it.

    """

    received: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class BackendGone:
    """
    The backend has closed its end during the login, or speaks another language.

    Args:
        error: None for an orderly end.

    """

    error: str | None = None


@dataclass(frozen=True, slots=True)
class TimedOut:
    """``authentication_timeout`` has passed."""


@dataclass(frozen=True, slots=True)
class Terminated:
    """The administrator wants every session to end now (fast shutdown)."""


Event = (
    Accepted
    | FirstByte
    | BytesRead
    | SSLRequest
    | GSSENCRequest
    | CancelRequest
    | StartupMessage
    | TlsEstablished
    | TlsFailed
    | CanAccept
    | InterfacesFound
    | HostNameFound
    | AddressesFound
    | RolesFound
    | RolesUnknown
    | BackendConnected
    | BackendUnreachable
    | BackendMessage
    | ClientMessage
    | RelayEnded
    | CancelForwarded
    | ClientGone
    | BackendGone
    | TimedOut
    | Terminated
)
"""
All of it. The four packets of the start-up phase and `ClientMessage` are made by the
session itself, out of `BytesRead`.
"""
