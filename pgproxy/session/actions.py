"""What a session can ask of the shell: a closed union, one at a time."""

from dataclasses import dataclass

from pgproxy.session.events import Question


@dataclass(frozen=True, slots=True)
class PeekFirstByte:
    """Look at one byte of the client's and leave it where it is; bring FirstByte."""


@dataclass(frozen=True, slots=True)
class ReadExactly:
    """
    Take *count* bytes off the client's connection, and not one more.

    Args:
        count: How many.
        look: Say whether more were waiting behind them.

    """

    count: int
    look: bool = False


@dataclass(frozen=True, slots=True)
class StartTls:
    """Do the server's side of a TLS handshake; bring TlsEstablished or TlsFailed."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find something out; bring the answer."""

    question: Question


@dataclass(frozen=True, slots=True)
class ConnectBackend:
    """Connect to the backend; bring BackendConnected or BackendUnreachable."""


@dataclass(frozen=True, slots=True)
class ReadEither:
    """
    Bring the backend's next message, or *count* bytes of the client's.

    Args:
        count: Zero while it is not the client's turn: what it has sent ahead stays
            in the kernel, as it would with PostgreSQL.

    """

    count: int = 0


@dataclass(frozen=True, slots=True)
class Forward:
    """Send *data* to the backend as it is, and bring its next message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class BeginRelay:
    """Copy both ways until one end closes; bring RelayEnded."""


@dataclass(frozen=True, slots=True)
class ForwardCancel:
    """Send *packet* to every backend, wait until they close; bring CancelForwarded."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """
    End both connections.

    Args:
        notify: Say so in TLS (close_notify). Only a client that has not sent its
            start-up packet in time is left without a word (NEG-65).

    """

    notify: bool = True


Action = (
    PeekFirstByte
    | ReadExactly
    | StartTls
    | LookUp
    | ConnectBackend
    | ReadEither
    | Forward
    | BeginRelay
    | ForwardCancel
    | Close
)
