"""
The same files to PostgreSQL and to pgproxy, row by row: HBA-01 to HBA-71, ID-01 to ID-11.

What a line says, or what is wrong with it, is compared with the views
pg_hba_file_rules and pg_ident_file_mappings; what only the log has, with the log.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.differential import scale
from tests.differential.cases import HBA, case
from tests.differential.comparing import ERRORS, Comparison, asked
from tests.differential.files import Folder
from tests.differential.servers import Oracle, available
from tests.differential.shrinking import shrunk
from tests.differential.versions import DIFFERENCES, Difference
from tests.differential.writer import Case
from tests.support.oracles import NATIVE, PG15
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

FULL = 5000
"""From so many files on, each error must have been seen."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Folder]:
    made = Folder()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def oracles(folder: Folder, pki: Pki) -> Iterator[list[Oracle]]:
    """Return all versions, and one without TLS."""
    kinds = available(*NATIVE)
    made = [Oracle(kind, folder, pki) for kind in kinds]
    made.append(Oracle(kinds[-1], folder, pki, ssl=False))
    yield made
    for oracle in made:
        oracle.remove()


def fail(one: Case, folder: Folder, oracle: Oracle, first: str) -> None:
    """Fail with the smallest files that differ, and with both answers."""
    found = shrunk(one, lambda o: bool(Comparison().compare(o, folder, oracle)))
    wrong = Comparison().compare(found, folder, oracle)
    wrong = wrong or [f"that time it was the same; the first time:\n{first}"]
    pytest.fail("\n".join([scale.again(), str(found), *wrong]), pytrace=False)


@pytest.mark.timeout(0)
def test_files(folder: Folder, oracles: list[Oracle]) -> None:
    """Every row is the same, but for the differences that are listed."""
    comparison = Comparison()
    for number in range(scale.FILES):
        one = case(scale.SEED, number)
        for oracle in oracles:
            if not asked(one, oracle.kind):
                continue
            if wrong := comparison.compare(one, folder, oracle):
                fail(one, folder, oracle, "\n".join(wrong))
    print(comparison)  # noqa: T201 - pytest shows it with -s
    for kind in {oracle.kind for oracle in oracles} - {PG15}:
        assert comparison.files[kind] == scale.FILES
        assert comparison.loads[kind] >= scale.FILES / 2, comparison.loads
        assert comparison.reloads[kind] >= scale.FILES / 30
    if PG15 in comparison.files:
        assert comparison.files[PG15] >= scale.FILES / 2
    if scale.FILES >= FULL and len(oracles) > len(NATIVE):
        # HBA-42 is never in a view, and HBA-45 only in the log.
        log = {"HBA-42", "HBA-43", "HBA-45"}
        seen = {
            statement: comparison.errors[
                f"{statement} in the log" if statement in log else statement
            ]
            for statement in ERRORS
        }
        assert [s for s, number in seen.items() if number < scale.FILES / 2000] == []


@pytest.mark.parametrize(
    "difference",
    [one for one in DIFFERENCES if one.example],
    ids=lambda one: one.statement,
)
def test_differences(
    difference: Difference, folder: Folder, oracles: list[Oracle]
) -> None:
    """Each is there, in each server that it names, and in no other."""
    one = Case(0, HBA, {HBA: difference.example.encode()}, Counter())
    differ = set()
    for oracle in oracles:
        if asked(one, oracle.kind):
            comparison = Comparison()
            assert comparison.compare(one, folder, oracle) == []
            if any(
                statement == difference.statement for statement, _ in comparison.used
            ):
                differ.add(oracle.kind)
    assert differ == set(difference.servers) & {oracle.kind for oracle in oracles}


def test_a_limit_that_depends_on_what_failed_before(
    folder: Folder, oracles: list[Oracle]
) -> None:
    """What HBA-19 says of a file that may be missing, beyond the limit."""
    files = {HBA: b"include_if_exists none\ninclude pg_hba.conf\n"}
    one = Case(0, HBA, files, Counter())
    for oracle in oracles:
        if oracle.kind != PG15:
            comparison = Comparison()
            assert comparison.compare(one, folder, oracle) == []
            assert comparison.used["HBA-19", oracle.kind] == 1


def test_what_is_found_is_made_small(folder: Folder, oracles: list[Oracle]) -> None:
    """A case that fails is told without the lines that do not matter."""
    files = {
        HBA: b"local all all trust\nhost all @names all trust\ninclude one\n",
        "one": b"local all b trust\nlocal all c trust\n",
        "names": b"a\nb\n",
    }
    one = Case(7, HBA, files, Counter())
    oracle = oracles[-1]

    def fails(attempt: Case) -> bool:
        folder.put(attempt)
        return any(
            getattr(row.said, "user_name", ()) == ("c",) for row in oracle.theirs(HBA)
        )

    assert shrunk(one, fails).files == {
        HBA: b"include one",
        "one": b"local all c trust",
    }
