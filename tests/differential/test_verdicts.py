"""
The same connections to PostgreSQL and to pgproxy, under the same rules.

Accepted, asked for the same, or refused with the same SQLSTATE and message: HBA-62 to
HBA-88, ID-05 to ID-12, CERT-01 to CERT-11.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.differential import scale
from tests.differential.cases import HBA, IDENT
from tests.differential.files import Folder
from tests.differential.live import ASKS, Stage, Verdict
from tests.differential.rules import ROLES, Attempt, maps, pick, rules
from tests.differential.writer import Case
from tests.support.oracles import PG17, PG18
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

ATTEMPTS = 20
"""How many connections there are for each file of rules."""

FULL = 2000
"""From so many connections on, each verdict must have been given."""


@pytest.fixture(scope="module")
def stage(pki: Pki) -> Iterator[Stage]:
    made = Stage(pki, PG18, PG17)
    yield made
    made.remove()


@dataclass(frozen=True, slots=True)
class Scene:
    """Rules, maps and the connections that are tried."""

    hba: bytes
    ident: bytes
    attempts: tuple[Attempt, ...]


def scenes(seed: int) -> Iterator[tuple[Scene, Counter[str]]]:
    """Yield scenes, whose files all load."""
    folder = Folder()
    number = 0
    try:
        while True:
            number += 1
            source = random.Random(f"verdicts/{seed}/{number}")
            names = source.random() < 0.25
            hba, writer = rules(source, host_names=names)
            ident = maps(source)
            folder.put(Case(number, HBA, {HBA: hba, IDENT: ident}, Counter()))
            ours = folder.ours(HBA)
            if ours.loads and ours.rows:
                attempts = tuple(
                    pick(source, host_names=names) for _ in range(ATTEMPTS)
                )
                yield Scene(hba, ident, attempts), writer.marks
    finally:
        folder.remove()


def differs(stage: Stage, attempt: Attempt, seen: Counter[str]) -> str | None:
    """Return how pgproxy's verdict differs from PostgreSQL's."""
    theirs = [stage.verdict(native, attempt) for native in stage.natives]
    if len(set(theirs)) > 1:
        return f"the servers differ: {theirs}"
    expected = theirs[0]
    kind = expected.asked or str(expected.end)
    if isinstance(expected.end, tuple) and expected.asked is None:
        kind = expected.end[0] + " " + expected.end[1].split('"')[0]
    seen[kind] += 1
    ours = stage.verdict(stage.proxies[expected.asked], attempt)
    if ours != expected:
        return f"ours   {ours}\ntheirs {expected}"
    if expected.asked is not None and attempt.user in ROLES:
        # What the line says: md5 asks for SCRAM where that is what there is.
        plain = stage.verdict(stage.proxies[None], attempt)
        possible = {Verdict(expected.asked, None)}
        if expected.asked == ASKS[10]:
            possible.add(Verdict(ASKS[5], None))
        if plain not in possible:
            return f"the line says {plain}\ntheirs {expected}"
    return None


def shrunk(stage: Stage, scene: Scene, attempt: Attempt) -> Scene:
    """Return the fewest rules and maps that make the difference."""
    folder = Folder()

    def fails(hba: bytes, ident: bytes) -> bool:
        folder.put(Case(0, HBA, {HBA: hba, IDENT: ident}, Counter()))
        if not folder.ours(HBA).loads or not folder.ours(HBA).rows:
            return False
        stage.load(hba, ident)
        return differs(stage, attempt, Counter()) is not None

    hba, ident = scene.hba.split(b"\n"), scene.ident.split(b"\n")
    for lines in (hba, ident):
        for at in reversed(range(len(lines))):
            line = lines.pop(at)
            if not fails(b"\n".join(hba), b"\n".join(ident)):
                lines.insert(at, line)
    folder.remove()
    stage.load(b"\n".join(hba), b"\n".join(ident))
    return Scene(b"\n".join(hba), b"\n".join(ident), (attempt,))


@pytest.mark.timeout(0)
def test_verdicts(stage: Stage) -> None:
    """Every connection has the same verdict."""
    seen: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    tried = 0
    for scene, used in scenes(scale.SEED):
        stage.load(scene.hba, scene.ident)
        marks += used
        for attempt in scene.attempts:
            tried += 1
            if differs(stage, attempt, seen) is not None:
                least = shrunk(stage, scene, attempt)
                wrong = differs(stage, attempt, seen)
                pytest.fail(f"{scale.again()}\n{least}\n{wrong}", pytrace=False)
        if tried >= scale.CONNECTIONS:
            break
    print(seen, marks)  # noqa: T201 - pytest shows it with -s
    assert seen["accepted"] >= tried / 20
