"""How a setting is declared, read and shown."""

from dataclasses import FrozenInstanceError, dataclass
from enum import StrEnum

import pytest

from pgproxy.settings.guc import POSTMASTER, SIGHUP, Context, Guc, guc, gucs_of
from pgproxy.settings.values import INT_MAX, InvalidValue


class Colour(StrEnum):
    RED = "red"
    GREEN = "Green"


@dataclass(frozen=True)
class Pair:
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.left}:{self.right}"


def read_pair(name: str, text: str) -> Pair:
    left, colon, right = text.partition(":")
    if not colon:
        raise InvalidValue(f"{name} has no colon")
    return Pair(left, right)


@pytest.fixture
def example() -> type:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Example:
        flag: bool = guc(False, SIGHUP, "A switch.")
        count: int = guc(3, POSTMASTER, "A number.", low=1, high=9)
        any_count: int = guc(0, SIGHUP, "Any number.")
        wait: int = guc(60, SIGHUP, "A time.", unit="s")
        text: str = guc("abc", SIGHUP, "A text.")
        colour: Colour = guc(
            Colour.RED, SIGHUP, "A colour.", name="example.colour", values=list(Colour)
        )
        pair: Pair = guc(Pair("a", "b"), SIGHUP, "Two.", parse=read_pair)
        several: tuple[Pair, ...] = guc((), SIGHUP, "A list.")
        aspects: frozenset[str] = guc(frozenset(), SIGHUP, "A set.")

    return Example


@pytest.fixture
def gucs(example: type) -> dict[str, Guc]:
    return gucs_of(example)


def test_names_and_attributes(gucs: dict[str, Guc]) -> None:
    assert {name: setting.attribute for name, setting in gucs.items()} == {
        "flag": "flag",
        "count": "count",
        "any_count": "any_count",
        "wait": "wait",
        "text": "text",
        "example.colour": "colour",
        "pair": "pair",
        "several": "several",
        "aspects": "aspects",
    }
    assert all(setting.name == name for name, setting in gucs.items())


def test_what_was_declared(gucs: dict[str, Guc]) -> None:
    count = gucs["count"]
    assert (count.default, count.context, count.description) == (
        3,
        Context.POSTMASTER,
        "A number.",
    )
    assert (count.unit, count.low, count.high, count.values) == (None, 1, 9, ())
    assert (gucs["any_count"].low, gucs["any_count"].high) == (0, INT_MAX)
    assert gucs["wait"].unit == "s"
    assert gucs["flag"].context is Context.SIGHUP
    assert gucs["example.colour"].values == (Colour.RED, Colour.GREEN)


def test_the_defaults_are_those_of_the_fields(example: type) -> None:
    assert example() == example(flag=False, count=3, colour=Colour.RED)
    assert (example().wait, example().text, example().several) == (60, "abc", ())
    with pytest.raises(FrozenInstanceError):
        example().flag = True


@pytest.mark.parametrize(
    ("name", "vartype"),
    [
        ("flag", "bool"),
        ("count", "integer"),
        ("text", "string"),
        ("example.colour", "enum"),
        ("pair", "string"),
    ],
)
def test_types(gucs: dict[str, Guc], name: str, vartype: str) -> None:
    assert gucs[name].vartype == vartype


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("flag", "yes", True),
        ("flag", "1", True),
        ("count", "9", 9),
        ("wait", "2min", 120),
        ("text", " Text ", " Text "),
        ("example.colour", "GREEN", Colour.GREEN),
        ("pair", "x:y", Pair("x", "y")),
    ],
)
def test_parse(gucs: dict[str, Guc], name: str, text: str, value: object) -> None:
    parsed = gucs[name].parse(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("flag", "x", 'parameter "flag" requires a Boolean value'),
        ("count", "0", '0 is outside the valid range for parameter "count" (1 .. 9)'),
        ("count", "10", '10 is outside the valid range for parameter "count" (1 .. 9)'),
        ("count", "5s", 'invalid value for parameter "count": "5s"'),
        ("wait", "5kB", 'invalid value for parameter "wait": "5kB"'),
        ("example.colour", "x", 'invalid value for parameter "example.colour": "x"'),
        ("pair", "x", "pair has no colon"),
    ],
)
def test_parse_refuses(
    gucs: dict[str, Guc], name: str, text: str, message: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        gucs[name].parse(text)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("flag", True, "on"),
        ("flag", False, "off"),
        ("count", 5, "5"),
        ("wait", 120, "2min"),
        ("text", "abc", "abc"),
        ("example.colour", Colour.GREEN, "Green"),
        ("pair", Pair("x", "y"), "x:y"),
        ("several", (), ""),
        ("several", (Pair("b", "c"), Pair("a", "d")), "b:c, a:d"),
        ("aspects", frozenset({"b", "a", "c"}), "a, b, c"),
    ],
)
def test_show(gucs: dict[str, Guc], name: str, value: object, text: str) -> None:
    assert gucs[name].show(value) == text
