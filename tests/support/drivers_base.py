"""What all drivers have in common: how to log in, and how to be refused."""

import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from psycopg.conninfo import make_conninfo

from tests.support.client import ALPN, context

TIMEOUT: Final = 60
"""Seconds that a program may take for a question."""

TLS_1_2: Final = ssl.TLSVersion.TLSv1_2
TLS_1_3: Final = ssl.TLSVersion.TLSv1_3

VERSIONS: Final = {TLS_1_2: "TLSv1.2", TLS_1_3: "TLSv1.3"}
"""What libpq calls them, and the log."""


class RefusedError(Exception):
    """
    The driver was not let in.

    Args:
        text: All that it says.
        sqlstate: Where it tells: libpq has none for a failed login.

    """

    def __init__(self, text: str, sqlstate: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.sqlstate = sqlstate


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """
    How to log in; the server has to prove that it is 127.0.0.1 (verify-full).

    Args:
        port: The server's.
        root_file: Who may vouch for the server.
        user: A role.
        password: All of ours have the same.
        database: Where to.
        version: The only version of TLS to offer; None leaves it to the driver.
        direct: TLS from the first byte, no SSLRequest.
        certificate: Files of a certificate and its key.

    """

    port: int
    root_file: Path
    user: str = "ana"
    password: str = "secret"
    database: str = "postgres"
    version: ssl.TLSVersion | None = None
    direct: bool = False
    certificate: tuple[Path, Path] | None = None

    def but(self, **changes: Any) -> "Login":
        """Return another one."""
        return replace(self, **changes)

    def conninfo(self, **more: str | int) -> str:
        """Return it as libpq wants it, with *more* settings."""
        settings: dict[str, str | int] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "connect_timeout": TIMEOUT,
            # Nobody has tickets here, but a Kerberos cache may lie about.
            "gssencmode": "disable",
            "sslmode": "verify-full",
            "sslrootcert": str(self.root_file),
        }
        if self.version is not None:
            name = VERSIONS[self.version]
            settings["ssl_min_protocol_version"] = name
            settings["ssl_max_protocol_version"] = name
        if self.direct:
            settings["sslnegotiation"] = "direct"
        if self.certificate is not None:
            cert, key = self.certificate
            settings["sslcert"], settings["sslkey"] = str(cert), str(key)
        return make_conninfo("", **{**settings, **more})

    def ssl_context(self) -> ssl.SSLContext:
        """Return it as Python drivers want it."""

        def verify_full(made: ssl.SSLContext) -> None:
            made.check_hostname = True

        return context(
            alpn=ALPN if self.direct else None,
            certificate=self.certificate,
            ca_file=self.root_file,
            versions=(self.version, self.version) if self.version else None,
            configure=verify_full,
        )


class Driver(ABC):
    """
    Something that speaks PostgreSQL's protocol.

    Attributes:
        name: What tests call it.
        direct: Whether it can begin with TLS.
        is_libpq: Whether its words are libpq's.

    """

    name: ClassVar[str]
    direct: ClassVar[bool] = True
    is_libpq: ClassVar[bool] = True

    @abstractmethod
    def ask(self, login: Login, sql: str) -> str:
        """
        Log in, run *sql*, and return the only value of its result.

        Raises:
            RefusedError: The login failed.

        """
