"""Host names in the address column: as PostgreSQL decides, and as it logs (HBA-68)."""

import socket
from typing import Final

import pytest

from tests.support import wire
from tests.support.endpoints import Endpoint, Servers

pytestmark = pytest.mark.interop

MINE: Final = socket.getnameinfo(("127.0.0.1", 0), socket.NI_NAMEREQD)[0]
"""What this machine calls 127.0.0.1."""

NOT_CHECKED: Final = (
    f'Client IP address resolved to "{MINE}", forward lookup not checked.'
)


def answer(server: Endpoint, user: str) -> tuple[str, list[str | None]]:
    """Return "in" or a SQLSTATE, and the DETAILs of the log."""
    with server.connect() as client:
        client.send(wire.startup(user=user))
        message = client.read_message()
    verdict = "in" if message.kind == "R" else message.fields["C"]
    return verdict, [line.detail for line in server.log_of(client) if line.detail]


@pytest.mark.parametrize(
    ("name", "verdict", "detail"),
    [
        (MINE, "in", None),
        (MINE.upper(), "in", None),
        (f'"{MINE}"', "in", None),
        ("elsewhere.example", "28000", NOT_CHECKED),
        (f".{MINE}", "28000", NOT_CHECKED),
        (MINE[:-1], "28000", NOT_CHECKED),
        (f"x{MINE}", "28000", NOT_CHECKED),
        (f".{MINE[1:]}", "28000", NOT_CHECKED),
        ("1.2.3.256", "28000", NOT_CHECKED),  # HBA-63
    ],
)
def test_name(servers: Servers, name: str, verdict: str, detail: str | None) -> None:
    """HBA-68, HBA-69."""
    found, details = answer(servers(hba=f"host all tom {name} trust\n"), "tom")
    assert found == verdict
    if detail is not None:
        assert details == [detail]


def test_another_line_may_match(servers: Servers) -> None:
    """A name that does not match is no refusal."""
    server = servers(
        hba="host all tom elsewhere.example reject\nhost all tom all trust\n"
    )
    assert answer(server, "tom")[0] == "in"
