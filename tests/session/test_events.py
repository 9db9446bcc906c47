"""The union of events is closed, and holds every fact there is."""

import dataclasses
import inspect
from typing import get_args

from pgproxy.protocol import frontend
from pgproxy.session import events
from pgproxy.session.events import (
    BytesRead,
    CanAcceptConnections,
    ClientGone,
    Event,
    LookedUp,
    Question,
    RolesUnknown,
    TlsEstablished,
)


def test_the_union_is_closed() -> None:
    """Every dataclass of the module is an event or a question, and none is both."""
    defined = {
        kind
        for _name, kind in inspect.getmembers(events, dataclasses.is_dataclass)
        if kind.__module__ == events.__name__
    }
    packets = {
        frontend.SSLRequest,
        frontend.GSSENCRequest,
        frontend.CancelRequest,
        frontend.StartupMessage,
    }
    happened, asked = set(get_args(Event)), set(get_args(Question))
    assert defined == (happened - packets) | {CanAcceptConnections}
    assert packets <= happened
    assert not happened & asked


def test_every_question_has_an_answer() -> None:
    """What a session can ask, the shell can answer; and it is an event."""
    # Who is a member of what, the shell may have to leave open.
    answers = set(get_args(LookedUp)) - {RolesUnknown}
    assert len(get_args(Question)) == len(answers)
    assert set(get_args(LookedUp)) <= set(get_args(Event))


def test_what_a_fact_is_without_its_details() -> None:
    """Nothing behind, nothing selected, nothing shown, nothing wrong."""
    assert not BytesRead(b"x").more
    assert ClientGone() == ClientGone(received=0, error=None)
    plain = TlsEstablished("TLSv1.3", "x", 256)
    assert (plain.alpn, plain.certificate) == (None, None)
