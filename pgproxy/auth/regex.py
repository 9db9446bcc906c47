"""Regular expressions as PostgreSQL has them."""


class Regex:
    """A compiled one."""

    def matches(self, text: str) -> bool:
        """Return whether it is found in *text*."""
        raise NotImplementedError

    def capture(self, text: str) -> str | None:
        """Return what its first parenthesised subexpression matches in *text*."""
        raise NotImplementedError
