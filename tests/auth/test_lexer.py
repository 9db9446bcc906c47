"""The token rules: HBA-01 to HBA-12."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.lexer import TEXT, Token, Words, fields, logical_lines, next_token
from pgproxy.auth.regex import compile_regex


def by_token(line: bytes) -> list[list[Token]]:
    """Return the fields of *line*, token by token."""
    found: list[list[Token]] = []
    at, more = 0, False
    while True:
        goes_on = more
        token, at, more = next_token(line, at)
        if token is None:
            return found
        if goes_on:
            found[-1].append(token)
        else:
            found.append([token])


def at_once(line: bytes) -> list[list[Token]]:
    """Return the fields of *line*, as the reader of files asks for them."""
    return [list(field) for field in fields(line.decode(*TEXT), Words())]


def bare(*words: str) -> list[Token]:
    return [Token(word, quoted=False) for word in words]


def quoted(*words: str) -> list[Token]:
    return [Token(word, quoted=True) for word in words]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", []),
        (b" \t\r ", []),
        (b"a", [bare("a")]),
        (b"XaX", [bare("XaX")]),
        (b"host all all", [bare("host"), bare("all"), bare("all")]),
        # HBA-01: blanks are space, tab and CR, and nothing else.
        (b" a\tb\rc ", [bare("a"), bare("b"), bare("c")]),
        (b"a\x0bb\x0cc", [bare("a\x0bb\x0cc")]),
        ("a\u00a0b\u2028c\u0085d".encode(), [bare("a\u00a0b\u2028c\u0085d")]),
        (b"\xef\xbb\xbfhost", [bare("\ufeffhost")]),
        (b"a\nb", [bare("a\nb")]),
        (b"\xff\xce\x9f", [bare("\udcff\u039f")]),
        # HBA-02: commas.
        (b"a,b", [bare("a", "b")]),
        (b"a, b", [bare("a", "b")]),
        (b"a,\t\r b", [bare("a", "b")]),
        (b"a ,b", [bare("a"), bare("b")]),
        (b"a , b", [bare("a"), bare("b")]),
        (b",a", [bare("a")]),
        (b"a,,b", [bare("a", "b")]),
        (b"a, ,b", [bare("a", "b")]),
        (b"a,", [bare("a")]),
        (b"a, #c", [bare("a")]),
        (b"a,b c,d", [bare("a", "b"), bare("c", "d")]),
        (b",", []),
        # HBA-03: comments.
        (b"#", []),
        (b"# a b", []),
        (b"a#b c", [bare("a")]),
        (b"a #b", [bare("a")]),
        (b'"a#b" c', [quoted("a#b"), bare("c")]),
        (b'a"#"b', [bare("a#b")]),
        # HBA-04: quotes.
        (b'"a b"', [quoted("a b")]),
        (b'"a,b"', [quoted("a,b")]),
        (b'"a\tb\rc"', [quoted("a\tb\rc")]),
        (b'a"b c"d', [bare("ab cd")]),
        (b'"a""b"', [quoted('a"b')]),
        (b'"""a"""', [quoted('"a"')]),
        (b'a"""b', [bare('a"b')]),
        (b'""', [quoted("")]),
        (b'"","" ""', [quoted("", ""), quoted("")]),
        (b'""""', [quoted('"')]),
        (b'"a" "b"', [quoted("a"), quoted("b")]),
        (b'"a"b"c"', [quoted("abc")]),
        (b'"a" b', [quoted("a"), bare("b")]),
        (b'a,b" c",d e', [bare("a", "b c", "d"), bare("e")]),
        # HBA-05: only the first character makes a token quoted.
        (b'"all"', [quoted("all")]),
        (b'"al"l', [quoted("all")]),
        (b'""all', [quoted("all")]),
        (b'al"l"', [bare("all")]),
        (b'a"ll"', [bare("all")]),
        # HBA-06: an open quote runs to the end.
        (b'"a b,c #d', [quoted("a b,c #d")]),
        (b'a "', [bare("a"), quoted("")]),
        (b'"a"" b', [quoted('a" b')]),
        # HBA-10: nothing else is special.
        (rb"a\b \"c", [bare(r"a\b"), bare("\\c")]),
        (b"'a b'", [bare("'a"), bare("b'")]),
        (b"a=b;c:d", [bare("a=b;c:d")]),
    ],
)
def test_fields(line: bytes, expected: list[list[Token]]) -> None:
    assert by_token(line) == expected
    assert at_once(line) == expected


@pytest.mark.parametrize(
    ("line", "start", "expected"),
    [
        (b"ab c", 0, (Token("ab", quoted=False), 2, False)),
        (b"ab c", 2, (Token("c", quoted=False), 4, False)),
        (b"ab,c", 0, (Token("ab", quoted=False), 2, True)),
        (b"ab,c", 2, (Token("c", quoted=False), 4, False)),
        (b"ab#c", 0, (Token("ab", quoted=False), 4, False)),
        (b"  ", 0, (None, 2, False)),
        (b" #x", 0, (None, 3, False)),
        (b",#x", 0, (None, 3, False)),
    ],
)
def test_where_a_token_ends(
    line: bytes, start: int, expected: tuple[Token | None, int, bool]
) -> None:
    assert next_token(line, start) == expected


