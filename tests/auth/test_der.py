"""DER, and only DER."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.der import (
    DerError,
    Element,
    elements,
    integer,
    is_primitive,
    object_identifier,
    only,
)
from tests.auth.support import oid, tlv


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", []),
        ("0500", [("05", "")]),
        ("0c026162", [("0c", "6162")]),
        ("0201050c0161", [("02", "05"), ("0c", "61")]),
        ("0c7f" + "61" * 0x7F, [("0c", "61" * 0x7F)]),
        ("0c8180" + "61" * 0x80, [("0c", "61" * 0x80)]),
        ("0c81ff" + "61" * 0xFF, [("0c", "61" * 0xFF)]),
        ("0c820100" + "61" * 0x100, [("0c", "61" * 0x100)]),
        ("8000", [("80", "")]),
        ("3e00", [("3e", "")]),
    ],
)
def test_elements(data: str, expected: list[tuple[str, str]]) -> None:
    found = list(elements(bytes.fromhex(data)))
    assert [(f"{e.tag:02x}", e.content.hex()) for e in found] == expected
    assert b"".join(e.encoded for e in found).hex() == data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("0c", "no length"),
        ("05000c", "no length"),
        ("0c0261", "value ends behind what it is part of"),
        ("0c01", "value ends behind what it is part of"),
        ("0c820100" + "61" * 0xFF, "value ends behind what it is part of"),
        ("0c80610000", "bad length"),  # indefinite: BER
        ("0c8100", "bad length"),
        ("0c820080" + "61" * 0x80, "bad length"),
        ("0c81", "bad length"),
        ("0c8201", "bad length"),
        ("0cff", "bad length"),
        ("0c810161", "length is not in its shortest form"),
        ("0c817f" + "61" * 0x7F, "length is not in its shortest form"),
        ("1f0100", "tag number above 30"),
        ("ff0100", "tag number above 30"),
        ("05001f", "tag number above 30"),
    ],
)
def test_bad_elements(data: str, message: str) -> None:
    with pytest.raises(DerError) as caught:
        list(elements(bytes.fromhex(data)))
    assert str(caught.value) == message


def test_what_comes_first_is_yielded_before_the_error() -> None:
    found = elements(b"\x05\x00\x0c")
    assert next(found) == Element(0x05, b"", b"\x05\x00")
    with pytest.raises(DerError):
        next(found)


def test_only() -> None:
    assert only(b"\x05\x00") == Element(0x05, b"", b"\x05\x00")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 values where one is due"),
        (b"\5\0\5\0", "2 values where one is due"),
    ],
)
def test_not_only(data: bytes, message: str) -> None:
    with pytest.raises(DerError) as caught:
        only(data)
    assert str(caught.value) == message


def test_expect() -> None:
    element = only(b"\x0c\x01a")
    assert element.expect(0x0C) == b"a"
    with pytest.raises(DerError) as caught:
        element.expect(0x30)
    assert str(caught.value) == "tag 0x0c where 0x30 is due"


@pytest.mark.parametrize(
    ("tag", "primitive"), [(0x0C, True), (0x80, True), (0x30, False), (0xA0, False)]
)
def test_is_primitive(tag: int, primitive: bool) -> None:
    assert is_primitive(tag) is primitive


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ("00", 0),
        ("01", 1),
        ("7f", 127),
        ("0080", 128),
        ("ff", -1),
        ("80", -128),
        ("ff7f", -129),
        ("00ff", 255),
        ("ff00", -256),
        ("0100", 256),
        ("8000", -32768),
    ],
)
def test_integer(content: str, number: int) -> None:
    assert integer(bytes.fromhex(content)) == number


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty INTEGER"),
        ("0000", "INTEGER is not in its shortest form"),
        ("007f", "INTEGER is not in its shortest form"),
        ("ff80", "INTEGER is not in its shortest form"),
        ("ffff", "INTEGER is not in its shortest form"),
    ],
)
def test_bad_integer(content: str, message: str) -> None:
    with pytest.raises(DerError) as caught:
        integer(bytes.fromhex(content))
    assert str(caught.value) == message


@given(st.integers())
def test_integers_read_back(number: int) -> None:
    length = (number if number >= 0 else ~number).bit_length() // 8 + 1
    assert integer(number.to_bytes(length, signed=True)) == number


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("550403", "2.5.4.3"),
        ("2a864886f70d010901", "1.2.840.113549.1.9.1"),
        ("00", "0.0"),
        ("27", "0.39"),
        ("28", "1.0"),
        ("4f", "1.39"),
        ("50", "2.0"),
        ("7f", "2.47"),
        ("8837", "2.999"),
        ("550400", "2.5.4.0"),
        ("55048100", "2.5.4.128"),
        ("55" * 64, "2.5" + ".85" * 63),
    ],
)
def test_object_identifier(content: str, text: str) -> None:
    assert object_identifier(bytes.fromhex(content)) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "OBJECT IDENTIFIER does not end"),
        ("5584", "OBJECT IDENTIFIER does not end"),
        ("80", "OBJECT IDENTIFIER does not end"),
        ("8001", "OBJECT IDENTIFIER is not in its shortest form"),
        ("558003", "OBJECT IDENTIFIER is not in its shortest form"),
        ("55" * 65, "OBJECT IDENTIFIER is too long"),
    ],
)
def test_bad_object_identifier(content: str, message: str) -> None:
    with pytest.raises(DerError) as caught:
        object_identifier(bytes.fromhex(content))
    assert str(caught.value) == message


@given(
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(st.integers(0, 2**40), max_size=8),
)
def test_object_identifiers_read_back(first: int, second: int, rest: list[int]) -> None:
    text = ".".join(map(str, (first, second, *rest)))
    assert object_identifier(only(oid(text)).content) == text


@given(st.lists(st.tuples(st.sampled_from([2, 5, 0x0C, 0x30, 0x80]), st.binary())))
def test_elements_read_back(values: list[tuple[int, bytes]]) -> None:
    data = b"".join(tlv(tag, content) for tag, content in values)
    assert [(e.tag, e.content) for e in elements(data)] == values


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """They are values or an error; values are all of them."""
    try:
        found = list(elements(data))
    except DerError:
        return
    assert b"".join(e.encoded for e in found) == data


@given(st.binary())
def test_any_content(content: bytes) -> None:
    """A number or an error, and nothing else."""
    for read in (integer, object_identifier):
        try:
            read(content)
        except DerError:
            continue
