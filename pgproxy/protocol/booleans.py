"""Booleans as PostgreSQL reads them, in settings and in files of rules."""

import string
from typing import Final

_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def parse_bool(text: str) -> bool | None:
    """
    Return the boolean that *text* names; None if it names none.

    It is ``on``, ``off``, ``true``, ``false``, ``yes``, ``no``, ``1``, ``0``, or
    what these begin with as long as only one of them does, in either case.

    Source: ``parse_bool_with_len`` in bool.c.
    """
    lower = ascii_lower(text)
    # "o" begins on and off.
    if lower and lower != "o":
        if any(word.startswith(lower) for word in ("true", "yes", "on", "1")):
            return True
        if any(word.startswith(lower) for word in ("false", "no", "off", "0")):
            return False
    return None


def ascii_lower(text: str) -> str:
    """Lower the letters A to Z and no other, as ``guc_name_compare`` does."""
    return text.translate(_ASCII_LOWER)
