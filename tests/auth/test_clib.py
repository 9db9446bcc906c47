"""Numbers as C reads them: the C library itself is asked."""

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.clib import atoi


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("389", 389),
        (" \t\n\v\f\r+389x", 389),
        ("-1", -1),
        ("007", 7),
        ("", 0),
        ("x", 0),
        ("+ 1", 0),
        ("-", 0),
        ("٣", 0),
        ("4294967297", 1),
        ("2147483648", -(2**31)),
        ("9223372036854775807", -1),
        ("9223372036854775808", -1),
        ("-9223372036854775809", 0),
        ("1" + "0" * 20, -1),
        ("0" * 30 + "1", 1),
        ("9" * 10_000, -1),
    ],
)
def test_atoi(text: str, number: int) -> None:
    assert atoi(text) == number


@given(st.text("0123456789+- \tx", max_size=30))
def test_any_text(text: str) -> None:
    """Nobody knows better than the C library of this machine."""
    assert atoi(text) == ctypes.CDLL(None).atoi(text.encode())
