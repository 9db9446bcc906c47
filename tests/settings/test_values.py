"""How the text of a value is read: guc.c, bool.c and varlena.c are the authority."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.values import (
    INT_MAX,
    INT_MIN,
    MEMORY_UNITS,
    MEMORY_UNITS_HINT,
    TIME_UNITS,
    TIME_UNITS_HINT,
    InvalidValue,
    read_bool,
    read_enum,
    read_int,
    show_bool,
    show_int,
)

TRUE = ["t", "tr", "tru", "true", "y", "ye", "yes", "on", "1", "T", "TRUE", "yEs", "ON"]
FALSE = ["f", "fa", "fals", "false", "n", "no", "of", "off", "0", "F", "Off", "NO"]
NEITHER = ["", "o", "O", "onn", "offf", "2", "10", "truee", "yess", " on", "on ", "ja"]


@pytest.mark.parametrize("text", TRUE)
def test_true(text: str) -> None:
    assert read_bool("ssl", text) is True


@pytest.mark.parametrize("text", FALSE)
def test_false(text: str) -> None:
    assert read_bool("ssl", text) is False


@pytest.mark.parametrize("text", NEITHER)
def test_neither(text: str) -> None:
    """TLS-22."""
    with pytest.raises(InvalidValue) as refused:
        read_bool("ssl", text)
    assert refused.value.message == 'parameter "ssl" requires a Boolean value'
    assert (refused.value.detail, refused.value.hint) == (None, None)


def integer(text: str, unit: str | None) -> int:
    return read_int("x", text, unit=unit, low=INT_MIN, high=INT_MAX)


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("0", None, 0),
        ("60", None, 60),
        ("+60", None, 60),
        ("-1", None, -1),
        (" \t\n\v\f\r60 \t\n\v\f\r", None, 60),
        ("0x1F", None, 31),
        ("0X1f", None, 31),
        ("-0x10", None, -16),
        ("010", None, 8),
        ("-010", None, -8),
        ("00", None, 0),
        # C's rint: a half goes to the even neighbour.
        ("1.5", None, 2),
        ("2.5", None, 2),
        ("-2.5", None, -2),
        ("1.", None, 1),
        (".5", None, 0),
        (".51", None, 1),
        ("1e3", None, 1000),
        ("1E+3", None, 1000),
        ("15e-1", None, 2),
        ("010.5e1", None, 105),  # strtod knows no octal
        ("2147483647", None, INT_MAX),
        ("-2147483648", None, INT_MIN),
        ("2147483647.4", None, INT_MAX),
        # Without a unit, the base unit is meant.
        ("60", "s", 60),
        ("60s", "s", 60),
        ("60 s", "s", 60),
        (" 60 \v s ", "s", 60),
        ("1min", "s", 60),
        ("1h", "s", 3600),
        ("1d", "s", 86400),
        ("1500ms", "s", 2),
        ("2500ms", "s", 2),
        ("2501ms", "s", 3),
        ("499999us", "s", 0),
        ("500001us", "s", 1),
        ("0.5min", "s", 30),
        ("1.5 h", "min", 90),
        ("90s", "min", 2),
        ("30s", "min", 0),
        ("1us", "ms", 0),
        ("1.5us", "us", 2),
        ("0x10 s", "s", 16),
        ("1e1s", "s", 10),
        ("0B", "kB", 0),
        ("1kB", "kB", 1),
        ("1MB", "kB", 1024),
        ("1GB", "kB", 1024**2),
        ("1TB", "kB", 1024**3),
        ("1TB", "MB", 1024**2),
        ("512B", "kB", 0),
        ("513B", "kB", 1),
        ("1536B", "kB", 2),
        ("1kB", "B", 1024),
        ("7B", "B", 7),
        # A fraction is rounded to the next smaller unit first.
        ("30.1GB", "kB", 30822 * 1024),
        ("0.0009765625GB", "kB", 1024),
        ("0.00097GB", "kB", 1024),
        ("0.0004MB", "kB", 0),
        ("0.9999999 min", "s", 60),
    ],
)
def test_integers(text: str, unit: str | None, number: int) -> None:
    assert integer(text, unit) == number


@pytest.mark.parametrize(
    ("text", "unit", "hint"),
    [
        ("", None, None),
        (" ", None, None),
        ("x", None, None),
        ("-", None, None),
        ("+-1", None, None),
        (".", None, None),
        ("e5", None, None),
        (" .5", None, None),
        ("-.5", None, None),
        ("08", None, None),
        ("0x", None, None),
        ("1 2", None, None),
        ("inf", None, None),
        ("nan", None, None),
        ("1e999", None, None),
        ("-1e999", None, None),
        ("٣", None, None),
        ("1\xa0", None, None),
        ("5s", None, None),
        ("", "s", None),
        ("1e999s", "s", None),
        ("08", "s", TIME_UNITS_HINT),
        ("1 kB", "s", TIME_UNITS_HINT),
        ("1S", "s", TIME_UNITS_HINT),
        ("1 s x", "s", TIME_UNITS_HINT),
        ("1e s", "s", TIME_UNITS_HINT),
        ("1minute", "min", TIME_UNITS_HINT),
        ("1 s", "kB", MEMORY_UNITS_HINT),
        ("1KB", "MB", MEMORY_UNITS_HINT),
        ("1b", "B", MEMORY_UNITS_HINT),
        ("2147483648", None, "Value exceeds integer range."),
        ("-2147483649", None, "Value exceeds integer range."),
        ("99999999999999999999", None, "Value exceeds integer range."),
        ("0xFFFFFFFFFFFFFFFFFF", None, "Value exceeds integer range."),
        ("0x" + "F" * 300, None, None),
        ("9" * 5000, None, None),
        ("25000d", "s", "Value exceeds integer range."),
        ("1e308d", "ms", "Value exceeds integer range."),
    ],
)
def test_no_integers(text: str, unit: str | None, hint: str | None) -> None:
    with pytest.raises(InvalidValue) as refused:
        integer(text, unit)
    assert refused.value.message == f'invalid value for parameter "x": "{text}"'
    assert refused.value.hint == hint


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("0", None, '0 is outside the valid range for parameter "x" (1 .. 600)'),
        ("601", None, '601 is outside the valid range for parameter "x" (1 .. 600)'),
        (
            "11min",
            "s",
            '660 s is outside the valid range for parameter "x" (1 s .. 600 s)',
        ),
    ],
)
def test_range(text: str, unit: str | None, message: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_int("x", text, unit=unit, low=1, high=600)
    assert refused.value.message == message
    assert (refused.value.detail, refused.value.hint) == (None, None)


@pytest.mark.parametrize("text", ["1", "600"])
def test_bounds_are_inside(text: str) -> None:
    assert read_int("x", text, unit=None, low=1, high=600) == int(text)


@given(st.integers(INT_MIN, INT_MAX))
def test_every_integer_reads_back(number: int) -> None:
    assert integer(str(number), None) == number
    assert integer(hex(number), None) == number
    assert integer(f"{number:.0f}.0", "s") == number


UNITS = st.sampled_from([None, *MEMORY_UNITS, *TIME_UNITS])
NUMBERISH = st.from_regex(
    re.compile(
        r"[ ]?[+-]?(0x)?[0-9]{0,12}\.?[0-9]{0,3}(e[0-9]{1,3})?[ ]?[a-zA-Z]{0,3}"
    ),
    fullmatch=True,
)


@given(st.text() | NUMBERISH, UNITS)
def test_any_text_is_a_number_or_refused(text: str, unit: str | None) -> None:
    outcome: int | str
    try:
        outcome = integer(text, unit)
    except InvalidValue as refused:
        outcome = refused.message
    if isinstance(outcome, int):
        assert INT_MIN <= outcome <= INT_MAX
    else:
        assert outcome == f'invalid value for parameter "x": "{text}"'


@pytest.mark.parametrize(
    ("text", "value"),
    [("TLSv1.2", "TLSv1.2"), ("tlsV1.3", "TLSv1.3"), ("", "")],
)
def test_enum(text: str, value: str) -> None:
    """TLS-11, TLS-12: in whatever case."""
    assert read_enum("x", text, ["", "TLSv1.2", "TLSv1.3"]) == value


@pytest.mark.parametrize("text", ["TLSv1.4", "TLSv1", " TLSv1.2", "\u0422LSv1.2"])
def test_no_enum(text: str) -> None:
    """TLS-22."""
    with pytest.raises(InvalidValue) as refused:
        read_enum("x", text, ["TLSv1.2", "TLSv1.3"])
    assert refused.value.message == f'invalid value for parameter "x": "{text}"'
    assert refused.value.hint == "Available values: TLSv1.2, TLSv1.3."
    assert refused.value.detail is None


@pytest.mark.parametrize(("value", "text"), [(True, "on"), (False, "off")])
def test_show_bool(value: bool, text: str) -> None:
    assert show_bool(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (60, None, "60"),
        (-1, "s", "-1"),
        (0, "s", "0"),
        (1, "s", "1s"),
        (60, "s", "1min"),
        (61, "s", "61s"),
        (7200, "s", "2h"),
        (86400, "s", "1d"),
        (1000, "ms", "1s"),
        (1, "kB", "1kB"),
        (1024, "kB", "1MB"),
        (1025, "kB", "1025kB"),
        (1024, "B", "1kB"),
        (1024**2, "MB", "1TB"),
    ],
)
def test_show_int(value: int, unit: str | None, text: str) -> None:
    assert show_int(value, unit) == text


@given(st.integers(0, 10**6), st.sampled_from([*MEMORY_UNITS, *TIME_UNITS]))
def test_what_is_shown_reads_back(value: int, unit: str) -> None:
    assert integer(show_int(value, unit), unit) == value


def test_the_units_are_ordered() -> None:
    """Both the rounding and SHOW go through them from the greatest on."""
    for table in (MEMORY_UNITS, TIME_UNITS):
        sizes = list(table.values())
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 1
