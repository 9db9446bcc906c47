"""
Hold every module of the core to its own test file: 100 % of its branches.

::

    python tests/tools/own_coverage.py [PACKAGE ...]

What another module's tests reach by accident does not count: a module whose own
tests do not hold it is held by nobody.
"""

# ruff: noqa: T201 - a program that says what it found

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CORE: Final = ("protocol", "auth", "settings", "session", "trace")


def modules(packages: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield each module's dotted name, and its test file."""
    for package in packages:
        for path in sorted((ROOT / "pgproxy" / package).glob("*.py")):
            if path.stem == "__init__":
                continue
            test = ROOT / "tests" / package / f"test_{path.stem}.py"
            yield f"pgproxy.{package}.{path.stem}", test


def judge(module: str, test: Path) -> str | None:
    """Return what is wrong with *module*'s own tests; None if nothing is."""
    if not test.exists():
        return f"no {test.relative_to(ROOT)}"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", str(test)),
                *(f"--cov={module}", "--cov-branch", "--cov-fail-under=100"),
                *("--cov-report=term-missing:skip-covered", "-p", "no:cacheprovider"),
            ],
            cwd=ROOT,
            env={**os.environ, "COVERAGE_FILE": f"{folder}/coverage"},
            capture_output=True,
            text=True,
            check=False,
        )
    return done.stdout + done.stderr if done.returncode else None


def main(packages: Sequence[str]) -> int:
    """Judge them all; return the exit status."""
    todo = list(modules(packages or CORE))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        verdicts = list(pool.map(lambda one: judge(*one), todo))
    for (module, _test), verdict in zip(todo, verdicts, strict=True):
        print("FAILED" if verdict else "ok    ", module)
        if verdict:
            print(verdict)
    failures = sum(verdict is not None for verdict in verdicts)
    print(f"{len(todo) - failures} of {len(todo)} modules are held by their own tests")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
