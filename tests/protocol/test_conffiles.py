"""Files that include files: conffiles.c is the authority."""

import errno
import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.conffiles import (
    CONF_FILE_MAX_DEPTH,
    ConfFilesError,
    absolute_config_location,
    error_text,
    get_conf_files_in_dir,
    is_blank,
)
from pgproxy.protocol.errors import SqlState

TOP = "/etc/pg/top.conf"


def test_depth() -> None:
    """HBA-19; conffiles.h."""
    assert CONF_FILE_MAX_DEPTH == 10


@pytest.mark.parametrize(
    ("location", "calling_file", "path"),
    [
        ("b", "/etc/a", "/etc/b"),
        ("/b", "/etc/a", "/b"),
        ("/x/../b", "/etc/a", "/x/../b"),
        ("../b", "/etc/pg/a", "/etc/b"),
        ("./x//b", "/etc/a", "/etc/x/b"),
        ("x/", "/etc/a", "/etc/x"),
        (" b", "/etc/a", "/etc/ b"),
        ("~b", "/etc/a", "/etc/~b"),
        ("b", "", "b"),
        ("./b", "", "./b"),
        ("b", "a", "b"),
        ("../../../b", "/etc/a", "/b"),
    ],
)
def test_absolute_config_location(location: str, calling_file: str, path: str) -> None:
    assert absolute_config_location(location, calling_file) == path


@given(st.text("a./", min_size=1), st.text("a./"))
def test_a_location_from_an_absolute_file_is_absolute(name: str, base: str) -> None:
    """And says the same from wherever it is looked at again."""
    path = absolute_config_location(name, f"/{base}/x")
    assert posixpath.isabs(path)
    assert absolute_config_location(path, TOP) == path


def files_in(name: str, names: list[str], calling_file: str = TOP) -> list[str]:
    """Return what is included of a directory with these *names*."""
    asked: list[str] = []

    def list_directory(path: str) -> list[str]:
        asked.append(path)
        return names

    found = get_conf_files_in_dir(name, calling_file, list_directory)
    assert asked == [absolute_config_location(name, calling_file)]
    return found


def test_which_files_in_which_order() -> None:
    """HBA-18: by their bytes, and a byte that is no UTF-8 is the byte that it is."""
    names = [
        "a.conf",
        "\U00010000.conf",
        "\udcff.conf",
        "\uffe9.conf",
        "\u00e9.conf",
        "A.conf",
        "10.conf",
        "02_b.conf",
        ".conf",
        ".hid.conf",
        "x.conf~",
        "x.CONF",
        "xconf",
        "conf",
        " .conf",
    ]
    assert files_in("d", names) == [
        f"/etc/pg/d/{name}.conf"
        for name in (
            *(" ", "02_b", "10", "A", "a"),
            *("\u00e9", "\uffe9", "\U00010000", "\udcff"),
        )
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("d/../e/", "/etc/pg/e/x.conf"),
        ("/d//./e", "/d/e/x.conf"),
        (".", "/etc/pg/x.conf"),
        ("\f", "/etc/pg/\f/x.conf"),
        ("\u00a0", "/etc/pg/\u00a0/x.conf"),
    ],
)
def test_paths_of_the_files(name: str, path: str) -> None:
    """They are made canonical, even those in a directory that is given absolutely."""
    assert files_in(name, ["x.conf"]) == [path]


def test_an_empty_directory() -> None:
    assert files_in("d", []) == []


@pytest.mark.parametrize("name", ["", " ", " \t\r\n"])
def test_an_empty_name(name: str) -> None:
    """It is not the directory of the calling file."""
    with pytest.raises(ConfFilesError) as caught:
        get_conf_files_in_dir(name, TOP, lambda _path: pytest.fail("was listed"))
    assert caught.value.message == f'empty configuration directory name: "{name}"'
    assert str(caught.value) == caught.value.message
    assert caught.value.sqlstate is SqlState.INVALID_PARAMETER_VALUE


@pytest.mark.parametrize(
    ("number", "sqlstate"),
    [
        (errno.ENOENT, SqlState.UNDEFINED_FILE),
        (errno.EACCES, SqlState.INSUFFICIENT_PRIVILEGE),
        (errno.ENOTDIR, SqlState.WRONG_OBJECT_TYPE),
        (errno.EIO, SqlState.INTERNAL_ERROR),
    ],
)
def test_a_directory_that_cannot_be_listed(number: int, sqlstate: SqlState) -> None:
    def fail(path: str) -> list[str]:
        raise OSError(number, os.strerror(number), path)

    with pytest.raises(ConfFilesError) as caught:
        get_conf_files_in_dir("d", TOP, fail)
    assert caught.value.message == (
        f'could not open configuration directory "/etc/pg/d": {os.strerror(number)}'
    )
    assert caught.value.sqlstate is sqlstate


@pytest.mark.parametrize(
    ("name", "blank"),
    [("", True), (" \t\r\n", True), ("\f", False), ("\v", False), ("\xa0", False)],
)
def test_blank(name: str, blank: bool) -> None:
    assert is_blank(name) is blank


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.EIO, "Input/output error", "/x"), "Input/output error"),
        (OSError("no disk"), "no disk"),
    ],
)
def test_error_text(error: OSError, text: str) -> None:
    assert error_text(error) == text
