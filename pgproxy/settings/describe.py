"""The settings as a table, as pg_settings shows them."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgproxy.settings.catalogue import GUCS, Settings
from pgproxy.settings.conf import Source
from pgproxy.settings.guc import Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One setting; the names are those of the columns of pg_settings.

    Args:
        name: Its name.
        setting: Its value, as SHOW prints it.
        unit: What an integer counts.
        short_desc: What it is for.
        context: When it may change.
        vartype: ``bool``, ``integer``, ``enum`` or ``string``.
        min_val: The least integer, in *unit*.
        max_val: The greatest integer, in *unit*.
        enumvals: What an enum may be.
        boot_val: Its default, as SHOW prints it.
        source: Where its value comes from; None if it is the default.

    """

    name: str
    setting: str
    unit: str | None
    short_desc: str
    context: Context
    vartype: str
    min_val: int | None
    max_val: int | None
    enumvals: tuple[str, ...]
    boot_val: str
    source: Source | None


def describe(settings: Settings, sources: Mapping[str, Source]) -> tuple[Row, ...]:
    """Return a row for every setting there is, in the order of `Settings`."""
    return tuple(
        Row(
            name=guc.name,
            setting=guc.show(getattr(settings, guc.attribute)),
            unit=guc.unit,
            short_desc=guc.description,
            context=guc.context,
            vartype=guc.vartype,
            min_val=guc.low if guc.vartype == "integer" else None,
            max_val=guc.high if guc.vartype == "integer" else None,
            enumvals=guc.values,
            boot_val=guc.show(guc.default),
            source=sources.get(guc.name),
        )
        for guc in GUCS.values()
    )
