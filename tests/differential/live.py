"""
Servers that get the same rules, one after the other, and what they say to a connection.

pgproxy has four backends: one that lets everybody in, and one for each kind of password
that a client can be asked for. To the first one, a line that asks for a password is a
promise that the backend does not keep: so it tells which method the line has.
"""

import contextlib
import re
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pytest

from pgproxy.testing.authority import Authority, certificates_pem
from pgproxy.testing.postgres import Instance, free_port
from tests.differential.rules import CERTIFICATES, Attempt
from tests.support import client, logs, oracles, wire
from tests.support.client import Client, HandshakeFailedError
from tests.support.endpoints import (
    ROLES,
    Config,
    Endpoint,
    NativeEndpoint,
    PgproxyEndpoint,
    wait_until,
)
from tests.support.pki import Pki

psycopg = pytest.importorskip("psycopg", reason="psycopg makes the roles")

PASSWORD: Final = "secret"

SQL: Final = (
    # endpoints.ROLES makes ana, sam, pat, mo, tom and rex.
    'CREATE ROLE "all" LOGIN',
    'CREATE ROLE "+staff" LOGIN',
    "CREATE ROLE \"Tom\" LOGIN PASSWORD 'secret'",
    'CREATE ROLE "a b" LOGIN REPLICATION',
    "CREATE ROLE root LOGIN SUPERUSER",
    "CREATE ROLE crew NOLOGIN",
    "CREATE ROLE db1 NOLOGIN",
    "GRANT staff TO ana",
    "GRANT crew TO staff",
    "GRANT crew TO tom",
    "GRANT db1 TO sam",
    "GRANT ana TO mo",
    *(
        f'CREATE DATABASE "{name}" STRATEGY file_copy'
        for name in ("db1", "ana", "tom", "staff", "replication", "all", "a b")
    ),
)

LETS_IN: Final = "local all all trust\n"

ASKS: Final = {10: "scram-sha-256", 5: "md5", 3: "password"}
"""What a line says that makes a server ask: by the code of the request."""

BROKEN: Final = re.compile(
    'authentication method "(.*)" is not what the server behind this address uses'
)
"""What pgproxy says of a backend that lets in whom a line asks for a password."""


SOCKET: Final = "local all all trust\nlocal replication all trust\n"
SCRAM: Final = "host all,replication all 127.0.0.1/32 scram-sha-256\n"
MD5: Final = "host all,replication all ::1/128 md5\n"
CLEAR: Final = "host all,replication all 127.0.0.1/32 password\n"
"""What a backend asks for, by the way that one comes to it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What a server says to a connection.

    Args:
        asked: For what it has asked: "password", "md5", "scram-sha-256".
        end: The SQLSTATE and the message of an error; "accepted"; "no TLS"; None if the
            client has no answer to what it was asked.

    """

    asked: str | None
    end: tuple[str, str] | str | None


@dataclass(frozen=True, slots=True)
class TwoAuthorities(Config):
    """Servers that trust the clients of two CAs."""

    roots: bytes = b""

    def files(self, pki: Pki) -> dict[str, bytes]:
        """Return what has to lie in the data folder."""
        return {**pki.server_files(), "root.crt": self.roots}


