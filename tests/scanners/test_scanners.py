"""
A scanner sees the same in pgproxy as in a PostgreSQL that is configured alike.

TLS-07 to TLS-13 and TLS-55 to TLS-64 as strangers see them.
"""

import pytest

from tests.scanners.conftest import Look
from tests.scanners.differences import DIFFERENCES, Difference, compare, known
from tests.scanners.programs import SSLSCAN, SSLYZE, TESTSSL, Scanner
from tests.support.endpoints import Config
from tests.support.oracles import NATIVE, PG15, PG18, PGPROXY

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(600)]


def alike(native: str, *, ca: bool = False) -> Config:
    """Return what makes pgproxy the like of *native*: one group before 18 (TLS-60)."""
    settings = {} if native == PG18 else {"ssl_groups": "prime256v1"}
    return Config(ca=ca, settings=settings)


def check(look: Look, scanner: Scanner, native: str, *, ca: bool = False) -> None:
    theirs = look(scanner, native, Config(ca=ca))
    ours = look(scanner, PGPROXY, alike(native, ca=ca))
    # A report in which there is nothing would be the same for both.
    assert sum(map(len, ours.result().values())) > 50
    assert compare(theirs.result(), ours.result()) == known(scanner, native)


@pytest.mark.parametrize("native", NATIVE)
def test_sslscan(look: Look, native: str) -> None:
    """Protocols, ciphers in their order, groups, renegotiation, certificate."""
    check(look, SSLSCAN, native)


@pytest.mark.parametrize("native", NATIVE)
def test_sslyze(look: Look, native: str) -> None:
    """That, and resumption, compression, refusals, and the old attacks."""
    check(look, SSLYZE, native)
    ours = look(SSLYZE, PGPROXY, alike(native)).result()
    assert ours["session_resumption.session_id_resumption_result"] == ("NOT_SUPPORTED",)
    assert ours["session_resumption.tls_ticket_resumption_result"] == ("NOT_SUPPORTED",)
    assert ours["tls_compression.supports_compression"] == ("False",)
    assert "robot: COMPLETED" in ours["checks"]


def test_testssl(look: Look) -> None:
    """
    That, and the extensions of a ServerHello, from a server that asks for certificates.

    It takes its time, so only the fairest of the comparisons is done: Debian's 15 runs
    on the same OpenSSL as Debian's Python.
    """
    check(look, TESTSSL, PG15, ca=True)
    extensions = look(TESTSSL, PGPROXY, alike(PG15, ca=True)).result()
    (found,) = extensions["serverDefaults.TLS_extensions"]
    assert "certificate authorities" in found


@pytest.mark.parametrize(
    ("theirs", "ours", "difference"),
    [
        (("a", "b"), ("a", "b"), None),
        (("a", "b"), ("b",), Difference(only_native=("a",))),
        (("b",), ("a", "b"), Difference(only_pgproxy=("a",))),
        (("a", "b"), ("b", "a"), Difference(reordered=True)),
        ((), ("a",), Difference(only_pgproxy=("a",))),
        (("x", "a"), ("y", "a"), Difference(("x",), ("y",))),
    ],
)
def test_compare(
    theirs: tuple[str, ...], ours: tuple[str, ...], difference: Difference | None
) -> None:
    """What is missing, what is too much, and what stands elsewhere."""
    expected = {} if difference is None else {"fact": difference}
    assert compare({"fact": theirs, "x": ()}, {"fact": ours}) == expected


def test_differences_are_compared() -> None:
    """None is about a comparison that nobody does."""
    done = {(one.name, native) for one in (SSLSCAN, SSLYZE) for native in NATIVE}
    assert DIFFERENCES.keys() <= done | {(TESTSSL.name, PG15)}
