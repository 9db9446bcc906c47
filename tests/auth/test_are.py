"""PostgreSQL's regular expressions, parsed (HBA-78, ID-08)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.are import parse
from pgproxy.auth.are_chars import ALL, CLASSES, byte_set
from pgproxy.auth.are_expr import Chars
from pgproxy.auth.are_lexer import (
    BADBR,
    BADRPT,
    ECOLLATE,
    ECTYPE,
    EPAREN,
    ERANGE,
    ESUBREG,
    InvalidRegularExpression,
    UnsupportedRegularExpression,
)
from pgproxy.auth.are_tree import CAP, MAX_DEPTH
from tests.auth.trees import show, tree


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"", "()"),
        (b"abc", "(abc)"),
        (b"a|b|", "(a|b|())"),
        (
            b"a*b+?c?d{2}e{3,}f{0,4}g{0}h{1}",
            "(a{0,256}b{1,256}c{0,1}d{2,2}e{3,256}f{0,4}()h)",
        ),
        (b"(?:a|b)(c)()", "((a|b)c())"),
        (b"^a$", "(<^>a<$>)"),
        (rb"\A\Z\m\M\y\Y", "(<^><$><<><>><y><Y>)"),
        (b"[[:<:]]a[[:>:]]", "(<<>a<>>)"),
        (b"(?n)^.[^a]$", "(<n^>[255][254]<n$>)"),
        (b"(?w)^.$", "(<n^>[256]<n$>)"),
        (b"(?p)^.$", "(<^>[255]<$>)"),
        (b"(?e)a)", "(a))"),
        (b"(?q)a)(*", "(a)(*)"),
        (b"(?i)a1.", "([2]1[256])"),
        (rb"\w\W\d", "([63][193][10])"),
        (rb"\u20ac", "[0]"),
    ],
)
def test_expr(pattern: bytes, expected: str) -> None:
    """What a regular expression matches; HBA-78."""
    assert show(parse(pattern).expr) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"[abc]", byte_set(b"abc")),
        (b"[^abc]", ALL & ~byte_set(b"abc")),
        (b"[a-c]", byte_set(b"abc")),
        (b"[a-a]", byte_set(b"a")),
        (b"[]-]", byte_set(b"]-")),
        (b"[+--]", byte_set(b"+,-")),
        (b"[[.a.]-[.c.]]", byte_set(b"abc")),
        (b"[[.hyphen.][.NUL.][.alert.]]", byte_set(b"-\0\a")),
        (b"[[=a=][=tilde=]]", byte_set(b"a~")),
        (b"[[:digit:][:space:]]", CLASSES["digit"] | CLASSES["space"]),
        (rb"[\d\S]", CLASSES["digit"] | (ALL & ~CLASSES["space"])),
        (rb"[\x80-\u20ac]", byte_set(range(0x80, 0x100))),
        (rb"[\u20ac-\u20ad]", 0),
        (rb"[^\u20ac]", ALL),
        (b"(?i)[b-c]", byte_set(b"bcBC")),
        (b"(?i)[[:lower:]]", CLASSES["alpha"]),
        (b"(?i)[^b\xe9]", ALL & ~byte_set(b"bB\xe9")),
        (b"(?i)\xe9", byte_set(b"\xe9")),
        (b"(?n)[^a]", ALL & ~byte_set(b"a\n")),
        (b"(?n)[\n]", byte_set(b"\n")),
    ],
)
def test_brackets(pattern: bytes, expected: int) -> None:
    """What characters are in a set; case is a matter of ASCII alone; HBA-78."""
    expr = parse(pattern).expr
    assert isinstance(expr, Chars)
    assert expr.mask == expected


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        (b"(", EPAREN),
        (b"(a", EPAREN),
        (b"(a|", EPAREN),
        (b")", EPAREN),
        (b"(a))", EPAREN),
        (b"(?=a", EPAREN),
        (b"*", BADRPT),
        (b"a**", BADRPT),
        (b"a|+", BADRPT),
        (b"^*", BADRPT),
        (b"({1}", BADRPT),
        (b"(?e)a*?", BADRPT),
        (b"a{2,1}", BADBR),
        (b"a{256}", BADBR),
        (b"a{0256}", BADBR),
        (b"a{1,2,3}", BADBR),
        (b"a{1,,}", BADBR),
        (b"[b-a]", ERANGE),
        (b"[a-b-c]", ERANGE),
        (b"[a-[:digit:]]", ERANGE),
        (b"[[.ab.]]", ECOLLATE),
        (b"[[..]]", ECOLLATE),
        (b"[[=ab=]]", ECOLLATE),
        (b"[[:foo:]]", ECTYPE),
        (b"[[::]]", ECTYPE),
        (rb"\1", ESUBREG),
        (rb"(a\1)", ESUBREG),
        (rb"(a)(?=\1)", ESUBREG),
        # What PostgreSQL does not take comes before what pgproxy does not.
        (rb"(a)\1(", EPAREN),
        (rb"(?=a)*", BADRPT),
        (rb"(?:a{255}){255}(", EPAREN),
    ],
)
def test_errors(pattern: bytes, error: str) -> None:
    """What is wrong with a pattern, in PostgreSQL's words; HBA-78."""
    with pytest.raises(InvalidRegularExpression) as caught:
        parse(pattern)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("pattern", "why", "position"),
    [
        (rb"(a)b\1c", "a back reference", 5),
        (rb"(a){0}\1", "a back reference", 7),
        ("é(?=a)".encode(), "a lookahead", 2),
        (b"\xff\xfe(?!a)", "a lookahead", 3),
        (b"x(?<=a)(?=b)", "a lookbehind", 2),
        (b"(?<!(a|(b)))", "a lookbehind", 1),
        (b"(?b)a", "the embedded option b", 1),
        (b"ab(x{0,255}){0,255}", "something too large", 3),
        (b"(?:a{40}){40}", "something too large", 1),
        (b"x(?:a{255}b{255}c{255}|d){40}", "something too large", 2),
        (b"a(?:b|(?:cd){255}(?:[ace]{255}){4})", "something too large", 18),
        (b"a" * 10_001, "something too large", 1),
        (b"x|" * 10_001, "something too large", 1),
        (b"a(bcdefghijk){0,255}", "something too large", 2),
        (b"(" * 101, "parentheses that are too deep", 101),
        (b"a" + b"b?c*?" * 101 + b"(d)", "first parentheses that are too far", 1),
    ],
)
def test_unsupported(pattern: bytes, why: str, position: int) -> None:
    """What PostgreSQL takes and pgproxy does not, with its place; HBA-78."""
    with pytest.raises(UnsupportedRegularExpression) as caught:
        parse(pattern)
    assert (caught.value.why, caught.value.position) == (why, position)


