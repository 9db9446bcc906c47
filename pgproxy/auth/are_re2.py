"""
Regular expressions, written for RE2.

It is given bytes as Latin-1, so that one byte is one character.
"""

from functools import lru_cache
from typing import Final, assert_never

from pgproxy.auth.are_chars import ALL, WORD
from pgproxy.auth.are_expr import (
    INFINITY,
    Alt,
    Cat,
    Chars,
    Constraint,
    Expr,
    Repeat,
)
from pgproxy.auth.are_lexer import unsupported

_EDGE: Final = 1 << 256
"""Beside the bytes of a set: the beginning, or the end, of the text."""

_ANYTHING: Final = ALL | _EDGE


_CONSTRAINTS: Final = {
    "^": r"\A",
    "$": r"\z",
    "n^": "(?m:^)",
    "n$": "(?m:$)",
    "y": r"\b",
    "Y": r"\B",
}

_QUANTIFIERS: Final = {(0, 1): "?", (0, INFINITY): "*", (1, INFINITY): "+"}


class Writer:
    r"""
    Writes parts of a regular expression for RE2.

    RE2 has no ``\m`` and no ``\M``. Each is a word boundary, of which one side is
    known; so it is ``\b`` where the pattern leaves no choice at that side, or at the
    other. Where it does, the pattern is refused.
    """

    def __init__(self, pattern: bytes, expr: Expr) -> None:
        self._pattern = pattern
        self._sides = dict[int, str]()
        self._look(expr, _ANYTHING, _ANYTHING)

    def write(self, expr: Expr) -> str:
        """Return *expr* as RE2 takes it."""
        match expr:
            case Chars(mask=mask):
                return _chars(mask)
            case Constraint(kind="<" | ">", offset=offset):
                return self._sides[offset]
            case Constraint(kind=kind):
                return _CONSTRAINTS[kind]
            case Cat(items=items):
                return "".join(map(self.write, items))
            case Alt(branches=branches):
                return f"(?:{'|'.join(map(self.write, branches))})"
            case Repeat(item=item, least=least, most=most):
                limit = "" if most == INFINITY else most
                times = _QUANTIFIERS.get((least, most), f"{{{least},{limit}}}")
                return f"(?:{self.write(item)}){times}"
            case _:
                assert_never(expr)

    def _look(self, expr: Expr, before: int, after: int) -> None:
        """Find the sides in *expr*; *before* and *after* may be around it."""
        match expr:
            case Constraint(kind="<", offset=offset):
                self._sides[offset] = self._side(r"\m", offset, before, after)
            case Constraint(kind=">", offset=offset):
                self._sides[offset] = self._side(r"\M", offset, after, before)
            case Cat(items=items):
                afters = []
                for item in reversed(items):
                    afters.append(after)
                    after = _around(item, item.first, after, "$")
                for item, behind in zip(items, reversed(afters), strict=True):
                    self._look(item, before, behind)
                    before = _around(item, item.last, before, "^")
            case Alt(branches=branches):
                for branch in branches:
                    self._look(branch, before, after)
            case Repeat(item=item):
                self._look(item, before | item.last, after | item.first)
            case Chars() | Constraint():
                pass
            case _:
                assert_never(expr)

    def _side(self, name: str, offset: int, outer: int, inner: int) -> str:
        """Return the boundary of a word: *inner* may be in it, *outer* outside."""
        if not inner & WORD or not outer & ~WORD:
            return _chars(0)
        if not inner & ~WORD or not outer & WORD:
            return r"\b"
        raise unsupported(
            f"a {name} with any character beside it", self._pattern, offset
        )


def _around(item: Expr, edge: int, beyond: int, anchor: str) -> int:
    """Return what may be next, where *item* is next, and *beyond* behind it."""
    if item.shortest:
        return edge
    if isinstance(item, Constraint) and item.kind.endswith(anchor):
        newline = 1 << ord("\n") if item.kind.startswith("n") else 0
        return beyond & (_EDGE | newline)
    return edge | beyond


@lru_cache(maxsize=256)
def _chars(mask: int) -> str:
    """Return one byte of the set *mask*, as RE2 takes it."""
    ranges, code = "", 0
    while mask >> code:
        if mask >> code & 1:
            end = code
            while mask >> (end + 1) & 1:
                end += 1
            ranges += rf"\x{code:02x}-\x{end:02x}"
            code = end
        code += 1
    return f"[{ranges}]" if ranges else r"[^\x00-\xff]"
