"""What a client sees and a log says, without what is different in each run."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tests.matrix.cells import CAUSE, LET_IN
from tests.support.drivers_base import Driver, Login, RefusedError
from tests.support.drivers_servers import LogWatch
from tests.support.logs import LogLine

PLAIN = (
    # libpq names the server first, and psycopg says whose words they are.
    (r"^connection failed: connection to server at .*, port \d+ failed: ", ""),
    # Python has OpenSSL's name for it before OpenSSL's words, and its own line behind.
    (r"^\[SSL: \w+\] (.*) \(_ssl\.c:\d+\)$", r"\1"),
    # openssl prints the number, where in its source it is, and what it was doing.
    (
        (
            r"(?s)^.*:error:[0-9A-F]+:SSL routines:\w*:([^:]*):[^:]*:\d+:"
            r"(SSL alert number \d+)\n$"
        ),
        r"\1: \2",
    ),
    # Where there was no alert, it names the system call that failed.
    (r"(?s)^.*\n((?:read|write):errno=\d+)\n$", r"\1"),
    # An alert that SSL 3.0 had, one that came with TLS 1.0; from 3.5 on there is one name.
    (r"^((?:SSL error: )?)(?:sslv3|tlsv1|ssl/tls) alert ", r"\1… alert "),
)


def attempt(driver: Driver, login: Login) -> str:
    """Log in, and return what the client says of it."""
    try:
        assert driver.ask(login, "SELECT 1") == "1"
    except RefusedError as error:
        return CAUSE.join(_said(error))
    return LET_IN


def _said(error: RefusedError) -> Iterator[str]:
    """Yield the driver's exception, and what that was raised from."""
    code = f" {error.sqlstate}" if error.sqlstate else ""
    found = error.__cause__
    if found is None:  # a program, which has no exceptions
        yield f"ErrorResponse{code}: {error.text}" if code else plain(error.text)
        return
    yield f"{type(found).__name__}{code}: {plain(error.text)}"
    while found := found.__cause__:
        yield f"{type(found).__name__}: {plain(str(found))}"


def plain(text: str) -> str:
    """Return *text* without what depends on the run, or on OpenSSL's age."""
    for pattern, instead in PLAIN:
        text = re.sub(pattern, instead, text)
    return text


def logged(watch: LogWatch) -> tuple[LogLine, ...]:
    """Return what was logged, without folders, serial numbers, ciphers."""
    # PostgreSQL sends the alert first, and then logs it.
    watch.wait_for(_is_of_more_than_a_connection)
    connection = watch.connection()
    return tuple(
        replace(line, message=message, detail=_plain_detail(line.detail))
        for line, message in zip(connection.lines, connection.way_in, strict=True)
    )


def _is_of_more_than_a_connection(keys: Mapping[str, Any]) -> bool:
    return "remote_port" in keys and not keys["message"].startswith(
        "connection received: "
    )


def _plain_detail(detail: str | None) -> str | None:
    if detail is None:
        return None
    detail = re.sub(r'file "[^"]*/', 'file "', detail)
    return re.sub(r"serial number \d+", "serial number …", detail)
