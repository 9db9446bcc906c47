"""
The generator leaves nothing of the grammar out, and is the same each time.

What servers make of the files is in test_parsing.py.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.differential.cases import HBA, case
from tests.differential.comparing import ERRORS, statement_of
from tests.differential.files import Folder
from tests.differential.grammar import METHODS, OPTIONS, REQUIRED, TYPES
from tests.differential.writer import Case

CASES = 2000

QUOTAS = {
    # Each is the least number of times in so many cases.
    **{f"type {one}": 400 for one in TYPES},
    **{f"method {one}": 60 for one in METHODS},
    **{
        f"database {one}": 300
        for one in ("all", "sameuser", "samerole", "samegroup", "replication")
    },
    **dict.fromkeys(
        ("database_keyword", "user_keyword", "plain_name", "quoted_keyword"), 300
    ),
    **dict.fromkeys(("role", "regex", "at"), 300),
    "empty_at": 80,
    **dict.fromkeys(
        (
            *("cidr4", "cidr6", "cidr_odd", "mask4", "mask4_odd", "mask6"),
            *(
                "address_keyword",
                "quoted_address",
                "host_name",
                "suffix",
                "libc_number",
            ),
            *("scoped", "mapped", "address all", "address samehost", "address samenet"),
        ),
        150,
    ),
    **{
        f"option {option.partition('=')[0]}": 3
        for options in (*OPTIONS.values(), *sum(map(tuple, REQUIRED.values()), ()))
        for option in options
    },
    **{f"option {one}": 100 for one in ("clientcert", "clientname", "map")},
    "HBA-01 tab or carriage return": 1000,
    "HBA-02 list": 1000,
    "HBA-02 odd comma": 500,
    "HBA-03 comment behind": 300,
    "HBA-03 comment line": 200,
    "HBA-04 quoted token": 1000,
    "HBA-04 doubled quote": 50,
    "HBA-04 quotes within a token": 200,
    "HBA-05 quotes within a keyword": 300,
    "HBA-07 NUL": 20,
    "HBA-08 continuation": 200,
    "HBA-08 CRLF": 100,
    "HBA-08 no end of the last line": 150,
    "HBA-12 quoted word": 500,
    "HBA-13 @file": 500,
    "HBA-13 @file in @file": 50,
    **dict.fromkeys(
        ("include", "include_if_exists", "include_missing", "include_dir"), 60
    ),
    "HBA-18 not included": 50,
    "HBA-19 nesting": 40,
    "HBA-19 deep": 3,
    "HBA-55 option twice": 40,
    "HBA-55 options in a list": 80,
    "HBA-78 unsupported": 5,
    "ID-02 more fields": 40,
    "ID-04 no entries": 2,
    "ID-06 regex": 150,
    "ID-17 DN": 20,
    **dict.fromkeys(
        (
            *("pg_user", "pg_all", "pg_role", "pg_regex", "pg_quoted"),
            "pg_backreference",
        ),
        60,
    ),
    "ident include": 40,
    **{f"fault ID-03 {one}": 8 for one in ("missing", "multiple", "regex", "@file")},
    **{
        f"spoilt: {one}": 20
        for one in ("drop", "insert", "lose", "double", "swap", "case", "join")
    },
    "good": 600,
    "spoilt": 150,
    "faulty": 150,
    "ident good": 120,
    "ident spoilt": 30,
    "ident faulty": 30,
}
"""How often each production has to be used."""


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(1, number) for number in range(CASES)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    made = Folder()
    yield made
    made.remove()


def test_quotas(cases: list[Case]) -> None:
    """Every production of the grammar is used as often as it should."""
    marks = sum((one.marks for one in cases), Counter[str]())
    assert {
        name: (marks[name], quota)
        for name, quota in QUOTAS.items()
        if marks[name] < quota
    } == {}


def test_errors(cases: list[Case], folder: Folder) -> None:
    """Every error of PostgreSQL's is made, and half of the files have none."""
    seen: Counter[str] = Counter()
    loads = 0
    for one in cases:
        folder.put(one)
        ours = folder.ours(one.name)
        seen.update({statement_of(report.message) for report in ours.reports})
        loads += ours.loads and (one.name != HBA or bool(ours.rows))
    # A validator is the server's business.
    assert [one for one in ERRORS if seen[one] < 3] == []
    assert loads >= CASES / 2


def test_the_same_again() -> None:
    """A case is made of the seed and its number, and of nothing else."""
    assert case(3, 77) == case(3, 77)
    assert case(3, 77) != case(4, 77)
    assert case(3, 77) != case(3, 78)


def test_a_case_can_be_pasted() -> None:
    """What a failure prints has every byte of every file."""
    one = Case(1, HBA, {HBA: b"local\xff\n", "names": b"a"}, Counter())
    assert str(one) == (
        "case 1, pg_hba.conf: {\n"
        "    'pg_hba.conf': b'local\\xff\\n',\n"
        "    'names': b'a',\n"
        "}"
    )
