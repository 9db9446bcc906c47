"""`pgproxy certs` as a user has it, and openssl to judge what it makes."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pgproxy.cli import main


class Ca:
    """
    A CA in ``FOLDER/ca``, and what it issues in ``FOLDER/NAME``.

    Args:
        folder: Where.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "ca"

    def run(self, *arguments: str | Path) -> Result:
        """Run one command of `pgproxy certs`, as it comes."""
        return CliRunner(env={"PGPROXYCA": str(self.path)}).invoke(
            main, ["certs", *map(str, arguments)]
        )

    def do(self, *arguments: str | Path) -> Result:
        """Run one that has to succeed."""
        done = self.run(*arguments)
        assert done.exit_code == 0, done.output
        assert done.exception is None
        return done

    def refuse(self, *arguments: str | Path) -> str:
        """Run one that has to fail, and return what it says: one line."""
        done = self.run(*arguments)
        assert done.exit_code == 1, done.output
        assert isinstance(done.exception, SystemExit)  # and no traceback
        assert done.stdout == ""
        assert done.stderr.startswith("pgproxy: ")
        assert done.stderr.count("\n") == 1
        return done.stderr

    def server(self, *arguments: str) -> Path:
        """Issue a server's certificate, and return the folder with it."""
        out = self.folder / "server"
        self.do("issue", "server", "--out", out, *arguments)
        return out

    def client(self, role: str, *arguments: str) -> Path:
        """Issue a client's, and return the folder with it."""
        out = self.folder / "clients" / role
        self.do("issue", "client", role, "--out", out, *arguments)
        return out


def openssl(*arguments: str | Path) -> str:
    """Run openssl, which has to be content, and return what it says."""
    try:
        done = subprocess.run(
            ["openssl", *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
