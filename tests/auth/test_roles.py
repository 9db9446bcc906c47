"""Who is a member of what: HBA-75, HBA-76."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.roles import Roles

ROLES = Roles(
    {
        "ana": ["dev"],
        "dev": ["staff"],
        "staff": [],
        "bob": ["sales", "staff"],
        "sales": [],
        "boss": [],
    }
)


@pytest.mark.parametrize(
    ("user", "role", "member"),
    [
        ("ana", "dev", True),
        ("ana", "staff", True),
        ("bob", "staff", True),
        ("bob", "sales", True),
        ("ana", "sales", False),
        ("staff", "ana", False),
        # A role is a member of itself, if it is one.
        ("boss", "boss", True),
        ("nobody", "nobody", False),
        ("nobody", "staff", False),
        ("ana", "nobody", False),
        # A superuser is a member of what it has been granted.
        ("boss", "staff", False),
        # Byte for byte (HBA-79).
        ("Ana", "dev", False),
        ("ana", "DEV", False),
    ],
)
def test_is_member(user: str, role: str, member: bool) -> None:
    # The second answer is remembered, and the same.
    assert [ROLES.is_member(user, role) for _ in "12"] == [member] * 2


def test_what_is_granted_need_not_be_there() -> None:
    """A role that was dropped while the catalogue was read ends there."""
    roles = Roles({"ana": ["gone"]})
    assert roles.is_member("ana", "gone")
    assert not roles.is_member("gone", "gone")


NAMES = st.sampled_from("abcde")


@given(st.dictionaries(NAMES, st.frozensets(NAMES)), NAMES, NAMES, NAMES)
def test_membership_is_transitive(
    granted: dict[str, frozenset[str]], one: str, two: str, three: str
) -> None:
    """In circles too, which PostgreSQL does not allow."""
    roles = Roles({name: granted.get(name, ()) for name in "abcde"})
    assert roles.is_member(one, one)
    if two in granted.get(one, ()):
        assert roles.is_member(one, two)
    if roles.is_member(one, two) and roles.is_member(two, three):
        assert roles.is_member(one, three)
    if one != two and roles.is_member(one, two):
        assert any(roles.is_member(by, two) for by in granted[one])
