r"""
The words of PostgreSQL's regular expressions.

These are Henry Spencer's "advanced" regular expressions (AREs), as pg_hba.conf and
pg_ident.conf have them: compiled with C collation while no database is selected, so
that one byte is one character (HBA-78).

::

    (?i)\ma+?[[:digit:]_]    ->  '<', PLAIN a, '+' 0, '[', CCLASS, ...

A word depends on the one before, and on how many parentheses there have been: a word
is read when the parser wants it, one ahead. The names are those of regc_lex.c.
"""

from typing import Final

from pgproxy.auth.are_chars import ALL, CLASSES

ICASE: Final = 1
EXTENDED: Final = 2
ADVF: Final = 4
ADVANCED: Final = EXTENDED | ADVF
QUOTE: Final = 8
EXPANDED: Final = 16
NLSTOP: Final = 32
NLANCH: Final = 64
NEWLINE: Final = NLSTOP | NLANCH

OPTIONS: Final = {
    # What an embedded option takes away, and what it adds.
    "b": (ADVANCED | QUOTE, 0),
    "c": (ICASE, 0),
    "e": (ADVF | QUOTE, EXTENDED),
    "i": (0, ICASE),
    "m": (0, NEWLINE),
    "n": (0, NEWLINE),
    "p": (NLANCH, NLSTOP),
    "q": (ADVANCED, QUOTE),
    "s": (NEWLINE, 0),
    "t": (EXPANDED, 0),
    "w": (NLSTOP, NLANCH),
    "x": (0, EXPANDED),
}

# What errors say; regerrs.h.
BADPAT: Final = "invalid regexp (reg version 0.8)"
ECOLLATE: Final = "invalid collating element"
ECTYPE: Final = "invalid character class"
EESCAPE: Final = r"invalid escape \ sequence"
ESUBREG: Final = "invalid backreference number"
EBRACK: Final = "brackets [] not balanced"
EPAREN: Final = "parentheses () not balanced"
EBRACE: Final = "braces {} not balanced"
BADBR: Final = "invalid repetition count(s)"
ERANGE: Final = "invalid character range"
BADRPT: Final = "quantifier operand invalid"
BADOPT: Final = "invalid embedded option"

# The types of words. Those that are not here are the character itself: ( ) [ ] { } |
# * + ? , . ^ $, and < > for the beginning and the end of a word.
EMPTY: Final = "nothing yet"
EOS: Final = "end of string"
PLAIN: Final = "plain"
DIGIT: Final = "digit"
BACKREF: Final = "back reference"
COLLEL: Final = "[."
ECLASS: Final = "[="
CCLASS: Final = "[:"
END: Final = "end of a bracketed name"
CCLASSS: Final = "class"
CCLASSC: Final = "complement of a class"
RANGE: Final = "range"
LACON: Final = "lookaround"
WBDRY: Final = "word boundary"
NWBDRY: Final = "no word boundary"
SBEGIN: Final = "begin"
SEND: Final = "end"

AHEAD, BEHIND = 0, 1
"""The values of a `LACON`."""

# Where in the pattern the lexer is.
_ERE: Final = "expression"
_Q: Final = "literal"
_BND: Final = "bound"
_BRACK: Final = "brackets"
_NAMES: Final = {".": COLLEL, "=": ECLASS, ":": CCLASS}


class InvalidRegularExpression(Exception):
    """PostgreSQL does not take it; the text is PostgreSQL's own."""


class UnsupportedRegularExpression(Exception):
    """
    PostgreSQL takes it, and pgproxy cannot do exactly the same in linear time.

    Args:
        why: What it has, as in "it has a back reference at position 7".
        position: Where, counted in characters from 1.

    """

    def __init__(self, why: str, position: int) -> None:
        super().__init__(f"it has {why} at position {position}")
        self.why = why
        self.position = position


def unsupported(why: str, pattern: bytes, offset: int) -> UnsupportedRegularExpression:
    """Return the complaint that *pattern* has *why* at *offset*."""
    before = pattern[:offset].decode("utf-8", "surrogateescape")
    return UnsupportedRegularExpression(why, len(before) + 1)


_ESCAPES: Final = {
    "a": (PLAIN, 0x07),
    "b": (PLAIN, 0x08),
    "B": (PLAIN, ord("\\")),
    "e": (PLAIN, 0x1B),
    "f": (PLAIN, 0x0C),
    "n": (PLAIN, 0x0A),
    "r": (PLAIN, 0x0D),
    "t": (PLAIN, 0x09),
    "v": (PLAIN, 0x0B),
    "A": (SBEGIN, 0),
    "m": ("<", 0),
    "M": (">", 0),
    "y": (WBDRY, 0),
    "Y": (NWBDRY, 0),
    "Z": (SEND, 0),
    "d": (CCLASSS, CLASSES["digit"]),
    "D": (CCLASSC, ALL & ~CLASSES["digit"]),
    "s": (CCLASSS, CLASSES["space"]),
    "S": (CCLASSC, ALL & ~CLASSES["space"]),
    "w": (CCLASSS, CLASSES["word"]),
    "W": (CCLASSC, ALL & ~CLASSES["word"]),
}
"""What comes after a backslash, if it is one character, and of what type it is."""

