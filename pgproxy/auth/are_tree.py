r"""
Where the first parentheses of a regular expression are, and what it prefers.

PostgreSQL finds a match first, and takes it apart then: which part is how long, its
preferences decide. They are told of every part, for the way down to the first
parentheses; what is beside that way is one part.

::

    x(a|b)+?c    ->  x, then (shorter) the last a|b of many, then c
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.are_expr import INFINITY, NOTHING, Expr, cat, repeat

MAX_DEPTH: Final = 100
"""How deep parentheses may nest, and how deep the first ones may be in the tree."""

LONGER: Final = 1
SHORTER: Final = 2
MIXED: Final = 4
CAP: Final = 8
"""The flags of a tree; regguts.h."""


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
class Atom:
    """A piece of a branch: what it is, how often, and what its quantifier prefers."""

    tree: Tree
    captures: bool
    least: int
    most: int
    prefers: int


def up(flags: int) -> int:
    """Return what the one above has of *flags*; UP in regguts.h."""
    mixed = MIXED if flags & LONGER and flags & SHORTER else 0
    return flags & (MIXED | CAP) | mixed


def _combine(flags: int, others: int) -> int:
    """Return the flags of two together; COMBINE in regguts.h."""
    prefers = flags & (LONGER | SHORTER) or others & (LONGER | SHORTER)
    return up(flags | others) | prefers


def has_first(tree: Tree) -> bool:
    """Return whether the first parentheses are in *tree*."""
    return type(tree) is not Tree


def _expr(pieces: Iterable[Expr | Atom]) -> Expr:
    """Return what *pieces* match, one after the other."""
    return cat(
        repeat(piece.tree.expr, piece.least, piece.most)
        if isinstance(piece, Atom)
        else piece
        for piece in pieces
    )


def branch_tree(pieces: Sequence[Expr | Atom]) -> tuple[Tree, int]:
    """
    Return the tree of a branch, and how deep the first parentheses are in it.

    What has no parentheses and does not mix preferences is one part. Each piece that
    is not so, is split from what is before it, and from what is behind it.

    Source: the "hard part" of ``parseqatom`` in regcomp.c.
    """
    cuts, flags, start = list[tuple[int, int, Atom, int]](), 0, 0
    for index, piece in enumerate(pieces):
        if not isinstance(piece, Atom) or piece.most == 0:
            continue
        new = flags | piece.prefers | piece.tree.flags
        if piece.captures or up(new):
            cuts.append((start, index, piece, flags))
            start, flags = index + 1, 0
        else:
            flags = new
    rest = Tree(_expr(pieces[start:]), flags) if start < len(pieces) else None
    depth = 0
    for start, index, piece, flags in reversed(cuts):
        tree = _quantified(piece)
        on_path = has_first(tree) or (rest is not None and has_first(rest))
        depth += on_path
        if depth > MAX_DEPTH:
            break
        if rest is not None:
            new = _combine(piece.prefers, piece.tree.flags)
            new |= _combine(new, rest.flags)
            if has_first(tree):
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
    if rest is None or not has_first(rest):
        rest = Tree(_expr(pieces), rest.flags if rest is not None else 0)
    return rest, depth


def _quantified(atom: Atom) -> Tree:
    """Return the tree of an atom with its quantifier."""
    tree, least, most, prefers = atom.tree, atom.least, atom.most, atom.prefers
    own = tree.flags & (LONGER | SHORTER | MIXED)
    if (least, most) == (1, 1) and (not prefers or not own or prefers == own):
        return tree
    flags = _combine(prefers, tree.flags)
    expr = repeat(tree.expr, least, most)
    if not has_first(tree):
        return Tree(expr, flags)
    if least == 0:
        return Iteration(expr, flags, tree, most)
    # x{m,n} is x{m-1,n-1}x, with the parentheses in the last.
    more = INFINITY if most == INFINITY else most - 1
    prefix = Tree(repeat(tree.expr, least - 1, more), flags & (LONGER | SHORTER))
    return Split(expr, flags, prefix, tree)
