r"""
Regular expressions as PostgreSQL has them.

``/re`` in pg_hba.conf and pg_ident.conf is one of Henry Spencer's advanced regular
expressions (HBA-77, HBA-78, ID-06). `pgproxy.auth.are` parses it; RE2 runs it, in time
that is linear in the text. What RE2 is given is written from what was parsed. What it
cannot do exactly is refused when the file is loaded.

What the first parentheses capture (ID-08) is PostgreSQL's idea, not RE2's. The match
is found first, the longest or the shortest. Then it is taken apart from the left: each
part takes as much as it can, or as little, such that the others still match.

::

    ^(\w+)(-\w+)*$    on  ana-maria-app    captures  ana
    (\w+?)(-\w+)*     on  ana-maria-app    captures  a
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Protocol, cast

import re2

from pgproxy.auth.are import parse
from pgproxy.auth.are_expr import INFINITY, Expr, repeat
from pgproxy.auth.are_lexer import (
    InvalidRegularExpression,
    UnsupportedRegularExpression,
)
from pgproxy.auth.are_re2 import Writer
from pgproxy.auth.are_tree import (
    SHORTER,
    Captured,
    Choice,
    Iteration,
    Split,
    Tree,
)

__all__ = [
    "InvalidRegularExpression",
    "Regex",
    "UnsupportedRegularExpression",
    "compile_regex",
]

ETOOBIG: Final = "regular expression is too complex"

MAX_WORK: Final = 200_000_000
"""How much work may be done to find one capture, in bytes looked at: some 0.4 s."""

_CALL: Final = 2000
"""What asking RE2 costs."""

_SMALL: Final = 40
"""Of this size, RE2 makes an automaton that never has too many states."""


class _Match(Protocol):
    """What RE2 found."""

    def span(self) -> tuple[int, int]: ...


class _Program(Protocol):
    """A regular expression, as RE2 has compiled it."""

    def search(self, text: bytes) -> _Match | None: ...
    def match(self, text: bytes, pos: int, endpos: int) -> _Match | None: ...
    def fullmatch(self, text: bytes, pos: int, endpos: int) -> _Match | None: ...


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> "Regex":
    """
    Compile *pattern*, which has no slash before it.

    Raises:
        InvalidRegularExpression: If PostgreSQL does not take it; as it says it.
        UnsupportedRegularExpression: If PostgreSQL takes it, and pgproxy does not.

    Source: ``regcomp_auth_token`` in hba.c.

    """
    return Regex(pattern)


class Regex:
    """A compiled regular expression; `compile_regex` makes it."""

    __slots__ = ("_programs", "_search", "_tree", "_writer", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        data = _bytes(pattern)
        self._tree = parse(data)
        self._writer = Writer(data, self._tree.expr)
        self._search = _compile(self._writer.write(self._tree.expr), longest=False)
        self._programs = dict[tuple[int, int], _Program]()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Regex) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"compile_regex({self.pattern!r})"

    def matches(self, text: str) -> bool:
        """
        Return whether it is found in *text*.

        Source: ``regexec_auth_token`` in hba.c; HBA-77.
        """
        return self._search.search(_bytes(text)) is not None

    def capture(self, text: str) -> str | None:
        """
        Return what its first parentheses capture in *text*.

        Returns:
            None if there are none, or if they took no part in the match (ID-12); also
            if there is no match.

        Raises:
            InvalidRegularExpression: If it takes too long to find out (ID-13).

        Source: ``pg_regexec`` in regexec.c.

        """
        tree = self._tree
        if type(tree) is Tree:
            return None
        data = _bytes(text)
        found = self.program(tree.expr, 1).search(data)
        if found is None:
            return None
        begin, end = found.span()
        span = _Dissection(self, data).dissect(tree, begin, end)
        return None if span is None else data[slice(*span)].decode(*_TEXT)

    def program(self, expr: Expr, most: int) -> _Program:
        """
        Return the program of a part, or of up to *most* of it, if that is not 1.

        It finds the longest match. A part is one of the tree, and lives as long.
        """
        key = id(expr), most
        program = self._programs.get(key)
        if program is None:
            if most != 1:
                expr = repeat(expr, 0, most)
            program = _compile(self._writer.write(expr), longest=True)
            self._programs[key] = program
        return program


_TEXT: Final = ("utf-8", "surrogateescape")
"""How bytes became text."""


def _bytes(text: str) -> bytes:
    return text.encode(*_TEXT)


def _compile(pattern: str, *, longest: bool) -> _Program:
    """Return the program of *pattern*, which is RE2's."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.never_capture = True
    options.longest_match = longest
    options.log_errors = False
    return cast("_Program", re2.compile(pattern.encode(), options))


