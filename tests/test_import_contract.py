"""
Who must never import whom: the layers of the architecture, held.

::

    protocol <- auth, settings <- session <- trace <- server <- testing <- cli, demo
                auth, settings <- certs <- testing

Every ``import`` of every module is read from its syntax tree, wherever it stands:
within a function too. What stands under ``if TYPE_CHECKING`` counts as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]

LAYERS: Final = {
    "protocol": set[str](),
    "auth": {"protocol"},
    "settings": {"protocol"},
    # A session sees a Policy, which was made of settings, and no settings.
    "session": {"protocol", "auth"},
    "trace": {"protocol", "auth", "settings", "session"},
    "server": {"protocol", "auth", "settings", "session", "trace"},
    # A program of its own: it prints lines of configuration, and names.
    "certs": {"auth", "settings"},
    "testing": {"protocol", "auth", "settings", "session", "trace", "server", "certs"},
}
"""What each package may import of pgproxy, apart from itself."""

CORE: Final = ("protocol", "auth", "settings", "session", "trace")

IMPURE: Final = {
    "asyncio",
    "socket",
    "ssl",
    "selectors",
    "threading",
    "subprocess",
    "signal",
    "time",
    "random",
    "os",
    "logging",
    "structlog",
    "uvloop",
}
"""What would let the world into the core."""

DOORS: Final = {
    # These work on the SSLContext that they are handed, or on its errors.
    "ssl": {
        "port",
        "tls",
        "relay",
        "libssl",
        "private_key",
        "dh_params",
        "crls",
        "trust",
    },
    "ctypes": {"libssl", "openssl"},
    # What is wrong with files that OpenSSL has taken; it decides nothing.
    "cryptography": {"lint"},
    "structlog": {"log"},
    "uvloop": {"worker"},
}
"""Which modules of `pgproxy.server` a dependency comes in through."""


def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of each module, by its dotted name."""
    trees = {}
    for path in sorted((ROOT / "pgproxy").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        trees[name] = ast.parse(path.read_text("utf-8"))
    return trees


def imports(name: str, tree: ast.Module, *, package: bool = False) -> Iterator[str]:
    """Yield what the module *name* imports, with the names it takes out of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - 1 if package else node.level
                home = name.split(".")[: -up or None]
                base = ".".join([*home, base] if base else home)
            yield from (f"{base}.{alias.name}" for alias in node.names)


MODULES: Final = modules()
IMPORTS: Final = {
    name: sorted(
        set(
            imports(
                name,
                tree,
                package=(ROOT / name.replace(".", "/") / "__init__.py").exists(),
            )
        )
    )
    for name, tree in MODULES.items()
}


def layer(name: str) -> str:
    """Return the package of pgproxy that *name* belongs to; "" if it is not ours."""
    parts = [*name.split("."), "", ""]
    return parts[1] if parts[0] == "pgproxy" else ""


def test_imports_are_seen() -> None:
    """The reader of imports reads them, in every form that they have."""
    tree = ast.parse(
        "import os.path, ssl as s\n"
        "from pgproxy.auth import hba\n"
        "from pgproxy import session\n"
        "from . import framing\n"
        "from ..auth.hba import HbaLine\n"
        "def f():\n    import uvloop\n"
    )
    assert list(imports("pgproxy.protocol.x", tree)) == [
        "os.path",
        "ssl",
        "pgproxy.auth.hba",
        "pgproxy.session",
        "pgproxy.protocol.framing",
        "pgproxy.auth.hba.HbaLine",
        "uvloop",
    ]
    within = ast.parse("from . import framing")
    assert list(imports("pgproxy.protocol", within, package=True)) == [
        "pgproxy.protocol.framing"
    ]


def test_every_package_is_in_a_layer() -> None:
    """A new package has to say where it stands."""
    packages = {path.parent.name for path in (ROOT / "pgproxy").glob("*/__init__.py")}
    assert packages <= LAYERS.keys()


@pytest.mark.parametrize("name", MODULES)
def test_layers(name: str) -> None:
    """Nobody imports from a layer above, or from beside."""
    mine = layer(name)
    if mine not in LAYERS:
        return  # the top: cli, demo
    allowed = {*LAYERS[mine], mine, ""}
    # pgproxy itself has the version, and nothing else.
    wrong = [
        one
        for one in IMPORTS[name]
        if layer(one) not in allowed and one != "pgproxy.__version__"
    ]
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in MODULES if layer(name) in CORE])
def test_core_is_pure(name: str) -> None:
    """No clock, no socket, no log: the core only decides."""
    wrong = [one for one in IMPORTS[name] if one.split(".")[0] in IMPURE]
    assert wrong == []


@pytest.mark.parametrize("dependency", DOORS)
def test_doors(dependency: str) -> None:
    """Each dependency comes into the server through its own door."""
    through = {
        name.removeprefix("pgproxy.server.")
        for name in MODULES
        if layer(name) == "server"
        for one in IMPORTS[name]
        if one.split(".")[0] == dependency
    }
    assert through <= DOORS[dependency]


def test_hot_path_stands_alone() -> None:
    """The relay is measured, and nothing of ours slips into it."""
    assert [one for one in IMPORTS["pgproxy.server.relay"] if layer(one)] == []


def test_server_renders_nothing() -> None:
    """A trace's renderer is chosen above the server."""
    wrong = [
        one
        for name in MODULES
        if layer(name) == "server"
        for one in IMPORTS[name]
        if one.startswith("pgproxy.trace.render")
    ]
    assert wrong == []
