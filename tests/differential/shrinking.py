"""Makes a case that fails smaller, line by line."""

from collections.abc import Callable
from dataclasses import replace

from tests.differential.writer import Case


def shrunk(case: Case, fails: Callable[[Case], bool]) -> Case:
    """Return the smallest case that is left when files and lines are taken away."""
    smaller = True
    while smaller:
        smaller = False
        for attempt in attempts(case):
            if fails(attempt):
                case, smaller = attempt, True
                break
    return case


def attempts(case: Case) -> list[Case]:
    """Return *case* without each of its files, and without each of its lines."""
    found = [
        replace(case, files={n: c for n, c in case.files.items() if n != name})
        for name in case.files
        if name != case.name
    ]
    for name, content in case.files.items():
        lines = content.split(b"\n")
        for at in range(len(lines)):
            left = b"\n".join(lines[:at] + lines[at + 1 :])
            if left != content:
                found.append(replace(case, files={**case.files, name: left}))
    return found
