"""
The same regular expressions to PostgreSQL itself (HBA-77, HBA-78, ID-08).

Patterns are made from the grammar, and half of them then spoilt; texts are made of the
few characters that the patterns are about. Compared are the error, whether it matches,
and what the first parentheses capture. What pgproxy does not support is counted.

PGPROXY_REGEX_PAIRS is how many pairs of a pattern and a text each server is asked
about; PGPROXY_REGEX_SEED begins another series.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from pgproxy.auth.are_chars import CLASSES, ELEMENTS
from pgproxy.auth.are_tree import Tree
from pgproxy.auth.regex import (
    InvalidRegularExpression,
    Regex,
    UnsupportedRegularExpression,
)
from pgproxy.testing.postgres import Instance
from tests.support import oracles

psycopg = pytest.importorskip("psycopg", reason="psycopg asks the server")

pytestmark = pytest.mark.interop

PAIRS: Final = int(os.environ.get("PGPROXY_REGEX_PAIRS", "6000"))
SEED: Final = int(os.environ.get("PGPROXY_REGEX_SEED", "1"))
TEXTS: Final = 8
"""How many texts each pattern is tried on."""

PROBE: Final = r"""
CREATE FUNCTION probe(pattern bytea, texts bytea[]) RETURNS bytea[] AS $$
DECLARE
  re text COLLATE "C" := convert_from(pattern, 'SQL_ASCII');
  one bytea;
  subject text COLLATE "C";
  answers bytea[] := '{}';
BEGIN
  FOREACH one IN ARRAY texts LOOP
    subject := convert_from(one, 'SQL_ASCII');
    answers := answers
      || convert_to((subject ~ re)::text, 'SQL_ASCII')
      || convert_to(substring(subject from re), 'SQL_ASCII')
      || convert_to(length(regexp_replace(subject, re, '\1\1'))::text, 'SQL_ASCII')
      || convert_to(length(regexp_replace(subject, re, '\1'))::text, 'SQL_ASCII');
  END LOOP;
  RETURN answers;
EXCEPTION WHEN invalid_regular_expression OR query_canceled THEN
  RETURN ARRAY[convert_to(SQLERRM, 'SQL_ASCII')];
