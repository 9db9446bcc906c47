"""Sets of bytes and their names (HBA-78)."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.are_chars import ALL, CLASSES, ELEMENTS, WORD, byte_set


def test_classes() -> None:
    """The classes are those of the C locale; only cntrl has bytes above 0x7f."""
    high = byte_set(range(0x80, 0x100))
    assert {name for name, mask in CLASSES.items() if mask & high} == {"cntrl"}
    assert CLASSES["print"] & ~CLASSES["graph"] == 1 << ord(" ")
    assert CLASSES["graph"] == CLASSES["alnum"] | CLASSES["punct"]
    assert CLASSES["alnum"] & CLASSES["punct"] == 0
    assert CLASSES["punct"] == byte_set(string.punctuation.encode())
    assert CLASSES["space"] == byte_set(string.whitespace.encode())
    assert CLASSES["word"] == WORD


@pytest.mark.parametrize("name", ["alnum", "alpha", "digit", "lower", "upper"])
def test_as_python_has_them(name: str) -> None:
    """Python has the same of ASCII."""
    named = getattr(bytes, f"is{name}")
    assert CLASSES[name] == byte_set(n for n in range(0x80) if named(bytes([n])))


def test_elements() -> None:
    """Every name that PostgreSQL has for a character, and no other."""
    assert len(ELEMENTS) == 95
    letters = set(string.ascii_letters.encode())
    assert set(ELEMENTS.values()) == set(range(0x80)) - letters
    assert ELEMENTS["US"] == ELEMENTS["IS1"] == 0x1F
    assert ELEMENTS["nine"] == ord("9")


@given(st.binary())
def test_byte_set(data: bytes) -> None:
    """A set has what it was made of."""
    mask = byte_set(data)
    assert {n for n in range(256) if mask >> n & 1} == set(data)
    assert mask & ~ALL == 0