class _Dissection:
    """
    Takes one match apart, as far as the first parentheses are.

    PostgreSQL tries the places between two parts one by one, until both sides match.
    As nothing refers back, a part that matches can always be taken apart.
    """

    def __init__(self, regex: Regex, data: bytes) -> None:
        self._regex = regex
        self._data = data
        self._work = 0

    def dissect(self, tree: Tree, begin: int, end: int) -> tuple[int, int] | None:
        """
        Return where the first parentheses are in the match *begin* to *end*.

        Source: ``find``, ``cdissect`` in regexec.c.
        """
        if tree.flags & SHORTER:
            end = next(self._ends(tree, begin, begin, end))
        while True:
            match tree:
                case Captured():
                    return begin, end
                case Split(left=left, right=right):
                    middle = self._middle(left, right, begin, end)
                    if type(left) is Tree:
                        tree, begin = right, middle
                    else:
                        tree, end = left, middle
                case Choice(branches=branches):
                    tree = next(one for one in branches if self._fits(one, begin, end))
                case Iteration(child=child):
                    last = self._last(tree, begin, end)
                    if last is None:
                        return None
                    tree, begin = child, last
                case _:
                    return None

    def _middle(self, left: Tree, right: Tree, begin: int, end: int) -> int:
        """
        Return where the match is split between *left* and *right*.

        Source: ``ccondissect``, ``crevcondissect`` in regexec.c.
        """
        low = max(begin + left.expr.shortest, end - right.expr.longest)
        high = min(begin + left.expr.longest, end - right.expr.shortest)
        ends = self._ends(left, begin, low, high)
        return next(middle for middle in ends if self._fits(right, middle, end))

    def _last(self, tree: Iteration, begin: int, end: int) -> int | None:
        """
        Return where the last iteration begins; None if there is none.

        Source: ``citerdissect``, ``creviterdissect`` in regexec.c.
        """
        child, left = tree.child, tree.most
        if begin == end:
            shorter = child.flags & SHORTER
            return None if shorter or not self._fits(child, begin, end) else begin
        while True:
            # An empty one counts only where there is nothing.
            low = begin + max(child.expr.shortest, 1)
            high = min(begin + child.expr.longest, end)
            left -= left != INFINITY
            middle = next(
                middle
                for middle in self._ends(child, begin, low, high)
                if middle == end or self._fits(child, middle, end, left)
            )
            if middle == end:
                return begin
            begin = middle

    def _ends(self, tree: Tree, begin: int, low: int, high: int) -> Iterator[int]:
        """Yield where *tree* may end, from *low* to *high*, what it prefers first."""
        if tree.flags & SHORTER:
            while (end := self._shortest(tree, begin, low, high)) is not None:
                yield end
                low = end + 1
        else:
            while (end := self._longest(tree, begin, high)) is not None and end >= low:
                yield end
                high = end - 1

    def _fits(self, tree: Tree, begin: int, end: int, most: int = 1) -> bool:
        """Return whether *tree*, or up to *most* of it, matches just this."""
        program = self._program(tree, end - begin, most)
        return program.fullmatch(self._data, begin, end) is not None

    def _longest(self, tree: Tree, begin: int, high: int) -> int | None:
        """Return the last place where *tree* may end."""
        program = self._program(tree, high - begin)
        found = program.match(self._data, begin, high)
        return None if found is None else found.span()[1]

    def _shortest(self, tree: Tree, begin: int, low: int, high: int) -> int | None:
        """Return the first place from *low* on where *tree* may end."""
        floor, limit, best = low, low, None
        while low <= high:
            end = self._longest(tree, begin, limit)
            if end is not None and end >= floor:
                best, high = end, end - 1
            else:
                low = limit + 1
            # The very first try is the first place: it is the answer most often.
            limit = (low + high) // 2
        return best

    def _program(self, tree: Tree, length: int, most: int = 1) -> _Program:
        """Return the program that is about to look at *length* bytes."""
        size = tree.expr.size
        # A small program is one look at each byte. Of a large one, the states may be
        # too many to remember, so that each of them is looked at.
        self._work += _CALL + length * (1 if size < _SMALL else size)
        if self._work > MAX_WORK:
            raise InvalidRegularExpression(ETOOBIG)
        return self._regex.program(tree.expr, most)
