"""
What a scanner finds in a PostgreSQL and not in pgproxy, or the other way round.

All of it is another OpenSSL's. What is not in this list must be the same, and what is
in it must be found: a comparison is equal to its part of the list, no more and no less.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.scanners.programs import SSLSCAN, SSLYZE, Facts, Scanner
from tests.support.oracles import PG17, PG18


@dataclass(frozen=True, slots=True)
class Difference:
    """
    One fact that differs.

    Args:
        only_native: What only PostgreSQL has.
        only_pgproxy: What only pgproxy has.
        reordered: Whether what both have stands in another order.

    """

    only_native: tuple[str, ...] = ()
    only_pgproxy: tuple[str, ...] = ()
    reordered: bool = False


Differences = Mapping[str, Difference]


def compare(native: Facts, pgproxy: Facts) -> Differences:
    """Return the facts that differ."""
    found = {}
    for name in sorted(native.keys() | pgproxy.keys()):
        theirs, ours = native.get(name, ()), pgproxy.get(name, ())
        if theirs != ours:
            both = set(theirs) & set(ours)
            found[name] = Difference(
                tuple(one for one in theirs if one not in both),
                tuple(one for one in ours if one not in both),
                [one for one in theirs if one in both]
                != [one for one in ours if one in both],
            )
    return found


# From 3.2 on, OpenSSL counts CCM8 as 64 bits, so no longer among HIGH and MEDIUM. The
# wheel of 17 has such a one, and our Python and Debian's 15 have 3.0.
_CCM8 = Difference(
    only_pgproxy=(
        "DHE-RSA-AES256-CCM8 (2048)",
        "DHE-RSA-AES128-CCM8 (2048)",
        "AES256-CCM8 (no DHE)",
        "AES128-CCM8 (no DHE)",
    )
)
_CCM8_IANA = Difference(
    only_pgproxy=(
        "TLS_RSA_WITH_AES_256_CCM_8 (no DHE)",
        "TLS_RSA_WITH_AES_128_CCM_8 (no DHE)",
        "TLS_DHE_RSA_WITH_AES_256_CCM_8 (DH 2048)",
        "TLS_DHE_RSA_WITH_AES_128_CCM_8 (DH 2048)",
    )
)

# OpenSSL 3 has put SEED into its legacy provider; the 18 of npm has 1.1.1.
_SEED = Difference(
    only_native=(
        "TLS_DHE_RSA_WITH_SEED_CBC_SHA (no DHE)",
        "TLS_RSA_WITH_SEED_CBC_SHA (no DHE)",
    )
)
_SEED_IANA = Difference(
    only_native=(
        "TLS_RSA_WITH_SEED_CBC_SHA (no DHE)",
        "TLS_DHE_RSA_WITH_SEED_CBC_SHA (DH 2048)",
    )
)

DIFFERENCES: Final[Mapping[tuple[str, str], Differences]] = {
    (SSLSCAN.name, PG17): {"TLSv1.2 ciphers": _CCM8},
    (SSLSCAN.name, PG18): {"TLSv1.2 ciphers": _SEED},
    (SSLYZE.name, PG17): {"tls_1_2 ciphers": _CCM8_IANA},
    (SSLYZE.name, PG18): {"tls_1_2 ciphers": _SEED_IANA},
}


def known(scanner: Scanner, server: str) -> Differences:
    """Return what *scanner* is expected to find different from *server*."""
    return DIFFERENCES.get((scanner.name, server), {})
