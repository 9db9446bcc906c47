"""
The same connections to PostgreSQL and to pgproxy, under the same rules.

Accepted, asked for the same, or refused with the same SQLSTATE and message: HBA-62 to
HBA-88, ID-05 to ID-12, CERT-01 to CERT-11.
"""

import random
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pytest

from tests.differential import scale
from tests.differential.cases import HBA, IDENT
from tests.differential.files import Folder
from tests.differential.live import ASKS, Stage, Verdict
from tests.differential.rules import ROLES, Attempt, maps, pick, rules
from tests.differential.servers import available
from tests.differential.writer import Case
from tests.support.oracles import PG17, PG18
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

ATTEMPTS = 20
"""How many connections there are for each file of rules."""

FULL = 2000
"""From so many connections on, each verdict must have been given."""


QUOTA = 5

QUOTED = re.compile('"[^"]*"')

NO_ENTRY = "28000 no pg_hba.conf entry for host %s, user %s, database %s, "
REJECTS = "28000 pg_hba.conf rejects connection for host %s, user %s, database %s, "

NO_REPLICATION = (
    "28000 no pg_hba.conf entry for replication connection from host %s, user %s, "
)

EACH = (
    *("accepted", "no TLS", "password", "md5", "scram-sha-256"),
    *(f"{NO_ENTRY}{how}" for how in ("no encryption", "SSL encryption")),
    *(f"{REJECTS}{how}" for how in ("no encryption", "SSL encryption")),
    f"{NO_REPLICATION}no encryption",
    "28000 connection requires a valid client certificate",
    "28000 certificate authentication failed for user %s",
    "28000 %s authentication failed for user %s",
    "28000 role %s does not exist",
    "3D000 database %s does not exist",
    "42501 permission denied to start WAL sender",
)
"""Verdicts that have to be given: HBA-82 to HBA-85, CERT-02 to CERT-06, and later."""

RULES = tuple(
    f"verdict {one}"
    for one in (
        *("name", "quoted", "regex", "+", "keyword", "all", "samehost", "samenet"),
        *("127.0.0.0", "127.1", "0x7f000000", "::1", "::", "::ffff:127.0.0.1"),
        *("localhost", "127.0.0.0 255.0.255.0", "trust", "reject", "cert", "md5"),
        *("password", "scram-sha-256"),
    )
)
"""What the rules have to be made of."""


@pytest.fixture(scope="module")
def stage(pki: Pki) -> Iterator[Stage]:
    made = Stage(pki, *available(PG18, PG17))
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


def differs(stage: Stage, attempt: Attempt) -> tuple[str, str | None]:
    """Return what PostgreSQL's verdict is about, and how pgproxy's differs."""
    theirs = [stage.verdict(native, attempt) for native in stage.natives]
    if len(set(theirs)) > 1:
        return "", f"the servers differ: {theirs}"
    expected = theirs[0]
    kind = expected.asked or str(expected.end)
    if isinstance(expected.end, tuple) and expected.asked is None:
        kind = f"{expected.end[0]} {QUOTED.sub('%s', expected.end[1])}"
    ours = stage.verdict(stage.proxies[expected.asked], attempt)
    if ours != expected:
        return kind, f"ours   {ours}\ntheirs {expected}"
    if expected.asked is not None and attempt.user in ROLES:
        # What the line says: md5 asks for SCRAM where that is what there is.
        plain = stage.verdict(stage.proxies[None], attempt)
        possible = {Verdict(expected.asked, None)}
        if expected.asked == ASKS[10]:
            possible.add(Verdict(ASKS[5], None))
        if plain not in possible:
            return kind, f"the line says {plain}\ntheirs {expected}"
    return kind, None


def shrunk(stage: Stage, scene: Scene, attempt: Attempt) -> Scene:
    """Return the fewest rules and maps that make the difference."""
    folder = Folder()

    def fails(hba: bytes, ident: bytes) -> bool:
        folder.put(Case(0, HBA, {HBA: hba, IDENT: ident}, Counter()))
        if not folder.ours(HBA).loads or not folder.ours(HBA).rows:
            return False
        stage.load(hba, ident)
        return differs(stage, attempt)[1] is not None

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
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(partial(differs, stage), scene.attempts))
        for attempt, (kind, wrong) in zip(scene.attempts, verdicts, strict=True):
            tried += 1
            seen[kind] += 1
            if wrong is not None:
                least = shrunk(stage, scene, attempt)
                pytest.fail(f"{scale.again()}\n{least}\n{wrong}", pytrace=False)
        if tried >= scale.CONNECTIONS:
            break
    print(seen, marks)  # noqa: T201 - pytest shows it with -s
    assert seen["accepted"] >= tried / 20
    if scale.CONNECTIONS >= FULL:
        assert {name: seen[name] for name in EACH if seen[name] < QUOTA} == {}
        assert {name: marks[name] for name in RULES if marks[name] < QUOTA} == {}
