"""Work that may block, in a thread that nobody has to wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_daemon_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """
    Return what *function* returns, or raise what it raises; meanwhile others run.

    Whoever waits can be cancelled at any moment; the thread goes on, and is forgotten.
    """
    return await daemon_thread(function, *args, **kwargs)


def daemon_thread(
    function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> asyncio.Future[T]:
    """
    Begin *function* in a thread; the future has what comes of it.

    The process does not wait for the thread when it ends, which it would for one of
    the loop's own executor.

    Raises:
        RuntimeError: The system has no thread left.

    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None

    def run() -> None:
        result, error = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:  # noqa: BLE001 - it is raised again, elsewhere
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=run, daemon=True, name=function.__name__).start()
    return future
