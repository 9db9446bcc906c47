"""PostgreSQL's regular expressions, parsed (HBA-78, ID-08)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth import are
from pgproxy.auth.are import (
    CAP,
    ELEMENTS,
    ENDLESS,
    LONGER,
    MIXED,
    SHORTER,
    Alt,
    Captured,
    Cat,
    Chars,
    Choice,
    Constraint,
    Expr,
    Iteration,
    Repeat,
    Split,
    Tree,
    parse,
)
from pgproxy.auth.are_lexer import (
    ALL,
    BADBR,
    BADRPT,
    CLASSES,
    ECOLLATE,
    ECTYPE,
    EPAREN,
    ERANGE,
    ESUBREG,
    InvalidRegularExpression,
    UnsupportedRegularExpression,
    byte_set,
)


def show(expr: Expr) -> str:
    """Return *expr*, briefly: characters, ``(xy)``, ``(x|y)``, ``x{1,2}``."""
    match expr:
        case Chars(mask=mask):
            found = [chr(code) for code in range(256) if mask >> code & 1]
            return found[0] if len(found) == 1 else f"[{len(found)}]"
        case Constraint(kind=kind):
            return f"<{kind}>"
        case Cat(items=items):
            return f"({''.join(map(show, items))})"
        case Alt(branches=branches):
            return f"({'|'.join(map(show, branches))})"
        case Repeat(item=item, least=least, most=most):
            return f"{show(item)}{{{least},{most}}}"


def tree(found: Tree) -> str:
    """Return a tree, briefly, with what each part prefers."""
    bits = ((LONGER, "L"), (SHORTER, "S"), (MIXED, "M"), (CAP, "C"))
    flags = "".join(letter for bit, letter in bits if found.flags & bit)
    match found:
        case Captured():
            return f"{flags}:!{show(found.expr)}"
        case Split(left=left, right=right):
            return f"{flags}:<{tree(left)} {tree(right)}>"
        case Choice(branches=branches):
            return f"{flags}:<{' | '.join(map(tree, branches))}>"
        case Iteration(child=child, most=most):
            return f"{flags}:<{tree(child)}>{{{most}}}"
        case _:
            return f"{flags}:{show(found.expr)}"


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


def test_elements() -> None:
    """Every name that PostgreSQL has for a character, and no other."""
    assert len(ELEMENTS) == 95
    assert set(ELEMENTS.values()) == {
        *range(0x80),
    } - set(string.ascii_letters.encode())
    assert ELEMENTS["US"] == ELEMENTS["IS1"] == 0x1F
    assert ELEMENTS["nine"] == ord("9")


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


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        # Without parentheses, preferences do not matter inside of a part.
        (b"ab*", "L:(ab{0,256})"),
        (b"ab*?", "S:(ab{0,256})"),
        (b"a", ":a"),
        (b"a|b*?", "LM:(a|b{0,256})"),
        (b"a*b*?", "LM:(a{0,256}b{0,256})"),
        (b"(?:(?:a*?)*)", "LM:a{0,256}{0,256}"),
        (b"a*?b{2}", "S:(a{0,256}b{2,2})"),
        # The first of all preferences is the branch's.
        (b"(a)", "C:!a"),
        (b"(a*?)", "SC:!a{0,256}"),
        (b"a(b*)c*?", "LMC:<:a LMC:<LC:!b{0,256} S:c{0,256}>>"),
        (b"a*?(b)", "SC:<S:a{0,256} C:!b>"),
        (b"(a)b", "C:<C:!a :b>"),
        (b"a?b*?(c)", "LMC:<L:a{0,1} SC:<S:b{0,256} C:!c>>"),
        (b"a?b*?c{0}^", "LM:(a{0,1}b{0,256}()<^>)"),
        (b"a{0}(b)", "C:<:() C:!b>"),
        # Alternatives prefer the longer.
        (b"(a)|b*?", "LMC:<C:!a | S:b{0,256}>"),
        (b"(?:a|b)(c)|d", "LC:<LC:<L:(a|b) C:!c> | :d>"),
        # x* is an iteration, x+ is x*x.
        (b"(a)*", "LC:<C:!a>{256}"),
        (b"(a*?){0,3}", "LMC:<SC:!a{0,256}>{3}"),
        (b"(a)+?", "SC:<S:a{0,256} C:!a>"),
        (b"(a){2,4}", "LC:<L:a{1,3} C:!a>"),
        (b"(a){2}", "C:<:a C:!a>"),
        (b"(?:a(b))*", "LC:<C:<:a C:!b>>{256}"),
        # A quantifier of once counts where it prefers something else.
        (b"(a*?){1,1}", "LMC:<L:() SC:!a{0,256}>"),
        (b"(a*){1,1}", "LC:!a{0,256}"),
        (b"(a){1,1}", "C:!a"),
        (b"(?:a*?){1,1}", "LM:a{0,256}"),
        # Only the first parentheses are looked for.
        (b"((a)b)", "C:!(ab)"),
        (b"(a)(b)", "C:<C:!a C:b>"),
        (b"(?:a|(b))(c)", "LC:<LC:<:a | C:!b> C:c>"),
        (b"(a){0}(b)", "C:(()b)"),
    ],
)
def test_tree(pattern: bytes, expected: str) -> None:
    """Where the first parentheses are, and what each part prefers; ID-08."""
    assert tree(parse(pattern)) == expected


def test_facts() -> None:
    """What is known of an expression: its ends and its lengths."""
    expr = parse(b"^a?b(?:cd|e){2,3}f*").expr
    assert (expr.first, expr.last) == (byte_set(b"ab"), byte_set(b"def"))
    assert (expr.shortest, expr.longest) == (3, 8 + ENDLESS)
    assert parse(b"(?:[ab]{2,5}|c)").expr.longest == 5


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
    assert are.MAX_DEPTH == 100
    parse(b"((a)(b)|(?:c)){3}" * 200)
