"""The signals that PostgreSQL's postmaster hears, and what they mean."""

import signal
from enum import Enum, auto
from typing import Final

from pgproxy.server import log


class Shutdown(Enum):
    """How to stop; PostgreSQL's modes, the gentlest first."""

    SMART = auto()
    FAST = auto()
    IMMEDIATE = auto()


MODES: Final = {
    signal.SIGTERM: Shutdown.SMART,
    signal.SIGINT: Shutdown.FAST,
    signal.SIGQUIT: Shutdown.IMMEDIATE,
}

SIGNALS: Final = frozenset({*MODES, signal.SIGHUP})


def note_shutdown(mode: Shutdown) -> None:
    """Tell the log that a shutdown was asked for."""
    log.note(f"received {mode.name.lower()} shutdown request", "postmaster.stopping")


def note_reload() -> None:
    """Tell the log that SIGHUP has come."""
    log.note("received SIGHUP, reloading configuration files", "postmaster.reloading")
