"""What is wrong with the configuration of TLS."""

from dataclasses import replace
from typing import Self

from pgproxy.protocol.errors import Report, Severity, SqlState


class TlsConfigurationError(Exception):
    """
    A TLS setting cannot be honoured.

    Args:
        reports: What the log is told, in PostgreSQL's words (TLS-25 to TLS-43); the
            last one is why.

    """

    def __init__(self, *reports: Report) -> None:
        super().__init__(reports[-1].message)
        self.reports = reports

    def in_context(self, context: str) -> Self:
        """Return the same, and which line of a file it is about."""
        return type(self)(*(replace(one, context=context) for one in self.reports))


def tls_error(
    message: str,
    *,
    detail: str | None = None,
    hint: str | None = None,
    sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
) -> TlsConfigurationError:
    """Return the error with this one report."""
    return TlsConfigurationError(
        Report(
            severity=Severity.ERROR,
            sqlstate=sqlstate,
            message=message,
            detail=detail,
            hint=hint,
            event="tls.rejected",
        )
    )
