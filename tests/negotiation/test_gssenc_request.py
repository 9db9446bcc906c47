"""GSSENCRequest, which is always answered N: NEG-23 to NEG-25."""

import pytest

from tests.negotiation.differences import alike, differs
from tests.negotiation.test_ssl_request import read_refusal, unsupported
from tests.support.client import FIN
from tests.support.endpoints import Servers, log_in
from tests.support.wire import GSSENC_REQUEST

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("ssl", [True, False], ids=["ssl on", "ssl off"])
def test_answer(servers: Servers, ssl: bool) -> None:
    """Without GSSAPI N, and the client goes on as it likes (NEG-23)."""
    with servers(ssl=ssl).connect() as client:
        client.send(GSSENC_REQUEST)
        if differs("NEG-23", servers.kind):
            assert client.read(1) == b"G"
            return
        assert client.read(1) == b"N"
        assert client.is_silent()
        log_in(client)


@alike("NEG-23")
def test_asked_twice(servers: Servers) -> None:
    """The second one is read as an absurd version (NEG-24)."""
    server = servers()
    with server.connect() as client:
        client.send(GSSENC_REQUEST)
        assert client.read(1) == b"N"
        client.send(GSSENC_REQUEST)
        assert read_refusal(client, FIN) == unsupported(server, "1234.5680")


@alike("NEG-01", "NEG-23")
def test_inside_direct_tls(servers: Servers) -> None:
    """Encrypted N, then a login (NEG-25, CVE-2026-14681)."""
    with servers().connect() as client:
        client.direct_tls()
        client.send(GSSENC_REQUEST)
        assert client.read(1) == b"N"
        log_in(client)