class Stage:
    """
    All servers, and the clients' certificates.

    Args:
        pki: What they show.
        natives: Which PostgreSQL servers.

    """

    def __init__(self, pki: Pki, *natives: str) -> None:
        self.pki = pki
        other = Authority.root([("CN", "another client CA")])
        issuers = {"other ana": other, "stranger": pki.root}
        self.certificates = {
            name: pki.client(
                f"differential {name}",
                issuers.get(name, pki.client_ca).client(subject),
            )
            for name, subject in CERTIFICATES.items()
        }
        self.roots = certificates_pem([pki.client_ca.certificate, other.certificate])
        oracles.find(oracles.PGPROXY)
        self._undo = contextlib.ExitStack()
        try:
            self._start(natives)
        except BaseException:
            self.remove()
            raise

    def _start(self, natives: Sequence[str]) -> None:
        with ThreadPoolExecutor(4) as pool:
            backends = pool.map(self._backend, (SOCKET + SCRAM + MD5, SOCKET + CLEAR))
            native = pool.map(self._native, natives)
            first, second = list(backends)
            self.natives = list(native)
            ways = {
                None: (first, str(first.socket_dir)),
                "scram-sha-256": (first, "127.0.0.1"),
                "md5": (first, "::1"),
                "password": (second, "127.0.0.1"),
            }
            proxies = pool.map(lambda way: self._proxy(*way), ways.values())
            self.proxies = dict(zip(ways, proxies, strict=True))

    def remove(self) -> None:
        """Stop all of them."""
        self._undo.close()

    def _config(self, **settings: str) -> Config:
        return TwoAuthorities(
            ssl=True,
            ca=True,
            hba=LETS_IN,
            settings={"listen_addresses": "127.0.0.1,::1", **settings},
            roots=self.roots,
        )

    def _native(self, kind: str) -> NativeEndpoint:
        made = NativeEndpoint(kind, self._config(), self.pki)
        self._undo.callback(made.remove)
        _run(made.instance)
        return made

    def _backend(self, hba: str) -> Instance:
        made = Instance(
            oracles.find(oracles.PGPROXY),
            settings={"listen_addresses": "127.0.0.1,::1"},
            hba=hba,
            sql=ROLES,
        )
        self._undo.callback(made.remove)
        made.start()
        _run(made)
        return made

    def _proxy(self, backend: Instance, host: str) -> PgproxyEndpoint:
        login = f"host={backend.socket_dir} port={backend.port} dbname=postgres"
        config = self._config(
            **{
                "port": str(free_port()),
                "pgproxy.backend_conninfo": f"host={host} port={backend.port}",
                "pgproxy.role_conninfo": f"{login} user=root",
            }
        )
        made = PgproxyEndpoint(config, self.pki, backend)
        self._undo.callback(made.remove)
        return made

    def load(self, hba: bytes, ident: bytes) -> None:
        """Have all servers take new rules and maps."""
        files = {"pg_hba.conf": hba, "pg_ident.conf": ident}
        endpoints: list[Endpoint] = [*self.natives, *self.proxies.values()]
        marks = [(endpoint, logs.size(endpoint.log_file)) for endpoint in endpoints]
        for native in self.natives:
            for name, content in files.items():
                native.instance.write(name, content)
            native.instance.signal(signal.SIGHUP)
        for proxy in self.proxies.values():
            for name, content in files.items():
                (proxy.folder / name).write_bytes(content)
            proxy.signal(signal.SIGHUP)
        for endpoint, mark in marks:
            # PostgreSQL serves nobody while it reads; only then it looks for more.
            last = "configuration was reloaded"
            if isinstance(endpoint, NativeEndpoint):
                last = "received SIGHUP, reloading configuration files"
            _wait_for(last, endpoint, mark)

    def verdict(self, endpoint: Endpoint, attempt: Attempt) -> Verdict:
        """Return what *endpoint* says to *attempt*."""
        host = "::1" if ":" in attempt.source else "127.0.0.1"
        with Client((host, endpoint.port), attempt.source) as made:
            if attempt.tls:
                pair = attempt.certificate and self.certificates[attempt.certificate]
                try:
                    made.request_tls(client.context(certificate=pair or None))
                except HandshakeFailedError:
                    return Verdict(None, "no TLS")
            more = attempt.replication and ("replication", attempt.replication)
            packet = wire.startup(
                *([more] if more else []), user=attempt.user, database=attempt.database
            )
            # TLS 1.3 tells a client last that its certificate will not do.
            with contextlib.suppress(ConnectionError):
                made.send(packet)
            return self._answer(made, attempt)

    def _answer(self, made: Client, attempt: Attempt) -> Verdict:
        asked = None
        messages = list[wire.Message]()
        while True:
            try:
                message = made.read_message()
            except AssertionError:
                assert attempt.certificate == "stranger", messages
                return Verdict(None, "no TLS")
            messages.append(message)
            assert message.kind in "RSEKZN", messages
            if message.kind == "Z":
                made.send(wire.TERMINATE)
                return Verdict(asked, "accepted")
            if message.kind == "E":
                fields = message.fields
                if broken := BROKEN.fullmatch(fields["M"]):
                    return Verdict(broken[1], None)
                return Verdict(asked, (fields["C"], fields["M"]))
            if message.kind == "R" and message.code:
                asked = ASKS[message.code]
                if asked != "password":
                    return Verdict(asked, None)
                made.send(wire.message(b"p", PASSWORD.encode() + b"\0"))


def _run(instance: Instance) -> None:
    with psycopg.connect(instance.conninfo, autocommit=True) as connection:
        for statement in SQL:
            connection.execute(statement)


def _wait_for(message: str, endpoint: Endpoint, mark: int) -> None:
    wait_until(
        lambda: message in _messages(endpoint, mark),
        lambda: f"no {message!r} of {endpoint.kind}: {_messages(endpoint, mark)}",
    )


def _messages(endpoint: Endpoint, mark: int) -> list[str]:
    return [keys.get("message", "") for keys in logs.read(endpoint.log_file, mark)]
