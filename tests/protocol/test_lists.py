"""Lists: ``SplitGUCList`` in varlena.c is the authority."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.lists import split_guc_list


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (" \t\n\v\f\r", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" A ,\tb\n", ["A", "b"]),
        ("a,a", ["a", "a"]),
        ("*", ["*"]),
        ("::1, 127.0.0.1", ["::1", "127.0.0.1"]),
        ('"a b", "c,d"', ["a b", "c,d"]),
        ('""', [""]),
        ('"a""b"', ['a"b']),
        ('a"b', ['a"b']),
        ("\xa0a\xa0b,\xa0c", ["\xa0a\xa0b", "\xa0c"]),
        ('"a"\xa0', None),
        (",", None),
        ("a,", None),
        (",a", None),
        ("a,,b", None),
        ("a, ,b", None),
        ("a b", None),
        ('"a', None),
        ('"a"b', None),
        ('"a" "b"', None),
        ('"a""', None),
    ],
)
def test_lists(text: str, items: list[str] | None) -> None:
    assert split_guc_list(text) == items


@given(st.lists(st.text(), min_size=1))
def test_a_quoted_list_reads_back(items: list[str]) -> None:
    text = " , ".join('"' + item.replace('"', '""') + '"' for item in items)
    assert split_guc_list(text) == items


@given(st.text(alphabet='ab", \t'))
def test_any_text_is_a_list_or_not(text: str) -> None:
    items = split_guc_list(text)
    assert items is None or all('"' in text or set(item) <= set("ab") for item in items)
