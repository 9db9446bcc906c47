"""Who is a member of which role, as the backend's catalogue has it."""

from collections.abc import Iterable, Mapping


class Roles:
    """
    The roles of a cluster, and their memberships.

    Args:
        granted: The roles that are granted to each role, itself not among them:
            ``pg_auth_members``, by name. Every role of the cluster is a key.

    """

    def __init__(self, granted: Mapping[str, Iterable[str]]) -> None:
        self._granted = {role: frozenset(to) for role, to in granted.items()}
        self._closed: dict[str, frozenset[str]] = {}

    def is_member(self, user: str, role: str) -> bool:
        """
        Return whether *user* is a member of *role*, directly or through others.

        A role is a member of itself. A superuser is a member of what has been granted
        to it, and of nothing else. Nobody is a member of a role that does not exist,
        and who does not exist is a member of none (HBA-75, HBA-76).

        Source: ``is_member`` in hba.c, ``is_member_of_role_nosuper`` in acl.c.
        """
        if user not in self._granted:
            return False
        found = self._closed.get(user)
        if found is None:
            found = self._closed[user] = self._close(user)
        return role in found

    def _close(self, user: str) -> frozenset[str]:
        """Return all that *user* is a member of; a circle ends where it began."""
        found, next_ones = {user}, [user]
        while next_ones:
            for role in self._granted.get(next_ones.pop(), ()):
                if role not in found:
                    found.add(role)
                    next_ones.append(role)
        return frozenset(found)
