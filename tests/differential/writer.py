"""
Writes words as authentication files have them: quoted, joined, split over lines.

Whatever is used of the grammar is marked with the statement that it is about, so that
a test can count what was asked.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

ENCODING: Final = ("utf-8", "surrogateescape")

MUST_QUOTE: Final = frozenset(' ,#"\t\r\f\v')
"""A word with one of them is quoted; form feed and vertical tab need not be."""


@dataclass(frozen=True, slots=True)
class Case:
    """
    Files that a server and pgproxy are given.

    Args:
        number: Which of its series it is.
        name: The first file: ``pg_hba.conf`` or ``pg_ident.conf``.
        files: The content of each; their paths are relative to one folder.
        marks: Which productions of the grammar are in it, and how often.

    """

    number: int
    name: str
    files: dict[str, bytes]
    marks: Counter[str]

    def __str__(self) -> str:
        """Return what can be pasted into a test."""
        lines = [
            f"    {name!r}: {content!r},\n" for name, content in self.files.items()
        ]
        return f"case {self.number}, {self.name}: {{\n{''.join(lines)}}}"


class Writer:
    """
    Makes choices, and writes words.

    Args:
        source: Where the choices come from.

    """

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.marks: Counter[str] = Counter()
        self.files: dict[str, bytes] = {}

    # --- Choices -------------------------------------------------------------------

    def one(self, choices: Sequence[str]) -> str:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        """Return True as often as *probability* says."""
        return self.random.random() < probability

    def mark(self, production: str) -> None:
        """Note that *production* is used."""
        self.marks[production] += 1

    def production(self, choices: Sequence[Callable[[], str]]) -> str:
        """Return what one of the methods *choices* makes; its name is the mark."""
        made = self.random.choice(choices)
        self.mark(made.__name__)
        return made()

    # --- Words ---------------------------------------------------------------------

    def keyword(self, word: str) -> str:
        """Write a keyword: it must not begin with a quote (HBA-05)."""
        if self.chance(0.9):
            return word
        self.mark("HBA-05 quotes within a keyword")
        at = self.random.randint(1, len(word) - 1)
        end = self.random.randint(at, len(word))
        return f'{word[:at]}"{word[at:end]}"{word[end:]}'

    def fixed(self, word: str) -> str:
        """Write a word that means the same in quotes (HBA-12)."""
        if self.chance(0.9):
            return word
        self.mark("HBA-12 quoted word")
        return f'"{word}"'

    def name(self, text: str) -> str:
        """Write a name that is no keyword."""
        if MUST_QUOTE & set(text) or not text or self.chance(0.15):
            return self.quoted(text)
        if self.chance(0.1):
            self.mark("HBA-04 quotes within a token")
            at = self.random.randint(0, len(text))
            return f'{text[:at]}"{text[at:]}"' if at else f'""{text}'
        return text

    def quoted(self, text: str) -> str:
        """Write *text* in quotes."""
        self.mark("HBA-04 quoted token")
        if '"' in text:
            self.mark("HBA-04 doubled quote")
        return '"' + text.replace('"', '""') + '"'

    # --- Lines ---------------------------------------------------------------------

    def field(self, *tokens: str) -> str:
        """Join tokens of one field with commas (HBA-02)."""
        if len(tokens) > 1:
            self.mark("HBA-02 list")
        text = tokens[0]
        for token in tokens[1:]:
            comma = self.one([",", ",", ",", ", ", ",,", ",\t"])
            if comma != ",":
                self.mark("HBA-02 odd comma")
            text += comma + token
        if self.chance(0.02):
            self.mark("HBA-02 odd comma")
            text = f",{text}"
        return text

    def line(self, *fields: str) -> str:
        """Write fields, and what may stand around them (HBA-01, HBA-03)."""
        text = fields[0]
        for field in fields[1:]:
            blank = self.one([" ", " ", " ", "  ", "\t", " \t ", "\r "])
            if "\t" in blank or "\r" in blank:
                self.mark("HBA-01 tab or carriage return")
            text += blank + field
        if self.chance(0.06):
            text = self.one([" ", "\t", "  "]) + text
        if self.chance(0.06):
            text += self.one([" ", "\t", "\r"])
        if self.chance(0.1):
            self.mark("HBA-03 comment behind")
            text += self.one([" # x", "#", ' #a,b "c', "#\\x"])
        return text

    def folded(self, line: str) -> str:
        """Spread *line* over several (HBA-08, HBA-09)."""
        if not line or not self.chance(0.06):
            return line
        self.mark("HBA-08 continuation")
        at = self.random.randint(1, len(line))
        return line[:at] + self.one(["\\\n", "\\\n", "\\\r\n"]) + line[at:]

    def text(self, lines: Sequence[str]) -> bytes:
        """Write lines into a file."""
        written = []
        for line in lines:
            if self.chance(0.06):
                self.mark("HBA-03 comment line")
                written.append(
                    self.one(["# host all all all trust", "#", "", " ", "#\\"])
                )
                if written[-1] == "#\\":
                    # Or it would take the next line in.
                    written.append("")
            written.append(self.folded(line))
        end = "\n"
        if self.chance(0.08):
            self.mark("HBA-08 CRLF")
            end = "\r\n"
        content = end.join(written)
        if self.chance(0.15):
            self.mark("HBA-08 no end of the last line")
            if self.chance(0.2):
                content += "\\"
        else:
            content += end
        if self.chance(0.02):
            self.mark("HBA-07 NUL")
            content += "# x\0hidden\n\n"
        return content.encode(*ENCODING)

    # --- Files ---------------------------------------------------------------------

    def file(self, content: bytes, names: Sequence[str], suffix: str = "") -> str:
        """Add a file with one of *names*, or one like it that is free."""
        name = self.one(names)
        if name in self.files:
            name = f"{name}{len(self.files)}"
        self.files[name + suffix] = content
        return name + suffix

    def at_file(self, *tokens: str) -> str:
        """Move *tokens* to a file, and write what stands for them (HBA-13)."""
        self.mark("HBA-13 @file")
        separators = [",", " ", "\n", " # x\n", ",\n", "\\\n ", "\n\n"]
        text = tokens[0] if tokens else ""
        for token in tokens[1:]:
            text += self.one(separators) + token
        if len(tokens) > 1 and self.chance(0.2):
            self.mark("HBA-13 @file in @file")
            inner = self.file(tokens[0].encode(*ENCODING), ["sub/inner"])
            text += f" @{inner.removeprefix('sub/')}"
            name = self.file(text.encode(*ENCODING), ["sub/names"])
        else:
            name = self.file(
                text.encode(*ENCODING), ["names", "names", "my names", "sub/names"]
            )
        return f'@"{name}"' if " " in name or self.chance(0.1) else f"@{name}"
