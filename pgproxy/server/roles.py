"""Asks the backend who is a member of which role, and remembers it for a while."""

import asyncio
import select
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Final

from pgproxy.auth.lexer import TEXT
from pgproxy.auth.roles import Roles
from pgproxy.server.threads import daemon_thread
from pgproxy.settings.login_conninfo import LoginConninfo

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

QUERY: Final = """\
SELECT r.rolname, g.rolname
FROM pg_catalog.pg_roles r
LEFT JOIN pg_catalog.pg_auth_members m ON m.member OPERATOR(pg_catalog.=) r.oid
LEFT JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) m.roleid"""
"""Each role, with a row for each role that it was granted, or with a row of its own."""

CONNECT_TIMEOUT: Final = 5
"""Seconds, where ``pgproxy.role_conninfo`` has none."""

QUERY_TIMEOUT: Final = 10
"""
Seconds without an answer, after which the thread gives up.

A backend that is alive gives up before, by ``statement_timeout``.
"""

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


def read_roles(conninfo: LoginConninfo, timeout_s: float = QUERY_TIMEOUT) -> Roles:
    """
    Return all roles of the backend, with their memberships.

    It blocks, but for no longer than it takes to connect, and *timeout_s*. Names are
    bytes to a server; in SQL_ASCII they come as they are.

    Raises:
        RolesUnknownError: They were not to be had.

    """
    import psycopg  # noqa: PLC0415 - needed by who has such lines alone

    given = dict(conninfo.options)
    options = {
        "connect_timeout": str(CONNECT_TIMEOUT),
        "fallback_application_name": "pgproxy",
        **given,
        "client_encoding": "SQL_ASCII",
        # The last one of a setting wins.
        "options": f"{given.get('options', '')} {SESSION}".strip(),
    }
    try:
        with closing(psycopg.connect(**options)) as connection:  # type: ignore[arg-type]
            return roles_of(_query(connection.pgconn, timeout_s))
    except psycopg.Error as error:
        raise RolesUnknownError(str(error).strip()) from error


def _query(pgconn: "PGconn", timeout_s: float) -> Iterable[tuple[bytes, bytes | None]]:
    """
    Yield the rows of `QUERY`.

    psycopg's ``execute`` waits for a backend that says nothing for ever.
    """
    from psycopg.pq import ExecStatus  # noqa: PLC0415

    waiting, deadline = select.poll(), time.monotonic() + timeout_s
    waiting.register(pgconn.socket, select.POLLIN)
    # It is small enough for the socket's buffer, which is empty.
    pgconn.send_query(QUERY.encode())
    while pgconn.flush() or pgconn.is_busy():
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise RolesUnknownError(f"no answer within {timeout_s:g} s")
        pgconn.consume_input()
    result = pgconn.get_result()
    if result is None or result.status != ExecStatus.TUPLES_OK:
        told = b"no result" if result is None else result.error_message
        raise RolesUnknownError(told.decode(*TEXT).strip())
    for row in range(result.ntuples):
        member = result.get_value(row, 0)
        assert member is not None, "a role has a name"
        yield member, result.get_value(row, 1)


def roles_of(rows: Iterable[tuple[bytes, bytes | None]]) -> Roles:
    """Return what the rows of `QUERY` say."""
    granted: dict[str, set[str]] = {}
    for member, role in rows:
        found = granted.setdefault(member.decode(*TEXT), set())
        if role is not None:
            found.add(role.decode(*TEXT))
    return Roles(granted)


class RoleCache:
    """
    What was read of the catalogue, for as long as it counts.

    Many sessions that need it at once share one query, which goes on when one of them
    gives up; there is never another one beside it. A failure is told to all that have
    waited for it, and is not remembered: who comes later asks again.

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
        self._asking: asyncio.Future[Roles] | None = None
        # What came of the last query, and when it was sent.
        self._last: Roles | BaseException | None = None
        self._began = 0.0

    async def get(self) -> Roles:
        """
        Return the memberships.

        Raises:
            RolesUnknownError: They could not be read.

        """
        came = time.monotonic()
        while not self._counts_for(came):
            # It does not end with whoever waits for it.
            await asyncio.wait([self._asking or self._ask()])
        if isinstance(self._last, Roles):
            return self._last
        assert self._last is not None
        raise self._last

    def _ask(self) -> asyncio.Future[Roles]:
        began = time.monotonic()

        def settle(done: asyncio.Future[Roles]) -> None:
            self._asking, self._began = None, began
            self._last = done.exception() or done.result()

        self._asking = daemon_thread(self._read, self._conninfo)
        self._asking.add_done_callback(settle)
        return self._asking

    def _counts_for(self, came: float) -> bool:
        """Return whether the last answer will do for who has waited since *came*."""
        if self._last is None:
            return False
        if self._began >= came:
            return True  # it was asked for while we waited
        age = came - self._began
        return isinstance(self._last, Roles) and age < self._ttl
