"""
What a regular expression matches, without what it prefers and captures.

An expression knows its size and its ends: they decide whether it is taken at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

INFINITY: Final = 256
"""No upper limit; DUPINF."""

ENDLESS: Final = 1 << 64
"""Longer than any text is, and sums of it too."""


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
