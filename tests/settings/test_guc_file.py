"""Files that include files; guc-file.l and conffiles.c are the authority."""

import errno
import os
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.conffiles import CONF_FILE_MAX_DEPTH
from pgproxy.protocol.errors import Severity, SqlState
from pgproxy.settings.guc_file import ConfigFiles, ConfigVariable

Files = Mapping[str, str | bytes | int]
"""What is in each file; a number is the errno that opening it fails with."""


class Disk:
    """Some files, and who has asked for them."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.asked: list[str] = []

    def read(self, path: str) -> bytes:
        self.asked.append(path)
        content = self.files.get(path, errno.ENOENT)
        if isinstance(content, int):
            raise OSError(content, os.strerror(content), path)
        return content.encode() if isinstance(content, str) else content

    def list_directory(self, path: str) -> Iterable[str]:
        self.asked.append(path)
        error = self.files.get(path)
        if isinstance(error, int):
            raise OSError(error, os.strerror(error), path)
        inside = [f for f in self.files if f.startswith(f"{path}/")]
        return reversed([f.removeprefix(f"{path}/") for f in inside])

    def parse(self, name: str = "/etc/a.conf") -> ConfigFiles:
        found = ConfigFiles(self.read, self.list_directory)
        found.parse_file(name)
        return found


def parse(files: Files) -> ConfigFiles:
    return Disk(files).parse()


def lines(found: ConfigFiles) -> list[tuple[str, str, str, int]]:
    return [(v.name, v.value, v.sourcefile, v.sourceline) for v in found.variables]


def messages(found: ConfigFiles) -> list[str]:
    return [report.message for report in found.problems]


def test_names_values_and_lines() -> None:
    found = parse({"/etc/a.conf": "a=1\n\n# no\r\nB 'x'\r\na = 2"})
    assert found.variables == [
        ConfigVariable("a", "1", "/etc/a.conf", 1),
        ConfigVariable("B", "x", "/etc/a.conf", 4),
        ConfigVariable("a", "2", "/etc/a.conf", 5),
    ]
    assert (found.problems, found.notices) == ([], [])


def test_bytes_that_are_no_utf8() -> None:
    found = parse({"/etc/a.conf": b"a = '\xff\xc3\xa9'\n"})
    assert lines(found) == [("a", "\udcffé", "/etc/a.conf", 1)]


def test_syntax_errors() -> None:
    """All of them, and what is right around them as well."""
    found = parse({"/etc/a.conf": "a\nb = \n=3\nc = 1 2 3\nd=4\ne"})
    assert messages(found) == [
        'syntax error in file "/etc/a.conf" line 1, near end of line',
        'syntax error in file "/etc/a.conf" line 2, near end of line',
        'syntax error in file "/etc/a.conf" line 3, near token "="',
        'syntax error in file "/etc/a.conf" line 4, near token "2"',
        # PostgreSQL says line 5: it has not counted a line end that is not there.
        'syntax error in file "/etc/a.conf" line 6, near end of line',
    ]
    for report in found.problems:
        assert (report.severity, report.sqlstate, report.event) == (
            Severity.LOG,
            SqlState.SYNTAX_ERROR,
            "settings.rejected",
        )
    assert lines(found) == [("d", "4", "/etc/a.conf", 5)]


def test_a_hundred_syntax_errors_are_enough() -> None:
    found = parse({"/etc/a.conf": "=\n" * 99 + "a=1\n=\nb=2\n"})
    assert len(found.problems) == 101
    assert messages(found)[-1] == (
        'too many syntax errors found, abandoning file "/etc/a.conf"'
    )
    assert found.problems[-1].sqlstate is SqlState.PROGRAM_LIMIT_EXCEEDED
    assert lines(found) == [("a", "1", "/etc/a.conf", 100)]


def test_ninety_nine_are_not() -> None:
    found = parse({"/etc/a.conf": "=\n" * 99 + "b=2\n"})
    assert len(found.problems) == 99
    assert lines(found) == [("b", "2", "/etc/a.conf", 100)]


def test_what_is_abandoned_is_one_file() -> None:
    found = parse(
        {
            "/etc/a.conf": "include 'b.conf'\nc=3",
            "/etc/b.conf": "=\n" * 200 + "b=2",
        }
    )
    assert len(found.problems) == 101
    assert lines(found) == [("c", "3", "/etc/a.conf", 2)]


def test_include() -> None:
    """Where it stands, and relative to the file that it stands in."""
    found = parse(
        {
            "/etc/a.conf": "a=1\nINCLUDE 'sub/b.conf'\na=4\ninclude = '/c.conf'",
            "/etc/sub/b.conf": "a=2\ninclude '../d.conf'",
            "/etc/d.conf": "a=3",
            "/c.conf": "a=5",
        }
    )
    assert lines(found) == [
        ("a", "1", "/etc/a.conf", 1),
        ("a", "2", "/etc/sub/b.conf", 1),
        ("a", "3", "/etc/d.conf", 1),
        ("a", "4", "/etc/a.conf", 3),
        ("a", "5", "/c.conf", 1),
    ]
    assert found.problems == []


@pytest.mark.parametrize(
    ("number", "sqlstate"),
    [
        (errno.ENOENT, SqlState.UNDEFINED_FILE),
        (errno.EACCES, SqlState.INSUFFICIENT_PRIVILEGE),
        (errno.EPERM, SqlState.INSUFFICIENT_PRIVILEGE),
        (errno.EISDIR, SqlState.WRONG_OBJECT_TYPE),
        (errno.ENOTDIR, SqlState.WRONG_OBJECT_TYPE),
        (errno.EIO, SqlState.INTERNAL_ERROR),
    ],
)
def test_files_and_directories_that_cannot_be_read(
    number: int, sqlstate: SqlState
) -> None:
    found = parse(
        {
            "/etc/a.conf": "include 'b'\ninclude_dir 'd'\nc=3",
            "/etc/b": number,
            "/etc/d": number,
        }
    )
    why = os.strerror(number)
    assert messages(found) == [
        f'could not open configuration file "/etc/b": {why}',
        f'could not open configuration directory "/etc/d": {why}',
    ]
    assert {report.sqlstate for report in found.problems} == {sqlstate}
    assert lines(found) == [("c", "3", "/etc/a.conf", 3)]


def test_an_error_without_a_number() -> None:
    def read(path: str) -> bytes:
        raise OSError(path)

    found = ConfigFiles(read, lambda _: ())
    found.parse_file("/x")
    assert messages(found) == ['could not open configuration file "/x": /x']
    assert found.problems[0].sqlstate is SqlState.INTERNAL_ERROR


def test_the_first_file_has_to_be_there() -> None:
    found = Disk({}).parse("./a.conf")
    assert messages(found) == [
        'could not open configuration file "./a.conf": No such file or directory'
    ]


@pytest.mark.parametrize("name", ["\f", "\xa0", "X"])
def test_names_that_only_look_empty(name: str) -> None:
    found = parse({"/etc/a.conf": f"include '{name}'\ninclude_dir '{name}'"})
    assert messages(found) == [
        f'could not open configuration file "/etc/{name}": No such file or directory'
    ]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_include_if_exists(number: int) -> None:
    found = parse(
        {
            "/etc/a.conf": "include_if_exists 'b'\nInclude_If_Exists = 'c'",
            "/etc/b": number,
            "/etc/c": "c=1",
        }
    )
    assert lines(found) == [("c", "1", "/etc/c", 1)]
    assert found.problems == []
    (notice,) = found.notices
    assert notice.message == 'skipping missing configuration file "/etc/b"'
    assert (notice.severity, notice.sqlstate) == (
        Severity.LOG,
        SqlState.SUCCESSFUL_COMPLETION,
    )
    assert notice.event == "settings.file_skipped"


def test_what_an_optional_file_includes_has_to_be_there() -> None:
    found = parse({"/etc/a.conf": "include_if_exists 'b'", "/etc/b": "include 'c'"})
    assert messages(found) == [
        'could not open configuration file "/etc/c": No such file or directory'
    ]


def test_include_dir() -> None:
    """The files that end in .conf, in the order of their bytes, hidden ones not."""
    found = parse(
        {
            "/etc/a.conf": "include_dir 'd'\nz=1",
            "/etc/d/é.conf": "a=6",
            "/etc/d/b.conf": "a=4",
            "/etc/d/B.conf": "a=3",
            "/etc/d/10.conf": "a=1\ninclude 'x'",
            "/etc/d/9.conf": "a=2",
            "/etc/d/b.conf.bak": "no=1",
            "/etc/d/b.CONF": "no=1",
            "/etc/d/.x.conf": "no=1",
            "/etc/d/.conf": "no=1",
            "/etc/d/conf": "no=1",
            "/etc/d/x": "a=5",
        }
    )
    assert [variable.value for variable in found.variables] == [
        "1",
        "5",
        "2",
        "3",
        "4",
        "6",
        "1",
    ]
    assert found.variables[1].sourcefile == "/etc/d/x"
    assert found.problems == []


def test_the_order_is_that_of_bytes() -> None:
    """A byte that is no UTF-8 sorts as the byte that it is."""
    disk = Disk(
        {
            "/etc/a.conf": "include_dir 'd'",
            "/etc/d/\udcff.conf": "a=2",
            "/etc/d/\U00010000.conf": "a=1",
        }
    )
    assert [variable.value for variable in disk.parse().variables] == ["1", "2"]


def test_one_bad_file_does_not_hide_the_next() -> None:
    found = parse(
        {
            "/etc/a.conf": "include_dir 'd'",
            "/etc/d/1.conf": "=",
            "/etc/d/2.conf": "==",
        }
    )
    assert len(found.problems) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("include ''", 'empty configuration file name: ""'),
        ("include_if_exists ' '", 'empty configuration file name: " "'),
        ("include '\\t\\r\\n'", 'empty configuration file name: "\t\r\n"'),
        ("include_dir ''", 'empty configuration directory name: ""'),
        ("include_dir ' '", 'empty configuration directory name: " "'),
        ("include 'a.conf'", 'configuration file recursion in "/etc/a.conf"'),
        ("include '/etc/a.conf'", 'configuration file recursion in "/etc/a.conf"'),
        (
            "include_if_exists '../etc/./a.conf'",
            'configuration file recursion in "/etc/a.conf"',
        ),
    ],
)
def test_includes_that_make_no_sense(line: str, message: str) -> None:
    disk = Disk({"/etc/a.conf": f"{line}\nb=2"})
    found = disk.parse()
    assert messages(found) == [message]
    assert found.problems[0].sqlstate is SqlState.INVALID_PARAMETER_VALUE
    assert lines(found) == [("b", "2", "/etc/a.conf", 2)]
    assert disk.asked == ["/etc/a.conf"]


def chain(length: int, how: str = "include") -> dict[str, str]:
    """Make files that include one another, and one at the end."""
    files = {f"/etc/{n}.conf": f"{how} '{n + 1}.conf'" for n in range(length)}
    return {**files, f"/etc/{length}.conf": "a=1"}


@pytest.mark.parametrize("how", ["include", "include_if_exists"])
def test_ten_levels_are_not_too_deep(how: str) -> None:
    found = Disk(chain(CONF_FILE_MAX_DEPTH, how)).parse("/etc/0.conf")
    assert lines(found) == [("a", "1", "/etc/10.conf", 1)]
    assert found.problems == []


@pytest.mark.parametrize("how", ["include", "include_if_exists"])
def test_eleven_levels_are(how: str) -> None:
    files = chain(CONF_FILE_MAX_DEPTH + 1)
    files["/etc/10.conf"] = f"{how} '11.conf'\nb=1"
    found = Disk(files).parse("/etc/0.conf")
    assert messages(found) == [
        'could not open configuration file "11.conf": maximum nesting depth exceeded'
    ]
    assert found.problems[0].sqlstate is SqlState.PROGRAM_LIMIT_EXCEEDED
    assert lines(found) == [("b", "1", "/etc/10.conf", 2)]


def test_a_directory_is_a_level() -> None:
    files = chain(CONF_FILE_MAX_DEPTH)
    files["/etc/9.conf"] = "include_dir 'd'"
    files["/etc/d/x.conf"] = "include_dir '../e'"
    files["/etc/e/y.conf"] = "a=1"
    found = Disk(files).parse("/etc/0.conf")
    assert messages(found) == [
        (
            'could not open configuration file "/etc/e/y.conf": maximum nesting depth '
            "exceeded"
        )
    ]


def test_a_directory_with_the_file_that_includes_it() -> None:
    found = parse({"/etc/a.conf": "include_dir '.'", "/etc/b.conf": "b=1"})
    assert messages(found) == ['configuration file recursion in "/etc/a.conf"']
    assert lines(found) == [("b", "1", "/etc/b.conf", 1)]


def test_a_loop_is_told_once() -> None:
    """Two files with two ways to each other: 2,047 ways to be too deep."""
    disk = Disk(
        {
            "/etc/a.conf": "include 'b.conf'\ninclude 'b.conf'",
            "/etc/b.conf": "include 'a.conf'\ninclude_dir '.'\na=1",
        }
    )
    found = disk.parse()
    assert len(found.problems) == 1
    assert "maximum nesting depth exceeded" in messages(found)[0]
    assert len(disk.asked) < 30


@given(st.binary(), st.binary())
def test_any_bytes_are_read_or_refused(first: bytes, second: bytes) -> None:
    found = parse(
        {
            "/etc/a.conf": first + b"\ninclude 'b'\ninclude_dir '.'",
            "/etc/b": second,
        }
    )
    for variable in found.variables:
        assert variable.sourcefile in {"/etc/a.conf", "/etc/b"}
        assert variable.sourceline > 0