END
$$ LANGUAGE plpgsql
"""

PREFIX: Final = "invalid regular expression: "
TOO_COMPLEX: Final = "regular expression is too complex"
CANCELLED: Final = "canceling statement due to statement timeout"

Answer = str | list[tuple[bool, bytes | None]]
"""What is wrong with a pattern; or of each text, whether it matches, and a capture."""


class Maker:
    """Makes patterns and texts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.plain = False

    def pattern(self) -> bytes:
        """Return a pattern: half are plain, and of the others some are spoilt."""
        choose = self.random.random
        self.plain = choose() < 0.5
        if self.plain:
            # They match more often, and leave more to be taken apart.
            return self.regex(self.random.choice((1, 2, 3))).encode("latin-1")
        pattern = self.regex(self.random.choice((1, 2, 2, 3)))
        if choose() < 0.1:
            pattern = (
                self.some(
                    *("***:", "***=", "(?i)", "(?e)", "(?q)", "(?n)", "(?p)", "(?w)"),
                    *("(?x)", "(?ic)", "(?xi)", "(?s)", "(?nt)", "(?iq)", "***:(?i)"),
                    *("(?z)", "(?", "***", "***x", "***?", "(?eq)", "(?qe)", "(?in"),
                )
                + pattern
            )
        data = pattern.encode("latin-1")
        while choose() < 0.25:
            at = self.random.randint(0, len(data))
            junk = self.some(
                *"\\()[]{}*+?|^$.-:=,#<>!0123abxyzAZmMyYwWdDsSuUcC \n\xe9",
                *("\\", "[[:", ":]]", "[.", ".]", "[=", "(?:", "(?=", "(?<!", "(?#"),
            )
            data = (
                data[:at] + junk.encode("latin-1") + data[at + choose().__lt__(0.5) :]
            )
        return data.replace(b"\0", b"")

    def some(self, *choices: str) -> str:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def regex(self, depth: int) -> str:
        """Return branches."""
        number = self.random.choice((1, 1, 1, 1, 2, 2, 3))
        return "|".join(self.branch(depth) for _ in range(number))

    def branch(self, depth: int) -> str:
        """Return pieces."""
        number = self.random.choice((0, 1, 1, 2, 2, 3, 3, 4, 5))
        return "".join(self.piece(depth) for _ in range(number))

    def piece(self, depth: int) -> str:
        """Return an atom with its quantifier, or a constraint."""
        if self.random.random() < 0.12:
            return self.some(
                *("^", "$", "^", "$", r"\m", r"\M", r"\y", r"\Y", r"\A", r"\Z"),
                *("[[:<:]]", "[[:>:]]"),
            )
        return self.atom(depth) + self.quantifier()

    def quantifier(self) -> str:
        """Return a quantifier, or none."""
        if self.random.random() < 0.5:
            return ""
        low, more = self.random.randint(0, 3), self.random.randint(0, 2)
        bound = self.some(
            f"{{{low}}}", f"{{{low},}}", f"{{{low},{low + more}}}", "{,2}"
        )
        greedy = self.some("*", "*", "+", "+", "?", "?", bound)
        return greedy + self.some("", "", "?")

    def atom(self, depth: int) -> str:
        """Return an atom."""
        if depth and self.random.random() < 0.45:
            kind = self.some("(", "(", "(", "(?:", "(?:", "(?:")
            if self.random.random() < 0.03:
                kind = self.some("(?=", "(?!", "(?<=", "(?<!")
            return kind + self.regex(depth - 1) + ")"
        if self.plain:
            return self.some(*"aaabbc-...", "ab", "[ab]", "[^a]", r"\w", r"\W")
        if self.random.random() < 0.2:
            return self.bracket()
        return self.some(
            *("a", "a", "b", "b", "c", "ab", "A", "-", "_", "1", " ", "\n", "\xe9"),
            *(".", ".", ".", r"\w", r"\d", r"\s", r"\W", r"\D", r"\S", r"\.", r"\\"),
            *(r"\a", r"\b", r"\B", r"\cA", r"\e", r"\f", r"\n", r"\r", r"\t", r"\v"),
            *(r"\x61", r"\xe9", r"\u0061", r"\U00000062", r"\u20ac", r"\141", r"\07"),
            *(r"\1", r"\10", r"\2", r"\0", r"\377", "(?#x)", "{", "}", "]", ",", "#"),
        )

    def bracket(self) -> str:
        """Return a bracket expression."""
        items = [self.bracket_item() for _ in range(self.random.randint(1, 3))]
        start = self.some("[", "[", "[^")
        return start + self.some("", "", "", "]", "-") + "".join(items) + "]"

    def bracket_item(self) -> str:
        """Return what may stand in brackets."""
        name = self.random.choice((*CLASSES, "foo", ""))
        element = self.random.choice((*ELEMENTS, "a", "ab", "-", ""))
        return self.some(
            *("a", "b", "c", "^", "-", "a-c", "A-Z", "0-9", "b-a", "\xe9", "\n", "\\]"),
            *(f"[:{name}:]", f"[:{name}:]", f"[.{element}.]", f"[={element}=]"),
            *(
                r"\w",
                r"\D",
                r"\s",
                r"\W",
                r"\y",
                "[",
                "a-[.c.]",
                "[.a.]-b",
                "--",
                "!--",
            ),
        )

    def text(self) -> bytes:
        """Return a text."""
        alphabet = self.some("ab", "abc", "ab-_1 \n", "aAbBcC-1. \n\xe9\x85[]\\_,#{}")
        number = self.random.choice((0, 1, 2, 3, 4, 5, 6, 8, 12))
        text = "".join(self.random.choices(alphabet, k=number))
        return text.encode("latin-1")


