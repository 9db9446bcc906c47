"""The list of differences says nothing that no test holds."""

from pathlib import Path

import pytest

from tests.negotiation.differences import DIFFERENCES, alike, differs
from tests.support.oracles import PG15, PG18, SERVERS

TESTS = "".join(
    path.read_text("utf-8")
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    if path != Path(__file__)
)


@pytest.mark.parametrize("statement", DIFFERENCES)
def test_every_difference_is_held_by_a_test(statement: str) -> None:
    """A difference that is no more has to leave the list."""
    assert f'"{statement}"' in TESTS


@pytest.mark.parametrize("statement", DIFFERENCES)
def test_every_difference_is_of_some_and_not_of_the_standard(statement: str) -> None:
    """PostgreSQL 18 is what the others differ from."""
    servers = DIFFERENCES[statement].servers
    assert servers
    assert servers < set(SERVERS) - {PG18}


def test_alike() -> None:
    """A server that differs in any of them is left out."""
    assert differs("NEG-01", PG15)
    assert not differs("NEG-01", PG18)
    assert alike("NEG-01", "NEG-23").mark.args[1] == [PG18, "pgproxy"]
