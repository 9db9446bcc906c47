"""A data directory with certificates in it, and the settings that name them."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from pgproxy.server.tls import build_context
from pgproxy.settings.catalogue import Settings
from pgproxy.testing.authority import Authority, Credentials, write_certificates


@dataclass
class Folder:
    """
    A data directory.

    Args:
        path: Where it is.
        authority: Vouches for the server.

    """

    path: Path
    authority: Authority
    server: Credentials = field(init=False)

    def __post_init__(self) -> None:
        """Write ``server.crt``, ``server.key`` and ``root.crt``."""
        self.server = self.authority.server("localhost", "127.0.0.1")
        self.server.write(self.path / "server.crt", self.path / "server.key")
        write_certificates(self.path / "root.crt", self.authority.certificate)

    def client(self, name: str, credentials: Credentials) -> tuple[Path, Path]:
        """Write a client's certificate and key, and return both files."""
        files = self.path / f"{name}.crt", self.path / f"{name}.key"
        credentials.write(*files)
        return files

    def settings(self, **more: object) -> Settings:
        """Return settings with TLS on, and *more*."""
        return Settings(ssl=True, **more)  # type: ignore[arg-type]

    def context(self, **more: object) -> ssl.SSLContext:
        """Return the context that these settings make."""
        return build_context(self.settings(**more), self.path).context
