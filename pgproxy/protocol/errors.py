"""SQLSTATEs, reports, and the two ways in which a session can go wrong."""

from dataclasses import dataclass
from enum import StrEnum


class SqlState(StrEnum):
    """The codes that pgproxy itself gives out; names are those of errcodes.txt."""

    SUCCESSFUL_COMPLETION = "00000"
    CONNECTION_FAILURE = "08006"
    PROTOCOL_VIOLATION = "08P01"
    FEATURE_NOT_SUPPORTED = "0A000"
    INVALID_PARAMETER_VALUE = "22023"
    INVALID_REGULAR_EXPRESSION = "2201B"
    INVALID_AUTHORIZATION_SPECIFICATION = "28000"
    INVALID_PASSWORD = "28P01"  # noqa: S105 - a SQLSTATE
    TOO_MANY_CONNECTIONS = "53300"
    PROGRAM_LIMIT_EXCEEDED = "54000"
    CANT_CHANGE_RUNTIME_PARAM = "55P02"
    LOCK_FILE_EXISTS = "F0001"
    CONFIG_FILE_ERROR = "F0000"
    INSUFFICIENT_PRIVILEGE = "42501"
    SYNTAX_ERROR = "42601"
    UNDEFINED_OBJECT = "42704"
    WRONG_OBJECT_TYPE = "42809"
    QUERY_CANCELED = "57014"
    ADMIN_SHUTDOWN = "57P01"
    CANNOT_CONNECT_NOW = "57P03"
    UNDEFINED_FILE = "58P01"
    INTERNAL_ERROR = "XX000"


class Severity(StrEnum):
    """How loud a report is; the words are those of PostgreSQL's log."""

    LOG = "LOG"
    NOTICE = "NOTICE"
    WARNING = "WARNING"
    ERROR = "ERROR"
    FATAL = "FATAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    Something to tell the log, in the parts that ``ereport`` has.

    Args:
        message: One line, as PostgreSQL words it where PostgreSQL has a wording.
        detail: More for the reader of the log (``errdetail``, ``errdetail_log``).
        hint: What to do about it.
        context: Where: ``line 3 of configuration file "/etc/…/pg_hba.conf"``.
        event: Which fact this is, as ``thing.happened``: what a machine looks for.
        once: A guess at what somebody should change: it is told once of each user and
            address, until the next reload, and not at every knock of a monitor.

    """

    severity: Severity
    sqlstate: SqlState
    message: str
    detail: str | None = None
    hint: str | None = None
    context: str | None = None
    event: str = "report"
    once: bool = False


def log_line(
    message: str,
    *,
    event: str,
    sqlstate: SqlState = SqlState.SUCCESSFUL_COMPLETION,
    detail: str | None = None,
    hint: str | None = None,
) -> Report:
    """Return a report of severity LOG: nothing that a client is ever told."""
    return Report(
        severity=Severity.LOG,
        sqlstate=sqlstate,
        message=message,
        detail=detail,
        hint=hint,
        event=event,
    )


def errcode_for_file_access(error: OSError) -> SqlState:
    """Return the SQLSTATE of a failed system call; the function in elog.c."""
    match error:
        case FileNotFoundError():
            return SqlState.UNDEFINED_FILE
        case PermissionError():
            return SqlState.INSUFFICIENT_PRIVILEGE
        case IsADirectoryError() | NotADirectoryError():
            return SqlState.WRONG_OBJECT_TYPE
        case _:
            return SqlState.INTERNAL_ERROR


class SessionRefused(Exception):
    """
    The session ends, and the client is told why with an ErrorResponse.

    Errors are told twice: *detail* goes to the client and the log,
    *log_detail* and *log_hint* to the log alone (``errdetail_log``).
    """

    sqlstate: SqlState

    def __init__(
        self,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        log_detail: str | None = None,
        log_hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.log_detail = log_detail
        self.log_hint = log_hint

    def report(self) -> Report:
        """Return what the log is told."""
        details = [text for text in (self.detail, self.log_detail) if text]
        return Report(
            severity=Severity.FATAL,
            sqlstate=self.sqlstate,
            message=self.message,
            detail="\n".join(details) or None,
            hint=self.log_hint or self.hint,
            event="session.refused",
        )


class ProtocolViolation(SessionRefused):
    """The client speaks PostgreSQL, but not like this."""

    sqlstate = SqlState.PROTOCOL_VIOLATION


class FeatureNotSupported(SessionRefused):
    """A protocol version that nobody speaks any more, or not yet."""

    sqlstate = SqlState.FEATURE_NOT_SUPPORTED


class InvalidParameterValue(SessionRefused):
    """A parameter of the start-up packet has a value that it cannot have."""

    sqlstate = SqlState.INVALID_PARAMETER_VALUE


class InvalidAuthorization(SessionRefused):
    """The role may not log in this way."""

    sqlstate = SqlState.INVALID_AUTHORIZATION_SPECIFICATION


class InvalidPassword(SessionRefused):
    """The role may not log in with this password, or under this name."""

    sqlstate = SqlState.INVALID_PASSWORD


class ConfigFileError(SessionRefused):
    """The configuration asks for something that it does not provide for."""

    sqlstate = SqlState.CONFIG_FILE_ERROR


class TooManyConnections(SessionRefused):
    """The limit is reached."""

    sqlstate = SqlState.TOO_MANY_CONNECTIONS


class CannotConnectNow(SessionRefused):
    """Nobody may log in at the moment; libpq then tries its next host."""

    sqlstate = SqlState.CANNOT_CONNECT_NOW


class AdminShutdown(SessionRefused):
    """The administrator ends it."""

    sqlstate = SqlState.ADMIN_SHUTDOWN


class CommunicationError(Exception):
    """
    What came is not PostgreSQL's protocol: logged, and nothing is sent.

    PostgreSQL's COMMERROR: whoever is at the other end may not speak the
    protocol, so an ErrorResponse would be noise.
    """
