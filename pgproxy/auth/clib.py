"""Numbers as the C library reads them, of any length and with what is behind them."""

import re
from typing import Final

_NUMBER: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?)0*([0-9]*)")
_LONG_MAX: Final = 2**63 - 1


def atoi(text: str) -> int:
    """
    Return the number that *text* begins with, or 0.

    It is read as a ``long``, whose greatest value stands for all that is greater, and
    then cut down to an ``int``: 4294967297 is 1, and 10 to the power of 20 is -1.
    """
    match = _NUMBER.match(text)
    assert match is not None, "it matches the empty string"
    sign, digits = match.groups()
    # Twenty digits are more than a long has; Python reads no more than some thousands.
    number = min(int(digits[:20] or "0"), _LONG_MAX + (sign == "-"))
    number = -number if sign == "-" else number
    return (number + 2**31) % 2**32 - 2**31
