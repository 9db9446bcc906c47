"""Files and what they include: HBA-13 to HBA-20."""

import errno
import posixpath
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.auth_file import AuthFile, AuthLine, tokenize_auth_file
from pgproxy.auth.lexer import Token
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import Files

TOP = "/etc/pg/top.conf"


def read(content: Mapping[str, bytes | int], top: str = TOP) -> AuthFile:
    files = Files(content)
    return tokenize_auth_file(top, read=files.read, list_directory=files.list_directory)


def text(file: AuthFile) -> list[str]:
    """Return the lines in few words: fields by blanks, tokens by commas."""
    return [
        " ".join(",".join(token.text for token in field) for field in line.fields)
        for line in file.lines
    ]


def where(number: int, path: str = TOP) -> str:
    return f'line {number} of configuration file "{path}"'


def test_lines() -> None:
    """A line knows where it is from, and what it was like."""
    file = read({TOP: b'# first\n\nlocal  "all" a, b \\\r\n # last\nx\xff\n'})
    assert file == AuthFile(
        lines=(
            AuthLine(
                source=TOP,
                line_number=3,
                raw_line='local  "all" a, b  # last',
                fields=(
                    (Token("local", quoted=False),),
                    (Token("all", quoted=True),),
                    (Token("a", quoted=False), Token("b", quoted=False)),
                ),
            ),
            AuthLine(
                source=TOP,
                line_number=5,
                raw_line="x\udcff",
                fields=((Token("x\udcff", quoted=False),),),
            ),
        ),
        problems=(),
        notices=(),
    )
    assert file.lines[0].context == where(3)


@pytest.mark.parametrize(
    ("line", "content", "expected"),
    [
        # HBA-13: the tokens of a file.
        (b"host @names x", {"names": b"a b, c # d\ne\n"}, ["host a,b,c,e x"]),
        (b"host x,@names,y", {"names": b"a\nb"}, ["host x,a,b,y"]),
        (b'host "@names"', {}, ["host @names"]),
        (b"host @ x", {}, ["host @ x"]),
        (b'host @"" x', {}, ["host @ x"]),
        (b'host @"my names"', {"my names": b"a"}, ["host a"]),
        (b'@"my names" x', {"my names": b"a"}, ["a x"]),
        (b"host @sub/names", {"sub/names": b"a @more", "sub/more": b"b"}, ["host a,b"]),
        (b"host @/abs", {"/abs": b"a"}, ["host a"]),
        (b"host @../up", {"/etc/up": b"a"}, ["host a"]),
        (b"host @./sub//names", {"sub/names": b"a"}, ["host a"]),
        (b"host x@names", {}, ["host x@names"]),
        (b"host @names", {"names": b'"all" all'}, ["host all,all"]),
        # A directive in such a file is one too.
        (b"host @names", {"names": b"include more", "more": b"a b\nc"}, ["host a,b,c"]),
        # HBA-14: an empty one, and the fields behind it move.
        (b"host @names x y", {"names": b"# nobody\n"}, ["host x y"]),
        (b"host a,@names x", {"names": b""}, ["host a x"]),
        (b"@names", {"names": b""}, []),
        # HBA-16: directives have two fields, no more and no less.
        (b"include more", {"more": b"a\nb c"}, ["a", "b c"]),
        (b'"include" "more"', {"more": b"a"}, ["a"]),
        (b"include more,other", {"more": b"a"}, ["a"]),
        (b"include,x more,other", {"more": b"a"}, ["a"]),
        (b"include more x", {"more": b"a"}, ["include more x"]),
        (b"include", {"more": b"a"}, ["include"]),
        (b"INCLUDE more", {"more": b"a"}, ["INCLUDE more"]),
        (b"include @more", {"more": b"other", "other": b"a"}, ["a"]),
        (b"x include", {}, ["x include"]),
        (b"include_if_exists more", {"more": b"a"}, ["a"]),
        # HBA-18: which files of a directory, and in which order.
        (
            b"include_dir d",
            {
                "d/10.conf": b"ten",
                "d/A.conf": b"A",
                "d/02_b.conf": b"two",
                "d/a.conf": b"a",
                "d/\u00e9.conf": b"e",
                "d/\udcff.conf": b"ff",
                "d/\uffe9.conf": b"ef",
                "d/.conf": b"no",
                "d/.hid.conf": b"no",
                "d/x.conf~": b"no",
                "d/xconf": b"no",
                "d/x.CONF": b"no",
                "d/sub.conf/x.conf": b"no",
            },
            ["two", "ten", "A", "a", "e", "ef", "ff"],
        ),
        (b"include_dir d", {"d/1.conf": b"include 2", "d/2": b"a"}, ["a"]),
        (b"include_dir d", {"d/none": b"a"}, []),
        (b"include_dir d/../e/", {"e/a.conf": b"a"}, ["a"]),
        (b"include_dir X", {"X/a.conf": b"a"}, ["a"]),
        (b"include_dir \x0b", {"\x0b/a.conf": b"a"}, ["a"]),
        # An absolute path is taken as it is.
        (b"include /a//b/../c", {"/a//b/../c": b"a"}, ["a"]),
    ],
)
def test_included(
    line: bytes, content: Mapping[str, bytes], expected: list[str]
) -> None:
    files = {posixpath.join("/etc/pg", p): data for p, data in content.items()}
    file = read({TOP: line + b"\nlast\n", **files})
    assert (text(file), file.problems, file.notices) == ([*expected, "last"], (), ())


