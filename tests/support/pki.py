"""Certificates for a run of the tests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pgproxy.testing.authority import (
    Authority,
    Credentials,
    certificates_pem,
    write_certificates,
)


@dataclass(frozen=True, slots=True)
class Pki:
    """
    One root for the server, one for clients, and files for either side.

    Args:
        folder: Has ``root.crt``, and of each client ``NAME.crt`` and ``NAME.key``.
        root: Vouches for the server, through an intermediate.
        client_ca: Vouches for clients.
        server: The server's certificate, for localhost and 127.0.0.1.

    """

    folder: Path
    root: Authority
    client_ca: Authority
    server: Credentials

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Issue all of it."""
        root = Authority.root([("O", "pgproxy tests"), ("CN", "root CA")])
        issuing = root.intermediate([("O", "pgproxy tests"), ("CN", "issuing CA")])
        server = issuing.server("localhost", "127.0.0.1")
        client_ca = Authority.root([("O", "pgproxy tests"), ("CN", "client CA")])
        write_certificates(folder / "root.crt", root.certificate)
        write_certificates(folder / "client-ca.crt", client_ca.certificate)
        return cls(folder, root, client_ca, server)

    @property
    def root_file(self) -> Path:
        """The file of whom a client has to trust."""
        return self.folder / "root.crt"

    @property
    def client_ca_file(self) -> Path:
        """The file of whom a server has to trust; a client had better not."""
        return self.folder / "client-ca.crt"

    def server_files(self, *, ca: bool = False) -> Mapping[str, bytes]:
        """Return what lies in a server's data folder; *ca*: it asks clients."""
        files = {
            "server.crt": self.server.certificate_pem(),
            "server.key": self.server.key_pem(),
        }
        if ca:
            files["root.crt"] = certificates_pem([self.client_ca.certificate])
        return files

    def client(
        self, name: str, credentials: Credentials | None = None
    ) -> tuple[Path, Path]:
        """Return the files of the client *name*, by default an honest one."""
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if credentials is not None or not files[0].exists():
            (credentials or self.client_ca.client(name)).write(*files)
        return files
