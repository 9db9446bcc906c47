"""Compares what pgproxy makes of a case with what a server makes of it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.differential.cases import HBA, IDENT
from tests.differential.files import Answer, Folder, Place, Row
from tests.differential.logs import differences as log_differences
from tests.differential.servers import Oracle
from tests.differential.versions import BUILT, NOTHING, Pair, difference
from tests.differential.writer import Case
from tests.support.oracles import PG15

RELOAD_EVERY: Final = 20
"""Of so many files, one is loaded in earnest, so that its log can be compared."""


@dataclass
class Comparison:
    """
    What has been compared, so far.

    Args:
        files: How many files each server was asked about.
        rows: How many rows of views were compared.
        used: How often each difference explained a row, by statement and server.
        errors: How often a server said what is wrong, by statement.
        loads: How many files each server would load.
        reloads: How many files each was made to reload.

    """

    files: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    used: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=Counter)

    def compare(self, case: Case, folder: Folder, oracle: Oracle) -> list[str]:
        """
        Return how pgproxy and *oracle* differ about *case*, which is in *folder*.

        What the view does not show is in the log: so of some cases the server has to
        read the file in earnest.
        """
        folder.put(case)
        ours = folder.ours(case.name, ssl=oracle.ssl)
        theirs = oracle.theirs(case.name)
        wrong = list[str]()
        excused = set[Place]()
        silent = case.name == HBA and not theirs  # HBA-45
        for pair in paired(case, oracle.kind, ours, theirs):
            self.rows[str(oracle)] += 1
            if pair.theirs.error:
                self.errors[statement_of(pair.theirs.error)] += 1
            if pair.ours == pair.theirs and pair.refused is None:
                continue
            found = difference(pair)
            if found is None:
                wrong.append(
                    f"{oracle}:\n  ours   {shown(pair.ours, pair.refused)}\n"
                    f"  theirs {shown(pair.theirs)}"
                )
                continue
            self.used[found.statement, oracle.kind] += 1
            silent = silent or found.in_the_log
            if not found.in_the_log:
                excused |= {pair.ours.place, pair.theirs.place}
        self.files[str(oracle)] += 1
        loads = all(row.said is not None for row in theirs)
        # Without a rule there is nothing to go by (HBA-45); without a map there is.
        loads = loads and (bool(theirs) or case.name == IDENT)
        self.loads[str(oracle)] += loads
        if oracle.kind != PG15 and (silent or case.number % RELOAD_EVERY < 2):
            if case.name == IDENT and loads:
                return wrong
            self.reloads[str(oracle)] += 1
            reports = oracle.reload(case.name)
            self.errors.update(
                f"{statement_of(one.message)} in the log" for one in reports
            )
            wrong += log_differences(
                ours, reports, folder, excused, gss=oracle.kind in BUILT["gss"]
            )
        return wrong


def shown(row: Row, refused: str | None = None) -> str:
    """Return *row* for people."""
    more = f" refused: {refused}" if refused else ""
    return f"{row.place[0]}:{row.place[1]} {row.said} error: {row.error}{more}"


def asked(case: Case, kind: str) -> bool:
    """
    Return whether *case* is about what the server *kind* knows.

    Up to 15 there are no includes (HBA-21), and no limit to nesting (HBA-19).
    """
    if kind != PG15:
        return True
    # However a word is quoted or goes on in the next line.
    content = re.sub(rb"\"|\\\r*\n", b"", b"\n".join(case.files.values()))
    return b"include" not in content and "fault HBA-19" not in case.marks


def paired(
    case: Case, kind: str, ours: Answer, theirs: tuple[Row, ...]
) -> Iterator[Pair]:
    """Yield each row of the view beside what pgproxy has of that line."""
    rows, unread = list(ours.rows), list(ours.unread)
    for row in theirs:
        mine, left = NOTHING, rows
        while row in unread and unread[0].place != row.place:
            yield Pair(kind=kind, name=case.name, ours=unread.pop(0), theirs=NOTHING)
        if row in unread or not rows or rows[0].place != row.place:
            left = unread
        if left and left[0].place == row.place:
            mine = left.pop(0)
        read = mine in ours.rows
        yield Pair(
            kind=kind,
            name=case.name,
            ours=mine,
            theirs=row,
            fields=ours.fields[row.place] if read else (),
            refused=ours.refused.get(row.place) if read else None,
        )
    for mine in (*rows, *unread):
        yield Pair(kind=kind, name=case.name, ours=mine, theirs=NOTHING)


ERRORS: Mapping[str, str] = {
    "HBA-15": "could not open (secondary authentication )?file .*: No such file",
    "HBA-18": "could not open (configuration )?directory|empty configuration directory",
    "HBA-19": "could not open file .*: maximum nesting depth exceeded",
    "HBA-22": "multiple values specified for connection type",
    "HBA-23": "invalid connection type",
    "HBA-24": "end-of-line before",
    "HBA-25": "multiple values specified for (host address|netmask|authentication type)",
    "HBA-27": "specifying both host name and CIDR mask is invalid",
    "HBA-28": "invalid CIDR mask in address",
    "HBA-29": "invalid IP mask",
    "HBA-30": "IP address and mask do not match",
    "HBA-31": "invalid authentication method",
    "HBA-32": "gssapi authentication is not supported on local sockets",
    "HBA-33": "peer authentication is only supported on local sockets",
    "HBA-34": "cert authentication is only supported on hostssl connections",
    "HBA-35": "authentication option not in name=value format",
    "HBA-36": "unrecognized authentication option name",
    "HBA-37": "authentication option .* is only valid for authentication methods",
    "HBA-38": 'authentication method "(radius|oauth)" requires argument',
    "HBA-39": "clientcert can only be configured for",
    "HBA-40": "clientname can only be configured for",
    "HBA-41": "clientcert (can only be set to|only accepts)",
    "HBA-42": "invalid value for clientcert",
    "HBA-43": "invalid value for clientname",
    "HBA-44": "invalid regular expression",
    "HBA-45": "configuration file .* contains no entries",
    "HBA-46": "(hostssl|hostgssenc) record cannot match",
    "HBA-49": "cannot mix options for simple bind|cannot use ldap|could not parse LDAP|"
    'unsupported LDAP|invalid LDAP port|invalid ldapscheme|.*"ldap" requires argument',
    "HBA-50": "could not parse RADIUS|the number of RADIUS|invalid RADIUS port|"
    "could not translate RADIUS",
    "HBA-51": "map cannot be used in combination with|validator ",
    "ID-03": "missing entry|multiple values in ident field",
}
"""How each error begins, in the view or in the log."""


def statement_of(message: str) -> str:
    """Return which statement *message* is about."""
    for statement, pattern in ERRORS.items():
        if re.match(pattern, message):
            return statement
    return message
