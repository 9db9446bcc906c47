"""A run that was made up."""

from typing import Final

from benchmarks.results import Figure, Measured, Run

CPU: Final = Figure("cpu", "CPU of the proxy per transaction, µs", "less")
RATE: Final = Figure("rate", "Transactions per second", "more")
MEMORY: Final = Figure("memory", "Memory per session, KiB", "less")

SELECT: Final = Measured(
    "select-16",
    "Select-only, prepared, 16 clients",
    [CPU, RATE],
    {
        "pgproxy": [
            {"cpu": 20.0, "rate": 30_000.0},
            {"cpu": 25.0, "rate": 29_000.0},
            {"cpu": 22.0, "rate": 28_000.0},
        ],
        "pgbouncer": [
            {"cpu": 25.0, "rate": 29_000.0},
            {"cpu": 50.0, "rate": 30_000.0},
            {"cpu": 24.0, "rate": 28_500.0},
        ],
        "native": [{"rate": 60_000.0}, {"rate": 58_000.0}, {"rate": 70_000.0}],
    },
)

IDLE: Final = Measured(
    "idle",
    "Idle sessions",
    [MEMORY],
    {
        "pgproxy": [{"memory": 17.0}, {"memory": 17.5}],
        "pgbouncer": [{"memory": 12.0}, {"memory": 12.1}],
        "native": [{"memory": 1400.0}, {"memory": 1390.0}],
    },
)

RUN: Final = Run(
    when="2026-01-02T03:04+00:00",
    command="python -m benchmarks --quick",
    machine={"processor": "of this test"},
    versions={"pgproxy": "pgproxy 1", "pgbouncer": "PgBouncer 2", "native": "18"},
    effort={"rounds": 3, "sessions": 2000},
    tls={"version": "TLSv1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
    systems={"pgproxy": "pgproxy", "pgbouncer": "PgBouncer", "native": "PostgreSQL"},
    notes=["stunnel is left out: stunnel is not here"],
    measured=[SELECT, IDLE],
)
