#!/usr/bin/env python3
"""
How long a pg_hba.conf of ten thousand lines takes: to load, and for each client.

::

    python benchmarks/hba.py [LINES]

The goal is 300 ms to load it, and 2 ms to decide.
"""

# ruff: noqa: T201 - a program that says what it found

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from pgproxy.auth.hba import Client, Facts, first_match
from pgproxy.auth.hba_index import HbaIndex
from pgproxy.server.generation import load_rules
from pgproxy.server.watch import Files
from pgproxy.settings.catalogue import Settings

ROUNDS: Final = 7

KINDS: Final = (
    "host db{n} user{n} 10.{a}.{b}.0/24 scram-sha-256",
    "hostssl db{n} user{n} 10.1.{a}.7/32 cert map=m{n}",
    "host all user{n} 192.168.{a}.0 255.255.255.0 md5",
    'hostssl "db {n}",app{n} a{n},b{n} all scram-sha-256 clientcert=verify-ca',
    "host db{n} all ::1/128 trust   # written by hand",
    "hostnossl all all 172.16.{a}.{b}/32 reject",
    "host sameuser u{n} samenet trust",
    "host db{n} /^u{n}_ 10.0.0.0/8 scram-sha-256",
    "host db{n} x h{n}.example.com md5",
    "host all z{n} 10.0.0.0/8 ldap ldapserver=ldap ldapprefix=cn=",
)


def text(lines: int) -> str:
    """Return a file with a bit of everything."""
    return "\n".join(
        KINDS[n % len(KINDS)].format(n=n, a=n % 250, b=n // 250 % 250)
        for n in range(lines)
    )


def milliseconds(do: Callable[[], object], times: int = 1) -> str:
    """Return the median of some rounds, with the fastest and the slowest."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            do()
        found.append((time.perf_counter() - began) / times * 1e3)
    return f"{statistics.median(found):10.4f} {min(found):10.4f} {max(found):10.4f}"


def main(lines: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pg_hba.conf"
        path.write_text(text(lines))
        settings = Settings(ssl=True)
        file = load_rules(str(path), settings, Files())
        assert not file.problems, file.problems
        print(f"{lines} lines, in ms {'':17} median    fastest    slowest")
        loading = milliseconds(lambda: load_rules(str(path), settings, Files()))
        print(f"load the file                      {loading}")
        indexing = milliseconds(lambda: HbaIndex(file.lines))
        print(f"make the index                     {indexing}")
    index = HbaIndex(file.lines)
    last = lines - 1
    for what, user, database, address in (
        ("the first line decides", "user0", "db0", "10.0.0.5"),
        ("the last line decides", f"z{last}", "x", "10.2.3.4"),
        ("no line does", "nobody", "nothing", "8.8.8.8"),
    ):
        client = Client(
            user=user,
            database=database,
            host=address,
            address=ip_address(address),
            ssl_in_use=True,
        )

        def decide(client: Client = client) -> object:
            return first_match(index.candidates(client), client, Facts(interfaces=()))

        print(f"decide: {what:<26} {milliseconds(decide, 1000)}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
