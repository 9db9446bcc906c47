"""The pages say what the code does, as far as a program can tell."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner

from docs import generate
from pgproxy.auth.hba_file import load_hba
from pgproxy.cli import main
from pgproxy.server import system
from pgproxy.session.states import TRANSITIONS, State
from pgproxy.settings import conf
from pgproxy.settings.catalogue import GUCS, LogConnections
from pgproxy.settings.conninfo import HARMLESS, REFUSED, USED
from pgproxy.testing.authority import Authority

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
PAGES: Final = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]

BLOCK: Final = re.compile(r"^```([\w.]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"(?<!!)\[[^]]+\]\(([^)]+)\)", re.DOTALL)
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    """Yield each fenced block of this *kind*, with the name of its page."""
    for page in PAGES:
        for found, text in BLOCK.findall(page.read_text("utf-8")):
            if found == kind:
                yield page.name, text


def anchor(heading: str) -> str:
    """Return what the heading is called in an address, as GitHub has it."""
    words = re.sub(r"[^\w\- ]", "", heading.lower())
    return words.replace(" ", "-")


@pytest.mark.parametrize(
    ("path", "text"),
    list(generate.pages()),
    ids=lambda value: getattr(value, "stem", ""),
)
def test_generated_pages_are_fresh(path: Path, text: str) -> None:
    """Run docs/generate.py if this fails."""
    assert path.read_text("utf-8") == text


def test_every_setting_is_on_its_page() -> None:
    page = generate.settings_page()
    for name in (*GUCS, *USED, *HARMLESS, *REFUSED, *LogConnections):
        assert f"`{name}`" in page


def test_every_transition_is_on_its_page() -> None:
    """Drawn, or in the list of what ends a session anywhere; and in a table."""
    page = generate.session_page()
    drawing, tables = page.split("```mermaid")[1].split("```", 1)
    drawn = re.findall(r"^ +(\w+) --> (\w+): (.+)$", drawing, re.MULTILINE)
    edges = {
        (before, event, after)
        for before, after, events in drawn
        for event in events.split(", ")
    }
    left_out = {"ClientGone", "TimedOut", "Terminated"}
    expected = {
        (before.name, event.__name__, after.name)
        for (before, event), to in TRANSITIONS.items()
        for after in to
    }
    assert edges == {edge for edge in expected if edge[1] not in left_out}
    for before, event in TRANSITIONS:
        (row,) = [
            line
            for line in tables.splitlines()
            if line.startswith("| `")
            and f"`{event.__name__}` |" in line
            and (line.startswith(f"| `{before.name}` |") or event.__name__ in left_out)
        ]
        assert f"`{before.name}`" in row
    for state in State:
        assert f"| `{state.name}` | {generate.STATES[state]} |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """What is linked to is there."""
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        name, _hash, fragment = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if fragment:
            headings = HEADING.findall(target.read_text("utf-8"))
            assert fragment in map(anchor, headings), link


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    linked = {ROOT / link.partition("#")[0] for link in LINK.findall(readme)}
    # What is only for who changes the code need not be there.
    assert set(PAGES) - linked <= {ROOT / "README.md", DOCS / "reference/mutants.md"}


@pytest.mark.parametrize(("page", "text"), list(blocks("pg_hba.conf")))
def test_rules_are_good(tmp_path: Path, page: str, text: str) -> None:
    """A rule that stands on a page is one that pgproxy takes."""
    path = tmp_path / "pg_hba.conf"
    path.write_text(text)
    found = load_hba(
        str(path),
        ssl=True,
        roles=True,
        parse_address=system.parse_address,
        read=system.read_file,
        list_directory=system.list_directory,
    )
    assert (found.problems, found.notices) == ((), ()), page
    assert found.lines


@pytest.mark.parametrize(
    ("page", "text"),
    [
        *blocks("pgproxy.conf"),
        ("docker/pgproxy.conf", (ROOT / "docker/pgproxy.conf").read_text()),
    ],
)
def test_settings_are_good(tmp_path: Path, page: str, text: str) -> None:
    """And so is a setting."""
    path = tmp_path / "pgproxy.conf"
    path.write_text(text)
    found = conf.load(
        str(path), read=system.read_file, list_directory=system.list_directory
    )
    assert isinstance(found, conf.Loaded), (page, found)
    assert found.notices == ()
    assert found.sources


def test_there_are_rules_and_settings_on_pages() -> None:
    assert len(list(blocks("pg_hba.conf"))) >= 2
    assert len(list(blocks("pgproxy.conf"))) >= 2


def test_five_lines(tmp_path: Path) -> None:
    """The five lines of README.md, up to the last: it would serve."""
    (text,) = [text for _page, text in blocks("sh") if "pgproxy serve" in text]
    lines = text.splitlines()
    assert len(lines) == 5
    assert lines.pop() == "pgproxy serve -D ."
    Authority.root("CA").server("localhost").write(
        tmp_path / "server.crt", tmp_path / "server.key"
    )
    subprocess.run(
        ["/bin/sh", "-ec", "\n".join(lines).replace("/path/to", str(tmp_path))],
        cwd=tmp_path,
        check=True,
    )
    done = CliRunner().invoke(main, ["check", "-D", str(tmp_path / "pgproxy-data")])
    assert done.exit_code == 0, done.output
    assert "'host=/var/run/postgresql port=5432'" in done.output


def test_certificates_can_be_made_like_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every `pgproxy certs` on a page of its own, one after the other."""
    monkeypatch.chdir(tmp_path)
    lines = [
        shlex.split(line, comments=True)
        for page, text in blocks("sh")
        if page == "make-certificates.md"
        for line in text.splitlines()
        if line.startswith("pgproxy certs ")
    ]
    assert len(lines) >= 8
    for line in lines:
        done = CliRunner().invoke(main, line[1:])
        assert done.exit_code == 0, (line, done.output)
    assert (tmp_path / "ca" / "root.crl").exists()


def commands() -> Iterator[tuple[str, click.Command]]:
    waiting: list[tuple[str, click.Command]] = [("pgproxy", main)]
    for name, command in waiting:
        yield name, command
        if isinstance(command, click.Group):
            waiting += [(f"{name} {sub}", one) for sub, one in command.commands.items()]


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_and_option_is_explained(
    name: str, command: click.Command
) -> None:
    page = (DOCS / "reference/commands.md").read_text("utf-8")
    if command is not main:
        depth = "#" * name.count(" ") + "#"
        assert f"\n{depth} {name}\n" in page
    context = click.Context(command, info_name=name)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Argument):
            continue  # stands in the text
        for option in parameter.opts:
            assert re.search(rf"`{option}\b", page), (name, option)


def test_no_command_is_explained_that_is_not_there() -> None:
    page = (DOCS / "reference/commands.md").read_text("utf-8")
    explained = {
        heading for heading in HEADING.findall(page) if heading.startswith("pgproxy ")
    }
    assert explained == {name for name, command in commands() if command is not main}


def test_main_of_generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes what it says."""
    monkeypatch.setattr(generate, "REFERENCE", tmp_path)
    monkeypatch.setattr(generate, "HOWTO", tmp_path)
    generate.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "handshake-matrix.md",
        "session.md",
        "settings.md",
        "who-gets-in.md",
    ]
    assert (tmp_path / "settings.md").read_text("utf-8") == generate.settings_page()


def test_generate_can_be_started() -> None:
    assert os.access(DOCS / "generate.py", os.X_OK)
