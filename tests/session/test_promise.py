"""The backend is held to the line: CERT-19, CERT-20."""

import pytest

from pgproxy.protocol.errors import ConfigFileError, SqlState
from pgproxy.session.promise import Promise

OK, PASSWORD, MD5, GSS, SASL, CONTINUE, FINAL = 0, 3, 5, 7, 10, 11, 12

KEPT = [
    ("trust", []),
    ("trust", [PASSWORD]),
    ("trust", [MD5]),
    ("trust", [GSS]),
    ("trust", [SASL, CONTINUE, FINAL]),
    ("scram-sha-256", [SASL, CONTINUE, FINAL]),
    ("md5", [MD5]),
    ("md5", [SASL, CONTINUE, FINAL]),  # as PostgreSQL does
    ("password", [PASSWORD]),
    ("cert", []),
    ("ldap", [PASSWORD]),
    ("radius", [PASSWORD]),
    ("bsd", [PASSWORD]),
    ("pam", [PASSWORD]),
    ("pam", [PASSWORD, PASSWORD, PASSWORD]),  # as often as a module wants to
]

# The last request is the one that is refused; OK stands for "the user is in".
BROKEN = [
    ("scram-sha-256", [OK], "the backend let the user in without asking for it"),
    ("scram-sha-256", [PASSWORD], "the backend asked for a clear-text password"),
    ("scram-sha-256", [MD5], "the backend asked for an MD5 password"),
    ("scram-sha-256", [GSS], "the backend asked for authentication of type 7"),
    ("scram-sha-256", [FINAL], "the backend asked for authentication of type 12"),
    ("scram-sha-256", [SASL, OK], "the backend let the user in without asking for it"),
    (
        "scram-sha-256",
        [SASL, CONTINUE, OK],
        "the backend let the user in without asking for it",
    ),
    ("scram-sha-256", [SASL, FINAL], "the backend asked for authentication of type 12"),
    ("scram-sha-256", [SASL, PASSWORD], "the backend asked for a clear-text password"),
    (
        "scram-sha-256",
        [SASL, CONTINUE, PASSWORD],
        "the backend asked for a clear-text password",
    ),
    (
        "scram-sha-256",
        [SASL, CONTINUE, FINAL, SASL],
        "the backend asked for SASL",
    ),
    ("md5", [OK], "the backend let the user in without asking for it"),
    ("md5", [PASSWORD], "the backend asked for a clear-text password"),
    ("md5", [MD5, PASSWORD], "the backend asked for a clear-text password"),
    ("password", [OK], "the backend let the user in without asking for it"),
    ("password", [MD5], "the backend asked for an MD5 password"),
    ("password", [SASL], "the backend asked for SASL"),
    ("password", [PASSWORD, PASSWORD], "the backend asked for a clear-text password"),
    *(
        (method, codes, how)
        for method in ("ldap", "radius", "pam", "bsd")
        for codes, how in [
            ([OK], "the backend let the user in without asking for it"),
            ([MD5], "the backend asked for an MD5 password"),
            ([SASL], "the backend asked for SASL"),
            ([PASSWORD, SASL], "the backend asked for SASL"),
        ]
    ),
    ("ldap", [PASSWORD, PASSWORD], "the backend asked for a clear-text password"),
    ("cert", [SASL], "the backend asked for SASL"),
    ("cert", [PASSWORD], "the backend asked for a clear-text password"),
]


def ask(promise: Promise, codes: list[int]) -> None:
    for code in codes:
        if code == OK:
            promise.completed()
        else:
            promise.asked(code)


@pytest.mark.parametrize(("method", "codes"), KEPT)
def test_kept(method: str, codes: list[int]) -> None:
    """What the line says, the backend does."""
    promise = Promise(method, "matched")
    ask(promise, codes)
    promise.completed()


@pytest.mark.parametrize(("method", "codes", "how"), BROKEN)
def test_broken(method: str, codes: list[int], how: str) -> None:
    """The client is told little, and the log what to do."""
    promise = Promise(method, "Connection matched …")
    ask(promise, codes[:-1])
    with pytest.raises(ConfigFileError) as caught:
        ask(promise, codes[-1:])
    refused = caught.value
    assert refused.sqlstate is SqlState.CONFIG_FILE_ERROR
    assert refused.message == (
        f'authentication method "{method}" is not what the server behind this address '
        "uses"
    )
    assert (refused.detail, refused.hint) == (None, None)
    assert refused.log_detail == f"{how}\nConnection matched …"
    if method == "cert":
        assert refused.log_hint == (
            "The certificate has decided. Give the backend's pg_hba.conf a line with "
            'method "trust" for connections from pgproxy, over a Unix-domain socket or '
            "an address that nobody else can use."
        )
    else:
        assert refused.log_hint == (
            "Give the backend's pg_hba.conf a line for connections from pgproxy with "
            f'method "{method}", or change the line here.'
        )
