"""
The token rules that pg_hba.conf and pg_ident.conf share.

They are rules on bytes. Python's own idea of a line or of a blank is wider than
PostgreSQL's (LIB-16): a form feed, a no-break space or a byte-order mark is an
ordinary character of a token here (HBA-01).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.regex import Regex

TEXT: Final = ("utf-8", "surrogateescape")
"""How bytes become text, without loss."""

# A word that is bare, or as a whole in quotes, and whether a comma is behind it; or all
# that is left of the line: a comment, or a word that is not so simple.
_SIMPLE: Final = re.compile(
    r'([^ \t\r,#"]++|"[^"]*+")(?=[ \t\r,#]|\Z)(,?)|([^ \t\r,].*)', re.DOTALL
)
_BARE: Final = re.compile(rb'[^ \t\r#,"]+')
_IN_QUOTES: Final = re.compile(rb'[^"]+')


@dataclass(frozen=True, slots=True)
class Token:
    """
    One word of a configuration file, its quotes taken off.

    Args:
        text: What it says.
        quoted: Whether it began with a quote. Then it is a name, and never a keyword:
            ``"all"`` and ``""all`` are names, ``al"l"`` is the keyword (HBA-05).
        regex: What it means, where it is one for names and begins with a slash: the
            reader of the file has compiled it (HBA-77).

    """

    text: str
    quoted: bool
    regex: Regex | None = None

    def is_keyword(self, word: str) -> bool:
        """Return whether this is *word*, said as a keyword; ``token_is_keyword``."""
        return not self.quoted and self.text == word

    def is_member_check(self) -> bool:
        """Return whether this is ``+role``; ``token_is_member_check``."""
        return not self.quoted and self.text.startswith("+")

    def matches(self, name: str) -> bool:
        """
        Return whether this, taken for a name or a regular expression, is *name*.

        Source: ``token_has_regexp``, ``token_matches``, ``regexec_auth_token`` in
        hba.c; HBA-77, HBA-79.
        """
        if self.regex is not None:
            return self.regex.matches(name)
        return self.text == name


Field = tuple[Token, ...]
"""Tokens with commas between them."""


class Words(dict[str, Token]):
    """
    The tokens of a file, by how they are written: most of them come again.

    ::

        words['all']      Token('all', quoted=False)
        words['"all"']    Token('all', quoted=True)
    """

    def __missing__(self, word: str) -> Token:
        """Make the token that *word* is, and remember it."""
        quoted = word.startswith('"')
        token = self[word] = Token(word[1:-1] if quoted else word, quoted)
        return token


def fields(line: str, words: Words) -> tuple[Field, ...]:
    """
    Return the fields of *line*, as `next_token` finds them.

    Hot: a line of simple words is cut up by one expression, in a third of the time.

    Args:
        line: A logical line, as `TEXT`.
        words: The tokens that are known; is given those that are not.

    """
    found: list[list[Token]] = []
    goes_on = ""
    for word, comma, rest in _SIMPLE.findall(line):
        if rest:
            if rest.startswith("#"):
                break
            return _fields_by_token(line.encode(*TEXT))
        if goes_on:
            found[-1].append(words[word])
        else:
            found.append([words[word]])
        goes_on = comma
    return tuple(map(tuple, found))


def _fields_by_token(line: bytes) -> tuple[Field, ...]:
    """Return the fields of any *line*."""
    found: list[list[Token]] = []
    token, at, comma = next_token(line, 0)
    goes_on = False
    while token is not None:
        if not goes_on:
            found.append([])
        found[-1].append(token)
        goes_on = comma
        token, at, comma = next_token(line, at)
    return tuple(map(tuple, found))


def logical_lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    r"""
    Yield the lines of a file, each with its number and without its end.

    ::

        1  host all all \            one line, number 1: b"host all all  all trust"
        2  all trust
        3  local all all trust       number 3

    A line whose very last character is a backslash goes on in the next one, in
    comments and quotes too; the backslash goes away (HBA-08, HBA-09). It must come
    after the place of the last such joint, so that an empty line ends the line.

    Source: ``tokenize_auth_file`` in hba.c, ``pg_strip_crlf``.
    """
    line, joint, number, joined = b"", 0, 1, 0
    for physical in _physical_lines(data):
        line = (line + physical).rstrip(b"\r\n")
        if len(line) > joint and line.endswith(b"\\"):
            line = line[:-1]
            joint, joined = len(line), joined + 1
            continue
        yield number, line
        line, joint, number, joined = b"", 0, number + joined + 1, 0
    if joined:
        yield number, line


def _physical_lines(data: bytes) -> Iterator[bytes]:
    """
    Yield the lines that C's ``fgets`` and ``strlen`` see.

    A NUL hides what is left of its line, and the end of that line too: the next one
    goes on where the NUL stood (HBA-07).

    Source: ``pg_get_line_append`` in pg_get_line.c.
    """
    line = b""
    for chunk in data.split(b"\n"):
        visible, nul, _hidden = chunk.partition(b"\0")
        line += visible
        if not nul:
            yield line
            line = b""
    if line:
        yield line


def next_token(line: bytes, start: int) -> tuple[Token | None, int, bool]:
    """
    Return the token at or behind *start*, where it ends, and whether at a comma.

    ::

        a"b ""c"d , e # f        ->  Token('ab "cd'), Token('e')

    Blanks and commas before it are skipped (HBA-02). A ``#`` outside quotes ends the
    line (HBA-03). Quotes may open and close anywhere, and two of them inside quotes
    are one (HBA-04); one that is not closed runs to the end of the line (HBA-06). A
    backslash is a character like any other (HBA-10).

    Returns:
        The token, None at the end of the line; the offset of the next byte to look
        at; whether a comma is there, so that the field goes on.

    Source: ``next_token`` in hba.c.

    """
    at, end = start, len(line)
    while at < end and line[at] in b" \t\r,":
        at += 1
    text = bytearray()
    in_quote = was_quote = saw_quote = quoted = comma = False
    while at < end:
        # Not one by one: this is most of what it takes to read a file.
        if plain := (_IN_QUOTES if in_quote else _BARE).match(line, at):
            text += plain[0]
            was_quote, at = False, plain.end()
            continue
        char = line[at]
        if char != ord('"'):
            comma = char == ord(",")
            at = end if char == ord("#") else at
            break
        # The second of two quotes inside quotes closes and opens again: it is
        # `was_quote` that makes a character of it.
        if was_quote:
            text.append(char)
        was_quote = in_quote and not was_quote
        in_quote, saw_quote = not in_quote, True
        quoted = quoted or not text
        at += 1
    if not saw_quote and not text:
        return None, at, False
    return Token(text.decode(*TEXT), quoted), at, comma
