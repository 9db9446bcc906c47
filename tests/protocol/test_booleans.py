"""Booleans as PostgreSQL reads them."""

import pytest

from pgproxy.protocol.booleans import ascii_lower, parse_bool


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "T", "tRu", "y", "ON"])
def test_true(word: str) -> None:
    assert parse_bool(word) is True


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "F", "of", "nO"])
def test_false(word: str) -> None:
    assert parse_bool(word) is False


@pytest.mark.parametrize("word", ["", "o", "O", "onn", "2", "01", " on", "ja"])
def test_neither(word: str) -> None:
    assert parse_bool(word) is None


def test_only_ascii_is_lowered() -> None:
    assert ascii_lower("AZ-az-ÄÉ-\u0130-\u212a") == "az-az-ÄÉ-\u0130-\u212a"
