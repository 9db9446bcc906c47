"""Which files a configuration was read from, and when it is worth another look."""

import os
from pathlib import Path

import pytest

from pgproxy.server.watch import Files


def test_nothing_read() -> None:
    assert Files().changed() == ()


def test_changes(tmp_path: Path) -> None:
    """What is written, replaced, removed or made is noticed; the rest is not."""
    (tmp_path / "folder").mkdir()
    paths = [tmp_path / name for name in ("a", "b", "c", "d", "missing")]
    for path in paths[:-1]:
        path.write_text("1")
    files = Files()
    for path in paths[:-1]:
        assert files.read_file(str(path)) == b"1"
    with pytest.raises(FileNotFoundError):
        files.read_file(str(paths[-1]))
    assert list(files.list_directory(str(tmp_path / "folder"))) == []
    assert files.changed() == ()
    paths[0].write_text("more")
    (tmp_path / "new").write_text("1")
    (tmp_path / "new").rename(paths[1])
    paths[2].unlink()
    paths[4].write_text("1")
    (tmp_path / "folder" / "x.conf").touch()
    assert files.changed() == tuple(
        map(str, (*paths[:3], paths[4], tmp_path / "folder"))
    )


def test_exchanged_as_a_whole(tmp_path: Path) -> None:
    """As Kubernetes does: a link to a folder of links, swapped."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "tls.crt").write_text("same size " + version)
        os.utime(tmp_path / version / "tls.crt", (0, 0))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "tls.crt").symlink_to("..data/tls.crt")
    files = Files()
    files.note(tmp_path / "tls.crt")
    (tmp_path / "..tmp").symlink_to("2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert files.changed() == (str(tmp_path / "tls.crt"),)


def test_first_look_counts(tmp_path: Path) -> None:
    """A file that was read twice, and changed in between, has changed."""
    path = tmp_path / "a"
    path.write_text("1")
    files = Files()
    files.note(path)
    path.write_text("more")
    files.note(path)
    before = files.now()
    assert files.changed() == (str(path),)
    path.write_text("even more")
    assert files.now() != before
