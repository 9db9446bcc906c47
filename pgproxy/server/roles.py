"""Asks the backend who is a member of which role, and remembers it for a while."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from pgproxy.auth.lexer import TEXT
from pgproxy.auth.roles import Roles
from pgproxy.server.threads import in_daemon_thread
from pgproxy.settings.login_conninfo import LoginConninfo

QUERY: Final = """\
SELECT r.rolname, g.rolname
FROM pg_catalog.pg_roles r
LEFT JOIN pg_catalog.pg_auth_members m ON m.member OPERATOR(pg_catalog.=) r.oid
LEFT JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) m.roleid"""
"""Each role, with a row for each role that it was granted, or with a row of its own."""

CONNECT_TIMEOUT: Final = 5
"""Seconds, where ``pgproxy.role_conninfo`` has none."""

SESSION: Final = (
    "-c search_path=pg_catalog -c default_transaction_read_only=on "
    "-c statement_timeout=5s"
)
"""Nothing that a role or a database sets for itself changes what the query means."""


class RolesUnknownError(Exception):
    """The catalogue could not be read; the text says why, and holds no password."""


class DriverMissingError(Exception):
    """There is no driver to log in with: the extra ``roles`` is not installed."""


def check_driver() -> None:
    """
    Make sure that there is a driver to log in with.

    Raises:
        DriverMissingError: There is none.

    """
    try:
        import psycopg  # noqa: F401, PLC0415 - needed by who has such lines alone
    except ImportError as error:
        raise DriverMissingError(str(error)) from error


def read_roles(conninfo: LoginConninfo) -> Roles:
    """
    Return all roles of the backend, with their memberships. It blocks.

    Names are bytes to a server; in SQL_ASCII they come as they are.

    Raises:
        RolesUnknownError: It was not to be had.

    """
    import psycopg  # noqa: PLC0415 - needed by who has such lines alone

    options = {
        "connect_timeout": str(CONNECT_TIMEOUT),
        "fallback_application_name": "pgproxy",
        **dict(conninfo.options),
        "client_encoding": "SQL_ASCII",
        "options": SESSION,
    }
    try:
        with psycopg.connect(**options) as connection:  # type: ignore[arg-type]
            rows = connection.execute(QUERY).fetchall()
    except psycopg.Error as error:
        raise RolesUnknownError(str(error).strip()) from error
    return roles_of(rows)


def roles_of(rows: Iterable[tuple[bytes | str, bytes | str | None]]) -> Roles:
    """Return what the rows of `QUERY` say."""
    granted: dict[str, set[str]] = {}
    for member, role in rows:
        found = granted.setdefault(_text(member), set())
        if role is not None:
            found.add(_text(role))
    return Roles(granted)


def _text(name: bytes | str) -> str:
    return name.decode(*TEXT) if isinstance(name, bytes) else name


class RoleCache:
    """
    What was read of the catalogue, for as long as it counts.

    Many sessions that need it at once share one query. A failure is told to all that
    have waited for it, and is not remembered: who comes later asks again.

    Args:
        conninfo: The login.
        ttl: How long it counts, in seconds; 0: whoever comes has it read again.
        read: Reads it, and may block.

    """

    def __init__(
        self,
        conninfo: LoginConninfo,
        ttl: float,
        read: Callable[[LoginConninfo], Roles] = read_roles,
    ) -> None:
        self._conninfo = conninfo
        self._ttl = ttl
        self._read = read
        self._lock = asyncio.Lock()
        # What came of the last query, and when it was sent.
        self._last: Roles | RolesUnknownError | None = None
        self._began = 0.0

    async def get(self) -> Roles:
        """
        Return the memberships.

        Raises:
            RolesUnknownError: They could not be read.

        """
        came = time.monotonic()
        async with self._lock:
            if not self._counts_for(came):
                began = time.monotonic()
                answer: Roles | RolesUnknownError
                try:
                    answer = await in_daemon_thread(self._read, self._conninfo)
                except RolesUnknownError as error:
                    answer = error
                self._last, self._began = answer, began
        if isinstance(self._last, Roles):
            return self._last
        assert self._last is not None
        raise self._last

    def _counts_for(self, came: float) -> bool:
        """Return whether the last answer will do for who has waited since *came*."""
        if self._last is None:
            return False
        if self._began >= came:
            return True  # it was asked for while we waited
        age = came - self._began
        return isinstance(self._last, Roles) and age < self._ttl
