"""The scanner of postgresql.conf: names, values, quotes and comments."""

import re
from collections.abc import Iterator
from typing import Final

# The tokens of guc-file.l, by name: the longest wins, and of these the first. Any
# byte above 127 is a letter there; here, any character.
_LETTER = "[A-Za-z_\x80-\U0010ffff]"
_MORE = "[A-Za-z_0-9\x80-\U0010ffff]"
_ID = f"{_LETTER}{_MORE}*"
_TOKENS: Final = {
    name: re.compile(pattern)
    for name, pattern in {
        "space": r"[ \t\r]+",
        "comment": "#.*",
        "id": _ID,
        "qualified id": rf"{_ID}\.{_ID}",
        # A NUL would end the string in C.
        "string": r"'(?:[^'\\\n\0]|\\[^\n\0]|'')*'",
        "unquoted string": f"{_LETTER}(?:{_MORE}|[-._:/])*",
        "integer": "[-+]?(?:0x[0-9a-fA-F]+|[0-9]+)[a-zA-Z]*",
        "real": r"[-+]?[0-9]*\.[0-9]*(?:[Ee][-+]?[0-9]+)?",
        "equals": "=",
        "error": r"[\s\S]",
    }.items()
}
_NAMES: Final = {"id", "qualified id"}
_VALUES: Final = {"id", "string", "integer", "real", "unquoted string"}
_ESCAPES: Final = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _tokens(line: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each token, then the end; guc-file.l."""
    position = 0
    while position < len(line):
        matches = (
            (name, match[0])
            for name, pattern in _TOKENS.items()
            if (match := pattern.match(line, position))
        )
        # max takes the first of the longest.
        name, text = max(matches, key=lambda token: len(token[1]))
        position += len(text)
        if name not in {"space", "comment"}:
            yield name, text
    while True:
        yield "end", ""


def parse_line(line: str) -> tuple[str, str] | str | None:
    """
    Return the name and the value that *line* sets.

    ::

        [ name [=] value ] [ # comment ]

    Returns:
        A name and its value; None for a line that sets nothing; or the token at
        which the line goes wrong, which is "" for its end.

    Source: ``ParseConfigFp`` in guc-file.l.

    """
    tokens = _tokens(line)
    kind, name = next(tokens)
    if kind == "end":
        return None
    if kind not in _NAMES:
        return name
    kind, value = next(tokens)
    if kind == "equals":
        kind, value = next(tokens)
    if kind not in _VALUES:
        return value
    if kind == "string":
        value = deescape_quoted_string(value)
    kind, token = next(tokens)
    return (name, value) if kind == "end" else token


def deescape_quoted_string(token: str) -> str:
    r"""
    Return what is between the quotes of *token*.

    ``''`` is a quote, ``\b \f \n \r \t`` are what they are in C, a backslash and up
    to three octal digits are a byte, and any other character with a backslash in
    front is itself. A zero byte ends the string, as in C.

    Source: ``DeescapeQuotedString`` in guc-file.l.
    """
    raw = re.sub(
        rb"''|\\([0-7]{1,3})|\\(.)",
        lambda match: (
            bytes([int(match[1], 8) & 0xFF])
            if match[1]
            else _ESCAPES.get(match[2], match[2] or b"'")
        ),
        token[1:-1].encode("utf-8", "surrogateescape"),
    )
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def quote(value: str) -> str:
    """Return *value* as it may be written into a file, whatever is in it."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"