@pytest.mark.parametrize(
    ("token", "keyword"),
    [
        (Token("all", quoted=False), True),
        (Token("all", quoted=True), False),
        (Token("ALL", quoted=False), False),  # HBA-11
        (Token("al", quoted=False), False),
    ],
)
def test_keyword(token: Token, keyword: bool) -> None:
    assert token.is_keyword("all") is keyword


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a", [(1, b"a")]),
        (b"a\nb", [(1, b"a"), (2, b"b")]),
        (b"a\r\nb\r\r\n", [(1, b"a"), (2, b"b")]),
        (b"a\rb\n", [(1, b"a\rb")]),
        (b"\n\na\n", [(3, b"a")]),
        (b"a\x0bb\x0cc\xc2\x85d\n", [(1, b"a\x0bb\x0cc\xc2\x85d")]),  # LIB-16
        # HBA-08: continuation; HBA-09: the first line's number.
        (b"ho\\\nst\nx", [(1, b"host"), (3, b"x")]),
        (b"a\\\nb\\\nc\nd", [(1, b"abc"), (4, b"d")]),
        (b"a\\\r\nb\nc", [(1, b"ab"), (3, b"c")]),
        (b"a\\ \nb", [(1, b"a\\ "), (2, b"b")]),
        (b"# a\\\nb\nc", [(1, b"# ab"), (3, b"c")]),
        (b"a\\", [(1, b"a")]),
        (b"a\\\n", [(1, b"a")]),
        (b"x\na\\\nb\\", [(1, b"x"), (2, b"ab")]),
        (b"a\\\\\nb\nc", [(1, b"a\\b"), (3, b"c")]),
        # The backslash that is left is before the joint, so it does not join again.
        (b"a\\\\\n\nb", [(1, b"a\\"), (3, b"b")]),
        (b"\\\n\\\na\nb", [(1, b"a"), (4, b"b")]),
        (b"a\n\\\nb", [(1, b"a"), (2, b"b")]),
        (b"a\r\\\n\nb", [(1, b"a"), (3, b"b")]),
        # HBA-07: a NUL hides the end of its line too.
        (b"a\0b\nc\nd", [(1, b"ac"), (2, b"d")]),
        (b"a\0b", [(1, b"a")]),
        (b"a\n\0b", [(1, b"a")]),
        (b"\0\na", [(1, b"a")]),
        (b"a\\\0\nb\nc", [(1, b"a\\b"), (2, b"c")]),
        (b"a\0b\0c\nd", [(1, b"ad")]),
    ],
)
def test_lines(data: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert [(n, line) for n, line in logical_lines(data) if line] == expected


def test_empty_lines_are_lines() -> None:
    assert list(logical_lines(b"\n\na")) == [(1, b""), (2, b""), (3, b"a")]


@pytest.mark.parametrize(
    ("token", "member_check"),
    [
        (Token("+staff", quoted=False), True),
        (Token("+", quoted=False), True),
        (Token("+staff", quoted=True), False),
        (Token("staff+", quoted=False), False),
    ],
)
def test_member_check(token: Token, member_check: bool) -> None:
    """HBA-75: quoted, it is a name."""
    assert token.is_member_check() is member_check


@pytest.mark.parametrize(
    ("token", "name", "matches"),
    [
        (Token("ana", quoted=False), "ana", True),
        (Token("ana", quoted=True), "ana", True),
        (Token("ana", quoted=False), "Ana", False),
        (Token("/^a", quoted=True), "/^a", True),
        (Token("/^a", quoted=False, regex=compile_regex("^a")), "ana", True),
        (Token("/^a", quoted=True, regex=compile_regex("^a")), "eva", False),
    ],
)
def test_token_matches(token: Token, name: str, matches: bool) -> None:
    """HBA-77, HBA-79: byte for byte, or by the expression that it was compiled to."""
    assert token.matches(name) is matches


@given(
    st.lists(
        st.sampled_from([*b' \t\r\n,#""@\\a0/=\f\xa0\xc3']).map(
            lambda char: bytes([char])
        )
        | st.binary(max_size=3)
    ).map(b"".join)
)
def test_a_line_at_once_is_the_same(line: bytes) -> None:
    """HBA-01 to HBA-06: the short way finds what the long way finds."""
    assert at_once(line) == by_token(line)


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "part",
    [
        b" ",
        b",",
        b'"',
        b'""',
        b'"a',
        b'a"',
        b'"a"',
        b'"a" ',
        b"a,",
        b", ",
        b"a#",
        b'a "',
    ],
)
def test_a_long_line_takes_no_longer(part: bytes) -> None:
    """No line is looked at again and again: the time grows as the line does."""
    line = part * (300_000 // len(part))
    assert at_once(line) == by_token(line)


def test_words_are_known_again() -> None:
    """A quoted word is another one."""
    words = Words()
    first, second, third = fields('all "all" all', words)
    assert first == third == (Token("all", quoted=False),)
    assert first[0] is third[0]
    assert second == (Token("all", quoted=True),)
    assert words == {"all": first[0], '"all"': second[0]}


@given(st.lists(st.binary().filter(lambda b: b"\0" not in b), min_size=1))
def test_written_with_quotes_reads_back(values: list[bytes]) -> None:
    """Any bytes but NUL and the end of a line can be written in quotes."""
    line = b" ".join(b'"' + v.replace(b'"', b'""') + b'"' for v in values)
    assert by_token(line) == [
        quoted(v.decode("utf-8", "surrogateescape")) for v in values
    ]


@given(st.binary())
def test_any_bytes(line: bytes) -> None:
    """Whatever comes, the reader comes to the end, and loses no character."""
    at, last = 0, -1
    while True:
        token, at, _more = next_token(line, at)
        if token is None:
            break
        assert last < at <= len(line)
        last = at
    assert at == len(line)


@given(st.binary())
def test_line_numbers(data: bytes) -> None:
    """A line is numbered as an editor numbers it, unless there are NULs."""
    data = data.replace(b"\0", b"")
    physical = data.split(b"\n")
    for number, line in logical_lines(data):
        assert line.startswith(physical[number - 1].rstrip(b"\r").removesuffix(b"\\"))
