"""
Sets of bytes, and the names that PostgreSQL's regular expressions have for them.

They are those of the C locale: a byte above 0x7f is a character like others, and is
no letter, digit or blank (HBA-78).
"""

from collections.abc import Iterable
from typing import Final

ALL: Final = (1 << 256) - 1
"""A set of bytes is a number with the bit of each; this is the set of all."""


def byte_set(codes: Iterable[int]) -> int:
    """Return the set of *codes*; what is no byte is in no text."""
    mask = 0
    for code in codes:
        mask |= 1 << code
    return mask


def _ascii(text: str) -> int:
    return byte_set(text.encode())


_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789"

CLASSES: Final = {
    "alnum": _ascii(_LOWER + _LOWER.upper() + _DIGITS),
    "alpha": _ascii(_LOWER + _LOWER.upper()),
    "ascii": byte_set(range(0x80)),
    "blank": _ascii("\t "),
    # The only class that has bytes above 0x7f.
    "cntrl": byte_set([*range(0x20), *range(0x7F, 0xA0)]),
    "digit": _ascii(_DIGITS),
    "graph": byte_set(range(0x21, 0x7F)),
    "lower": _ascii(_LOWER),
    "print": byte_set(range(0x20, 0x7F)),
    "punct": _ascii("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "space": _ascii("\t\n\v\f\r "),
    "upper": _ascii(_LOWER.upper()),
    "xdigit": _ascii(_DIGITS + "abcdefABCDEF"),
    "word": _ascii(_LOWER + _LOWER.upper() + _DIGITS + "_"),
}
"""The character classes of the C locale; ``cclasscvec`` in regc_locale.c."""

WORD: Final = CLASSES["word"]

_CONTROLS: Final = (
    *("NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT"),
    *("FF", "CR", "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB"),
    *("CAN", "EM", "SUB", "ESC", "FS", "GS", "RS", "US"),
)
_NUMBERS: Final = (
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
    **{name: code for code, name in enumerate(_NUMBERS, ord("0"))},
    **{name: ord(char) for char, names in _OTHERS.items() for name in names},
}
"""The names of collating elements; regc_locale.c."""