def batched(items: list[bytes], size: int) -> Iterator[list[bytes]]:
    """Yield *items* in rows of *size*."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def ours(pattern: bytes, texts: list[bytes]) -> tuple[Answer, bool]:
    """
    Return what pgproxy says, and whether it has seen parentheses that capture.

    An `UnsupportedRegularExpression` goes through.
    """
    try:
        regex = Regex(pattern.decode("utf-8", "surrogateescape"))
    except InvalidRegularExpression as error:
        return str(error), False
    answers = list[tuple[bool, bytes | None]]()
    for text in texts:
        subject = text.decode("utf-8", "surrogateescape")
        capture = regex.capture(subject)
        answers.append(
            (
                regex.matches(subject),
                None if capture is None else capture.encode("utf-8", "surrogateescape"),
            )
        )
    return answers, type(regex._tree) is not Tree


class Oracle:
    """A PostgreSQL with a database in which one byte is one character."""

    def __init__(self, server: str) -> None:
        self.instance = Instance(oracles.find(server))
        self.instance.start()
        with psycopg.connect(self.instance.conninfo, autocommit=True) as connection:
            connection.execute(
                "CREATE DATABASE ascii TEMPLATE template0 "
                "ENCODING 'SQL_ASCII' LOCALE 'C'"
            )
        self.connection = psycopg.connect(
            f"{self.instance.conninfo} dbname=ascii", autocommit=True
        )
        self.connection.execute(PROBE)
        self.connection.execute("SET statement_timeout = '2s'")

    def theirs(self, pattern: bytes, texts: list[bytes]) -> Answer:
        """Return what PostgreSQL says."""
        row = self.connection.execute(
            "SELECT probe(%s, %s)", (pattern, texts), binary=True
        ).fetchone()
        assert row is not None
        (answers,) = row
        if len(answers) == 1:
            error: str = answers[0].decode("latin-1")
            return error.removeprefix(PREFIX)
        found = list[tuple[bool, bytes | None]]()
        for matches, substring, twice, once in batched(answers, 4):
            # Without parentheses, substring() returns the whole match.
            captured = int(twice) - int(once) == len(substring or b"")
            found.append((matches == b"true", substring if captured else None))
        return found

    def close(self) -> None:
        """Remove it."""
        self.connection.close()
        self.instance.remove()


@pytest.fixture(scope="module", params=[oracles.PG17, oracles.PG18, oracles.PGPROXY])
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    made = Oracle(request.param)
    yield made
    made.close()


@pytest.mark.timeout(0)
def test_differential(oracle: Oracle) -> None:
    """Error, match and capture are PostgreSQL's; HBA-77, HBA-78, ID-08, ID-12."""
    maker = Maker(SEED)
    wrong = list[tuple[bytes, object, object, object]]()
    seen = Counter[str]()
    for _ in range(PAIRS // TEXTS):
        pattern = maker.pattern()
        texts = [maker.text() for _ in range(TEXTS)]
        try:
            answer, capturing = ours(pattern, texts)
        except UnsupportedRegularExpression as error:
            seen[f"unsupported: {error.why}"] += 1
            continue
        expected = oracle.theirs(pattern, texts)
        if expected in (TOO_COMPLEX, CANCELLED):
            seen[str(expected)] += 1
        elif isinstance(expected, str) or isinstance(answer, str):
            seen["invalid"] += 1
            if answer != expected:
                wrong.append((pattern, None, expected, answer))
        else:
            for text, their, our in zip(texts, expected, answer, strict=True):
                seen["matches" if their[0] else "does not match"] += 1
                seen["captures"] += their[1] is not None
                # An empty capture, and an empty match without any, look the same.
                if their == (True, b"") and our == (True, None) and not capturing:
                    seen["empty"] += 1
                elif their != our:
                    wrong.append((pattern, text, their, our))
    print(dict(seen.most_common()))  # noqa: T201 - pytest shows it with -s
    assert wrong[:20] == []
    assert seen["captures"] > PAIRS / 20
    assert seen["matches"] > PAIRS / 20
