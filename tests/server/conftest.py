"""Fixtures for the shell: certificates, and both kinds of loop."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pgproxy.testing.authority import Authority
from tests.support.loops import FACTORIES, run_on
from tests.support.relay_scene import KINDS, Scene
from tests.support.tls_files import Folder

T = TypeVar("T")

Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=FACTORIES)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Return what runs a coroutine: once on asyncio's own loop, once on uvloop."""
    factory: Callable[[], asyncio.AbstractEventLoop] = FACTORIES[request.param]
    return lambda main: run_on(factory, main)


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Return a root that vouches for whomever a test likes."""
    return Authority.root([("O", "pgproxy tests"), ("CN", "root CA")])


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Folder:
    """Return a data directory with a certificate and its key in it."""
    return Folder(tmp_path, authority)


@pytest.fixture(params=KINDS)
def play(
    request: pytest.FixtureRequest, run: Run[Any], folder: Folder
) -> Callable[..., Any]:
    """Return what runs a test on a scene: in clear, and over both versions of TLS."""

    def act(test: Callable[[Scene], Any], **options: Any) -> Any:
        async def main() -> Any:
            scene = await Scene.make(KINDS[request.param], folder, **options)
            try:
                return await test(scene)
            finally:
                scene.close()

        return run(main())

    return act
