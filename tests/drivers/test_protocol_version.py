"""Protocol 3.2, and who has to make do with less: NEG-56 to NEG-59, LPQ-31, LPQ-32."""

import psycopg
import pytest

from tests.support.drivers_base import Login
from tests.support.endpoints import Endpoint
from tests.support.pki import Pki

pytestmark = pytest.mark.interop

WITH_17 = ("native17", "proxy17")
WITH_18 = ("native18", "proxy")
NEW = ("3.2", "latest")


@pytest.fixture
def login(request: pytest.FixtureRequest, pki: Pki) -> Login:
    """Return how to log in to the server with that name."""
    server: Endpoint = request.getfixturevalue(request.param)
    return Login(port=server.port, root_file=pki.root_file)


@pytest.mark.parametrize("direct", [False, True], ids=["SSLRequest", "direct"])
@pytest.mark.parametrize(
    ("login", "asked", "agreed"),
    [
        (server, asked, 30002 if asked in NEW and server in WITH_18 else 30000)
        for server in (*WITH_17, *WITH_18)
        for asked in ("", "3.0", *NEW)
    ],
    indirect=["login"],
)
def test_negotiated(login: Login, asked: str, agreed: int, direct: bool) -> None:
    """The backend says what it speaks, and pgproxy adds nothing (NEG-58)."""
    settings = {"max_protocol_version": asked} if asked else {}
    conninfo = login.but(direct=direct).conninfo(**settings)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        assert connection.info.full_protocol_version == agreed
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("login", WITH_17, indirect=True)
def test_not_negotiable(login: Login) -> None:
    """A client that insists leaves, in the same words (LPQ-31)."""
    conninfo = login.conninfo(min_protocol_version="3.2", max_protocol_version="3.2")
    text = (
        "server only supports protocol version 3.0, "
        'but "min_protocol_version" was set to 3.2'
    )
    with pytest.raises(psycopg.OperationalError, match=text):
        psycopg.connect(conninfo)


@pytest.mark.parametrize("login", WITH_18, indirect=True)
def test_insisting(login: Login) -> None:
    """And with 18 there is nothing to negotiate."""
    conninfo = login.conninfo(min_protocol_version="3.2", max_protocol_version="3.2")
    with psycopg.connect(conninfo) as connection:
        assert connection.info.full_protocol_version == 30002
