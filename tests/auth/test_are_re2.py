r"""Regular expressions, written for RE2 (HBA-78)."""

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.are import parse
from pgproxy.auth.are_expr import chars
from pgproxy.auth.are_lexer import UnsupportedRegularExpression
from pgproxy.auth.are_re2 import Writer

NEVER = r"[^\x00-\xff]"


def written(pattern: bytes) -> str:
    """Return *pattern* as RE2 is given it, with letters instead of their sets."""
    expr = parse(pattern).expr
    text = Writer(pattern, expr).write(expr)
    for letter in "abc-":
        code = f"{ord(letter):02x}"
        text = text.replace(rf"[\x{code}-\x{code}]", letter)
    return text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"", ""),
        (b"^ab$", r"\Aab\z"),
        (b"(?n)^ab$", r"(?m:^)ab(?m:$)"),
        (rb"\A\y\Y\Z", r"\A\b\B\z"),
        (b"a|b|", "(?:a|b|)"),
        (b"(a)b", "ab"),
        (b"a*b+c?", "(?:a)*(?:b)+(?:c)?"),
        (b"a*?", "(?:a)*"),
        (b"a{2}b{3,}c{0,4}", "(?:a){2,2}(?:b){3,}(?:c){0,4}"),
        (b".", r"[\x00-\xff]"),
        (b"[a-c\xe0-\xff]", r"[\x61-\x63\xe0-\xff]"),
        (rb"\u20ac", NEVER),
        # The side of a boundary that is sure.
        (rb"\ma", r"\ba"),
        (rb"a\M", r"a\b"),
        (rb"-\m", r"-\b"),
        (rb"\M-", r"\b-"),
        (rb"^\m", r"\A\b"),
        (rb"\M$", r"\b\z"),
        (rb"a\m", f"a{NEVER}"),
        (rb"\m-", f"{NEVER}-"),
        (rb"-\M", f"-{NEVER}"),
        (rb"\Ma", f"{NEVER}a"),
        (rb"\m(?:a|bc)", r"\b(?:a|bc)"),
        (rb"\m-*a", None),
        (rb"\m(?:a|)", None),
        (rb"(?:\ma-)*", r"(?:\ba-)*"),
        (rb"(?:\m|-)a", r"(?:\b|-)a"),
        (rb"(?:\m|-)a?", None),
        (rb"(?:a|-)\m", None),
        (rb"(?n)-?^\m", r"(?:-)?(?m:^)\b"),
        (rb"(?n)$\m", None),
    ],
)
def test_written(pattern: bytes, expected: str | None) -> None:
    """What RE2 is given; None: one side of a word boundary is not sure."""
    if expected is None:
        with pytest.raises(UnsupportedRegularExpression):
            written(pattern)
    else:
        assert written(pattern) == expected


@given(st.integers(0, (1 << 256) - 1), st.binary(max_size=20))
def test_sets(mask: int, text: bytes) -> None:
    """A set of bytes is that set for RE2."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    expr = chars(mask)
    program = re2.compile(Writer(b"", expr).write(expr).encode(), options)
    for code in text:
        assert (program.fullmatch(bytes([code])) is not None) is bool(mask >> code & 1)
