r"""
PostgreSQL's regular expressions, parsed.

::

    (a|b)+?c    ->  the text    ( a | b ) +? c
                    matches     Cat(Repeat(Alt(a, b), 1, INFINITY), c)
                    captures    Split(Split(a|b {0,}, Captured(a|b)), c)

The parser follows regcomp.c closely, in its order too: which error is told of several,
and whether ``\10`` is a back reference, depends on it.
"""

from dataclasses import replace
from typing import Final

from pgproxy.auth import are_lexer as lex
from pgproxy.auth.are_chars import ALL, CLASSES, ELEMENTS, byte_set
from pgproxy.auth.are_expr import (
    INFINITY,
    NOTHING,
    Constraint,
    Expr,
    alt,
    chars,
    repeat,
)
from pgproxy.auth.are_lexer import (
    EOS,
    PLAIN,
    RANGE,
    InvalidRegularExpression,
    UnsupportedRegularExpression,
)
from pgproxy.auth.are_tree import (
    CAP,
    LONGER,
    MAX_DEPTH,
    SHORTER,
    Atom,
    Captured,
    Choice,
    Tree,
    branch_tree,
    has_first,
    up,
)

DUPMAX: Final = 255

MAX_SIZE: Final = 10_000
"""How many states a program may have, roughly, its repetitions written out."""

MAX_ITERATION: Final = 2000
"""The same for ``(x){0,n}``: a capture in it takes a program for each number."""

MAX_REPETITIONS: Final = 1000
"""How many copies of its innards nested repetitions may make: RE2 takes no more."""


def parse(pattern: bytes) -> Tree:
    """
    Parse *pattern*.

    Raises:
        InvalidRegularExpression: As PostgreSQL says it.
        UnsupportedRegularExpression: If PostgreSQL takes it, and we do not.

    Source: ``pg_regcomp`` in regcomp.c.

    """
    return _Parser(pattern).parse()


