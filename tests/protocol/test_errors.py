"""Errors are told twice: what the client may know, and what the log may."""

import errno

import pytest

from pgproxy.protocol import errors
from pgproxy.protocol.errors import (
    Report,
    SessionRefused,
    Severity,
    SqlState,
    log_line,
)


@pytest.mark.parametrize(
    ("kind", "sqlstate"),
    [
        (errors.ProtocolViolation, "08P01"),
        (errors.FeatureNotSupported, "0A000"),
        (errors.InvalidParameterValue, "22023"),
        (errors.InvalidAuthorization, "28000"),
        (errors.InvalidPassword, "28P01"),
        (errors.ConfigFileError, "F0000"),
        (errors.TooManyConnections, "53300"),
        (errors.CannotConnectNow, "57P03"),
        (errors.AdminShutdown, "57P01"),
    ],
)
def test_a_class_for_every_sqlstate(kind: type[SessionRefused], sqlstate: str) -> None:
    """Named after errcodes.txt."""
    assert kind("no").sqlstate == sqlstate
    assert str(kind("no")) == "no"


def test_what_the_log_is_told() -> None:
    """What the client is told, and then more; the log's own hint wins."""
    refused = errors.InvalidAuthorization(
        "no", detail="d", hint="h", log_detail="ld", log_hint="lh"
    )
    assert refused.report() == Report(
        severity=Severity.FATAL,
        sqlstate=SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
        message="no",
        detail="d\nld",
        hint="lh",
        event="session.refused",
    )


def test_what_the_log_is_told_of_a_plain_refusal() -> None:
    """No part is made up."""
    assert errors.InvalidAuthorization("no", hint="h").report() == Report(
        severity=Severity.FATAL,
        sqlstate=SqlState.INVALID_AUTHORIZATION_SPECIFICATION,
        message="no",
        hint="h",
        event="session.refused",
    )


def test_log_line() -> None:
    """Severity LOG is never sent to a client."""
    assert log_line("m", event="e.f", detail="d", hint="h") == Report(
        severity=Severity.LOG,
        sqlstate=SqlState.SUCCESSFUL_COMPLETION,
        message="m",
        detail="d",
        hint="h",
        event="e.f",
    )


@pytest.mark.parametrize(
    ("number", "sqlstate"),
    [
        (errno.ENOENT, "58P01"),
        (errno.EACCES, "42501"),
        (errno.EPERM, "42501"),
        (errno.EISDIR, "42809"),
        (errno.ENOTDIR, "42809"),
        (errno.EIO, "XX000"),
        (None, "XX000"),
    ],
)
def test_errcode_for_file_access(number: int | None, sqlstate: str) -> None:
    """elog.c."""
    error = OSError("why") if number is None else OSError(number, "why")
    assert errors.errcode_for_file_access(error) == sqlstate