def test_included_lines_say_where_they_are_from() -> None:
    """HBA-20: they take the place of the directive, with numbers of their own."""
    file = read(
        {
            TOP: b"a\ninclude more\ninclude_dir d\ne",
            "/etc/pg/more": b"\nb",
            "/etc/pg/d/1.conf": b"c",
            "/etc/pg/d/2.conf": b"\n\nd",
        }
    )
    assert [(line.source, line.line_number) for line in file.lines] == [
        (TOP, 1),
        ("/etc/pg/more", 2),
        ("/etc/pg/d/1.conf", 1),
        ("/etc/pg/d/2.conf", 3),
        (TOP, 4),
    ]


def problem(message: str, sqlstate: SqlState, *context: str) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=sqlstate,
        message=message,
        context="\n".join(context) or None,
        event="auth_file.unreadable",
    )


MISSING = problem(
    'could not open file "/etc/pg/none": No such file or directory',
    SqlState.UNDEFINED_FILE,
    where(1),
)


@pytest.mark.parametrize(
    ("line", "content", "expected"),
    [
        # HBA-15, HBA-17.
        (b"host @none x", {}, MISSING),
        (b"include none", {}, MISSING),
        (
            b"include_if_exists more",
            {"/etc/pg/more": errno.EACCES},
            problem(
                'could not open file "/etc/pg/more": Permission denied',
                SqlState.INSUFFICIENT_PRIVILEGE,
                where(1),
            ),
        ),
        (
            b"include more/x",
            {"/etc/pg/more/x": errno.ENOTDIR},
            problem(
                'could not open file "/etc/pg/more/x": Not a directory',
                SqlState.WRONG_OBJECT_TYPE,
                where(1),
            ),
        ),
        (
            b"include more",
            {"/etc/pg/more": errno.EIO},
            problem(
                'could not open file "/etc/pg/more": Input/output error',
                SqlState.INTERNAL_ERROR,
                where(1),
            ),
        ),
        # PostgreSQL opens a directory, cannot read it, and goes on without it.
        (
            b"include d",
            {"/etc/pg/d/x": b""},
            problem(
                'could not read file "/etc/pg/d": Is a directory',
                SqlState.WRONG_OBJECT_TYPE,
                where(1),
            ),
        ),
        # HBA-18.
        (
            b"include_dir none",
            {},
            problem(
                'could not open configuration directory "/etc/pg/none": '
                "No such file or directory",
                SqlState.UNDEFINED_FILE,
                where(1),
            ),
        ),
        (
            b'include_dir ""',
            {},
            problem(
                'empty configuration directory name: ""',
                SqlState.INVALID_PARAMETER_VALUE,
                where(1),
            ),
        ),
        (
            b'include_dir " \t\r"',
            {},
            problem(
                'empty configuration directory name: " \t\r"',
                SqlState.INVALID_PARAMETER_VALUE,
                where(1),
            ),
        ),
        # The way to a file in a file, the nearest line first.
        (
            b"include more",
            {"/etc/pg/more": b"\nhost @none"},
            problem(
                'could not open file "/etc/pg/none": No such file or directory',
                SqlState.UNDEFINED_FILE,
                where(2, "/etc/pg/more"),
                where(1),
            ),
        ),
        (
            b"x @more",
            {"/etc/pg/more": b"\n\ninclude_dir none"},
            problem(
                'could not open configuration directory "/etc/pg/none": '
                "No such file or directory",
                SqlState.UNDEFINED_FILE,
                where(3, "/etc/pg/more"),
                where(1),
            ),
        ),
        (
            b"include_dir d",
            {"/etc/pg/d/1.conf": b"\ninclude none"},
            problem(
                'could not open file "/etc/pg/d/none": No such file or directory',
                SqlState.UNDEFINED_FILE,
                where(2, "/etc/pg/d/1.conf"),
                where(1),
            ),
        ),
    ],
)
def test_problems(
    line: bytes, content: Mapping[str, bytes | int], expected: Report
) -> None:
    """What cannot be read is told; the line is gone, the rest is read."""
    file = read({TOP: line + b"\nlast\n", **content})
    assert (file.problems, text(file), file.notices) == ((expected,), ["last"], ())


