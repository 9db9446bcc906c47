"""What a reload has changed, for the log."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from pgproxy.auth.hba_line import HbaLine
from pgproxy.auth.ident import IdentLine
from pgproxy.protocol.errors import Report, log_line
from pgproxy.server.generation import Generation
from pgproxy.settings.reload import changed_settings

MOST_LINES: Final = 20
"""Lines of a file that the log repeats; of more it tells how many there are."""


SECRET_OPTIONS: Final = ("ldapbindpasswd", "radiussecrets")
"""Options of pg_hba.conf that are for the server alone."""


def changes(old: Generation, new: Generation) -> Iterator[Report]:
    """Yield what is different in *new*: settings, rules, maps, certificates."""
    yield from changed_settings(old.settings, new.settings, new.sources)
    yield from _lines(
        "rules",
        [(line.raw_line, _place(line)) for line in old.policy.hba.lines],
        [(line.raw_line, _place(line)) for line in new.policy.hba.lines],
    )
    yield from _lines(
        "user name maps",
        [(_map(line), _place(line)) for line in old.policy.ident],
        [(_map(line), _place(line)) for line in new.policy.ident],
    )
    before, after = old.digests, new.digests
    for path in sorted(before.keys() & after.keys()):
        if before[path] != after[path]:
            yield log_line(f'file "{path}" has changed', event="tls.file_changed")


def _place(line: HbaLine | IdentLine) -> str:
    return f"{line.source}:{line.line_number}"


def _map(line: IdentLine) -> str:
    return f"{line.usermap} {line.system_user.text} {line.pg_user.text}"


def _lines(
    what: str, old: list[tuple[str, str]], new: list[tuple[str, str]]
) -> Iterator[Report]:
    """Compare lines by their text, and tell where those are that have changed."""
    before, after = [text for text, _ in old], [text for text, _ in new]
    if before == after:
        return
    added = list(_missing(new, before))
    removed = list(_missing(old, after))
    detail = [f"+ {place}: {_shown(text)}" for text, place in added]
    detail += [f"- {place}: {_shown(text)}" for text, place in removed]
    if len(detail) > MOST_LINES:
        detail[MOST_LINES:] = [f"and {len(detail) - MOST_LINES} more"]
    how = f"{len(added)} added, {len(removed)} removed"
    if not detail:
        how = "their order"
    yield log_line(
        f"{what} have changed: {how}",
        event="rules.changed",
        detail="\n".join(detail) or None,
    )


def _shown(text: str) -> str:
    """Return a line without what is nobody's business: the whole, if it has that."""
    if any(option in text for option in SECRET_OPTIONS):
        return "(not shown: there is a secret in it)"
    return text


def _missing(
    lines: Iterable[tuple[str, str]], texts: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Yield those of *lines* that *texts* does not have, or has less often."""
    left = Counter(texts)
    for text, place in lines:
        if left[text]:
            left[text] -= 1
        else:
            yield text, place
