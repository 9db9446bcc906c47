"""The key of the server, and who knows its passphrase: TLS-50 to TLS-54."""

import ssl
from pathlib import Path

import pytest

from pgproxy.protocol.errors import Report
from pgproxy.server.private_key import run_ssl_passphrase_command
from pgproxy.server.tls import build_context
from pgproxy.server.tls_error import TlsConfigurationError
from tests.support.tls_files import Folder

SECRET = b"open sesame"


@pytest.fixture
def locked(folder: Folder) -> Folder:
    """Return a folder whose key has a passphrase."""
    folder.server.write(folder.path / "server.crt", folder.path / "server.key", SECRET)
    return folder


def reports(folder: Folder, *, at_start: bool, **settings: object) -> list[Report]:
    with pytest.raises(TlsConfigurationError) as error:
        build_context(folder.settings(**settings), folder.path, at_start=at_start)
    return list(error.value.reports)


PRINTS = f"echo '{SECRET.decode()}'"


@pytest.mark.parametrize(
    "command",
    [
        PRINTS,
        f"printf '%%s\\r\\n' '{SECRET.decode()}'",
        f"{PRINTS}; echo second line; echo said >&2",
        f"test '%p' = 'Enter PEM pass phrase:' && {PRINTS}",
    ],
)
def test_command(locked: Folder, command: str) -> None:
    """TLS-51: the shell runs it; its first line counts, without its end."""
    settings = locked.settings(ssl_passphrase_command=command)
    assert build_context(settings, locked.path).complete


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("echo a b", b"a b"),
        ("echo ' a '", b" a "),
        ("true", b""),
        ("echo; echo x", b""),
        ("echo '%%p %p'", b"%p Enter PEM pass phrase:"),
        ("printf 'x\\n\\ny'", b"x"),
    ],
)
def test_first_line(command: str, printed: bytes) -> None:
    assert run_ssl_passphrase_command(command) == printed


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        ("exit 3", "child process exited with exit code 3"),
        ("/no/such/command", "command not found"),
        ("/dev/null", "command not executable"),
        ("kill -TERM $$", "child process was terminated by signal 15: Terminated"),
    ],
)
def test_command_fails(locked: Folder, command: str, detail: str) -> None:
    """TLS-52: at the start that is all; at a reload the key is tried with nothing."""
    settings = {
        "ssl_passphrase_command": command,
        "ssl_passphrase_command_supports_reload": True,
    }
    (report,) = reports(locked, at_start=True, **settings)
    assert report.message == f'command "{command}" failed'
    assert report.detail == detail
    first, second = reports(locked, at_start=False, **settings)
    assert first == report
    assert second.message.startswith('could not load private key file "server.key": ')


@pytest.mark.parametrize("command", ["echo wrong", "true"])
def test_wrong_passphrase(locked: Folder, command: str) -> None:
    (report,) = reports(locked, at_start=True, ssl_passphrase_command=command)
    assert report.message.startswith('could not load private key file "server.key": ')


def test_passphrase_that_is_too_long(locked: Folder) -> None:
    """OpenSSL takes 1024 bytes."""
    command = "head -c 2000 /dev/zero | tr '\\\\0' x"
    (report,) = reports(locked, at_start=True, ssl_passphrase_command=command)
    assert report.message.startswith('could not load private key file "server.key": ')


@pytest.mark.parametrize("command", ["", PRINTS])
def test_reload_without_support(locked: Folder, command: str) -> None:
    """TLS-31, TLS-54: nobody is asked, neither at the terminal nor by the command."""
    (report,) = reports(locked, at_start=False, ssl_passphrase_command=command)
    assert report.message == (
        'private key file "server.key" cannot be reloaded because it requires a '
        "passphrase"
    )
    assert report.hint is not None
    assert "ssl_passphrase_command_supports_reload" in report.hint


def test_reload_with_support(locked: Folder) -> None:
    """TLS-54, TLS-15: then the command is run again."""
    settings = locked.settings(
        ssl_passphrase_command=PRINTS, ssl_passphrase_command_supports_reload=True
    )
    assert build_context(settings, locked.path, at_start=False).complete


def test_a_key_without_a_passphrase_asks_nobody(folder: Folder, tmp_path: Path) -> None:
    """TLS-54: it is reloaded regardless, and the command is not even run."""
    ran = tmp_path / "ran"
    for at_start in (True, False):
        settings = folder.settings(
            ssl_passphrase_command=f"touch {ran}",
            ssl_passphrase_command_supports_reload=True,
        )
        context = build_context(settings, folder.path, at_start=at_start).context
        assert isinstance(context, ssl.SSLContext)
    assert not ran.exists()
