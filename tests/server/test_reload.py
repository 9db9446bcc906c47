"""
SIGHUP: all of the new configuration, or all of the old one.

TLS-92 to TLS-96 with the one difference that docs/reference/differences.md names:
PostgreSQL applies what it can of a configuration, pgproxy applies all or nothing.
"""

import os
import signal
import ssl
from collections.abc import Iterator

import pytest

from pgproxy.testing.authority import write_private
from tests.support import wire
from tests.support.client import Client, context
from tests.support.endpoints import (
    Config,
    Farm,
    PgproxyEndpoint,
    log_in,
    wait_until,
)
from tests.support.oracles import PGPROXY

pytestmark = pytest.mark.interop

END = "-----END CERTIFICATE-----\n"
RELOADED = "configuration was reloaded"
NOTHING = "nothing was reloaded"
NO_ENTRY = 'no pg_hba.conf entry for host "127.0.0.1", user "tom"'


@pytest.fixture(params=["1", "3"], ids=["one process", "three workers"])
def server(farm: Farm, request: pytest.FixtureRequest) -> Iterator[PgproxyEndpoint]:
    """Return a pgproxy that this test may spoil."""
    settings = {"pgproxy.workers": request.param}
    config = Config(hba="host all all all trust\n", settings=settings)
    with farm.private(PGPROXY, config) as endpoint:
        assert isinstance(endpoint, PgproxyEndpoint)
        yield endpoint


def reload(server: PgproxyEndpoint, outcome: str) -> str:
    """Have it read its files again; return what the log says of it."""
    before = len(server.log_text())
    server.signal(signal.SIGHUP)
    wait_until(
        lambda: f'"{outcome}"' in server.log_text()[before:],
        lambda: server.log_text()[before:],
    )
    return server.log_text()[before:]


def change(server: PgproxyEndpoint, name: str, old: str, new: str) -> None:
    path = server.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refusal(client: Client) -> str:
    client.send(wire.startup())
    messages, _end = client.read_messages()
    return messages[0].fields["M"]


def query(client: Client) -> None:
    client.send(wire.query("select 1"))
    assert client.read_until("Z")


def test_new_rules(server: PgproxyEndpoint) -> None:
    """New sessions see them; a session in progress keeps what it began with."""
    with server.connect() as old:
        log_in(old.request_tls())
        change(
            server, "pg_hba.conf", "host all all all trust", "host all bob all trust"
        )
        reload(server, RELOADED)
        query(old)
        with server.connect() as new:
            assert refusal(new.request_tls()).startswith(NO_ENTRY)


def test_new_certificate(server: PgproxyEndpoint, farm: Farm) -> None:
    """TLS-94, TLS-95: the same name, another certificate, for new connections."""
    other = farm.pki.root.server("localhost", "127.0.0.1")
    with server.connect() as old, server.connect() as waiting:
        log_in(old.request_tls())
        waiting.send(wire.SSL_REQUEST)
        assert waiting.read(1) == b"S"
        write_private(server.folder / "server.crt", other.certificate_pem())
        write_private(server.folder / "server.key", other.key_pem())
        reload(server, RELOADED)
        query(old)
        # A handshake in progress goes on with what it began with.
        assert certificate(waiting.start_tls(context())) != der(other.certificate_pem())
        with server.connect() as new:
            assert certificate(new.request_tls()) == der(other.certificate_pem())


def certificate(client: Client) -> bytes:
    assert client.tls is not None
    found = client.tls.getpeercert(binary_form=True)
    assert found
    return found


def der(pem: bytes) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.decode().partition("-----END")[0] + END)


def test_ssl_off_and_on(server: PgproxyEndpoint) -> None:
    """TLS-93."""
    change(server, "pgproxy.conf", "ssl = 'on'", "ssl = 'off'")
    reload(server, RELOADED)
    with server.connect() as client:
        client.send(wire.SSL_REQUEST)
        assert client.read(1) == b"N"
    change(server, "pgproxy.conf", "ssl = 'off'", "ssl = 'on'")
    reload(server, RELOADED)
    with server.connect() as client:
        client.request_tls()


