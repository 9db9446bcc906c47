"""Limits, and backends that are not as they should be: PRX-04, PRX-05, CERT-18 to 20."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgproxy.testing.authority import write_private
from pgproxy.testing.postgres import Instance
from tests.support import wire
from tests.support.client import CLEAN, Client, context
from tests.support.endpoints import Config, Endpoint, Farm, log_in, wait_until
from tests.support.oracles import CHECKOUT, PGPROXY
from tests.support.stub import StubBackend

pytestmark = pytest.mark.interop

TRUST = "host all all all trust\n"


def refusal(client: Client) -> dict[str, str]:
    """Return the one ErrorResponse that the client gets, inside TLS."""
    messages, end = client.read_messages()
    assert end == CLEAN
    assert wire.kinds(messages) == "E"
    return messages[0].fields


@contextlib.contextmanager
def proxy(
    farm: Farm, conninfo: str, hba: str = TRUST, **more: str
) -> Iterator[Endpoint]:
    settings = {"pgproxy.backend_conninfo": conninfo, **more}
    with farm.private(PGPROXY, Config(hba=hba, settings=settings)) as endpoint:
        yield endpoint


def local(backend: Instance) -> str:
    return f"host={backend.socket_dir} port={backend.port}"


def test_too_many_clients(farm: Farm, backend: Instance) -> None:
    """PRX-05: 53300 in TLS, behind the start-up packet; a cancel request is exempt."""
    with proxy(farm, local(backend), max_connections="2") as server:
        with server.connect() as one, server.connect() as two:
            log_in(one.request_tls())
            log_in(two.request_tls())
            with server.connect() as three:
                three.request_tls()
                three.send(wire.startup())
                fields = refusal(three)
                assert (fields["C"], fields["M"]) == (
                    "53300",
                    "sorry, too many clients already",
                )
            with server.connect() as canceller:
                canceller.send(wire.cancel(1, b"1234"))
                assert canceller.read_end()[0] == b""
            two.send(wire.message(b"X"))
            two.read_end()
        # Its place is free again, as soon as the proxy has seen the end of it.
        wait_until(lambda: gets_in(server), server.log_text)


def gets_in(server: Endpoint) -> bool:
    with server.connect() as client:
        client.request_tls()
        client.send(wire.startup())
        return client.read_message().kind == "R"


@pytest.mark.parametrize("hosts", [1, 2])
def test_backend_is_down(hosts: int, farm: Farm) -> None:
    """PRX-04, NEG-60: 57P03 in TLS; why, the client is not told and the log is."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    names = ",".join(["127.0.0.1"] * hosts)
    with (
        proxy(farm, f"host={names} port={port}") as server,
        server.connect() as client,
    ):
        client.request_tls()
        client.send(wire.startup())
        fields = refusal(client)
        assert (fields["C"], fields["M"]) == (
            "57P03",
            "the database system is not accepting connections",
        )
        assert "D" not in fields
        (line,) = server.log_of(client)
        reason = (
            f'connection to server at "127.0.0.1" (127.0.0.1), port {port} failed: '
            "Connection refused"
        )
        assert line.detail == "\n".join([reason] * hosts)


def test_the_second_host_answers(farm: Farm, backend: Instance) -> None:
    """Hosts are tried in the order of the conninfo."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    conninfo = f"host=127.0.0.1,{backend.socket_dir} port={port},{backend.port}"
    with proxy(farm, conninfo) as server, server.connect() as client:
        log_in(client.request_tls())


def test_a_backend_that_is_none(farm: Farm) -> None:
    """It closes without an answer, so the client is told that there is none."""
    with StubBackend() as stub, proxy(farm, stub.conninfo) as server:
        with server.connect() as client:
            client.request_tls()
            client.send(wire.startup())
            assert refusal(client)["C"] == "57P03"
        assert len(stub.received) == 1


@pytest.mark.parametrize(
    ("rule", "user", "how", "hint"),
    [
        # BACKEND_HBA lets tom in without a question, and asks ana for SCRAM.
        (
            "scram-sha-256",
            "tom",
            "the backend let the user in without asking for it",
            'with method "scram-sha-256"',
        ),
        ("password", "ana", "the backend asked for SASL", 'with method "password"'),
    ],
)
def test_a_backend_that_does_not_do_as_promised(
    rule: str, user: str, how: str, hint: str, farm: Farm, backend: Instance
) -> None:
    """CERT-20: nobody gets in, and the log says what to change."""
    with (
        proxy(farm, local(backend), f"host all all all {rule}\n") as server,
        server.connect() as client,
    ):
        client.request_tls()
        client.send(wire.startup(user=user))
        assert refusal(client)["C"] == "F0000"
        (line,) = server.log_of(client)
        assert line.detail is not None
        assert line.hint is not None
        assert line.detail.startswith(how)
        assert hint in line.hint


def test_a_backend_that_asks_behind_a_certificate(
    farm: Farm, backend: Instance
) -> None:
    """CERT-19: a `cert` line never asks anything, and so may not the backend."""
    settings = {"pgproxy.backend_conninfo": local(backend)}
    config = Config(ca=True, hba="hostssl all all all cert\n", settings=settings)
    with farm.private(PGPROXY, config) as server, server.connect() as client:
        client.request_tls(context(certificate=farm.pki.client("ana")))
        client.send(wire.startup(user="ana"))
        assert refusal(client)["C"] == "F0000"
        (line,) = server.log_of(client)
        assert line.hint is not None
        assert line.hint.startswith("The certificate has decided.")


def test_a_client_cannot_forge_a_line_of_the_log(farm: Farm, backend: Instance) -> None:
    """PRX-20, BUG-34: control bytes and bytes that are not UTF-8 are shown in hex."""
    name = b"a\nb\x1b[31m\xff".decode("utf-8", "surrogateescape")
    with (
        proxy(farm, local(backend), "host all all all reject\n") as server,
        server.connect() as client,
    ):
        client.request_tls()
        client.send(wire.startup(user=name))
        assert refusal(client)["C"] == "28000"
        (line,) = server.log_of(client)
        assert r'user "a\x0ab\x1b[31m\xff"' in line.message
        for text in server.log_text().splitlines():
            assert json.loads(text)["timestamp"]


def test_without_uvloop(farm: Farm, backend: Instance, tmp_path: Path) -> None:
    """Asyncio's own loop serves where uvloop is missing."""
    (tmp_path / "pgproxy.conf").write_text(
        "port = 0\nlisten_addresses = '127.0.0.1'\nssl = on\n"
        f"pgproxy.backend_conninfo = '{local(backend)}'\n"
    )
    (tmp_path / "pg_hba.conf").write_text(TRUST)
    for name, content in farm.pki.server_files().items():
        write_private(tmp_path / name, content)
    program = (
        "import sys; sys.modules['uvloop'] = None; "
        f"sys.argv = ['pgproxy', 'serve', '-D', {str(tmp_path)!r}]; "
        "from pgproxy.cli import main; main()"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT) as process:
        try:
            pid_file = tmp_path / "pgproxy.pid"
            wait_until(pid_file.exists, str)
            port = int(pid_file.read_text().splitlines()[3])
            with Client(("127.0.0.1", port)) as client:
                log_in(client.request_tls())
                client.send(wire.query("select repeat('x', 1000000)"))
                assert client.read_until("Z")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
