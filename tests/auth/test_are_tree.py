"""Where the first parentheses are, and what each part prefers (ID-08)."""

import pytest

from pgproxy.auth.are import parse
from pgproxy.auth.are_expr import chars
from pgproxy.auth.are_tree import MAX_DEPTH, Atom, Captured, Tree, branch_tree
from tests.auth.trees import tree


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


def test_depth() -> None:
    """How deep they are, is said; what is too deep is not made."""
    letter = chars(1 << ord("a"))
    lazy = Atom(Tree(letter, 0), captures=False, least=0, most=1, prefers=2)
    greedy = Atom(Tree(letter, 0), captures=False, least=0, most=1, prefers=1)
    first = Atom(Captured(letter, 8), captures=True, least=1, most=1, prefers=0)
    assert branch_tree([])[1] == 0
    assert branch_tree([lazy, greedy] * 300)[1] == 0
    assert branch_tree([first, *[lazy, greedy] * 300])[1] == 1
    assert branch_tree([lazy, greedy] * 10 + [first])[1] == 11
    assert branch_tree([lazy, greedy] * 300 + [first])[1] == MAX_DEPTH + 1
