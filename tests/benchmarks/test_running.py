"""A run, as short as it can be: pgproxy alone, in front of a real PostgreSQL."""

import os

import pytest

from benchmarks.effort import Effort
from benchmarks.install import find
from benchmarks.preparing import bench
from benchmarks.running import measure
from benchmarks.scenarios import SCENARIOS
from pgproxy.testing import installation
from pgproxy.testing.installation import NotInstalledError

CHOSEN = ("select-1", "copy-out", "copy-in", "connect-cert", "idle", "beside-copy")


@pytest.mark.interop
@pytest.mark.slow
def test_run() -> None:
    """Every figure is there, and none is nothing."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core for the proxy and one for the rest are needed")
    if find("openssl") is None:
        pytest.skip("the command openssl is not installed")
    try:
        installation.celerp()
    except NotInstalledError as error:
        pytest.skip(str(error))
    before = os.sched_getaffinity(0)
    scenarios = [one for one in SCENARIOS if one.key in CHOSEN]
    effort = Effort(rounds=1, seconds=1, megabytes=10, sessions=20)
    said: list[str] = []
    with bench(["pgproxy"], effort, unix=True) as prepared:
        run = measure(prepared, scenarios, "a test", said.append)
    assert os.sched_getaffinity(0) == before
    assert [one.key for one in run.measured] == list(CHOSEN)
    for measured in run.measured:
        (figures,) = measured.rounds["pgproxy"]
        assert list(figures) == [figure.key for figure in measured.figures]
        assert all(value > 0 for value in figures.values()), figures
    assert len(said) == len(CHOSEN)
    assert run.tls["cipher"] == "TLS_AES_256_GCM_SHA384"
