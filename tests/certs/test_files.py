"""Files that are there whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pgproxy.certs import files


@pytest.mark.parametrize("mode", [files.PRIVATE, files.PUBLIC])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_mode(tmp_path: Path, mode: int, umask: int) -> None:
    """The mode is what was asked for, whatever the umask."""
    before = os.umask(umask)
    try:
        files.write(tmp_path / "a", b"x", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode
    assert (tmp_path / "a").read_bytes() == b"x"


def test_private_from_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the first byte is written nobody else can open the file."""
    seen = []
    fdopen = os.fdopen

    def watched(descriptor: int, mode: str) -> object:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return fdopen(descriptor, mode)

    monkeypatch.setattr(os, "fdopen", watched)
    before = os.umask(0)
    try:
        files.write(tmp_path / "a", b"x", mode=files.PRIVATE)
        files.write(tmp_path / "a", b"y", mode=files.PRIVATE, replace=True)
    finally:
        os.umask(before)
    assert seen == [files.PRIVATE, files.PRIVATE]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    """What is there stays, even if it is a link to nowhere; nothing else is left."""
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").symlink_to("nowhere")
    for name in ("a", "b"):
        with pytest.raises(FileExistsError):
            files.write(tmp_path / name, b"new", mode=files.PUBLIC)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]


def test_replaced_when_asked(tmp_path: Path) -> None:
    """And whoever has the old one open still reads the old one."""
    (tmp_path / "a").write_bytes(b"old")
    with (tmp_path / "a").open("rb") as old:
        files.write(tmp_path / "a", b"new", mode=files.PUBLIC, replace=True)
        assert old.read() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_replacing_keeps_the_owner(tmp_path: Path) -> None:
    """A server's key is still the server's when root has renewed it."""
    (tmp_path / "a").write_bytes(b"old")
    os.chown(tmp_path / "a", 4711, 4712)
    files.write(tmp_path / "a", b"new", mode=files.PRIVATE, replace=True)
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (4711, 4712)
    files.write(tmp_path / "b", b"new", mode=files.PRIVATE, replace=True)
    assert (tmp_path / "b").stat().st_uid == 0


def test_nothing_is_left_of_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}/a'$"):
        files.write(tmp_path / "a", b"new", mode=files.PUBLIC, replace=True)
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    """Another process gets it when this one has let go of it."""
    program = (
        "import sys; from pathlib import Path; from pgproxy.certs import files\n"
        "with files.locked(Path(sys.argv[1])): print('in', flush=True)\n"
    )
    with files.locked(tmp_path):
        other = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate()[0] == b"in\n"
    assert stat.S_IMODE((tmp_path / files.LOCK).stat().st_mode) == files.PRIVATE
