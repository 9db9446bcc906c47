"""pg_hba.conf as the view pg_hba_file_rules shows it: the good lines and the bad."""

import re
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.hba_line import HbaLine, Rule
from pgproxy.protocol.errors import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    A row of the view.

    Args:
        rule_number: Its place among the good lines, counted from 1; None of a bad one.
        file_name: The file that the line stands in; None if no file could be read.
        line_number: Its number there.
        rule: What it says; None of a bad one.
        error: What is wrong with it.

    """

    rule_number: int | None
    file_name: str | None
    line_number: int | None
    rule: Rule | None
    error: str | None


def hba_file_rules(
    lines: Iterable[HbaLine], problems: Iterable[Report]
) -> tuple[Row, ...]:
    """
    Return the rows of the view, in the order of the lines.

    Where a file without a good line is included is not known: its lines come last, and
    so does what has no line at all, a file that cannot be opened.

    Source: ``fill_hba_view``, ``fill_hba_line`` in hbafuncs.c.
    """
    rows = [
        Row(
            rule_number=number,
            file_name=line.source,
            line_number=line.line_number,
            rule=line.rule,
            error=None,
        )
        for number, line in enumerate(lines, 1)
    ]
    # Of each file, the lines and where they are in the view.
    places: dict[str, list[tuple[int, int]]] = {}
    for index, row in enumerate(rows):
        assert row.file_name is not None
        assert row.line_number is not None
        places.setdefault(row.file_name, []).append((row.line_number, index))
    for ordered in places.values():
        ordered.sort()
    before: dict[int, list[Row]] = {}
    for where, messages in _by_line(problems).items():
        name, number = where[0] if where else (None, None)
        bad = Row(
            rule_number=None,
            file_name=name,
            line_number=number,
            rule=None,
            error="; ".join(messages),
        )
        before.setdefault(_place(where, places, len(rows)), []).append(bad)
    found: list[Row] = []
    for index, row in enumerate(rows):
        found += [*before.get(index, ()), row]
    return (*found, *before.get(len(rows), ()))


_Where = tuple[tuple[str, int], ...]
"""A line of a file; then the line that included that file, and so on."""


def _by_line(problems: Iterable[Report]) -> dict[_Where, list[str]]:
    """Return what is wrong, by line: a line has one row, whatever is wrong with it."""
    found: dict[_Where, list[str]] = {}
    for problem in problems:
        where = tuple(
            (match["file"], int(match["line"]))
            for match in _CONTEXT.finditer(problem.context or "")
        )
        found.setdefault(where, []).append(problem.message)
    return found


_CONTEXT: Final = re.compile(
    r'^line (?P<line>\d+) of configuration file "(?P<file>.*)"$', re.MULTILINE
)


def _place(where: _Where, places: dict[str, list[tuple[int, int]]], last: int) -> int:
    """Return which row comes behind a bad line that is at *where*."""
    for name, number in where:
        ordered = places.get(name)
        if ordered is None:
            continue
        at = bisect(ordered, (number, -1))
        return ordered[at][1] if at < len(ordered) else ordered[-1][1] + 1
    return last
