"""
Names that do not mean what they seem to: PostgreSQL's verdicts, and pgproxy's.

The servers run with an /etc/hosts of the test's own, so that there are addresses with
and without a name, and one whose name is another's.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.support import wire
from tests.support.endpoints import Config, Endpoint, Farm
from tests.support.hosts import private_hosts
from tests.support.oracles import PGPROXY, SERVERS

pytestmark = pytest.mark.interop

HOSTS: Final = """\
127.0.0.1  localhost
127.0.0.2  app.example.test App
127.0.0.3  db.app.example.test
127.0.0.4  example.test
127.0.0.66 app.example.test.evil.test
# Whoever gives an address of theirs a name of yours.
127.0.0.9  good.example.test
127.0.0.5  good.example.test
"""

RULES: Final = """\
host  all  exact    app.example.test    trust
host  all  capital  APP.Example.TEST    trust
host  all  alias    app                 trust
host  all  suffix   .example.test       trust
host  all  Suffix   .EXAMPLE.test       trust
host  all  liar     good.example.test   trust
host  all  fallen   good.example.test   reject
host  all  fallen   all                 trust
host  all  out      app.example.test    reject
host  all  later    nowhere.example.test  trust
host  all  later    app.example.test      trust
"""

MATCHES: Final = 'Client IP address resolved to "{}", forward lookup matches.'
WRONG: Final = 'Client IP address resolved to "{}", forward lookup does not match.'
NOT_CHECKED: Final = 'Client IP address resolved to "{}", forward lookup not checked.'
NAMELESS: Final = (
    "Could not resolve client IP address to a host name: Name or service not known."
)

APP: Final = "app.example.test"
DB: Final = "db.app.example.test"
EVIL: Final = "app.example.test.evil.test"
GOOD: Final = "good.example.test"


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, farm: Farm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """Return a server that has these names and these rules."""
    if request.param == PGPROXY:
        request.getfixturevalue("backend")  # has the names of the system
    with private_hosts(tmp_path_factory.mktemp("hosts"), HOSTS) as thread:
        private = farm.private(request.param, Config(hba=RULES))
        endpoint = thread.submit(private.__enter__).result()
        try:
            yield endpoint
        finally:
            private.__exit__(None, None, None)


def answer(server: Endpoint, user: str, source: str) -> tuple[str, list[str]]:
    """Return "in" or the message of the refusal, and the DETAILs of the log."""
    with server.connect(source) as client:
        client.send(wire.startup(user=user))
        message = client.read_message()
    if message.kind == "R":
        return "in", []
    details = [line.detail for line in server.log_of(client) if line.detail]
    return message.fields["M"], details


@pytest.mark.parametrize(
    ("user", "source"),
    [
        ("exact", "127.0.0.2"),
        ("capital", "127.0.0.2"),
        ("suffix", "127.0.0.2"),
        ("suffix", "127.0.0.3"),
        ("Suffix", "127.0.0.3"),
        ("liar", "127.0.0.9"),  # the address that the name has
        ("fallen", "127.0.0.5"),  # whose name is another's, so it is not rejected
        ("fallen", "127.0.0.77"),  # nor is one without a name
        ("later", "127.0.0.2"),
    ],
)
def test_in(server: Endpoint, user: str, source: str) -> None:
    """HBA-68."""
    assert answer(server, user, source) == ("in", [])


@pytest.mark.parametrize(
    ("user", "source", "detail"),
    [
        ("liar", "127.0.0.5", WRONG.format(GOOD)),
        ("suffix", "127.0.0.5", WRONG.format(GOOD)),
        # ".example.test" is for what is longer, and has it at its end.
        ("suffix", "127.0.0.4", NOT_CHECKED.format("example.test")),
        ("suffix", "127.0.0.66", NOT_CHECKED.format(EVIL)),
        ("exact", "127.0.0.66", NOT_CHECKED.format(EVIL)),
        # Its second name is not asked for.
        ("alias", "127.0.0.4", NOT_CHECKED.format("example.test")),
        ("exact", "127.0.0.77", NAMELESS),
        ("later", "127.0.0.77", NAMELESS),
    ],
)
def test_refused(server: Endpoint, user: str, source: str, detail: str) -> None:
    """HBA-68, HBA-69: alike, to the words of the log."""
    message = (
        f'no pg_hba.conf entry for host "{source}", user "{user}", '
        'database "postgres", no encryption'
    )
    assert answer(server, user, source) == (message, [detail])


def test_rejected_by_name(server: Endpoint) -> None:
    """HBA-84: that line has been found, and the log has no more of it (HBA-69)."""
    message = (
        'pg_hba.conf rejects connection for host "127.0.0.2", user "out", '
        'database "postgres", no encryption'
    )
    assert answer(server, "out", "127.0.0.2") == (message, [])


@pytest.mark.parametrize("user", ["alias", "exact"])
def test_no_question_in_vain(server: Endpoint, user: str) -> None:
    """
    HBA-69, the difference: PostgreSQL asks for the lines of others, too.

    A line for somebody else has made it look the name up.
    """
    _message, details = answer(server, user, "127.0.0.3")
    said = NOT_CHECKED if server.kind == PGPROXY else MATCHES
    assert details == [said.format(DB)]


def test_nothing_is_asked_for_a_stranger(server: Endpoint) -> None:
    """HBA-69, the difference: to pgproxy, no line is about this user."""
    _message, details = answer(server, "stranger", "127.0.0.2")
    assert details == ([] if server.kind == PGPROXY else [MATCHES.format(APP)])
