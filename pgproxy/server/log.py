"""
The log: structlog's only door.

An event is named ``thing.happened`` and holds no value: values are keys, and the
keys are those of PostgreSQL's jsonlog, so that one dashboard reads both.
"""

import contextlib
import json
import re
import select
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, ClassVar, Final, TextIO

import structlog

from pgproxy.protocol.errors import Report, Severity, SqlState, log_line

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_LEVELS: Final = {
    Severity.LOG: "info",
    Severity.NOTICE: "info",
    Severity.WARNING: "warning",
    Severity.ERROR: "error",
    Severity.FATAL: "error",
}


MAX_TOLD: Final = 10_000
"""How many users and addresses are remembered of what is told once."""

_told: Final[set[tuple[object, ...]]] = set()


def printable(text: str) -> str:
    r"""
    Return *text* without anything that could forge or hide a line of a log.

    What clients send stands in it: control bytes, and bytes that are not UTF-8,
    become ``\xNN`` as PostgreSQL writes them (PRX-20).
    """
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    raw = match[0].encode("utf-8", "surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def _print_values(
    _logger: Any,  # noqa: ANN401 - structlog's signature
    _name: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and _UNPRINTABLE.search(value):
            # A detail may have several lines of ours; a client's have no line feed
            # left, because the core escapes what it quotes in them.
            lines = value.split("\n") if key in {"detail", "hint"} else [value]
            event[key] = "\n".join(printable(line) for line in lines)
    return event


class _Writer:
    """
    Writes lines; what cannot be written is lost (``write_console`` in elog.c).

    Attributes:
        lost: How many lines were, because nobody reads the pipe that they go to.

    """

    lost: ClassVar[int] = 0

    def __init__(self) -> None:
        self._room = select.poll()
        self._fd = -1

    @property
    def _file(self) -> TextIO:
        return sys.stderr  # whatever that is by now

    def info(self, line: str) -> None:
        # Whoever reads the log may have gone: that must not end a session, let alone
        # the server. ValueError: the file is closed.
        with contextlib.suppress(OSError, ValueError):
            if self._is_full():
                _Writer.lost += 1
                return
            self._file.write(f"{line}\n")
            self._file.flush()

    def _is_full(self) -> bool:
        """Whether a write would wait, and with it every session of this process."""
        try:
            fd = self._file.fileno()
        except (OSError, ValueError):
            return False  # no file of the system's: nothing to wait for
        if fd != self._fd:
            self._room, self._fd = select.poll(), fd
            self._room.register(fd, select.POLLOUT)
        return not self._room.poll(0)

    warning = error = info


def configure(log_format: str) -> None:
    """
    Write to standard error from here on, and forget what was told once.

    Args:
        log_format: ``console`` or ``json`` (``pgproxy.log_format``).

    """
    _told.clear()
    renderer: Any = structlog.processors.JSONRenderer(serializer=_encode)
    if log_format == "console":
        renderer = _console
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            _print_values,
            renderer,
        ],
        logger_factory=lambda *_arguments: _Writer(),
        cache_logger_on_first_use=False,
    )
    # Not anew for each line: see docs/explanation/performance.md.
    _Current.logger = structlog.get_logger().bind()


def _encode(event: Mapping[str, Any], **_options: Any) -> str:  # noqa: ANN401
    return _ENCODER.encode(event)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, default=str)


class _Current:
    """What lines are written with since `configure`."""

    logger: ClassVar[Any] = structlog.get_logger()


def _console(
    _logger: Any,  # noqa: ANN401 - structlog's signature
    _name: str,
    event: MutableMapping[str, Any],
) -> str:
    """Write a report as PostgreSQL's stderr log has it, a line for each part."""
    stamp = event.pop("timestamp")
    severity = event.pop("error_severity", "LOG")
    message = event.pop("message", None) or event.pop("event", "")
    for key in ("event", "ssl", "replication", "client_dn", "client_cn"):
        event.pop(key, None)  # for programs, as `pgproxy explain`
    if event.get("state_code") == SqlState.SUCCESSFUL_COMPLETION:
        del event["state_code"]
    parts = [(severity, message)]
    parts += [
        (key.upper(), event.pop(key))
        for key in ("detail", "hint", "context")
        if event.get(key)
    ]
    who = " ".join(f"{key}={value}" for key, value in event.items() if value)
    prefix = f"{stamp} [{who}] " if who else f"{stamp} "
    return "\n".join(
        f"{prefix}{kind}:  {text.replace(chr(10), chr(10) + chr(9))}"
        for kind, text in parts
    )


def write(report: Report, session: Mapping[str, object] | None = None) -> None:
    """
    Write *report*.

    Args:
        report: What happened.
        session: jsonlog's keys for the session it happened in.

    """
    _write(report, session or {})


def note(message: str, event: str, *, hint: str | None = None) -> None:
    """Write a fact of the server's own life, at severity LOG."""
    write(log_line(message, event=event, hint=hint))


def write_all(reports: Iterable[Report]) -> None:
    """Write *reports*, in their order."""
    for report in reports:
        _write(report, {})


def _write(report: Report, keys: Mapping[str, object]) -> None:
    if report.once:
        told = report.event, keys.get("user"), keys.get("remote_host")
        if told in _told:
            return
        if len(_told) >= MAX_TOLD:
            _told.clear()
        _told.add(told)
    parts = {
        "error_severity": report.severity.value,
        "state_code": report.sqlstate.value,
        "message": report.message,
        "detail": report.detail,
        "hint": report.hint,
        "context": report.context,
        **keys,
    }
    emit = getattr(_Current.logger, _LEVELS[report.severity])
    before = _Writer.lost
    said = {key: value for key, value in parts.items() if value or value is False}
    emit(report.event, **said)
    if before and _Writer.lost == before:  # there is room again
        _Writer.lost = 0
        note(f"{before} lines of the log were lost: nobody read them", "log.lost")


def bug(session: Mapping[str, object]) -> None:
    """Write the exception that is being handled: an error of ours, with its trace."""
    trace = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    )
    event: MutableMapping[str, Any] = {"exc_info": True}
    found = trace(None, "error", event)["exception"]
    _Current.logger.error(
        "internal.error",
        error_severity="ERROR",
        state_code="XX000",
        message=f"unexpected {found[0]['exc_type']}: {found[0]['exc_value']}",
        detail="\n".join(
            f"{frame['filename']}:{frame['lineno']} in {frame['name']}"
            for frame in found[0]["frames"]
        ),
        hint="This is a bug of pgproxy; please report it.",
        **session,
    )
