"""The loops that pgproxy can run on."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import uvloop

T = TypeVar("T")

LoopFactory = Callable[[], asyncio.AbstractEventLoop]

FACTORIES: Final[Mapping[str, LoopFactory]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

DEADLINE: Final = 15.0
"""Seconds after which a coroutine under test hangs."""


def run_on(factory: LoopFactory, main: Coroutine[Any, Any, T]) -> T:
    """Run *main* to its end on a loop of its own; what hangs is a failure."""

    async def timed() -> T:
        async with asyncio.timeout(DEADLINE):
            return await main

    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(timed())
