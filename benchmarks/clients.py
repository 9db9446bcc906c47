"""The clients: pgbench, psql and openssl, as they are run against any server."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

from benchmarks.certificates import USER, Certificates
from benchmarks.install import find

TIMEOUT: Final = 600
"""Seconds after which a program hangs."""


class ClientError(Exception):
    """A client failed; has what it said."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """
    A line of pgbench's log.

    Args:
        client: Which of its clients.
        ended: When, as `time.time` tells it.
        latency: Seconds; without that of connecting.

    """

    client: int
    ended: float
    latency: float

    @classmethod
    def of(cls, line: str) -> Self:
        """Parse ``client_id transaction_no time script_no time_epoch time_us ...``."""
        client, _number, latency, _script, seconds, micros, *_ = line.split()
        return cls(int(client), int(seconds) + int(micros) / 1e6, int(latency) / 1e6)


def cycles(transactions: Iterable[Transaction]) -> list[Transaction]:
    """
    Return the transactions with the time since the one before of the same client.

    With ``pgbench -C`` that is a whole life: connect, ask, close. What pgbench itself
    calls the latency begins when it is connected. The first of each client is left out.
    """
    last: dict[int, float] = {}
    found = []
    for one in transactions:
        if one.client in last:
            found.append(
                Transaction(one.client, one.ended, one.ended - last[one.client])
            )
        last[one.client] = one.ended
    return found


@dataclass(frozen=True, slots=True)
class Clients:
    """
    Programs of one installation of PostgreSQL, and how they are to connect.

    Args:
        programs: The folder of pgbench and psql.
        certificates: What they trust, and show.
        port: Of the server, on 127.0.0.1.
        shown: Whether they show a certificate.

    """

    programs: Path
    certificates: Certificates
    port: int
    shown: bool

    def environment(self) -> Mapping[str, str]:
        """Return the variables of a client: nothing of ours but what is set here."""
        return {
            "PATH": os.defpath,
            "LC_ALL": "C",
            "PGHOST": "localhost",
            "PGHOSTADDR": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGDATABASE": "postgres",
            **self.certificates.client_environment(shown=self.shown),
        }

    def pgbench(self, *arguments: str) -> list[Transaction]:
        """
        Run pgbench, and return each of its transactions in the order of their ends.

        Raises:
            ClientError: It failed.

        """
        with tempfile.TemporaryDirectory(prefix="pgproxy-bench-") as folder:
            log = f"--log-prefix={folder}/log"
            pgbench = self.programs / "pgbench"
            command: list[str | Path] = [pgbench, "-l", log, *arguments]
            _run(command, self.environment())
            lines = [
                Transaction.of(line)
                for path in sorted(Path(folder).glob("log*"))
                for line in path.read_text().splitlines()
            ]
        return sorted(lines, key=lambda one: one.ended)

    def handshake(self) -> dict[str, str]:
        """
        Return what TLS a client gets: version, cipher, key exchange, signature.

        Raises:
            ClientError: None; or there is no ``openssl`` to ask.

        """
        openssl = find("openssl")
        if openssl is None:
            raise ClientError("the command openssl is not there, to see the handshake")
        shown = ("-cert", "client.crt", "-key", "client.key") if self.shown else ()
        said = _run(
            [
                *(openssl, "s_client", "-brief", "-starttls", "postgres"),
                *("-connect", f"127.0.0.1:{self.port}", "-verify_return_error"),
                *("-CAfile", "root.crt", *shown),
            ],
            self.environment(),
            self.certificates.folder,
        )
        return negotiated(said)

    @contextmanager
    def psql(self) -> Iterator["Psql"]:
        """Connect with psql, and keep it for some commands."""
        command = [str(self.programs / "psql"), "-XAt", "-v", "ON_ERROR_STOP=1"]
        with subprocess.Popen(  # noqa: S603 - a program of our choice
            command,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                psql = Psql(process)
                psql.run("")
                yield psql
            finally:
                process.kill()


class Psql:
    """A psql that is connected, and waits for commands."""

    DONE: Final = "that is done"

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def run(self, command: str) -> float:
        """
        Run a *command*, and return the seconds that it took.

        Raises:
            ClientError: psql ended.

        """
        began = time.perf_counter()
        # psql flushes what a query returns, and not what \echo prints.
        self._in.write(f"{command}\nselect '{self.DONE}';\n")
        self._in.flush()
        said = []
        for line in self._out:
            if line.strip() == self.DONE:
                return time.perf_counter() - began
            said.append(line)
        raise ClientError(f"psql: {command}: {''.join(said)}")


NEGOTIATED: Final = {
    "version": r"^Protocol version: (.+)$",
    "cipher": r"^Ciphersuite: (.+)$",
    "key exchange": r"^(?:Server Temp Key|Negotiated TLS1.3 group): (.+)$",
    "signature": r"^Signature type: (.+)$",
}
"""What ``openssl s_client -brief`` says, up to OpenSSL 3.1 and after."""


def negotiated(said: str) -> dict[str, str]:
    """
    Parse what ``openssl s_client -brief`` *said*.

    Raises:
        ClientError: It did not say it all.

    """
    facts = {}
    for fact, pattern in NEGOTIATED.items():
        found = re.search(pattern, said, re.MULTILINE)
        if found is None:
            raise ClientError(f"openssl s_client did not tell the {fact}: {said}")
        facts[fact] = found[1]
    return facts


def _run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path | None = None,
) -> str:
    """Run *command*, which is to end by itself, and return what it says."""
    done = subprocess.run(  # noqa: S603 - a program of our choice
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd=folder,
        timeout=TIMEOUT,
        check=False,
        text=True,
    )
    if done.returncode:
        raise ClientError(f"{' '.join(map(str, command))}: {done.stdout}")
    return done.stdout
