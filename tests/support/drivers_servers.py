"""
The servers that drivers log in to, and what these log of each connection.

One configuration for all: `HBA` has a role for every method, and both PostgreSQL and
pgproxy log each step of a connection, which is how a test knows the way that a driver
took to get in.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support import logs
from tests.support.client import Client
from tests.support.endpoints import Config, Endpoint, wait_until
from tests.support.logs import LogLine
from tests.support.pki import Pki

HBA: Final = """\
hostssl   all ana  127.0.0.1/32 scram-sha-256
hostssl   all mo   127.0.0.1/32 md5
hostssl   all pat  127.0.0.1/32 password
hostssl   all cleo 127.0.0.1/32 cert
hostssl   all cora 127.0.0.1/32 cert map=people
hostssl   all dina 127.0.0.1/32 cert clientname=DN map=units
hostssl   all sam  127.0.0.1/32 scram-sha-256 clientcert=verify-full
host      all tom  127.0.0.1/32 trust
host      all ghost 127.0.0.1/32 trust
host      all testuser  127.0.0.1/32 trust
hostssl   all ssluser   127.0.0.1/32 trust
hostnossl all nossluser 127.0.0.1/32 trust
host      all eve  127.0.0.1/32 reject
host      all rex  127.0.0.1/32 trust
host      replication rex 127.0.0.1/32 trust
"""
"""
A role for each method. ``ghost`` does not exist, and nobody has an entry who is not
in the list.
"""

IDENT: Final = """\
people "Cora Example" cora
units  "CN=dina,OU=Sales,O=Example" dina
"""


@dataclass(frozen=True, slots=True)
class DriverConfig(Config):
    """
    What a server for drivers is to be like.

    Args:
        more_files: Files for its data folder, by name.

    """

    more_files: Mapping[str, bytes] = field(default_factory=dict)

    def files(self, pki: Pki) -> Mapping[str, bytes]:
        """Return what has to lie in its data folder."""
        own = {"pg_ident.conf": IDENT.encode()}
        return {**Config.files(self, pki), **own, **self.more_files}


@dataclass(frozen=True, slots=True)
class Connection:
    """
    What a server has logged of one connection.

    Args:
        port: The client's.
        lines: In their order, without "connection received".

    """

    port: int
    lines: list[LogLine]

    @property
    def messages(self) -> list[str]:
        """The first line of each report."""
        return [line.message for line in self.lines]

    @property
    def way_in(self) -> list[str]:
        """
        The messages, without what is different in each run.

        That is the name of pg_hba.conf, and the cipher that was agreed on.
        """
        return [_plain(message) for message in self.messages]


def _plain(message: str) -> str:
    message = re.sub(r" \(\S*pg_hba\.conf:(\d+)\)", r" (pg_hba.conf:\1)", message)
    message = re.sub(r", cipher=\S+, bits=\d+\)", ")", message)
    return re.sub(r" application_name=\S+", "", message)


class LogWatch:
    """
    Tells which connections were made to *endpoint* from here on.

    Its log has to have ``log_connections = on``.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lines: list[dict[str, Any]] = []
        # Nothing that is logged before this moment can be of a later connection.
        self._at = endpoint.log_file.stat().st_size

    def connections(self) -> list[Connection]:
        """
        Return what was logged of each connection so far, the first one first.

        The log is in order. So another connection is made to leave a line, and when
        that is there nothing of those that have ended is still to come.
        """
        with Client(self._endpoint.address) as marker:
            marker.send(b"\0\0\0\0")
            marker.read_end()
            mark = marker.local_port
        self.wait_for(
            lambda keys: (
                keys.get("remote_port") == mark and keys.get("state_code") == "08P01"
            )
        )
        found: dict[int, Connection] = {}
        for keys in self._lines:
            if keys.get("message", "").startswith("connection received: "):
                found[keys["remote_port"]] = Connection(keys["remote_port"], [])
            elif keys.get("remote_port") in found:
                found[keys["remote_port"]].lines.append(LogLine.of(keys))
        return [one for port, one in found.items() if port != mark]

    def connection(self) -> Connection:
        """Return the one connection that there was."""
        (only,) = self.connections()
        return only

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until a line is there of which *wanted* is true."""

        def is_there() -> bool:
            self._read_more()
            return any(map(wanted, self._lines))

        wait_until(is_there, lambda: f"not in the log:\n{self._endpoint.log_text()}")

    def _read_more(self) -> None:
        with self._endpoint.log_file.open("rb") as file:
            file.seek(self._at)
            whole, newline, _rest = file.read().rpartition(b"\n")
        if not newline:
            return
        self._at += len(whole) + 1
        text = whole.decode("utf-8", "surrogateescape")
        self._lines += logs.parse(text)
