"""What a regular expression matches, and what is known of it (HBA-78)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.are_chars import byte_set
from pgproxy.auth.are_expr import (
    ENDLESS,
    INFINITY,
    NOTHING,
    Constraint,
    Expr,
    alt,
    cat,
    chars,
    repeat,
)

A, B, C = (chars(byte_set(letter)) for letter in (b"a", b"b", b"c"))
START = Constraint(kind="^", offset=0)


@pytest.mark.parametrize(
    ("expr", "first", "last", "shortest", "longest"),
    [
        (A, b"a", b"a", 1, 1),
        (NOTHING, b"", b"", 0, 0),
        (START, b"", b"", 0, 0),
        (cat([A, B]), b"a", b"b", 2, 2),
        (
            cat([START, repeat(A, 0, 1), B, repeat(C, 0, INFINITY)]),
            b"ab",
            b"bc",
            1,
            2 + ENDLESS,
        ),
        (alt([cat([A, B]), C, NOTHING]), b"ac", b"bc", 0, 2),
        (repeat(cat([A, B]), 2, 3), b"a", b"b", 4, 6),
        (repeat(NOTHING, 0, INFINITY), b"", b"", 0, ENDLESS),
    ],
)
def test_ends(
    expr: Expr, first: bytes, last: bytes, shortest: int, longest: int
) -> None:
    """With what it may begin and end, and how long it may be."""
    assert (expr.first, expr.last) == (byte_set(first), byte_set(last))
    assert (expr.shortest, expr.longest) == (shortest, longest)


def test_simplest() -> None:
    """What is one thing, is that thing."""
    assert cat([A]) is A
    assert repeat(A, 1, 1) is A
    assert repeat(A, 0, 0) is NOTHING


def test_size() -> None:
    """A program has a state for each range of bytes, and for each copy."""
    assert A.size == 1
    assert chars(0).size == 1
    assert chars(byte_set(b"abceg")).size == 3
    assert cat([A, B]).size == 3
    assert alt([A, B]).size == 4
    assert repeat(A, 0, INFINITY).size == 3
    assert repeat(A, 5, INFINITY).size == 11
    assert repeat(repeat(A, 2, 10), 0, 10).size == 1 + 10 * 22


def test_copies() -> None:
    """Of nested repetitions the numbers multiply."""
    inner = repeat(A, 2, 10)
    assert cat([B, inner, repeat(A, 3, INFINITY)]).copies == 10
    assert alt([B, inner]).copies == 10
    assert repeat(cat([B, inner]), 7, INFINITY).copies == 70
    assert repeat(inner, 0, INFINITY).copies == 10


EXPRS = st.recursive(
    st.sampled_from([(A, "a"), (B, "b"), (NOTHING, "")]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(
            lambda found: (cat(e for e, _ in found), "".join(t for _, t in found))
        ),
        st.lists(inner, min_size=2, max_size=3).map(
            lambda found: (
                alt(e for e, _ in found),
                f"(?:{'|'.join(t for _, t in found)})",
            )
        ),
        st.tuples(inner, st.integers(0, 2), st.integers(0, 2)).map(
            lambda found: (
                repeat(found[0][0], found[1], found[1] + found[2]),
                f"(?:{found[0][1]}){{{found[1]},{found[1] + found[2]}}}",
            )
        ),
    ),
    max_leaves=6,
)


@given(EXPRS, st.binary(max_size=6).map(lambda b: bytes(97 + n % 2 for n in b)))
def test_facts_hold(found: tuple[Expr, str], text: bytes) -> None:
    """Whatever it matches, is as long and has such ends."""
    expr, pattern = found
    if re.fullmatch(pattern.encode(), text):
        assert expr.shortest <= len(text) <= expr.longest
        if text:
            assert expr.first >> text[0] & 1
            assert expr.last >> text[-1] & 1