_HEX_ESCAPES: Final = {"u": (4, 4), "U": (8, 8), "x": (1, 255)}
"""How many digits there are, at least and at most."""

_CHR_MAX: Final = 0x7FFFFFFE


class Lexer:
    """
    The words of a regular expression, one at a time.

    Attributes:
        flags: What the prefixes and the embedded options have made of it.
        type: The type of the word that is next.
        value: Its value. For characters their code, for classes their set, for
            quantifiers whether they are greedy, for ``(`` whether it captures, for
            ``[`` whether it is without ``^``, for a back reference its number.
        offset: Where it begins.
        now: Where the one after it will begin.
        groups: How many capturing parentheses the parser has opened.

    """

    def __init__(self, pattern: bytes) -> None:
        # One character for each byte.
        self.pattern = pattern.decode("latin-1")
        self.now = 0
        self.flags = ADVANCED
        self.type, self.value, self.offset = EMPTY, 0, 0
        self.groups = 0
        self._last = EMPTY
        self._prefixes(pattern)
        self._context = _Q if self.flags & QUOTE else _ERE
        self.next()

    def _at(self, text: str) -> bool:
        return self.pattern.startswith(text, self.now)

    def _at_end(self) -> bool:
        return self.now >= len(self.pattern)

    def _take(self, text: str) -> bool:
        """Step over *text* if it is there, and return whether it was."""
        there = self._at(text)
        if there:
            self.now += len(text)
        return there

    def _char(self) -> str:
        char = self.pattern[self.now]
        self.now += 1
        return char

    def _set(self, kind: str, value: int = 0) -> None:
        self.type, self.value = kind, value

    def _prefixes(self, pattern: bytes) -> None:
        """
        Read the director and the embedded options, if there are any.

        Source: ``prefixes`` in regc_lex.c.
        """
        if self._at("***") and len(self.pattern) >= 4:
            director = self.pattern[3]
            if director == "?":
                raise InvalidRegularExpression(BADPAT)
            if director not in "=:":
                raise InvalidRegularExpression(BADRPT)
            self.now = 4
            if director == "=":
                self.flags = QUOTE
                return
        start = self.now
        if self._at("(?") and _is_alpha(self.pattern[start + 2 : start + 3]):
            self._options()
            if not self.flags & (QUOTE | EXTENDED):
                raise unsupported("the embedded option b", pattern, start)

    def _options(self) -> None:
        """Read embedded options, as ``(?ix)``."""
        self.now += 2
        while _is_alpha(self.pattern[self.now : self.now + 1]):
            option = self._char()
            if option not in OPTIONS:
                raise InvalidRegularExpression(BADOPT)
            off, on = OPTIONS[option]
            self.flags = self.flags & ~off | on
        if not self._take(")"):
            raise InvalidRegularExpression(BADOPT)
        if self.flags & QUOTE:
            self.flags &= ~(EXPANDED | NEWLINE)

    def next(self) -> None:
        """
        Go to the next word.

        Raises:
            InvalidRegularExpression: If there is none.

        Source: ``next`` in regc_lex.c.

        """
        self._last = self.type
        self._skip_comments()
        self.offset = self.now
        if self._at_end():
            if self._context == _BND:
                raise InvalidRegularExpression(EBRACE)
            if self._context not in (_ERE, _Q):
                raise InvalidRegularExpression(EBRACK)
            self._set(EOS)
            return
        char = self._char()
        if self._context == _ERE:
            self._next_ere(char)
        elif self._context == _Q:
            self._set(PLAIN, ord(char))
        elif self._context == _BND:
            self._next_bound(char)
        elif self._context == _BRACK:
            self._next_bracket(char)
        elif char == self._context and self._take("]"):
            self._context = _BRACK
            self._set(END)
        else:
            self._set(PLAIN, ord(char))

    def _skip_comments(self) -> None:
        """Skip ``(?#...)`` and, in the expanded syntax, blanks and ``#...``."""
        while True:
            if self.flags & EXPANDED and self._context in (_ERE, _BND):
                self._skip_blanks()
            if self._context != _ERE or not self.flags & ADVF or not self._take("(?#"):
                return
            end = self.pattern.find(")", self.now)
            self.now = len(self.pattern) if end < 0 else end + 1

    def _skip_blanks(self) -> None:
        """
        Skip white space and comments of the expanded syntax.

        Source: ``skip`` in regc_lex.c.
        """
        while not self._at_end():
            if self._at("#"):
                end = self.pattern.find("\n", self.now)
                self.now = len(self.pattern) if end < 0 else end
            elif self.pattern[self.now] in "\t\n\v\f\r ":
                self.now += 1
            else:
                break

    def _next_ere(self, char: str) -> None:
        if char in "*+?":
            self._set(char, not (self.flags & ADVF and self._take("?")))
        elif char == "{":
            self._next_brace()
        elif char == "(":
            self._next_parenthesis()
        elif char == "[":
            self._next_brackets()
        elif char == "\\":
            if self._at_end():
                raise InvalidRegularExpression(EESCAPE)
            if self.flags & ADVF:
                self._next_escape()
            else:
                self._set(PLAIN, ord(self._char()))
        else:
            self._set(char if char in "|.^$)" else PLAIN, ord(char))

    def _next_brace(self) -> None:
        if self.flags & EXPANDED:
            self._skip_blanks()
        if _is_digit(self.pattern[self.now : self.now + 1]):
            self._context = _BND
            self._set("{")
        else:
            self._set(PLAIN, ord("{"))

    def _next_brackets(self) -> None:
        if self._take("[:<:]]"):
            self._set("<")
        elif self._take("[:>:]]"):
            self._set(">")
        else:
            self._context = _BRACK
            self._set("[", not self._take("^"))

    def _next_parenthesis(self) -> None:
        if not self.flags & ADVF or not self._take("?"):
            self._set("(", 1)
        elif self._take(":"):
            self._set("(", 0)
        elif self._take("=") or self._take("!"):
            self._set(LACON, AHEAD)
        elif self._take("<=") or self._take("<!"):
            self._set(LACON, BEHIND)
        else:
            raise InvalidRegularExpression(BADRPT)

    def _next_bound(self, char: str) -> None:
        if _is_digit(char):
            self._set(DIGIT, int(char))
        elif char == ",":
            self._set(",")
        elif char == "}":
            self._context = _ERE
            self._set("}", not (self.flags & ADVF and self._take("?")))
        else:
            raise InvalidRegularExpression(BADBR)

    def _next_bracket(self, char: str) -> None:
        if char == "]" and self._last != "[":
            self._context = _ERE
            self._set("]")
        elif char == "\\" and self.flags & ADVF:
            if self._at_end():
                raise InvalidRegularExpression(EESCAPE)
            self._next_escape()
            if self.type not in (PLAIN, CCLASSS, CCLASSC):
                raise InvalidRegularExpression(EESCAPE)
        elif char == "-" and self._last != "[" and not self._at("]"):
            self._set(RANGE, ord(char))
        elif char == "[":
            if self._at_end():
                raise InvalidRegularExpression(EBRACK)
            kind = self.pattern[self.now]
            if kind in _NAMES:
                self.now += 1
                self._context = kind
                self._set(_NAMES[kind])
            else:
                self._set(PLAIN, ord(char))
        else:
            self._set(PLAIN, ord(char))

    def _next_escape(self) -> None:
        """
        Read what comes after a backslash.

        Source: ``lexescape`` in regc_lex.c.
        """
        char = self._char()
        if not _is_alpha(char) and not _is_digit(char):
            self._set(PLAIN, ord(char))
        elif char in _ESCAPES:
            self._set(*_ESCAPES[char])
        elif char == "c":
            if self._at_end():
                raise InvalidRegularExpression(EESCAPE)
            self._set(PLAIN, ord(self._char()) & 0o37)
        elif char in _HEX_ESCAPES:
            code = self._digits(16, *_HEX_ESCAPES[char])
            if code > _CHR_MAX:
                raise InvalidRegularExpression(EESCAPE)
            self._set(PLAIN, code)
        elif _is_digit(char):
            self._next_number(char)
        else:
            raise InvalidRegularExpression(EESCAPE)

    def _next_number(self, char: str) -> None:
        r"""Read a back reference, or a character as ``\0``, ``\12`` or ``\123``."""
        after = self.now
        self.now -= 1
        if char != "0":
            number = self._digits(10, 1, 255)
            # It is an int in C.
            if self.now == after or 0 < number <= min(self.groups, 0x7FFFFFFF):
                self._set(BACKREF, number)
                return
            self.now = after - 1
        code = self._digits(8, 1, 3)
        if code > 0xFF:
            self.now -= 1
            code >>= 3
        self._set(PLAIN, code)

    def _digits(self, base: int, least: int, most: int) -> int:
        """
        Read digits; return their number, as 32 bits have it.

        Source: ``lexdigits`` in regc_lex.c.
        """
        digits = "0123456789abcdef"[:base]
        number, start = 0, self.now
        while self.now < min(start + most, len(self.pattern)):
            digit = digits.find(self.pattern[self.now].lower())
            if digit < 0:
                break
            number = (number * base + digit) & 0xFFFFFFFF
            self.now += 1
        if self.now - start < least:
            raise InvalidRegularExpression(EESCAPE)
        return number


def _is_alpha(char: str) -> bool:
    return char.isascii() and char.isalpha()


def _is_digit(char: str) -> bool:
    return char.isascii() and char.isdigit()
