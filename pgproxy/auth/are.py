r"""
PostgreSQL's regular expressions, parsed.

There are two results. What a regular expression matches is an `Expr`. Which part of
the match its first parentheses have captured, is told by a tree of preferences, as
PostgreSQL makes it: where a longer match is preferred, and where a shorter one.

::

    (a|b)+?c    ->  expr    Cat(Repeat(Alt(a, b), 1, INFINITY), c)
                    tree    Split(shorter, prefix Repeat(a|b, 0, INFINITY),
                                  Captured(a|b)), then c

The parser follows regcomp.c closely, in its order too: which error is told of several,
and whether ``\10`` is a back reference, depends on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pgproxy.auth import are_lexer as lex
from pgproxy.auth.are_lexer import (
    ALL,
    EOS,
    PLAIN,
    RANGE,
    InvalidRegularExpression,
    UnsupportedRegularExpression,
)

INFINITY: Final = 256
"""No upper limit; DUPINF."""

DUPMAX: Final = 255

ENDLESS: Final = 1 << 64
"""Longer than any text is, and sums of it too."""

MAX_SIZE: Final = 10_000
"""How many states a program may have, roughly, its repetitions written out."""

MAX_ITERATION: Final = 2000
"""The same for ``(x){0,n}``: a capture in it takes a program for each number."""

MAX_REPETITIONS: Final = 1000
"""How many copies of its innards nested repetitions may make: RE2 takes no more."""

MAX_DEPTH: Final = 100
"""How deep parentheses may nest, and how deep the first ones may be in the tree."""

LONGER: Final = 1
SHORTER: Final = 2
MIXED: Final = 4
CAP: Final = 8
"""The flags of a tree; regguts.h."""

WORD: Final = lex.CLASSES["word"]
EDGE: Final = 1 << 256
"""Beside the bytes of a set: the beginning, or the end, of the text."""

ANYTHING: Final = ALL | EDGE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """
    What is known of an expression.

    Args:
        size: How many states a program of it has, roughly.
        copies: How many copies of their innards its repetitions make, nested.
        first: The bytes that a match that is not empty may begin with.
        last: The bytes that it may end with.
        shortest: The least number of bytes that it may match.
        longest: The greatest number; `ENDLESS` where there is none.

    """

    size: int = 1
    copies: int = 1
    first: int = 0
    last: int = 0
    shortest: int = 0
    longest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chars(_Facts):
    """One byte of a set."""

    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint(_Facts):
    """A place: ``^ $`` and, with newlines, ``n^ n$``; ``< >`` of a word; ``y Y``."""

    kind: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cat(_Facts):
    """One after the other."""

    items: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alt(_Facts):
    """One of several."""

    branches: "tuple[Expr, ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat(_Facts):
    """The same, several times."""

    item: "Expr"
    least: int
    most: int


Expr = Chars | Constraint | Cat | Alt | Repeat
"""What may be matched."""


def chars(mask: int) -> Chars:
    """Return one byte of the set *mask*."""
    ranges = (mask & ~(mask << 1)).bit_count()
    return Chars(
        mask=mask, size=max(ranges, 1), first=mask, last=mask, shortest=1, longest=1
    )


def cat(items: Iterable[Expr]) -> Expr:
    """Return *items*, one after the other."""
    items = tuple(items)
    if len(items) == 1:
        return items[0]
    first = last = 0
    for item in items:
        first |= item.first
        if item.shortest:
            break
    for item in reversed(items):
        last |= item.last
        if item.shortest:
            break
    return Cat(
        items=items,
        size=1 + sum(item.size for item in items),
        copies=max((item.copies for item in items), default=1),
        first=first,
        last=last,
        shortest=sum(item.shortest for item in items),
        longest=sum(item.longest for item in items),
    )


def alt(branches: Iterable[Expr]) -> Expr:
    """Return one of *branches*."""
    branches = tuple(branches)
    first = last = 0
    for branch in branches:
        first |= branch.first
        last |= branch.last
    return Alt(
        branches=branches,
        size=sum(1 + branch.size for branch in branches),
        copies=max(branch.copies for branch in branches),
        first=first,
        last=last,
        shortest=min(branch.shortest for branch in branches),
        longest=max(branch.longest for branch in branches),
    )


def repeat(item: Expr, least: int, most: int) -> Expr:
    """Return *item*, *least* to *most* times."""
    if (least, most) == (1, 1):
        return item
    if most == 0:
        return NOTHING
    number = max(least, 1) if most == INFINITY else most
    return Repeat(
        item=item,
        least=least,
        most=most,
        size=1 + number * (item.size + 1),
        copies=number * item.copies,
        first=item.first,
        last=item.last,
        shortest=item.shortest * least,
        longest=ENDLESS if most == INFINITY else item.longest * most,
    )


NOTHING: Final = Cat(items=())


@dataclass(frozen=True, slots=True)
class Tree:
    """
    A part of a match, without the first parentheses.

    Args:
        expr: What it matches.
        flags: What it prefers, and whether parentheses of any number are in it.

    """

    expr: Expr
    flags: int


@dataclass(frozen=True, slots=True)
class Captured(Tree):
    """What the first parentheses match."""


@dataclass(frozen=True, slots=True)
class Split(Tree):
    """Two parts, the first parentheses in one of them; op ``.`` of regguts.h."""

    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Choice(Tree):
    """One of several, the first parentheses in one of them; op ``|``."""

    branches: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Iteration(Tree):
    """Up to *most* times one part, with the first parentheses in it; op ``*``."""

    child: Tree
    most: int


@dataclass(frozen=True, slots=True)
class _Atom:
    """A piece of a branch: what it is, how often, and what its quantifier prefers."""

    tree: Tree
    captures: bool
    least: int
    most: int
    prefers: int


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
            flags |= _up(flags | branch.flags)
            branches.append(branch)
            if not self._eats("|"):
                break
        if not self._sees(stopper):
            raise InvalidRegularExpression(lex.EPAREN)
        if len(branches) == 1:
            return branches[0]
        expr = alt(branch.expr for branch in branches)
        self._fit(expr, offset)
        if not any(map(_has_first, branches)):
            return Tree(expr, flags)
        return Choice(expr, flags, tuple(branches))

    def _branch(self, stopper: str) -> Tree:
        """
        Parse one branch.

        Source: ``parsebranch`` in regcomp.c.
        """
        pieces = list[Expr | _Atom]()
        offset = self.lexer.offset
        while not (self._sees("|") or self._sees(stopper) or self._sees(EOS)):
            pieces.append(self._piece())
        tree, depth = _tree(pieces)
        if depth > MAX_DEPTH:
            self._refuse("first parentheses that are too far", offset)
        self._fit(tree.expr, offset)
        return tree

    def _piece(self) -> Expr | _Atom:
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
        iterates = _has_first(tree) and least == 0 and 1 < most < INFINITY
        limit = MAX_ITERATION if iterates else MAX_SIZE
        self._fit(repeat(tree.expr, least, most), offset, limit)
        return _Atom(tree, captures, least, most, prefers)

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
        letters = mask & lex.CLASSES["alpha"]
        upper, lower = letters & lex.CLASSES["upper"], letters & lex.CLASSES["lower"]
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
                if name not in lex.CLASSES:
                    raise InvalidRegularExpression(lex.ECTYPE)
                return lex.CLASSES[name]
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
        return lex.byte_set(range(start, min(end, 0xFF) + 1))

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


def _up(flags: int) -> int:
    """Return what the one above has of *flags*; UP in regguts.h."""
    mixed = MIXED if flags & LONGER and flags & SHORTER else 0
    return flags & (MIXED | CAP) | mixed


def _combine(flags: int, others: int) -> int:
    """Return the flags of two together; COMBINE in regguts.h."""
    prefers = flags & (LONGER | SHORTER) or others & (LONGER | SHORTER)
    return _up(flags | others) | prefers


def _has_first(tree: Tree) -> bool:
    """Return whether the first parentheses are in *tree*."""
    return type(tree) is not Tree


def _expr(pieces: Iterable[Expr | _Atom]) -> Expr:
    """Return what *pieces* match, one after the other."""
    return cat(
        repeat(piece.tree.expr, piece.least, piece.most)
        if isinstance(piece, _Atom)
        else piece
        for piece in pieces
    )


def _tree(pieces: Sequence[Expr | _Atom]) -> tuple[Tree, int]:
    """
    Return the tree of a branch, and how deep the first parentheses are in it.

    What has no parentheses and does not mix preferences is one part. Each piece that
    is not so, is split from what is before it, and from what is behind it.

    Source: the "hard part" of ``parseqatom`` in regcomp.c.
    """
    cuts, flags, start = list[tuple[int, int, _Atom, int]](), 0, 0
    for index, piece in enumerate(pieces):
        if not isinstance(piece, _Atom) or piece.most == 0:
            continue
        new = flags | piece.prefers | piece.tree.flags
        if piece.captures or _up(new):
            cuts.append((start, index, piece, flags))
            start, flags = index + 1, 0
        else:
            flags = new
    rest = Tree(_expr(pieces[start:]), flags) if start < len(pieces) else None
    depth = 0
    for start, index, piece, flags in reversed(cuts):
        tree = _quantified(piece)
        on_path = _has_first(tree) or (rest is not None and _has_first(rest))
        depth += on_path
        if depth > MAX_DEPTH:
            break
        if rest is not None:
            new = _combine(piece.prefers, piece.tree.flags)
            new |= _combine(new, rest.flags)
            if _has_first(tree):
                rest = Tree(_expr(pieces[index + 1 :]), rest.flags)
            tree = (
                Split(_expr(pieces[index:]), new, tree, rest)
                if on_path
                else Tree(NOTHING, new)
            )
        if start < index:
            new = flags | _combine(flags, tree.flags)
            prefix = Tree(_expr(pieces[start:index]), flags)
            tree = (
                Split(_expr(pieces[start:]), new, prefix, tree)
                if on_path
                else Tree(NOTHING, new)
            )
        rest = tree
    if rest is None or not _has_first(rest):
        rest = Tree(_expr(pieces), rest.flags if rest is not None else 0)
    return rest, depth


def _quantified(atom: _Atom) -> Tree:
    """Return the tree of an atom with its quantifier."""
    tree, least, most, prefers = atom.tree, atom.least, atom.most, atom.prefers
    own = tree.flags & (LONGER | SHORTER | MIXED)
    if (least, most) == (1, 1) and (not prefers or not own or prefers == own):
        return tree
    flags = _combine(prefers, tree.flags)
    expr = repeat(tree.expr, least, most)
    if not _has_first(tree):
        return Tree(expr, flags)
    if least == 0:
        return Iteration(expr, flags, tree, most)
    # x{m,n} is x{m-1,n-1}x, with the parentheses in the last.
    more = INFINITY if most == INFINITY else most - 1
    prefix = Tree(repeat(tree.expr, least - 1, more), flags & (LONGER | SHORTER))
    return Split(expr, flags, prefix, tree)


_CONTROLS: Final = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT"),
    *("FF", "CR", "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB"),
    *("CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US"),
)
_DIGITS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
)
_OTHERS: Final = {
    "\a": ("alert",),
    "\b": ("backspace",),
    "\t": ("tab",),
    "\n": ("newline",),
    "\v": ("vertical-tab",),
    "\f": ("form-feed",),
    "\r": ("carriage-return",),
    "\x1c": ("IS4",),
    "\x1d": ("IS3",),
    "\x1e": ("IS2",),
    "\x1f": ("IS1",),
    " ": ("space",),
    "!": ("exclamation-mark",),
    '"': ("quotation-mark",),
    "#": ("number-sign",),
    "$": ("dollar-sign",),
    "%": ("percent-sign",),
    "&": ("ampersand",),
    "'": ("apostrophe",),
    "(": ("left-parenthesis",),
    ")": ("right-parenthesis",),
    "*": ("asterisk",),
    "+": ("plus-sign",),
    ",": ("comma",),
    "-": ("hyphen", "hyphen-minus"),
    ".": ("period", "full-stop"),
    "/": ("slash", "solidus"),
    ":": ("colon",),
    ";": ("semicolon",),
    "<": ("less-than-sign",),
    "=": ("equals-sign",),
    ">": ("greater-than-sign",),
    "?": ("question-mark",),
    "@": ("commercial-at",),
    "[": ("left-square-bracket",),
    "\\": ("backslash", "reverse-solidus"),
    "]": ("right-square-bracket",),
    "^": ("circumflex", "circumflex-accent"),
    "_": ("underscore", "low-line"),
    "`": ("grave-accent",),
    "{": ("left-brace", "left-curly-bracket"),
    "|": ("vertical-line",),
    "}": ("right-brace", "right-curly-bracket"),
    "~": ("tilde",),
    "\x7f": ("DEL",),
}

ELEMENTS: Final = {
    **{name: code for code, name in enumerate(_CONTROLS)},
    **{name: code for code, name in enumerate(_DIGITS, ord("0"))},
    **{name: ord(char) for char, names in _OTHERS.items() for name in names},
}
"""The names of collating elements; regc_locale.c."""
