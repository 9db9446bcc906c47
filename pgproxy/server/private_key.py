"""The server's certificate and key: which files will do, and who knows a passphrase."""

import errno
import os
import re
import signal
import ssl
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pgproxy.auth.hosts import HostsLine
from pgproxy.protocol.errors import SqlState
from pgproxy.server.port import ssl_reason
from pgproxy.server.tls_error import TlsConfigurationError, tls_error

PROMPT: Final = "Enter PEM pass phrase:"
"""What ``%p`` stands for: OpenSSL's own prompt (TLS-51)."""

_CERTIFICATE_HEAD: Final = re.compile(
    rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----"
)


class _Encrypted(Exception):
    """The key asks for a passphrase, and nobody may be asked."""


def _nobody_knows() -> bytes:
    raise _Encrypted


def load_certificate(
    context: ssl.SSLContext, host: HostsLine, directory: Path, *, at_start: bool
) -> None:
    """
    Load the chain and the key of *host*.

    A key with a passphrase is read with what its command prints. With no such command
    OpenSSL asks on the terminal, at the start and never later (TLS-50 to TLS-54).

    Raises:
        TlsConfigurationError: In PostgreSQL's words (TLS-25 to TLS-32).

    """
    cert, key = host.ssl_cert, host.ssl_key
    try:
        pem = _path(directory, cert).read_bytes()
        if not _CERTIFICATE_HEAD.search(pem):
            raise tls_error(
                f'could not load server certificate file "{cert}": no start line'
            )
        # Of a faulty pair load_cert_chain does not say which half it means.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(directory / cert)
    except ssl.SSLError as error:
        raise tls_error(
            f'could not load server certificate file "{cert}": {ssl_reason(error)}'
        ) from error
    except OSError as error:
        raise tls_error(
            f'could not load server certificate file "{cert}": {error.strerror}'
        ) from error
    check_key_permissions(key, directory)
    passphrase = _Passphrase(host, at_start=at_start)
    try:
        context.load_cert_chain(directory / cert, directory / key, passphrase.ask)
    except _Encrypted:
        raise tls_error(
            f'private key file "{key}" cannot be reloaded because it requires a '
            "passphrase",
            hint="Set ssl_passphrase_command, and "
            "ssl_passphrase_command_supports_reload, or restart pgproxy.",
        ) from None
    except ssl.SSLError as error:
        raise passphrase.failure(_key_error(key, ssl_reason(error))) from error
    except (OSError, ValueError) as error:  # ValueError: more than 1024 bytes
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise tls_error(f'could not load private key file "{key}": {why}') from error


def _key_error(key: str, reason: str) -> TlsConfigurationError:
    if reason == "no certificate assigned":
        # A key of another algorithm than the certificate's can be loaded, and is
        # found not to match only when both are there (TLS-32).
        return tls_error(f"check of private key failed: {reason}")
    # Python loses OpenSSL's word for a file without a key in it.
    reason = "no start line" if reason.endswith("PEM lib") else reason
    return tls_error(f'could not load private key file "{key}": {reason}')


class _Passphrase:
    """Who is asked for the passphrase, if the key has one."""

    def __init__(self, host: HostsLine, *, at_start: bool) -> None:
        self._command = host.ssl_passphrase_cmd
        self._at_start = at_start
        self._broken: TlsConfigurationError | None = None
        may_run = at_start or host.ssl_passphrase_reload
        # None: OpenSSL asks, on the terminal.
        self.ask: Callable[[], bytes] | None = None if at_start else _nobody_knows
        if self._command and may_run:
            self.ask = self._run

    def _run(self) -> bytes:
        try:
            return run_ssl_passphrase_command(self._command)
        except TlsConfigurationError as error:
            if self._at_start:
                raise
            # As PostgreSQL: the key is then tried with nothing (TLS-52).
            self._broken = error
            return b""

    def failure(self, error: TlsConfigurationError) -> TlsConfigurationError:
        """Return *error* with what the command had to say, if it failed."""
        if self._broken is None:
            return error
        return TlsConfigurationError(*self._broken.reports, *error.reports)


def run_ssl_passphrase_command(command: str) -> bytes:
    """
    Return the first line that *command* prints, without its end.

    ::

        %p    the prompt        %%    a percent sign

    The shell runs it; what it says on standard error goes to ours.

    Raises:
        TlsConfigurationError: It failed (TLS-52).

    Source: ``run_ssl_passphrase_command`` in be-secure-common.c.

    """
    expanded = re.sub("%([%p])", lambda m: "%" if m[1] == "%" else PROMPT, command)
    # The administrator's own command, for the shell, as PostgreSQL runs it.
    done = subprocess.run(  # noqa: S602
        expanded,
        shell=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise tls_error(
            f'command "{expanded}" failed', detail=_wait_result(done.returncode)
        )
    return done.stdout.partition(b"\n")[0].rstrip(b"\r\n")


def _wait_result(status: int) -> str:
    """Say how a process has ended; ``wait_result_to_str`` in wait_error.c."""
    match status:
        case 126:
            return "command not executable"
        case 127:
            return "command not found"
        case _ if status < 0:
            return (
                f"child process was terminated by signal {-status}: "
                f"{signal.strsignal(-status)}"
            )
        case _:
            return f"child process exited with exit code {status}"


def _path(directory: Path, name: str) -> Path:
    # The empty name would be the directory itself; to fopen it is no file
    # (TLS-02, TLS-03).
    if not name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return directory / name


def check_key_permissions(key: str, directory: Path) -> None:
    """
    Refuse a private key that others could read.

    Raises:
        TlsConfigurationError: As PostgreSQL words it (TLS-26 to TLS-29, TLS-48).

    Source: ``check_ssl_key_file_permissions`` in be-secure-common.c.

    """
    try:
        info = _path(directory, key).stat()
    except OSError as error:
        raise tls_error(
            f'could not access private key file "{key}": {error.strerror}',
            sqlstate=SqlState.UNDEFINED_FILE,
        ) from error
    if not stat.S_ISREG(info.st_mode):
        raise tls_error(f'private key file "{key}" is not a regular file')
    if info.st_uid not in {os.geteuid(), 0}:
        raise tls_error(
            f'private key file "{key}" must be owned by the database user or root'
        )
    # Running as root, it is the first rule that counts.
    forbidden = 0o077 if info.st_uid == os.geteuid() else 0o037
    if info.st_mode & forbidden:
        raise tls_error(
            f'private key file "{key}" has group or world access',
            detail="File must have permissions u=rw (0600) or less if owned by the "
            "database user, or permissions u=rw,g=r (0640) or less if owned by root.",
        )