FAULTS = [
    pytest.param(
        lambda server: (server.folder / "server.key").chmod(0o644),
        [
            'private key file "server.key" has group or world access',
            "SSL configuration was not reloaded",
        ],
        id="wrong key permission",
    ),
    pytest.param(
        lambda server: (server.folder / "server.crt").unlink(),
        [
            (
                'could not load server certificate file "server.crt": No such file or '
                "directory"
            ),
            "SSL configuration was not reloaded",
        ],
        id="missing file",
    ),
    pytest.param(
        lambda server: (server.folder / "server.key").write_text("no key"),
        [
            'could not load private key file "server.key": no start line',
            "SSL configuration was not reloaded",
        ],
        id="no key",
    ),
    pytest.param(
        lambda server: change(server, "pgproxy.conf", "ssl = 'on'", "ssl = 7"),
        [
            'parameter "ssl" requires a Boolean value',
            (
                'configuration file "{}/pgproxy.conf" contains errors; no changes were '
                "applied"
            ),
        ],
        id="bad setting",
    ),
    pytest.param(
        lambda server: change(server, "pgproxy.conf", "port = '0'", "port = 5432"),
        [
            'parameter "port" cannot be changed without restarting the server',
            (
                'configuration file "{}/pgproxy.conf" contains errors; no changes were '
                "applied"
            ),
        ],
        id="setting that needs a restart",
    ),
    pytest.param(
        lambda server: change(server, "pg_hba.conf", " trust", " thrust"),
        [
            'invalid authentication method "thrust"',
            "{}/pg_hba.conf was not reloaded",
        ],
        id="bad rule",
    ),
]


@pytest.mark.parametrize(("spoil", "log"), FAULTS)
def test_a_fault_keeps_the_old_configuration(
    spoil: object, log: list[str], server: PgproxyEndpoint
) -> None:
    """TLS-22, TLS-24, HBA-52, HBA-53: whole; and sessions notice nothing."""
    assert callable(spoil)
    with server.connect() as old:
        log_in(old.request_tls())
        # A change that is good, and must not count either.
        with (server.folder / "pgproxy.conf").open("a") as file:
            file.write("log_disconnections = on\n")
        spoil(server)
        text = reload(server, NOTHING)
        for message in log:
            expected = message.format(server.folder)
            assert f'"{expected}"' in text.replace('\\"', '"'), text
        assert "FATAL" not in text
        query(old)
        with server.connect() as new:
            log_in(new.request_tls())
            query(new)
            new.send(wire.message(b"X"))
            new.read_end()
        assert "disconnection:" not in server.log_text()


def test_both_parts_that_are_wrong_are_told(server: PgproxyEndpoint) -> None:
    """All at once: nobody wants to reload twice to find the second fault."""
    change(server, "pg_hba.conf", " trust", " thrust")
    (server.folder / "server.key").chmod(0o644)
    text = reload(server, NOTHING)
    assert "pg_hba.conf was not reloaded" in text
    assert "SSL configuration was not reloaded" in text


def test_settings_that_count_at_once(server: PgproxyEndpoint) -> None:
    """The format of the log, and what is in it."""
    change(server, "pgproxy.conf", "'json'", "'console'")
    server.signal(signal.SIGHUP)
    wait_until(lambda: f"LOG:  {RELOADED}\n" in server.log_text(), server.log_text)


def test_what_has_changed_is_told(server: PgproxyEndpoint, farm: Farm) -> None:
    """Settings, rules, maps and files; and nothing of what stayed."""
    (server.folder / "pg_ident.conf").write_text("m a b\n")
    with (server.folder / "pgproxy.conf").open("a") as file:
        file.write("log_disconnections = on\n")
    change(server, "pg_hba.conf", "trust\n", "trust\nhost all all all reject\n")
    other = farm.pki.root.server("localhost", "127.0.0.1")
    write_private(server.folder / "server.crt", other.certificate_pem())
    write_private(server.folder / "server.key", other.key_pem())
    text = reload(server, RELOADED).replace('\\"', '"')
    assert 'parameter "log_disconnections" changed to "on"' in text
    assert "rules have changed: 1 added, 0 removed" in text
    assert f"+ {server.folder}/pg_hba.conf:2: host all all all reject" in text
    assert "user name maps have changed: 1 added, 0 removed" in text
    assert 'file "server.crt" has changed' in text
    assert text.count('parameter "') == 1
    text = reload(server, RELOADED).replace('\\"', '"')
    assert "changed" not in text


