"""
The same pg_hba.conf and pg_ident.conf to PostgreSQL itself.

What a line says is compared with the views pg_hba_file_rules and
pg_ident_file_mappings; what is wrong with it, with the log of a reload: message,
hint, SQLSTATE and place.

Four servers: Debian's 15, which alone is built with LDAP and PAM; 17 and 18 with TLS;
and an 18 without, which every test environment has; it is not asked about lines that
speak of TLS. Where they differ from 18, and we from all of them, is in
`unlike`, by statement.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from pgproxy.auth.hba_file import HbaFile, load_hba
from pgproxy.auth.hba_line import Rule
from pgproxy.auth.ident_file import load_ident
from pgproxy.protocol.errors import Report, SqlState
from pgproxy.server import system
from pgproxy.testing.installation import own
from pgproxy.testing.postgres import Instance
from tests.support import logs, oracles
from tests.support.endpoints import wait_until
from tests.support.pki import Pki

psycopg = pytest.importorskip("psycopg", reason="psycopg asks the views")

pytestmark = pytest.mark.interop

HERE: Final = Path(__file__).parent
HBA_LINES: Final = (HERE / "lines.hba.conf").read_text("utf-8").split("\n")
IDENT_LINES: Final = (HERE / "lines.ident.conf").read_text("utf-8").split("\n")

# Which files there are; pg_hba.conf is the first line's, and each line is a rule's
# whose user tells where it is from.
FILES: Final[Mapping[str, Mapping[str, bytes]]] = {
    "HBA-07 NUL": {
        "pg_hba.conf": b"local all a trust\0x\nmap=x\nlocal all b trust\0x",
    },
    "HBA-08 continuation": {
        "pg_hba.conf": b"lo\\\ncal all \\\r\n a trust\nlocal all b trust # x\\\nx x\n"
        b'local all c \\ \nlocal all "d\\\ne" trust\nlocal all f trust \\'
    },
    "HBA-08 two backslashes": {
        "pg_hba.conf": b"local all a\\\\\n trust\nlocal all b\\\\\n\nlocal all c trust"
    },
    "HBA-13 tokens of a file": {
        "pg_hba.conf": b'local all x,@names,y trust\nlocal all @"my names" trust\n'
        b"local @sub/dbs @./sub/../names trust",
        "names": b'a b, c # d\n"e f"\n@sub/more',
        "my names": b"a",
        "sub/more": b"g",
        "sub/dbs": b"db @more",
    },
    "HBA-14 empty": {
        "pg_hba.conf": b"local all @empty trust\nlocal all a,@empty trust\nlocal @empty",
        "empty": b"# nothing\n\n",
    },
    "HBA-15 missing": {"pg_hba.conf": b"local all @none trust\nlocal all x,@none,y z"},
    "HBA-16 include": {
        "pg_hba.conf": b'local all a trust\n"include" "one"\ninclude sub/two,x\n'
        b"include @name\nlocal all z trust",
        "one": b"\nlocal all b trust\ninclude sub/two",
        "sub/two": b"local all c trust\ninclude three",
        "sub/three": b"local all d trust\nlocal all",
        "name": b"one",
    },
    "HBA-17 missing": {
        "pg_hba.conf": b"include none\ninclude_if_exists none\nlocal all a trust\n"
        b"include_if_exists one\n",
        "one": b"include none\nlocal all b trust",
    },
    "HBA-18 include_dir": {
        "pg_hba.conf": b"include_dir sub\ninclude_dir sub/empty\nlocal all z trust",
        "sub/10.conf": b"local all ten trust",
        "sub/A.conf": b"local all A trust",
        "sub/a.conf": b"local all a trust",
        "sub/02_b.conf": b"local all two trust\nlocal",
        "sub/.hidden.conf": b"local all no trust",
        "sub/.conf": b"local all no trust",
        "sub/x.conf~": b"local all no trust",
        "sub/dir.conf/x.conf": b"local all no trust",
        "sub/empty/x": b"",
    },
    "HBA-18 missing": {
        "pg_hba.conf": b'include_dir none\ninclude_dir ""\ninclude_dir " \t"\nlocal x',
    },
    "HBA-19 depth": {
        "pg_hba.conf": b"local all a trust\ninclude pg_hba.conf",
    },
    "HBA-19 depth of @": {
        "pg_hba.conf": b"local all @names trust\n",
        "names": b"a @names",
    },
    "HBA-45 no entries": {"pg_hba.conf": b"# nothing\n"},
}

NO_TLS: Final = "embedded"
"""PostgreSQL 18 without TLS."""

WITH_GSS: Final = (oracles.PG15, oracles.PG17)

IS_18: Final = (oracles.PG18, NO_TLS)

SINCE_18: Final = (
    "oauth",
    *(
        f"{option}="
        for option in ("issuer", "scope", "validator", "delegate_ident_mapping")
    ),
)
"""Words of lines that only 18 knows (HBA-54), and so does not take for a mistake."""

REWORDED: Final = {
    # HBA-37
    "ident, peer, gssapi, sspi, and cert": "ident, peer, gssapi, sspi, cert, and oauth",
    # HBA-49
    "cannot use ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, "
    "ldapsearchfilter, or ldapurl together with ldapprefix": (
        "cannot mix options for simple bind and search+bind modes"
    ),
}
"""What the log of 15 and 17 says in other words."""

ABSENT_IN_15: Final = re.compile('missing entry in file (".*") at end of line ([0-9]+)')
"""How 15 says ID-03."""


class Oracle:
    """A PostgreSQL, and what it made of files."""

    def __init__(self, kind: str, pki: Pki) -> None:
        self.kind = kind
        tls = kind != NO_TLS
        self.instance = Instance(
            oracles.find(oracles.PGPROXY if kind == NO_TLS else kind),
            settings={
                "logging_collector": "on",
                "log_destination": "jsonlog",
                "log_filename": "postgres.log",
                "ssl": "on" if tls else "off",
                # HBA-51: without one, no line with oauth is good.
                **({"oauth_validator_libraries": "v"} if kind in IS_18 else {}),
            },
            files=pki.server_files(ca=False) if tls else {},
        )
        self.instance.start()
        self.connection = psycopg.connect(self.instance.conninfo, autocommit=True)
        self.version = self.connection.info.server_version // 10000

    def path(self, name: str) -> str:
        """Return where the file *name* is."""
        return str(self.instance.data / name)

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files into the data folder, in folders of theirs."""
        for name, content in files.items():
            for folder in reversed(Path(name).parents[:-1]):
                path = self.instance.data / folder
                if not path.exists():
                    path.mkdir()
                    own(path)
            self.instance.write(name, content)

    def view(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a view."""
        return list(self.connection.execute(query).fetchall())

    def rules(self) -> dict[tuple[str, int], Rule | None]:
        """Return what each line of pg_hba.conf says; None: something is wrong."""
        rules: dict[tuple[str, int], Rule | None] = {}
        # HBA-20: 15 has one file.
        file_name = "file_name" if self.version > 15 else "'pg_hba.conf'"
        for file, number, *fields in self.view(
            f"SELECT {file_name}, line_number, type, database, user_name, address, "
            "netmask, auth_method, options FROM pg_hba_file_rules"
        ):
            kind, database, user_name, address, netmask, method, options = fields
            place = posixpath.join(self.instance.data, file)
            rules[posixpath.relpath(place, self.instance.data), number] = kind and Rule(
                type=kind,
                database=tuple(database),
                user_name=tuple(user_name),
                address=address,
                netmask=netmask,
                auth_method=method,
                options=tuple(options or ()),
            )
        return rules

    def maps(self) -> dict[int, tuple[str, str, str] | None]:
        """Return what each line of pg_ident.conf says; None: something is wrong."""
        return {
            number: None if name is None else (name, system_user, pg_user)
            for number, name, system_user, pg_user in self.view(
                "SELECT line_number, map_name, sys_name, pg_username "
                "FROM pg_ident_file_mappings"
            )
        }

    def reload(self, *, name: str) -> list[Report]:
        """Return what a reload says of *name*, which cannot be loaded."""
        log_file = self.instance.data / "log" / "postgres.json"
        before = len(logs.read(log_file))
        end = f"{self.path(name)} was not reloaded"
        if self.version == 15:
            end = f"{name} was not reloaded"
        self.connection.execute("SELECT pg_reload_conf()")

        def said() -> list[str]:
            return [keys["message"] for keys in logs.read(log_file)[before:]]

        wait_until(lambda: end in said(), lambda: f"no {end!r} in {said()}")
        lines = logs.read(log_file)[before:][: said().index(end)]
        about = [keys for keys in lines if self.is_about(keys, name)]
        return [reported(keys) for keys in about]

    def is_about(self, keys: Mapping[str, str], name: str) -> bool:
        """Return whether a log line is about files of *name*; others were reloaded."""
        place = keys.get("context", keys["message"])
        if "LDAP URL" in place:  # it does not say where (HBA-49)
            return True
        return str(self.instance.data) in place and (name == "pg_hba.conf") is not (
            "pg_ident.conf" in place
        )


def reported(keys: Mapping[str, str]) -> Report:
    """Return a log line as the report that would make it."""
    message = keys["message"]
    for old, new in REWORDED.items():
        message = message.replace(old, new)
    context = keys.get("context")
    if absent := ABSENT_IN_15.fullmatch(message):
        message = "missing entry at end of line"
        context = f"line {absent[2]} of configuration file {absent[1]}"
    return Report(
        severity=logs.LogLine.of(dict(keys)).severity,  # type: ignore[arg-type]
        sqlstate=SqlState(keys.get("state_code", "00000")),
        message=message,
        hint=keys.get("hint"),
        context=context,
    )


@pytest.fixture(
    scope="module", params=[oracles.PG15, oracles.PG17, oracles.PG18, NO_TLS]
)
def oracle(request: pytest.FixtureRequest, pki: Pki) -> Iterator[Oracle]:
    made = Oracle(request.param, pki)
    yield made
    made.connection.close()
    made.instance.remove()


def read_hba(oracle: Oracle) -> HbaFile:
    """Return what we make of the file that *oracle* has."""
    return load_hba(
        oracle.path("pg_hba.conf"),
        ssl=True,
        roles=True,
        parse_address=system.parse_address,
        read=system.read_file,
        list_directory=system.list_directory,
    )


def by_place(
    reports: Iterable[Report],
) -> dict[str | None, list[Report]]:
    """Return the reports of each place; what ours are called is no matter."""
    found: dict[str | None, list[Report]] = {}
    for report in reports:
        found.setdefault(report.context, []).append(replace(report, event="report"))
    return found


def rules_of(oracle: Oracle, file: HbaFile) -> dict[tuple[str, int], Rule]:
    """Return our rules, without what the view does not show."""
    data = oracle.instance.data
    return {
        (posixpath.relpath(line.source, data), line.line_number): replace(
            line.rule,
            options=tuple(
                option
                for option in line.rule.options
                if not option.startswith("clientname=")
            ),
        )
        for line in file.lines
    }


def asked(oracle: Oracle, line: str) -> bool:
    """Return whether *line* can be put to *oracle*."""
    if oracle.kind == NO_TLS and ("hostssl" in line or "cert" in line):
        return False
    if oracle.version == 15 and line.startswith("include"):
        return False
    return oracle.version >= 18 or not any(word in line for word in SINCE_18)


NOT_BUILT: Final = re.compile(
    'invalid authentication method "(gss|sspi|pam|bsd|ldap)": not supported by this '
    "build"
)
"""HBA-31: what a server says before it looks at the rest of the line."""


def refused(reports: list[Report]) -> bool:
    """Return whether this is what PostgreSQL takes, and we do not."""
    return any(
        report.sqlstate is SqlState.FEATURE_NOT_SUPPORTED
        or report.message.endswith("not supported by this build")
        for report in reports
        if report.hint is not None
    )


def unlike(oracle: Oracle, theirs: list[Report], ours: list[Report]) -> str | None:
    """Return the statement after which *oracle* differs; None: it must not."""
    if any(NOT_BUILT.fullmatch(report.message) for report in theirs):
        return "HBA-31"
    if refused(ours):
        # Accepted, or the method is one of 18's.
        assert theirs == [], "it is not only ours to refuse"
        return "HBA-54, HBA-78"
    states = [report.sqlstate for report in ours]
    if oracle.version == 15 and SqlState.INVALID_REGULAR_EXPRESSION in states:
        return "HBA-77, ID-07"
    return None


def without_gss(oracle: Oracle, ours: list[Report]) -> list[Report]:
    """Return our reports without that on hostgssenc, where it can match (HBA-46)."""
    built = oracle.kind in WITH_GSS
    return [r for r in ours if not (built and r.message.startswith("hostgssenc"))]


def test_lines_of_hba(oracle: Oracle) -> None:
    """Every line says the same, or is refused in the same words."""
    text = "\n".join(line if asked(oracle, line) else "#" for line in HBA_LINES)
    oracle.write({"pg_hba.conf": text.encode()})
    file = read_hba(oracle)
    their_rules = oracle.rules()
    their_reports = by_place(oracle.reload(name="pg_hba.conf"))
    our_rules = rules_of(oracle, file)
    our_reports = by_place([*file.notices, *file.problems])
    nowhere = their_reports.get(None, [])
    compared, differences = 0, Counter[str]()
    for number, line in enumerate(HBA_LINES, 1):
        place = f'line {number} of configuration file "{oracle.path("pg_hba.conf")}"'
        ours = without_gss(oracle, our_reports.get(place, []))
        # HBA-49: what PostgreSQL says of a URL it says without the place.
        theirs = their_reports.get(place, [])
        theirs = theirs + [
            replace(report, context=place)
            for report in nowhere
            if replace(report, context=place) in ours
        ]
        statement = unlike(oracle, theirs, ours)
        if statement is not None:
            differences[statement] += 1
            continue
        assert ours == theirs, line
        key = "pg_hba.conf", number
        assert our_rules.get(key) == their_rules.get(key), line
        compared += key in their_rules
    assert compared > 220
    assert {report.message for report in nowhere} <= {
        report.message for reports in our_reports.values() for report in reports
    }
    assert set(differences) == DIFFERENCES[oracle.kind]


DIFFERENCES: Final = {
    # SSPI and BSD are not in a Linux build, and LDAP and PAM in 15 alone.
    oracles.PG15: {"HBA-31", "HBA-54, HBA-78", "HBA-77, ID-07"},
    oracles.PG17: {"HBA-31", "HBA-54, HBA-78"},
    oracles.PG18: {"HBA-31", "HBA-54, HBA-78"},
    NO_TLS: {"HBA-31", "HBA-54, HBA-78"},
}


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_files(oracle: Oracle, files: Mapping[str, bytes]) -> None:
    """Files in files, lines over lines: the same rules from the same places."""
    if oracle.version == 15:
        pytest.skip("PostgreSQL 15 has no include (HBA-21)")
    bad = {"bad": b"local"}  # so that the reload fails, and says so
    first = {"pg_hba.conf": files["pg_hba.conf"] + b"\ninclude bad"}
    if b"# nothing" in first["pg_hba.conf"]:
        first["pg_hba.conf"] = files["pg_hba.conf"]
    oracle.write({**files, **bad, **first})
    file = read_hba(oracle)
    rules = oracle.rules()
    assert rules_of(oracle, file) == {
        place: rule for place, rule in rules.items() if rule is not None
    }
    theirs = oracle.reload(name="pg_hba.conf")
    # A file that may be missing and is, PostgreSQL complains about all the same.
    skipped = [r.message.split('"')[1] for r in theirs if r.message.startswith("skip")]
    ours = by_place([*file.notices, *file.problems])
    for place, reports in by_place(theirs).items():
        if any(
            r.message.split('"')[1:2] == [path] for r in reports for path in skipped
        ):
            assert ours.pop(place)[-1:] == reports[-1:]
        elif "maximum nesting depth" in reports[0].message:
            # Its SQLSTATE is that of the last system call that failed, whichever.
            (mine,) = ours.pop(place)
            assert [replace(mine, sqlstate=r.sqlstate) for r in reports] == reports
        else:
            assert ours.pop(place) == reports
    assert ours == {}


def test_lines_of_ident(oracle: Oracle) -> None:
    """Every line of pg_ident.conf, likewise: ID-01 to ID-07."""
    oracle.write(
        {
            "pg_hba.conf": b"local all all trust",
            "pg_ident.conf": "\n".join(IDENT_LINES).encode(),
        }
    )
    path = oracle.path("pg_ident.conf")
    file = load_ident(
        path,
        read=system.read_file,
        list_directory=system.list_directory,
        roles=True,
    )
    our_maps = {
        line.line_number: (
            line.usermap,
            line.system_user.text,
            line.pg_user.text,
        )
        for line in file.lines
    }
    their_maps = oracle.maps()
    assert len(their_maps) > 20
    our_reports = by_place(file.problems)
    their_reports = by_place(oracle.reload(name="pg_ident.conf"))
    differences = Counter[str]()
    for number, line in enumerate(IDENT_LINES, 1):
        place = f'line {number} of configuration file "{path}"'
        ours, theirs = our_reports.get(place, []), their_reports.get(place, [])
        statement = unlike(oracle, theirs, ours)
        if statement is not None:
            differences[statement] += 1
            continue
        assert ours == theirs, line
        assert our_maps.get(number) == their_maps.get(number), line
    old = {"HBA-77, ID-07"} if oracle.version == 15 else set()
    assert set(differences) == {"HBA-54, HBA-78"} | old
