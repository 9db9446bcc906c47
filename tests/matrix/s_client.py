"""openssl's own client: the TLS of an operator who tries by hand."""

import contextlib
import shutil
import subprocess
from pathlib import Path
from typing import IO, Final

from tests.support import oracles, wire
from tests.support.drivers_base import VERSIONS, Driver, Login, RefusedError
from tests.support.drivers_clients import ENVIRONMENT
from tests.support.wire import Message

CLEARTEXT_PASSWORD: Final = 3
"""AuthenticationCleartextPassword; see "Message Formats" in the manual."""

OPTIONS: Final = {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}

END: Final = "-----END CERTIFICATE-----\n"


def program() -> str:
    """Return where openssl is; skips the test, or fails it, if there is none."""
    return shutil.which("openssl") or oracles.absent("there is no openssl here")


class SClient(Driver):
    """
    `openssl s_client -starttls postgres`, with PostgreSQL's messages in its pipes.

    It knows TLS only; what is said inside is said here. Of passwords it can be asked
    for one in clear text.
    """

    name = "s_client"
    direct = False
    is_libpq = False

    def ask(self, login: Login, sql: str) -> str:
        """Ask in a session of its own."""
        with subprocess.Popen(
            _command(login),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        ) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            try:
                answer = _talk(process.stdin, process.stdout, login, sql)
                if answer is None:
                    raise RefusedError(process.stderr.read().decode())
                return answer
            finally:
                process.kill()
                # What it could not be told is not told by closing, either.
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()


def _command(login: Login) -> list[str | Path]:
    version = [] if login.version is None else [OPTIONS[VERSIONS[login.version]]]
    return [
        # -quiet: nothing but the server's bytes on standard output, and no commands
        # in ours.
        *(program(), "s_client", "-quiet", "-starttls", "postgres"),
        *("-connect", f"127.0.0.1:{login.port}", *version),
        *("-CAfile", login.root_file, "-verify_return_error"),
        *("-verify_ip", "127.0.0.1", *_certificate(login)),
    ]


def _certificate(login: Login) -> list[str | Path]:
    """Return the options; what is behind the leaf wants a file of its own."""
    if login.certificate is None:
        return []
    cert, key = login.certificate
    options: list[str | Path] = ["-cert", cert, "-key", key]
    _leaf, _end, rest = cert.read_text().partition(END)
    if rest:
        chain = cert.with_suffix(".chain")
        chain.write_text(rest)
        options += ["-cert_chain", chain]
    return options


def _talk(to: IO[bytes], of: IO[bytes], login: Login, sql: str) -> str | None:
    """
    Log in, run *sql*, and return the only value of its result; None: TLS has ended.

    Raises:
        RefusedError: The server says so, inside TLS.

    """
    answer = None
    _say(to, wire.startup(user=login.user, database=login.database))
    while message := _hear(of):
        if message.kind == "E":
            fields = message.fields
            raise RefusedError(fields["M"], fields["C"])
        if message.kind == "R" and message.code == CLEARTEXT_PASSWORD:
            _say(to, wire.message(b"p", login.password.encode() + b"\0"))
        elif message.kind == "D":
            # Int16 count of columns, Int32 length, Byten.
            answer = message.payload[6:].decode()
        elif message.kind == "Z":
            _say(to, wire.query(sql) if answer is None else wire.TERMINATE)
    return answer


def _say(to: IO[bytes], data: bytes) -> None:
    # Where TLS has ended, openssl is gone: that is seen when it is read from.
    with contextlib.suppress(BrokenPipeError):
        to.write(data)
        to.flush()


def _hear(of: IO[bytes]) -> Message | None:
    head = of.read(5)
    if len(head) < 5:
        return None
    return Message(chr(head[0]), of.read(int.from_bytes(head[1:]) - 4))
