"""Who serves a directory: one at a time, and only as long as it lives."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pgproxy.server import pid_file
from pgproxy.server.pid_file import NAME, AlreadyRunning, PidFile, check_free
from tests.support.oracles import CHECKOUT

NOBODY = 2**22 + 1
"""A process that cannot be: Linux has no number above 2**22."""


def content(pid: int | str, folder: Path) -> str:
    return f"{pid}\n{folder}\n1700000000\n6432\n127.0.0.1\n"


def test_create(tmp_path: Path) -> None:
    """A line each, and everybody may know that it is ours alone to write."""
    mine = PidFile.create(tmp_path, 6432, "127.0.0.1")
    assert PidFile.read(tmp_path) == mine
    assert mine.pid == os.getpid()
    assert abs(mine.started - time.time()) < 60
    assert (mine.directory, mine.port, mine.address) == (tmp_path, 6432, "127.0.0.1")
    text = (tmp_path / NAME).read_text()
    assert text == (f"{os.getpid()}\n{tmp_path}\n{mine.started}\n6432\n127.0.0.1\n")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_no_address(tmp_path: Path) -> None:
    """``listen_addresses`` may be empty."""
    assert PidFile.read(tmp_path) is None
    PidFile.create(tmp_path, 6432, "")
    found = PidFile.read(tmp_path)
    assert found is not None
    assert found.address == ""


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    """The name of a directory is bytes."""
    folder = tmp_path / "\udce9"
    folder.mkdir()
    mine = PidFile.create(folder, 6432, "127.0.0.1")
    assert PidFile.read(folder) == mine


@pytest.mark.parametrize("running", [os.getppid(), 1])
def test_already_running(tmp_path: Path, running: int) -> None:
    """Init too is somebody, whom we may not even ask."""
    (tmp_path / NAME).write_text(content(running, tmp_path))
    with pytest.raises(AlreadyRunning) as other:
        check_free(tmp_path)
    assert other.value.pid == running
    with pytest.raises(AlreadyRunning):
        PidFile.create(tmp_path, 1, "")
    assert (tmp_path / NAME).read_text() == content(running, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_somebody_whom_we_may_not_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lives, whoever it is."""

    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    (tmp_path / NAME).write_text(content(1, tmp_path))
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(AlreadyRunning):
        check_free(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        content(NOBODY, Path("/x")),
        content(os.getpid(), Path("/x")),  # ours, from before a restart of a container
        content(0, Path("/x")),  # kill(0) would ask ourselves
        content(-1, Path("/x")),  # and kill(-1) everybody
        content(10**20, Path("/x")),
        content("garbage", Path("/x")),
        "1\n",
        "",
        "\xff\n" * 5,
    ],
)
def test_stale(tmp_path: Path, text: str) -> None:
    """What a process has left that is no more is taken over."""
    (tmp_path / NAME).write_text(text, "latin-1")
    check_free(tmp_path)
    mine = PidFile.create(tmp_path, 6432, "")
    assert PidFile.read(tmp_path) == mine
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_unreadable(tmp_path: Path) -> None:
    """Then nobody can tell, and nothing is taken over."""
    (tmp_path / NAME).mkdir()
    with pytest.raises(IsADirectoryError):
        PidFile.read(tmp_path)
    with pytest.raises(IsADirectoryError):
        PidFile.create(tmp_path, 6432, "")
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be finished is not begun."""

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        PidFile.create(tmp_path, 6432, "")
    assert list(tmp_path.iterdir()) == []


def test_remove(tmp_path: Path) -> None:
    """Ours; and not one that somebody else has put there since."""
    mine = PidFile.create(tmp_path, 6432, "")
    mine.remove()
    assert list(tmp_path.iterdir()) == []
    mine.remove()
    (tmp_path / NAME).write_text(content(os.getppid(), tmp_path))
    mine.remove()
    assert (tmp_path / NAME).exists()


STARTER = """
import sys
from pathlib import Path
from pgproxy.server.pid_file import AlreadyRunning, PidFile
sys.stdin.readline()
try:
    PidFile.create(Path(sys.argv[1]), 1, "")
    print("mine", flush=True)
except AlreadyRunning:
    print("taken", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("stale", [False, True])
def test_several_at_once(tmp_path: Path, stale: bool) -> None:
    """Of many that start in the same moment, one serves."""
    if stale:
        (tmp_path / NAME).write_text(content(NOBODY, tmp_path))
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
        )
        for _ in range(6)
    ]
    said = []
    try:
        for word in ("go\n", "end\n"):
            for one in starters:
                assert one.stdin is not None
                one.stdin.write(word)
                one.stdin.flush()
            if word == "go\n":
                said = [one.stdout.readline() for one in starters if one.stdout]
    finally:
        for one in starters:
            one.communicate()
    assert sorted(said) == ["mine\n", *["taken\n"] * 5]


def test_a_dead_process_is_not_alive() -> None:
    """The table above would be of no use otherwise."""
    assert not pid_file._is_alive(NOBODY)
    assert pid_file._is_alive(os.getpid())