def test_order_of_rules(server: PgproxyEndpoint) -> None:
    """The same lines in another order are other rules."""
    lines = [f"host all u{number} all trust\n" for number in range(30)]
    (server.folder / "pg_hba.conf").write_text("".join(lines))
    text = reload(server, RELOADED)
    assert "rules have changed: 30 added, 1 removed" in text
    assert "and 11 more" in text
    (server.folder / "pg_hba.conf").write_text("".join(reversed(lines)))
    assert "rules have changed: their order" in reload(server, RELOADED)


@pytest.mark.parametrize(
    "options",
    [
        "ldap ldapserver=x ldapbasedn=o=x ldapbindpasswd=sesame",
        "radius radiusservers=127.0.0.1 radiussecrets=sesame",
    ],
)
def test_secrets_are_not_told(server: PgproxyEndpoint, options: str) -> None:
    """Neither when such a line comes, nor when it goes."""
    change(server, "pg_hba.conf", "trust\n", f"trust\nhost all x all {options}\n")
    text = reload(server, RELOADED)
    assert "rules have changed: 1 added, 0 removed" in text
    assert "pg_hba.conf:2: (not shown" in text
    change(server, "pg_hba.conf", options, "reject")
    reload(server, RELOADED)
    assert "sesame" not in server.log_text()


WATCHING = "pgproxy.watch_files = on\n"


def test_watch_files(server: PgproxyEndpoint, farm: Farm) -> None:
    """A renewed certificate counts by itself; what is half written does not."""
    with (server.folder / "pgproxy.conf").open("a") as file:
        file.write(WATCHING)
    reload(server, RELOADED)
    before = len(server.log_text())

    def said(words: str) -> None:
        wait_until(
            lambda: words in server.log_text()[before:],
            lambda: server.log_text()[before:],
        )

    other = farm.pki.root.server("localhost", "127.0.0.1")
    write_private(server.folder / "server.key", other.key_pem())
    write_private(server.folder / "server.crt", other.certificate_pem())
    said(f'"{RELOADED}"')
    assert "files have changed" in server.log_text()[before:]
    with server.connect() as client:
        assert certificate(client.request_tls()) == der(other.certificate_pem())
    before = len(server.log_text())
    change(server, "pg_hba.conf", "trust", "thrust")
    said(f'"{NOTHING}"')
    before = len(server.log_text())
    change(server, "pg_hba.conf", "thrust", "trust")
    said(f'"{RELOADED}"')


def test_a_slow_passphrase_stops_nobody(server: PgproxyEndpoint, farm: Farm) -> None:
    """TLS-54: while the command takes its time, clients come and go."""
    go, waiting = server.folder / "go", server.folder / "waiting"
    other = farm.pki.root.server("localhost", "127.0.0.1")
    write_private(server.folder / "server.crt", other.certificate_pem())
    write_private(server.folder / "server.key", other.key_pem(b"sesame"))
    command = f"mkfifo {go} && touch {waiting} && cat {go}"
    with (server.folder / "pgproxy.conf").open("a") as file:
        file.write(
            f"ssl_passphrase_command = '{command}'\n"
            "ssl_passphrase_command_supports_reload = on\n"
        )
    before = len(server.log_text())
    server.signal(signal.SIGHUP)
    wait_until(waiting.exists, server.log_text)
    with server.connect() as old:
        log_in(old.request_tls())
        assert certificate(old) != der(other.certificate_pem())
        query(old)
    go.write_text("sesame\n")
    wait_until(lambda: RELOADED in server.log_text()[before:], server.log_text)
    with server.connect() as new:
        assert certificate(new.request_tls()) == der(other.certificate_pem())


def test_a_passphrase_that_hangs_does_not_keep_the_process(
    server: PgproxyEndpoint, farm: Farm
) -> None:
    """Shutdown is not delayed by a command that never ends."""
    waiting = server.folder / "waiting"
    other = farm.pki.root.server("localhost", "127.0.0.1")
    write_private(server.folder / "server.crt", other.certificate_pem())
    write_private(server.folder / "server.key", other.key_pem(b"sesame"))
    with (server.folder / "pgproxy.conf").open("a") as file:
        file.write(
            f"ssl_passphrase_command = 'echo $$ > {waiting}; exec sleep 600'\n"
            "ssl_passphrase_command_supports_reload = on\n"
        )
    server.signal(signal.SIGHUP)
    wait_until(lambda: waiting.exists() and bool(waiting.read_text()), server.log_text)
    try:
        server.signal(signal.SIGINT)
        wait_until(lambda: "is shut down" in server.log_text(), server.log_text)
    finally:
        os.kill(int(waiting.read_text()), signal.SIGTERM)
