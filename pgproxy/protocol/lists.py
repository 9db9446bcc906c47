"""Lists with commas, as settings and options of pg_hba.conf have them."""

import re
from typing import Final

_SPACE: Final = " \t\n\v\f\r"  # scanner_isspace
_LIST_ITEM = re.compile(rf'"((?:[^"]|"")*)"|([^",{_SPACE}][^,{_SPACE}]*)')


def split_guc_list(text: str) -> list[str] | None:
    """
    Return the items of a comma-separated list, or None if it is not one.

    An item with spaces, commas or quotes in it stands in double quotes, where two
    of them are one. An empty *text* is the empty list; an empty item is an error.

    Source: ``SplitGUCList`` in varlena.c.
    """
    rest = text.lstrip(_SPACE)
    items: list[str] = []
    while rest or items:
        match = _LIST_ITEM.match(rest)
        if match is None:
            return None
        quoted, bare = match.groups()
        items.append(bare if quoted is None else quoted.replace('""', '"'))
        rest = rest[match.end() :].lstrip(_SPACE)
        if not rest:
            break
        if not rest.startswith(","):
            return None
        rest = rest[1:].lstrip(_SPACE)
    return items
