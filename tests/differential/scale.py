"""
How much is compared, and from where the choices come.

``make differential`` sets these; without them it is what ``make test`` has time for.
"""

import os
from typing import Final

SEED: Final = int(os.environ.get("PGPROXY_DIFFERENTIAL_SEED", "1"))
FILES: Final = int(os.environ.get("PGPROXY_DIFFERENTIAL_FILES", "400"))
CONNECTIONS: Final = int(os.environ.get("PGPROXY_DIFFERENTIAL_CONNECTIONS", "160"))


def again() -> str:
    """Return how to have the same again."""
    return (
        f"PGPROXY_DIFFERENTIAL_SEED={SEED} PGPROXY_DIFFERENTIAL_FILES={FILES} "
        f"PGPROXY_DIFFERENTIAL_CONNECTIONS={CONNECTIONS}"
    )
