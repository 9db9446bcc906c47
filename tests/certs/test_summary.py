"""What is printed can be pasted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.certs.summary import conninfo, folder_for

psycopg = pytest.importorskip("psycopg", reason="libpq reads connection strings")

# What a role's name can be; libpq knows no NUL.
NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=64,
)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("db.example.com", "db.example.com"),
        ("*.example.com", "wildcard.example.com"),
        ("::1", "%3A%3A1"),
        ("alice@example.com", "alice@example.com"),
        ("Al ice", "Al ice"),
        (".", "%2E"),
        ("..", "%2E."),
        ("../x", "%2E.%2Fx"),
        ("/etc", "%2Fetc"),
        ("ü", "%C3%BC"),
        ("*", "%2A"),
        ("\udcff", "%FF"),
    ],
)
def test_folders(name: str, folder: str) -> None:
    assert folder_for(name) == Path(folder)


@given(NAMES)
def test_any_folder(name: str) -> None:
    """It is one folder, in the current one, and can be made."""
    (part,) = folder_for(name).parts
    assert not part.startswith(".")
    assert "/" not in part
    assert len(part.encode()) <= 3 * 4 * 64


@given(
    NAMES, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
)
def test_conninfo(name: str, value: str) -> None:
    """Libpq reads what was meant."""
    found = psycopg.conninfo.conninfo_to_dict(
        conninfo({"user": name, "sslcert": value})
    )
    assert found == {"user": name, "sslcert": value}
