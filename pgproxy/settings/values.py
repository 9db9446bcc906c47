"""How PostgreSQL reads the text of a value: booleans, numbers, enums, lists."""

import math
import re
from collections.abc import Sequence
from typing import Final, TypeVar

from pgproxy.protocol.booleans import ascii_lower, parse_bool

T = TypeVar("T", bound=str)

INT_MIN: Final = -(2**31)
INT_MAX: Final = 2**31 - 1

SPACE: Final = " \t\n\v\f\r"
"""What C's isspace takes for a space, and so all that PostgreSQL skips."""

MEMORY_UNITS: Final = {
    "TB": 1024**4,
    "GB": 1024**3,
    "MB": 1024**2,
    "kB": 1024,
    "B": 1,
}
"""The greatest first, in bytes; ``memory_unit_conversion_table`` of guc.c."""

TIME_UNITS: Final = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "min": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
"""The greatest first, in microseconds; ``time_unit_conversion_table`` of guc.c."""

MEMORY_UNITS_HINT: Final = (
    'Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".'
)
TIME_UNITS_HINT: Final = (
    'Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".'
)

# strtol with base 0, and strtod, as far as they take a decimal number. What is
# left of "08" behind its first digit is no unit, so 08 is refused, as in C.
_LONG = re.compile(rf"[{SPACE}]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_DOUBLE = re.compile(
    rf"[{SPACE}]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)


class InvalidValue(Exception):
    """A value that its setting cannot have, told in the parts of ``ereport``."""

    def __init__(
        self, message: str, *, detail: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint


def invalid_value(
    name: str, text: str, *, detail: str | None = None, hint: str | None = None
) -> InvalidValue:
    """Return the sentence that PostgreSQL has for most bad values."""
    message = f'invalid value for parameter "{name}": "{text}"'
    return InvalidValue(message, detail=detail, hint=hint)


def read_bool(name: str, text: str) -> bool:
    """
    Return the boolean that *text* names; see `parse_bool`.

    Raises:
        InvalidValue: It names none.

    """
    value = parse_bool(text)
    if value is None:
        raise InvalidValue(f'parameter "{name}" requires a Boolean value')
    return value


def _units(unit: str) -> dict[str, int]:
    return MEMORY_UNITS if unit in MEMORY_UNITS else TIME_UNITS


def _number(text: str) -> tuple[float, str] | None:
    """
    Split *text* into a number and what follows it; None if no number begins it.

    It is read as an integer (decimal, ``0x`` hexadecimal, ``0`` octal), and once
    more as a decimal fraction where that reading stops at a point or an ``e``.
    """
    match = _LONG.match(text)
    stop = match.end() if match else 0
    if text[stop : stop + 1] in {".", "e", "E"}:
        match = _DOUBLE.match(text)
        value = float(match[0]) if match else math.nan
    elif match:
        sign, digits = match.groups()
        try:
            if digits[:2] in {"0x", "0X"}:
                value = float(int(digits, 16))
            elif digits[0] == "0":
                value = float(int(digits, 8))
            else:
                value = float(digits)
        except OverflowError:
            value = math.inf
        value = -value if sign == "-" else value
    if match is None or math.isinf(value):
        return None
    return value, text[match.end() :]


def _to_base_unit(value: float, unit: str, base: str) -> float | None:
    """
    Convert *value* from *unit* to *base*, or return None for an unknown unit.

    A fraction such as ``30.1GB`` is rounded to a whole number of the next smaller
    unit first. Source: ``convert_to_base_unit`` in guc.c.
    """
    table = _units(base)
    if unit not in table:
        return None
    converted = value * (table[unit] / table[base])
    names = list(table)
    smaller = names[names.index(unit) + 1 :]
    if smaller and math.isfinite(converted):
        step = table[smaller[0]] / table[base]
        return round(converted / step) * step
    return converted


def read_int(name: str, text: str, *, unit: str | None, low: int, high: int) -> int:
    """
    Return the integer that *text* is, in *unit*.

    Args:
        name: The setting.
        text: Such as ``60``, ``0x1F``, ``017``, ``1.5``, or with a unit ``1 min``.
        unit: What the number counts, and what it has where it names no unit; None
            if it has none.
        low: The least that is accepted, in *unit*.
        high: The greatest that is accepted, in *unit*.

    Raises:
        InvalidValue: It is no number, has another unit, or is out of range.

    Source: ``parse_int`` and ``parse_and_validate_value`` in guc.c.

    """
    parsed = _number(text)
    if parsed is None:
        raise invalid_value(name, text)
    value, rest = parsed
    if named_unit := rest.strip(SPACE):
        if unit is None:
            raise invalid_value(name, text)
        converted = _to_base_unit(value, named_unit, unit)
        if converted is None:
            memory = unit in MEMORY_UNITS
            hint = MEMORY_UNITS_HINT if memory else TIME_UNITS_HINT
            raise invalid_value(name, text, hint=hint)
        value = converted
    # Python rounds as C's rint does: a half goes to the even neighbour.
    if not math.isfinite(value) or not INT_MIN <= round(value) <= INT_MAX:
        raise invalid_value(name, text, hint="Value exceeds integer range.")
    number = round(value)
    if not low <= number <= high:
        tail = f" {unit}" if unit else ""
        raise InvalidValue(
            f"{number}{tail} is outside the valid range for parameter "
            f'"{name}" ({low}{tail} .. {high}{tail})'
        )
    return number


def read_enum(name: str, text: str, values: Sequence[T]) -> T:
    """
    Return the one of *values* that *text* names, in whatever case.

    Raises:
        InvalidValue: It names none; the hint lists those that there are.

    Source: ``config_enum_lookup_by_name`` in guc.c.

    """
    for value in values:
        if ascii_lower(value) == ascii_lower(text):
            return value
    hint = f"Available values: {', '.join(values)}."
    raise invalid_value(name, text, hint=hint)


def show_bool(value: bool) -> str:
    """Return *value* as SHOW prints it."""
    return "on" if value else "off"


def show_int(value: int, unit: str | None) -> str:
    """
    Return *value* as SHOW prints it: in the greatest unit that loses nothing.

    Source: ``convert_int_from_base_unit`` in guc.c.
    """
    if unit is None or value <= 0:
        return str(value)
    table = _units(unit)
    greatest = next(u for u in table if value * table[unit] % table[u] == 0)
    return f"{value * table[unit] // table[greatest]}{greatest}"
