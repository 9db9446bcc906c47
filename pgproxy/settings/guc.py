"""What there is to know of a setting, and the one line that declares it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Final, TypeVar

from pgproxy.settings.values import (
    INT_MAX,
    read_bool,
    read_enum,
    read_int,
    show_bool,
    show_int,
)

T = TypeVar("T")

Parser = Callable[[str, str], object]
"""Takes a setting's name and a text; returns a value or raises `InvalidValue`."""

METADATA_KEY: Final = "guc"


class Context(StrEnum):
    """When a setting may change; the words are those of pg_settings."""

    POSTMASTER = "postmaster"
    """At the start of the server, and not until the next."""

    SIGHUP = "sighup"
    """With every reload."""


POSTMASTER, SIGHUP = Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Guc:
    """
    A setting, but for its value: a "grand unified configuration" variable.

    Args:
        name: What it is called in the file: ``pgproxy.log_format``.
        attribute: What it is called in `Settings`: ``log_format``.
        default: Its value where nothing sets it.
        context: When it may change.
        description: What it is for, in a short sentence.
        unit: What an integer counts: ``s``, ``kB``; None if nothing.
        low: The least that an integer may be, in *unit*.
        high: The greatest that an integer may be, in *unit*.
        values: What an enum may be.
        parser: Reads a value that is none of PostgreSQL's five types.

    """

    name: str
    attribute: str
    default: object
    context: Context
    description: str
    unit: str | None
    low: int
    high: int
    values: tuple[str, ...]
    parser: Parser | None

    @property
    def vartype(self) -> str:
        """The type, in the words of pg_settings."""
        if isinstance(self.default, bool):
            return "bool"
        if isinstance(self.default, int):
            return "integer"
        return "enum" if self.values else "string"

    def parse(self, text: str) -> object:
        """
        Return the value that *text* stands for.

        Raises:
            InvalidValue: It is none that this setting can have.

        """
        match self.vartype:
            case "bool":
                return read_bool(self.name, text)
            case "integer":
                return read_int(
                    self.name, text, unit=self.unit, low=self.low, high=self.high
                )
            case "enum":
                return read_enum(self.name, text, self.values)
            case _:
                return self.parser(self.name, text) if self.parser else text

    def show(self, value: object) -> str:
        """Return *value* as SHOW would print it."""
        match value:
            case bool():
                return show_bool(value)
            case int():
                return show_int(value, self.unit)
            case tuple():
                return ", ".join(map(str, value))
            case frozenset():
                return ", ".join(sorted(map(str, value)))
            case _:
                return str(value)


def guc(  # noqa: PLR0913 - one keyword for each column of pg_settings
    default: T,
    context: Context,
    description: str,
    *,
    unit: str | None = None,
    low: int = 0,
    high: int = INT_MAX,
    values: Sequence[str] = (),
    name: str = "",
    parse: Callable[[str, str], T] | None = None,
) -> T:
    """
    Declare a setting, as the default of a field of `Settings`.

    How it is read follows from *default*: a bool, an int (with *unit*, *low* and
    *high*), or a str, which is one of *values* where there are any. Whatever else
    there is brings a *parse* that reads it and a ``__str__`` that shows it. *name*
    is for what is called otherwise in the file than in `Settings`, as every
    setting with a prefix is.
    """
    declared = Guc(
        name=name,
        attribute="",
        default=default,
        context=context,
        description=description,
        unit=unit,
        low=low,
        high=high,
        values=tuple(values),
        parser=parse,
    )
    return field(default=default, metadata={METADATA_KEY: declared})


def gucs_of(cls: type) -> dict[str, Guc]:
    """Return what the fields of the dataclass *cls* declare, by name in the file."""
    table: dict[str, Guc] = {}
    for declared in fields(cls):
        entry: Guc = declared.metadata[METADATA_KEY]
        name = entry.name or declared.name
        table[name] = replace(entry, name=name, attribute=declared.name)
    return table