@pytest.mark.parametrize(
    "pattern",
    [
        b"(" * 100 + b")" * 100,
        b"(?:a{25}){40}",
        b"(a){0}",
        b"(bcdefghij){0,}",
        b"b?c*?" * 1000,
        b"(a)" + b"b?c*?" * 1000,
        b"(a)" * 5000,
        b"a" * 9_999,
    ],
)
def test_just_fits(pattern: bytes) -> None:
    """What is within the limits is taken."""
    parse(pattern)


ATOMS = st.sampled_from(["a", ".", "[a-c]", r"\d", "^", "$", r"\y", ""])


@st.composite
def patterns(draw: st.DrawFn, depth: int = 3) -> str:
    """Make a pattern that is right."""
    pieces = []
    for _ in range(draw(st.integers(0, 3))):
        atom = draw(ATOMS)
        if depth and draw(st.booleans()):
            atom = draw(st.sampled_from(["({})", "(?:{})"])).format(
                draw(patterns(depth=depth - 1))
            )
        if atom not in ("^", "$", r"\y", ""):
            atom += draw(st.sampled_from(["", "*", "+?", "{1,2}", "{0}", "??"]))
        pieces.append(atom)
    return draw(st.sampled_from(["", "|"])).join(pieces)


@given(patterns())
def test_right(pattern: str) -> None:
    """What follows the grammar is taken, and its tree is of the same whole."""
    found = parse(pattern.encode())
    assert found.expr.shortest <= found.expr.longest
    if found.flags & CAP:
        assert "(" in pattern
    alone = parse(f"(?:{pattern})".encode())
    assert show(alone.expr) == show(found.expr)
    assert tree(alone) == tree(found)


@given(
    st.binary(max_size=30)
    | st.text("ab()[]{}|*+?\\^$.:=!<1,-dwmM", max_size=30).map(str.encode)
)
def test_any(pattern: bytes) -> None:
    """Whatever it is, it is taken or refused; there is no other error."""
    position = 1
    try:
        parse(pattern)
    except InvalidRegularExpression:
        pass
    except UnsupportedRegularExpression as error:
        position = error.position
    assert 1 <= position <= max(len(pattern), 1)


def test_depth_is_of_nesting() -> None:
    """Parentheses side by side are not deep."""
    assert MAX_DEPTH == 100
    parse(b"((a)(b)|(?:c)){3}" * 200)
