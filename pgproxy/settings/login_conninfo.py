"""A connection string with which pgproxy itself logs in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pgproxy.settings.conninfo import HARMLESS, REFUSED, USED, read_options
from pgproxy.settings.values import InvalidValue

KNOWN: Final = USED | HARMLESS.keys() | REFUSED.keys() | {"requiressl"}
"""Every option of libpq 18."""

SECRET: Final = frozenset(
    {
        "password",
        "sslpassword",
        "scram_client_key",
        "scram_server_key",
        "oauth_client_secret",
    }
)
"""The options that nobody is shown."""

NOT_SHOWN: Final = (
    "It is no connection string of libpq's; what is wrong with it is not shown, "
    "because it may hold a password."
)


@dataclass(frozen=True, slots=True)
class LoginConninfo:
    """
    What libpq is given; without any option there is no login.

    It is printed without its secrets, by `repr` and `str` alike.

    Args:
        options: Keywords and values, in order; the last one of a keyword wins.

    """

    options: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.options)

    def __str__(self) -> str:
        return " ".join(
            f"{keyword}=********"
            if keyword in SECRET
            else f"{keyword}={_quoted(value)}"
            for keyword, value in self.options
        )

    __repr__ = __str__


def read_login_conninfo(name: str, text: str) -> LoginConninfo:
    """
    Read the setting *name*, which is such a connection string.

    The values are for libpq to judge, when it connects.

    Raises:
        InvalidValue: It is none; the text itself is not shown, because there may be a
            password in it.

    """
    try:
        return LoginConninfo(tuple(dict(_known_options(text)).items()))
    except InvalidValue as error:
        # What libpq says quotes a URI, and the second word of a password that has two.
        secret = "://" in text or any(keyword in text for keyword in SECRET)
        detail = NOT_SHOWN if secret else error.message
        raise InvalidValue(
            f'invalid value for parameter "{name}"', detail=detail
        ) from None


def _known_options(text: str) -> Iterator[tuple[str, str]]:
    options, unknown = read_options(text)
    for keyword, value in options:
        if keyword not in KNOWN:
            raise InvalidValue(unknown.format(keyword))
        yield keyword, value


def _quoted(value: str) -> str:
    """Return *value* as a connection string has it."""
    if value and not any(character in value for character in " \t\n\r\f\v'\\"):
        return value
    escaped = value.replace("\\", r"\\").replace("'", r"\'")
    return f"'{escaped}'"
