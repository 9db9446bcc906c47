"""The union of actions is closed: the driver can do all that is asked of it."""

import dataclasses
import inspect
from typing import get_args

from pgproxy.session import actions
from pgproxy.session.actions import Action, Close, ReadEither, ReadExactly


def test_the_union_is_closed() -> None:
    """Every dataclass of the module is an action."""
    defined = {
        kind
        for _name, kind in inspect.getmembers(actions, dataclasses.is_dataclass)
        if kind.__module__ == actions.__name__
    }
    assert defined == set(get_args(Action))


def test_what_an_action_is_without_its_details() -> None:
    """Reads do not look further, the client is not read, and a close is polite."""
    assert not ReadExactly(4).look
    assert ReadEither().count == 0
    assert Close().notify