def test_missing_top() -> None:
    """HBA-47: there is no line to point to."""
    file = read({})
    message = f'could not open file "{TOP}": No such file or directory'
    assert file.problems == (problem(message, SqlState.UNDEFINED_FILE),)
    assert file.lines == ()


def test_an_error_without_a_text() -> None:
    """What has no errno is shown as it shows itself."""

    def fail(path: str) -> bytes:
        raise OSError(f"no {path} today")

    file = tokenize_auth_file(TOP, read=fail, list_directory=lambda _path: [])
    assert [p.message for p in file.problems] == [
        f'could not open file "{TOP}": no {TOP} today'
    ]


def test_every_problem_is_told() -> None:
    """One bad line does not hide another; in one line, the first ends it."""
    file = read({TOP: b"include a\nok\nx @b,@c @d\ninclude_dir e\n"})
    assert [report.context for report in file.problems] == [
        where(1),
        where(3),
        where(4),
    ]
    assert '"/etc/pg/b"' in file.problems[1].message
    assert text(file) == ["ok"]


def test_problems_in_an_expanded_file() -> None:
    """Each of its lines is told, and then the line that names it is bad."""
    content = {TOP: b"x @names,@none\nok", "/etc/pg/names": b"a\n@b\nc\n@d"}
    file = read(content)
    assert [report.message.split('"')[1] for report in file.problems] == [
        "/etc/pg/b",
        "/etc/pg/d",
    ]
    assert text(file) == ["ok"]


def test_skipped() -> None:
    """HBA-17: a file that need not be there is missed without a complaint."""
    file = read({TOP: b"\ninclude_if_exists none\nlast"})
    assert file.problems == ()
    assert file.notices == (
        Report(
            severity=Severity.LOG,
            sqlstate=SqlState.SUCCESSFUL_COMPLETION,
            message='skipping missing authentication file "/etc/pg/none"',
            context=where(2),
            event="auth_file.skipped",
        ),
    )
    assert text(file) == ["last"]


def test_skipped_deep_down() -> None:
    """The way there is told, the nearest line first."""
    file = read({TOP: b"include more", "/etc/pg/more": b"\ninclude_if_exists none"})
    (notice,) = file.notices
    assert notice.context == f"{where(2, '/etc/pg/more')}\n{where(1)}"


@pytest.mark.parametrize("line", [b"include %d", b"x @%d", b"include_if_exists %d"])
def test_depth(line: bytes) -> None:
    """HBA-19: ten files deep, and not eleven."""
    deep = {f"/etc/pg/{n}": line % (n + 1) for n in range(1, 10)}
    assert read({TOP: line % 1, **deep, "/etc/pg/10": b"end"}).problems == ()
    too_deep = read({TOP: line % 1, **deep, "/etc/pg/10": line % 11})
    (report,) = too_deep.problems
    assert report.message == (
        'could not open file "/etc/pg/11": maximum nesting depth exceeded'
    )
    assert report.sqlstate is SqlState.CONFIG_FILE_ERROR
    assert report.context is not None
    assert report.context.split("\n")[::10] == [where(1, "/etc/pg/10"), where(1)]
    assert too_deep.lines == ()


def test_a_file_that_includes_itself() -> None:
    """HBA-19: it is read until it is too deep; every line of it is there that often."""
    file = read({TOP: b"include top.conf\nx"})
    assert len(file.problems) == 1
    assert text(file) == ["x"] * 11


def test_a_directory_too_deep() -> None:
    """The files of a directory are one deeper than the line that includes it."""
    deep = {f"/etc/pg/{n}": b"include %d" % (n + 1) for n in range(1, 9)}
    last = {"/etc/pg/9": b"include_dir d", "/etc/pg/d/1.conf": b"end"}
    assert read({TOP: b"include 1", **deep, **last}).problems == ()
    last["/etc/pg/d/1.conf"] = b"include ../x"
    file = read({TOP: b"include 1", **deep, **last, "/etc/pg/x": b"end"})
    assert [p.message for p in file.problems] == [
        'could not open file "/etc/pg/x": maximum nesting depth exceeded'
    ]


@given(
    st.lists(
        st.sampled_from(
            [b"include ", b"include_dir ", b"@", b"a", b" ", b",", b'"', b"\\\n", b"\n"]
        )
    )
)
def test_any_file(parts: list[bytes]) -> None:
    """Whatever a file says: lines with fields, fields with tokens, and reports."""
    content = {TOP: b"".join(parts), "/etc/pg/a": b"a @b\n", "/etc/pg/d/a.conf": b"a"}
    file = read(content)
    assert all(field for line in file.lines for field in line.fields)
    assert all(line.fields for line in file.lines)
    assert all(report.context for report in file.problems)
