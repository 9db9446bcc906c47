"""The table of states: every edge of it can be walked, and nothing beside it."""

from typing import get_args

import pytest

from pgproxy.auth.roles import Roles
from pgproxy.protocol.frontend import StartupMessage
from pgproxy.session.events import (
    CAC,
    Accepted,
    AddressesFound,
    BackendConnected,
    BackendGone,
    BackendUnreachable,
    BytesRead,
    CanAccept,
    CancelForwarded,
    ClientGone,
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
from pgproxy.session.states import TALKING, TRANSITIONS, State
from tests.session.builders import (
    ACCEPTED,
    ANSWER,
    CANCEL_REQUEST,
    GSSENC_REQUEST,
    LOGIN_PACKET,
    OK,
    PASSWORD,
    READY,
    SSL_REQUEST,
    in_clear,
    in_tls,
    message,
    packet,
    said,
    session,
    startup,
    tls,
)

START: list[Event] = [ACCEPTED, FirstByte(0)]
TO_TLS: list[Event] = in_clear(SSL_REQUEST)
TO_AUTHORIZING: list[Event] = in_clear()
TO_BACKEND: list[Event] = [*TO_AUTHORIZING, CanAccept(CAC.OK)]
TO_ADDRESSES: list[Event] = [
    *TO_BACKEND,
    HostNameFound("a"),
    AddressesFound(frozenset()),
]
TO_LOGIN: list[Event] = [*TO_BACKEND, BackendConnected("x")]
TO_RELAY: list[Event] = [*TO_LOGIN, *said(OK, READY)]
TO_CANCEL: list[Event] = in_clear(CANCEL_REQUEST)
REACH: dict[State, list[Event]] = {
    State.NEW: [ACCEPTED],
    State.STARTUP: START,
    State.TLS: TO_TLS,
    State.AUTHORIZING: TO_AUTHORIZING,
    State.BACKEND: TO_BACKEND,
    State.LOGIN: TO_LOGIN,
    State.RELAY: TO_RELAY,
    State.CANCEL: TO_CANCEL,
}

TRUST = "host all all all trust"
SAMENET = "host all all samenet trust"
NAMED = "host all all a trust"
MEMBERS = "host all +staff all trust"
REJECT = "host all all all reject"
SCRAM = "host all all all scram-sha-256"

# One way for every edge: the rules, whether ssl is on, the events. The edge is the
# last step of it.
WALKS: list[tuple[str, bool, list[Event]]] = [
    (TRUST, True, [ACCEPTED]),
    (TRUST, True, [ACCEPTED, HostNameFound("a")]),
    (TRUST, True, START),
    (TRUST, True, [ACCEPTED, FirstByte(0x16)]),
    (TRUST, False, [ACCEPTED, FirstByte(0x16)]),
    (TRUST, True, [*START, BytesRead(b"\0\0\0\x08")]),
    (TRUST, True, [*START, BytesRead(b"GET ")]),
    (TRUST, False, in_clear(SSL_REQUEST)),
    (TRUST, True, in_clear(SSL_REQUEST)),
    (TRUST, False, [*START, *packet(SSL_REQUEST, more=True)]),
    (TRUST, True, in_clear(GSSENC_REQUEST)),
    (TRUST, True, [*START, *packet(GSSENC_REQUEST, more=True)]),
    (TRUST, True, in_clear(CANCEL_REQUEST)),
    (TRUST, True, in_clear(LOGIN_PACKET)),
    (TRUST, True, in_clear(startup(database="app"))),
    (TRUST, True, [*TO_TLS, tls()]),
    (TRUST, True, [ACCEPTED, FirstByte(0x16), tls()]),
    (TRUST, True, [*TO_TLS, TlsFailed("EOF detected")]),
    (SAMENET, True, TO_BACKEND),
    (TRUST, True, TO_BACKEND),
    (REJECT, True, TO_BACKEND),
    (SAMENET, True, [*TO_BACKEND, InterfacesFound(())]),
    (f"{SAMENET}\n{TRUST}", True, [*TO_BACKEND, InterfacesFound(())]),
    (f"{SAMENET}\n{NAMED}", True, [*TO_BACKEND, InterfacesFound(())]),
    (NAMED, True, [*TO_BACKEND, HostNameFound("a")]),
    (NAMED, True, [*TO_BACKEND, HostNameFound("b")]),
    (f"{NAMED}\n{TRUST}", True, [*TO_BACKEND, HostNameFound("b")]),
    (NAMED, True, TO_ADDRESSES),
    (f"{NAMED}\n{TRUST}", True, TO_ADDRESSES),
    (f"{NAMED}\n{MEMBERS}", True, TO_ADDRESSES),
    (MEMBERS, True, [*TO_BACKEND, RolesFound(Roles({}))]),
    (MEMBERS, True, [*TO_BACKEND, RolesFound(Roles({"ana": ["staff"]}))]),
    (f"{MEMBERS}\n{NAMED}", True, [*TO_BACKEND, RolesFound(Roles({}))]),
    (MEMBERS, True, [*TO_BACKEND, RolesUnknown("nobody is there")]),
    (TRUST, True, TO_LOGIN),
    (TRUST, True, [*TO_BACKEND, BackendUnreachable(())]),
    (TRUST, True, [*TO_LOGIN, *said(PASSWORD), BytesRead(ANSWER[:5])]),
    (TRUST, True, [*TO_LOGIN, *said(PASSWORD), BytesRead(b"p\0\0\0\0")]),
    (TRUST, True, [*TO_LOGIN, *said(PASSWORD), BytesRead(message(b"p"))]),
    (TRUST, True, [*TO_LOGIN, *said(OK)]),
    (TRUST, True, TO_RELAY),
    (SCRAM, True, [*TO_LOGIN, *said(OK)]),
    (TRUST, True, [*TO_LOGIN, BackendGone()]),
    (TRUST, True, [*TO_RELAY, RelayEnded()]),
    (TRUST, True, [*TO_CANCEL, CancelForwarded()]),
    *[(TRUST, True, [*REACH[state], ClientGone()]) for state in TALKING],
    *[
        (TRUST, True, [*way, TimedOut()])
        for state, way in REACH.items()
        if state is not State.RELAY
    ],
    *[(TRUST, True, [*way, Terminated()]) for way in REACH.values()],
]


def walk(hba: str, ssl: bool, events: list[Event]) -> tuple[State, type[Event], State]:
    ladder = session(hba, ssl=ssl, log_hostname=HostNameFound("a") in events[:2])
    for event in events:
        step = ladder.handle(event)
    return step.before, type(step.event), step.after


def test_every_edge_is_walked() -> None:
    """What the table allows happens, and nothing else does."""
    edges = {
        (before, event, after)
        for (before, event), states in TRANSITIONS.items()
        for after in states
    }
    assert {walk(*way) for way in WALKS} == edges


@pytest.mark.parametrize("state", REACH, ids=lambda state: state.name)
def test_every_state_is_reached(state: State) -> None:
    """REACH says the truth."""
    ladder = session()
    for event in REACH[state]:
        ladder.handle(event)
    assert ladder.state is state


def test_every_event_is_in_the_table() -> None:
    """A fact that nothing follows from is none; and there are no others."""
    assert {event for _state, event in TRANSITIONS} == set(get_args(Event))


def test_closed_is_the_end() -> None:
    """Nothing leads out of it, and everything leads into it."""
    assert not [key for key in TRANSITIONS if key[0] is State.CLOSED]
    for state in set(State) - {State.CLOSED}:
        assert TRANSITIONS[state, Terminated] == {State.CLOSED}


@pytest.mark.parametrize(
    ("way", "event"),
    [
        (TO_RELAY, TimedOut()),
        (TO_BACKEND, ClientGone()),
        (TO_TLS, BytesRead(b"1234")),
        (START, Accepted(ACCEPTED.host, ACCEPTED.port, ACCEPTED.address)),
        (TO_BACKEND, StartupMessage(0x30000, ())),
        (in_tls(), TlsEstablished("TLSv1.3", "x", 1)),
    ],
)
def test_what_is_not_in_the_table_cannot_happen(way: list[Event], event: Event) -> None:
    """A shell that brings such an event is wrong, and is told so."""
    ladder = session()
    for before in way:
        ladder.handle(before)
    with pytest.raises(AssertionError):
        ladder.handle(event)
