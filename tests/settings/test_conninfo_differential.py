"""The same connection strings to libpq itself, as far as it takes them apart."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pgproxy.settings.conninfo import _read_keywords
from pgproxy.settings.conninfo_uri import read_uri, uri_body
from pgproxy.settings.values import InvalidValue

psycopg = pytest.importorskip("psycopg", reason="psycopg brings a libpq")

pytestmark = pytest.mark.interop

KEYWORDS = [
    "host",
    "hostaddr",
    "port",
    "user",
    "password",
    "dbname",
    "connect_timeout",
    "sslmode",
    "options",
    "nonsense",
]


def ours(text: str) -> dict[str, str] | str:
    """Return the options, or what is wrong, as libpq would have it."""
    body = uri_body(text)
    options = _read_keywords(text) if body is None else read_uri(text, body)
    unknown = "invalid connection option" if body is None else "invalid URI query"
    found = {}
    try:
        for keyword, value in options:
            if keyword not in KEYWORDS[:-1]:
                return unknown
            found[keyword] = value
    except InvalidValue as refused:
        return refused.message
    return found


def theirs(text: str) -> dict[str, str] | str:
    try:
        parsed = psycopg.pq.Conninfo.parse(text.encode())
    except psycopg.Error as error:
        message = str(error).strip()
        for unknown in ("invalid connection option", "invalid URI query parameter:"):
            if message.startswith(unknown):
                return unknown.removesuffix(" parameter:")
        return message
    return {
        option.keyword.decode(): option.val.decode("utf-8", "surrogateescape")
        for option in parsed
        if option.val is not None
    }


PIECES = st.sampled_from([*KEYWORDS, *"= '\\&?/:@,[]%1é\t", "::1", "%2F", "%4"])
TEXTS = st.lists(PIECES, max_size=12).map("".join)
PAIRS = st.lists(
    st.tuples(st.sampled_from(KEYWORDS), st.sampled_from(["=", " = ", "= "]), TEXTS)
).map(lambda pairs: " ".join(map("".join, pairs)))


@given(TEXTS | PAIRS | TEXTS.map("postgresql://".__add__))
@example("host= port=")
@example("host='a b'port=5433 user=\\")
@example("postgresql://u:p@[::1]:1,b:2/db?sslmode=disable&host=/x")
def test_as_libpq(text: str) -> None:
    assert ours(text) == theirs(text)
