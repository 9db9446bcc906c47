"""What is compared: something that listens, and has processes; PostgreSQL itself."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar

from benchmarks import servers
from pgproxy.testing.postgres import Instance


class SystemMissingError(Exception):
    """A system is not on this machine; says what would bring it."""


class StartError(Exception):
    """A system does not start; has what it said."""


@dataclass(frozen=True, slots=True)
class Running:
    """
    A system that listens on 127.0.0.1.

    Args:
        port: Its port.
        pid: Its first process.

    """

    port: int
    pid: int


class System(ABC):
    """One of those that are compared."""

    key: ClassVar[str]
    title: ClassVar[str]
    is_proxy: ClassVar[bool]
    """Whether all of its CPU time is a proxy's, and none the work of a server."""
    differs: ClassVar[str] = ""
    """What it does not do as the others do, for a reader."""

    @abstractmethod
    def version(self) -> str:
        """
        Return what it is, in one line.

        Raises:
            SystemMissingError: It is not here.

        """

    @abstractmethod
    def running(self, *, client_certificates: bool) -> AbstractContextManager[Running]:
        """
        Start it, and stop it in the end.

        Raises:
            StartError: It does not start.

        """


class Native(System):
    """PostgreSQL with TLS of its own, on the core of servers."""

    key = "native"
    title = "PostgreSQL with TLS"
    is_proxy = False

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def version(self) -> str:
        """Return that of the server."""
        return f"PostgreSQL {self._instance.installation.version()}"

    @contextmanager
    def running(self, *, client_certificates: bool) -> Iterator[Running]:
        """Start it anew, with what it has in its tables."""
        hba = servers.native_hba(client_certificates=client_certificates)
        self._instance.write("pg_hba.conf", hba.encode())
        tls = servers.tls_settings(client_certificates=client_certificates)
        self._instance.settings |= tls
        self._instance.restart()
        # It goes on: a checkpoint now would disturb the others.
        yield Running(self._instance.port, self._instance.pid)
