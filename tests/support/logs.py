"""Server logs in PostgreSQL's jsonlog, and pgproxy's, which has the same keys."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a test compares of a log line."""

    severity: str
    message: str
    state_code: str = "00000"
    detail: str | None = None
    hint: str | None = None

    @classmethod
    def of(cls, keys: dict[str, Any]) -> Self:
        """Pick it out of what jsonlog has."""
        return cls(
            severity=keys["error_severity"],
            message=keys.get("message", ""),
            state_code=keys.get("state_code", "00000"),
            detail=keys.get("detail"),
            hint=keys.get("hint"),
        )


def read(path: Path, start: int = 0) -> list[dict[str, Any]]:
    """Return the lines that are complete, from the byte *start* on."""
    try:
        data = path.read_bytes()[start:]
    except FileNotFoundError:
        return []
    return parse(data.rpartition(b"\n")[0].decode("utf-8", "surrogateescape"))


def size(path: Path) -> int:
    """Return how many bytes the log has by now."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def parse(text: str) -> list[dict[str, Any]]:
    """Return the lines of *text*; what is no JSON came from elsewhere."""
    return [json.loads(line) for line in text.split("\n") if line.startswith("{")]


def commerror(message: str, **more: str) -> LogLine:
    """Return PostgreSQL's COMMERROR: for the log only, and 08P01."""
    return LogLine("LOG", message, "08P01", **more)