class _Parser:
    """The parser of one pattern."""

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self.lexer = lex.Lexer(pattern)
        self.closed = set[int]()
        self.unsupported: UnsupportedRegularExpression | None = None
        self.depth = 0
        self.in_lookaround = False

    def parse(self) -> Tree:
        """Return the whole."""
        tree = self._alternatives(EOS)
        if self.unsupported is not None:
            raise self.unsupported
        return tree

    def _refuse(self, why: str, offset: int) -> None:
        """Note that pgproxy cannot do this; PostgreSQL's own errors go first."""
        if self.unsupported is None:
            self.unsupported = lex.unsupported(why, self.pattern, offset)

    def _fit(self, expr: Expr, offset: int, most: int = MAX_SIZE) -> None:
        """Note if *expr* is too large."""
        if expr.size > most or expr.copies > MAX_REPETITIONS:
            self._refuse("something too large", offset)

    def _sees(self, kind: str) -> bool:
        return self.lexer.type == kind

    def _eats(self, kind: str) -> bool:
        sees = self._sees(kind)
        if sees:
            self.lexer.next()
        return sees

    def _alternatives(self, stopper: str) -> Tree:
        """
        Parse branches with ``|`` between them.

        Source: ``parse`` in regcomp.c.
        """
        flags, branches, offset = LONGER, [], self.lexer.offset
        while True:
            branch = self._branch(stopper)
            flags |= up(flags | branch.flags)
            branches.append(branch)
            if not self._eats("|"):
                break
        if not self._sees(stopper):
            raise InvalidRegularExpression(lex.EPAREN)
        if len(branches) == 1:
            return branches[0]
        expr = alt(branch.expr for branch in branches)
        self._fit(expr, offset)
        if not any(map(has_first, branches)):
            return Tree(expr, flags)
        return Choice(expr, flags, tuple(branches))

    def _branch(self, stopper: str) -> Tree:
        """
        Parse one branch.

        Source: ``parsebranch`` in regcomp.c.
        """
        pieces = list[Expr | Atom]()
        offset = self.lexer.offset
        while not (self._sees("|") or self._sees(stopper) or self._sees(EOS)):
            pieces.append(self._piece())
        tree, depth = branch_tree(pieces)
        if depth > MAX_DEPTH:
            self._refuse("first parentheses that are too far", offset)
        self._fit(tree.expr, offset)
        return tree

    def _piece(self) -> Expr | Atom:
        """
        Parse an atom with its quantifier, or a constraint.

        Source: ``parseqatom`` in regcomp.c.
        """
        lexer = self.lexer
        kind, offset = lexer.type, lexer.offset
        captures = kind == "(" and bool(lexer.value) and not self.in_lookaround
        if kind in _CONSTRAINTS:
            lexer.next()
            lines = kind in "^$" and lexer.flags & lex.NLANCH
            return Constraint(
                kind="n" * bool(lines) + _CONSTRAINTS[kind], offset=offset
            )
        if kind == lex.LACON:
            return self._lookaround()
        tree = (
            self._parentheses(captures=captures)
            if kind == "("
            else Tree(self._atom(), 0)
        )
        least, most, prefers = self._quantifier()
        iterates = has_first(tree) and least == 0 and 1 < most < INFINITY
        limit = MAX_ITERATION if iterates else MAX_SIZE
        self._fit(repeat(tree.expr, least, most), offset, limit)
        return Atom(tree, captures, least, most, prefers)

    def _atom(self) -> Expr:
        """Parse an atom without parentheses."""
        lexer = self.lexer
        kind, value, offset = lexer.type, lexer.value, lexer.offset
        if kind in ("*", "+", "?", "{"):
            raise InvalidRegularExpression(lex.BADRPT)
        if kind == ")" and lexer.flags & lex.ADVF:
            raise InvalidRegularExpression(lex.EPAREN)
        if kind == "[":
            mask = self._bracket()
            return chars(mask if value else ALL & ~mask & ~self._stop())
        if kind == lex.BACKREF:
            if self.in_lookaround or value not in self.closed:
                raise InvalidRegularExpression(lex.ESUBREG)
            self._refuse("a back reference", offset)
        lexer.next()
        match kind:
            case lex.BACKREF:
                return NOTHING
            case ".":
                return chars(ALL & ~self._stop())
            case lex.CCLASSS | lex.CCLASSC:
                return chars(value)
            case _:
                return chars(self._fold(_one(value)))

    def _lookaround(self) -> Expr:
        """Parse a lookahead or a lookbehind."""
        names = {lex.AHEAD: "a lookahead", lex.BEHIND: "a lookbehind"}
        self._refuse(names[self.lexer.value], self.lexer.offset)
        outside, self.in_lookaround = self.in_lookaround, True
        self._enclosed()
        self.in_lookaround = outside
        return NOTHING

    def _parentheses(self, *, captures: bool) -> Tree:
        """Parse what is in parentheses."""
        self.lexer.groups += captures
        number = self.lexer.groups
        tree = self._enclosed()
        if not captures:
            return tree
        self.closed.add(number)
        if number == 1:
            return Captured(tree.expr, tree.flags | CAP)
        return replace(tree, flags=tree.flags | CAP)

    def _enclosed(self) -> Tree:
        """Parse what stands between a parenthesis and its partner."""
        if self.depth == MAX_DEPTH:
            # What is wrong behind this is not looked for: that would go deeper.
            self._refuse("parentheses that are too deep", self.lexer.offset)
            assert self.unsupported is not None
            raise self.unsupported
        self.depth += 1
        self.lexer.next()
        tree = self._alternatives(")")
        self.lexer.next()
        self.depth -= 1
        return tree

    def _quantifier(self) -> tuple[int, int, int]:
        """Return how often, at least and at most, and what is preferred."""
        kind = self.lexer.type
        greedy = LONGER if self.lexer.value else SHORTER
        match kind:
            case "*" | "+" | "?":
                self.lexer.next()
                return int(kind == "+"), 1 if kind == "?" else INFINITY, greedy
            case "{":
                self.lexer.next()
                return self._bound()
            case _:
                return 1, 1, 0

    def _bound(self) -> tuple[int, int, int]:
        least = most = self._number()
        prefers = 0
        if self._eats(","):
            most = self._number() if self._sees(lex.DIGIT) else INFINITY
            if least > most:
                raise InvalidRegularExpression(lex.BADBR)
            # {m,m} prefers something, and {m} does not.
            prefers = LONGER if self.lexer.value else SHORTER
        if not self._eats("}"):
            raise InvalidRegularExpression(lex.BADBR)
        return least, most, prefers

    def _number(self) -> int:
        """
        Parse a number of a bound.

        Source: ``scannum`` in regcomp.c.
        """
        number = 0
        while self._sees(lex.DIGIT) and number < DUPMAX:
            number = number * 10 + self.lexer.value
            self.lexer.next()
        if self._sees(lex.DIGIT) or number > DUPMAX:
            raise InvalidRegularExpression(lex.BADBR)
        return number

    def _stop(self) -> int:
        """Return what a dot does not match."""
        return 1 << ord("\n") if self.lexer.flags & lex.NLSTOP else 0

    def _fold(self, mask: int) -> int:
        """Return *mask* with the other case of its letters, if that is no matter."""
        if not self.lexer.flags & lex.ICASE:
            return mask
        letters = mask & CLASSES["alpha"]
        upper, lower = letters & CLASSES["upper"], letters & CLASSES["lower"]
        return mask | upper << 32 | lower >> 32

    def _bracket(self) -> int:
        """
        Parse what is in brackets.

        Source: ``bracket`` in regcomp.c.
        """
        mask = 0
        self.lexer.next()
        while not self._sees("]"):
            mask |= self._bracket_item()
        self.lexer.next()
        return self._fold(mask)

    def _bracket_item(self) -> int:
        """
        Parse one item in brackets.

        Source: ``brackpart`` in regcomp.c.
        """
        kind, value = self.lexer.type, self.lexer.value
        match kind:
            case lex.RANGE:
                raise InvalidRegularExpression(lex.ERANGE)
            case lex.CCLASSS | lex.CCLASSC:
                self.lexer.next()
                return value
            case lex.CCLASS:
                name = self._name()
                if name not in CLASSES:
                    raise InvalidRegularExpression(lex.ECTYPE)
                return CLASSES[name]
            case lex.ECLASS:
                return _one(self._element())
            case _:
                start = self._end_of_range()
        if not self._eats(RANGE):
            return _one(start)
        if self.lexer.type not in (PLAIN, RANGE, lex.COLLEL):
            raise InvalidRegularExpression(lex.ERANGE)
        end = self._end_of_range()
        if end < start:
            raise InvalidRegularExpression(lex.ERANGE)
        return byte_set(range(start, min(end, 0xFF) + 1))

    def _end_of_range(self) -> int:
        """Parse what may be an end of a range: a character or ``[.name.]``."""
        if self._sees(lex.COLLEL):
            return self._element()
        value = self.lexer.value
        self.lexer.next()
        return value

    def _element(self) -> int:
        """
        Parse a collating element.

        Source: ``element`` in regc_locale.c.
        """
        name = self._name()
        if len(name) == 1:
            return ord(name)
        if name not in ELEMENTS:
            raise InvalidRegularExpression(lex.ECOLLATE)
        return ELEMENTS[name]

    def _name(self) -> str:
        """
        Parse ``name:]``, ``name=]`` or ``name.]``.

        Source: ``scanplain`` in regcomp.c.
        """
        start = self.lexer.now
        self.lexer.next()
        # Of no name at all, the end is taken for one, which is unknown.
        end = self.lexer.now
        while self._sees(PLAIN):
            end = self.lexer.now
            self.lexer.next()
        self.lexer.next()
        return self.lexer.pattern[start:end]


_CONSTRAINTS: Final = {
    "^": "^",
    "$": "$",
    "<": "<",
    ">": ">",
    lex.SBEGIN: "^",
    lex.SEND: "$",
    lex.WBDRY: "y",
    lex.NWBDRY: "Y",
}


def _one(code: int) -> int:
    """Return the set of one character; none, if it is no byte."""
    return 1 << code if code < 0x100 else 0
