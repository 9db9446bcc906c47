"""Work in a thread that nobody waits for."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from pgproxy.server.threads import in_daemon_thread
from tests.server.conftest import Run


def test_result_and_error(run: Run[Any]) -> None:
    """What comes of it comes here."""

    def divide(one: int, *, by: int) -> float:
        assert threading.current_thread().daemon
        return one / by

    async def both() -> float:
        with pytest.raises(ZeroDivisionError):
            await in_daemon_thread(divide, 1, by=0)
        return await in_daemon_thread(divide, 1, by=2)

    assert run(both()) == 0.5


def test_others_run_meanwhile(run: Run[Any]) -> None:
    """Who waits for the thread stops nobody else, and can be stopped."""
    go = threading.Event()

    async def others() -> None:
        waiting = asyncio.ensure_future(in_daemon_thread(go.wait))  # noqa: TID251
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go.set()
        # The thread that nobody waits for any more comes to its end quietly.
        assert await in_daemon_thread(go.wait)

    run(others())


ENDS = """
import asyncio, threading
from pgproxy.server.threads import in_daemon_thread
async def main():
    try:
        async with asyncio.timeout(0):
            await in_daemon_thread(threading.Event().wait)
    except TimeoutError:
        print("gave up")
asyncio.run(main())
"""


def test_the_process_ends_without_it() -> None:
    """A thread that hangs for ever does not keep the process."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("gave up\n", "")
