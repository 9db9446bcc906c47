"""The peers: where they are, and how Debian brings them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

PACKAGES: Final = {
    "pgbouncer": "pgbouncer",
    "stunnel": "stunnel4",
    "openssl": "openssl",
}
"""Which of Debian's packages has which program."""

PATH: Final = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin"))
"""Where programs are looked for: Debian's pgbouncer is where root finds it."""

POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""Asked by Debian's packages before they start a service; 101 is a no."""


def find(program: str) -> Path | None:
    """Return where *program* is."""
    found = shutil.which(program, path=PATH)
    return Path(found) if found else None


def install() -> None:
    """Install what is missing, where apt-get is there and we may; say so."""
    missing = [package for name, package in PACKAGES.items() if find(name) is None]
    apt_get = find("apt-get")
    if not missing or apt_get is None:
        return
    command = [str(apt_get), "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        click.echo(f"Not root; run this for more to compare: {' '.join(command)}")
        return
    click.echo(f"Installing {', '.join(missing)}.")
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _no_services():
        for one in ([str(apt_get), "update"], command):
            done = subprocess.run(  # noqa: S603 - a command of our own
                one, check=False, env=variables, stdout=subprocess.DEVNULL
            )
            if done.returncode:  # what is missing is left out of the comparison
                click.echo(f"{' '.join(one)} failed, see above.", err=True)


@contextmanager
def _no_services() -> Iterator[None]:
    """Have Debian's packages start nothing: we start what we measure ourselves."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
