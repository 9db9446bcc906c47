"""The states of a session, and all that can lead from one to another."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pgproxy.protocol.errors import Report
from pgproxy.protocol.frontend import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from pgproxy.session.actions import Action
from pgproxy.session.events import (
    Accepted,
    AddressesFound,
    BackendConnected,
    BackendGone,
    BackendMessage,
    BackendUnreachable,
    BytesRead,
    CanAccept,
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


class State(Enum):
    """Where a session stands."""

    # Enum's own is in Python, and every step looks a state up twice.
    __hash__ = object.__hash__

    NEW = auto()
    STARTUP = auto()
    TLS = auto()
    AUTHORIZING = auto()
    BACKEND = auto()
    LOGIN = auto()
    RELAY = auto()
    CANCEL = auto()
    CLOSED = auto()


NEW, STARTUP, TLS, AUTHORIZING, BACKEND, LOGIN, RELAY, CANCEL, CLOSED = State

LIVE: Final = frozenset(State) - {CLOSED}
TALKING: Final = frozenset({NEW, STARTUP, TLS, LOGIN, RELAY})
"""The states in which the client is read from or written to, so its end can show."""

# All that a session can do. docs/reference/session.md is drawn from this table and
# test_states.py walks every edge of it; what is not here cannot happen.
_TRANSITIONS: Final[dict[tuple[State, type[Event]], set[State]]] = {
    (NEW, Accepted): {NEW},
    (NEW, HostNameFound): {NEW},  # log_hostname
    (NEW, FirstByte): {STARTUP, TLS, CLOSED},  # CLOSED: direct SSL, ssl = off
    (STARTUP, BytesRead): {STARTUP, CLOSED},  # not yet a packet; never one
    (STARTUP, SSLRequest): {STARTUP, TLS, CLOSED},  # N; S; N, but more had come
    (STARTUP, GSSENCRequest): {STARTUP, CLOSED},  # N; N, but more had come
    (STARTUP, CancelRequest): {CANCEL},
    (STARTUP, StartupMessage): {AUTHORIZING, CLOSED},  # CLOSED: names no user
    (TLS, TlsEstablished): {STARTUP, CLOSED},  # CLOSED: direct SSL, no ALPN
    (TLS, TlsFailed): {CLOSED},
    (AUTHORIZING, CanAccept): {AUTHORIZING, BACKEND, CLOSED},
    # Each answer may lead to a verdict, or to the next question.
    (AUTHORIZING, InterfacesFound): {AUTHORIZING, BACKEND, CLOSED},
    (AUTHORIZING, HostNameFound): {AUTHORIZING, BACKEND, CLOSED},
    (AUTHORIZING, AddressesFound): {AUTHORIZING, BACKEND, CLOSED},
    (AUTHORIZING, RolesFound): {AUTHORIZING, BACKEND, CLOSED},
    (AUTHORIZING, RolesUnknown): {CLOSED},
    (BACKEND, BackendConnected): {LOGIN},
    (BACKEND, BackendUnreachable): {CLOSED},
    (LOGIN, BytesRead): {LOGIN, CLOSED},  # the head of a message; of none
    (LOGIN, ClientMessage): {LOGIN},
    (LOGIN, BackendMessage): {LOGIN, RELAY, CLOSED},  # CLOSED: not as promised
    (LOGIN, BackendGone): {CLOSED},
    (RELAY, RelayEnded): {CLOSED},
    (CANCEL, CancelForwarded): {CLOSED},
    **{(state, ClientGone): {CLOSED} for state in TALKING},
    **{(state, TimedOut): {CLOSED} for state in LIVE - {RELAY}},
    **{(state, Terminated): {CLOSED} for state in LIVE},
}

TRANSITIONS: Final[Mapping[tuple[State, type[Event]], frozenset[State]]] = {
    key: frozenset(after) for key, after in _TRANSITIONS.items()
}


@dataclass(frozen=True, slots=True)
class Step:
    """
    What a session does about an event: one value for whoever wants to know.

    Args:
        event: What happened.
        before: The state in which it happened.
        after: The state since.
        next: The one thing to do, after *send* has been sent.
        send: Bytes for the client.
        log: What the log is told.

    """

    event: Event
    before: State
    after: State
    next: Action
    send: bytes = b""
    log: tuple[Report, ...] = ()
