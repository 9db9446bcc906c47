"""
log_hostname: the name of a client in the log, and what else comes of it (TLS-19).

The servers run with an /etc/hosts of the test's own.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.support import logs, wire
from tests.support.endpoints import Config, Endpoint, Farm
from tests.support.hosts import private_hosts
from tests.support.oracles import PGPROXY, SERVERS

pytestmark = pytest.mark.interop

APP: Final = "app.example.test"
HOSTS: Final = f"""\
127.0.0.1  localhost
127.0.0.2  {APP}
# Hexadecimal digits alone: it could be an address, for all that PostgreSQL can tell.
127.0.0.3  cafe
"""

BY_ADDRESS: Final = "host all tom 127.0.0.1/32 trust\n"
BY_NAME: Final = f"host all exact {APP} trust\nhost all hex cafe trust\n"

NOT_CHECKED: Final = 'Client IP address resolved to "{}", forward lookup not checked.'


@dataclass(frozen=True, slots=True)
class Both:
    """One kind of server, with rules that ask for no name, and with some that do."""

    by_address: Endpoint
    by_name: Endpoint


@pytest.fixture(scope="module", params=SERVERS)
def server(
    request: pytest.FixtureRequest, farm: Farm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Both]:
    """Return servers that have these names and look them up to log them."""
    if request.param == PGPROXY:
        request.getfixturevalue("backend")  # has the names of the system
    settings = {"log_hostname": "on", "log_connections": "on"}
    with (
        private_hosts(tmp_path_factory.mktemp("hosts"), HOSTS) as thread,
        contextlib.ExitStack() as running,
    ):

        def start(hba: str) -> Endpoint:
            private = farm.private(request.param, Config(hba=hba, settings=settings))
            return running.enter_context(private)

        by_address, by_name = thread.map(start, [BY_ADDRESS, BY_NAME])
        yield Both(by_address, by_name)


def visit(
    server: Endpoint, source: str, user: str
) -> tuple[wire.Message, list[dict[str, Any]]]:
    """Return the answer to a client, and the log of it with all keys."""
    mark = logs.size(server.log_file)
    with server.connect(source) as client:
        client.send(wire.startup(user=user))
        answer = client.read_message()
    server.log_of(client)  # until nothing of it is still to come
    lines = logs.read(server.log_file, mark)
    return answer, [one for one in lines if one.get("remote_port") == client.local_port]


@pytest.mark.parametrize(
    ("source", "host", "detail"),
    [
        ("127.0.0.2", APP, NOT_CHECKED.format(APP)),
        ("127.0.0.3", "cafe", None),
        ("127.0.0.77", "127.0.0.77", None),
    ],
)
def test_refused(server: Both, source: str, host: str, detail: str | None) -> None:
    """The log has the name; the client is told of its address, as ever (HBA-69)."""
    answer, lines = visit(server.by_address, source, "nobody")
    assert answer.fields["M"] == (
        f'no pg_hba.conf entry for host "{source}", user "nobody", '
        'database "postgres", no encryption'
    )
    received, *_others, refused = lines
    port = received["remote_port"]
    assert received["message"] == f"connection received: host={host} port={port}"
    assert {line["remote_host"] for line in lines} == {host}
    # No line has asked for the name; it is known all the same.
    assert refused["message"] == answer.fields["M"]
    assert refused.get("detail") == detail


@pytest.mark.parametrize(
    ("source", "user"), [("127.0.0.2", "exact"), ("127.0.0.3", "hex")]
)
def test_let_in(server: Both, source: str, user: str) -> None:
    """A line that names the client goes by the name that is known, or asks again."""
    answer, _lines = visit(server.by_name, source, user)
    assert answer.kind == "R", str(answer)
