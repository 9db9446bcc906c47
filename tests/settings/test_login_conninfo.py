"""The login of pgproxy itself: read whole, and shown without its secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.login_conninfo import (
    KNOWN,
    NOT_SHOWN,
    SECRET,
    LoginConninfo,
    read_login_conninfo,
)
from pgproxy.settings.values import InvalidValue

NAME = "pgproxy.role_conninfo"


def read(text: str) -> LoginConninfo:
    return read_login_conninfo(NAME, text)


@pytest.mark.parametrize(
    ("text", "options", "shown"),
    [
        ("", (), ""),
        ("  ", (), ""),
        (
            "host=/run user=reader",
            (("host", "/run"), ("user", "reader")),
            "host=/run user=reader",
        ),
        (
            "user=a password='open sesame'",
            (("user", "a"), ("password", "open sesame")),
            "user=a password=********",
        ),
        (
            "postgresql://a:sesame@db:1/x?sslmode=verify-full&sslpassword=b",
            (
                ("user", "a"),
                ("password", "sesame"),
                ("host", "db"),
                ("port", "1"),
                ("dbname", "x"),
                ("sslmode", "verify-full"),
                ("sslpassword", "b"),
            ),
            (
                "user=a password=******** host=db port=1 dbname=x sslmode=verify-full "
                "sslpassword=********"
            ),
        ),
        # The last one of a keyword wins.
        ("user=a user=b", (("user", "b"),), "user=b"),
        (
            r"user='it\'s' dbname=''",
            (("user", "it's"), ("dbname", "")),
            r"user='it\'s' dbname=''",
        ),
    ],
)
def test_read(text: str, options: tuple[tuple[str, str], ...], shown: str) -> None:
    found = read(text)
    assert dict(found.options) == dict(options)
    assert bool(found) is bool(options)
    if "://" not in text:
        assert str(found) == repr(found) == shown
    assert "sesame" not in repr(found)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("host", 'missing "=" after "host" in connection info string'),
        ("hosts=x", 'invalid connection option "hosts"'),
        ("user='sesame", "unterminated quoted string in connection info string"),
        ("postgresql://a:sesame@[db", NOT_SHOWN),
        ("postgresql://a:sesame@db/?hosts=x", NOT_SHOWN),
        ("user=a password=open sesame", NOT_SHOWN),
        ("user=a password=open sesame=x", NOT_SHOWN),
        ("user=a sslpassword='sesame", NOT_SHOWN),
    ],
)
def test_refused(text: str, detail: str) -> None:
    """What is wrong is said, and no password."""
    with pytest.raises(InvalidValue) as error:
        read(text)
    assert error.value.message == f'invalid value for parameter "{NAME}"'
    assert error.value.detail == detail
    assert "sesame" not in f"{error.value.message} {error.value.detail}"


def test_secrets_are_options() -> None:
    assert SECRET < KNOWN


@given(
    st.dictionaries(
        st.sampled_from(sorted(KNOWN - SECRET)),
        st.text(st.characters(exclude_characters="\0")),
        min_size=1,
    )
)
def test_what_is_shown_reads_back(options: dict[str, str]) -> None:
    made = LoginConninfo(tuple(options.items()))
    assert read(str(made)) == made
