"""What a server sends: what we answer ourselves, and what we read in a login."""

from dataclasses import dataclass
from typing import Final, Self

from pgproxy.protocol.errors import CommunicationError, SessionRefused, Severity
from pgproxy.protocol.frontend import PG_PROTOCOL_LATEST, TEXT, StartupMessage

# What an AuthenticationRequest ("R") asks for; protocol.h.
AUTH_REQ_OK: Final = 0
AUTH_REQ_PASSWORD: Final = 3
AUTH_REQ_MD5: Final = 5
AUTH_REQ_SASL: Final = 10
AUTH_REQ_SASL_CONT: Final = 11
AUTH_REQ_SASL_FIN: Final = 12


def _message(kind: bytes, payload: bytes) -> bytes:
    return kind + (4 + len(payload)).to_bytes(4) + payload


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """
    The session is refused, in words.

    ::

        Byte1   'E'
        Int32   length
        Byte1   field type, String  value      S V C M D? H? F L R
        Byte1   0

    Source: "ErrorResponse" in "Message Formats"; ``send_message_to_frontend``.
    """

    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, error: SessionRefused) -> Self:
        """
        Return what the client may know of *error*, and no more.

        File, line and routine are those that raised it, as PostgreSQL gives its
        own (PRX-16).
        """
        file, line, routine = "session.py", 0, type(error).__name__
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            file, line = code.co_filename.rpartition("/")[2], trace.tb_lineno
            routine = code.co_name
            trace = trace.tb_next
        fields = {
            "S": Severity.FATAL.value,
            "V": Severity.FATAL.value,
            "C": error.sqlstate.value,
            "M": error.message,
            "D": error.detail,
            "H": error.hint,
            "F": file,
            "L": str(line),
            "R": routine,
        }
        return cls(tuple((key, text) for key, text in fields.items() if text))

    def encode(self) -> bytes:
        """Return the message."""
        fields = b"".join(
            key.encode() + text.encode(*TEXT) + b"\0" for key, text in self.fields
        )
        return _message(b"E", fields + b"\0")

    def encode_v2(self) -> bytes:
        r"""
        Return the message as protocol 2.0 had it, for who asks for it (NEG-43).

        ::

            Byte1   'E'
            String  severity ":  " message "\n"
        """
        parts = dict(self.fields)
        text = f"E{parts['S']}:  {parts['M']}\n\0"
        return text.encode(*TEXT)


@dataclass(frozen=True, slots=True)
class NegotiateProtocolVersion:
    """
    Not this protocol version, or not these options.

    ::

        Byte1   'v'
        Int32   length
        Int32   newest protocol version that is supported, as a full number
        Int32   how many options are not known
        String  name of such an option, as it came

    Source: "NegotiateProtocolVersion" in "Message Formats"; NEG-56, NEG-57;
    ``SendNegotiateProtocolVersion``.
    """

    protocol_version: int
    options: tuple[str, ...]

    @classmethod
    def due(cls, startup: StartupMessage) -> Self | None:
        """Return what PostgreSQL 18 answers to *startup*, if it has to answer."""
        options = startup.protocol_options
        if startup.protocol_version <= PG_PROTOCOL_LATEST and not options:
            return None
        return cls(min(startup.protocol_version, PG_PROTOCOL_LATEST), options)

    def encode(self) -> bytes:
        """Return the message."""
        numbers = self.protocol_version.to_bytes(4) + len(self.options).to_bytes(4)
        names = b"".join(name.encode(*TEXT) + b"\0" for name in self.options)
        return _message(b"v", numbers + names)


def authentication_request(message: bytes) -> int:
    """
    Return what an AuthenticationRequest asks for: one of ``AUTH_REQ_*``.

    ::

        Byte1   'R'
        Int32   length
        Int32   code

    Raises:
        CommunicationError: It is too short to say.

    """
    if len(message) < 9:
        raise CommunicationError("invalid authentication request from the backend")
    return int.from_bytes(message[5:9])


def sasl_mechanisms(message: bytes) -> tuple[str, ...]:
    """
    Return the names in an AuthenticationSASL.

    ::

        Byte1   'R'
        Int32   length
        Int32   10
        String  name of a mechanism, any number of times
        Byte1   0
    """
    names = message[9:].split(b"\0")
    return tuple(name.decode(*TEXT) for name in names if name)
