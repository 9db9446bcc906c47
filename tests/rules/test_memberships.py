"""Who is a member: the same verdicts from PostgreSQL and from pgproxy (HBA-74 to 76)."""

import signal
from collections.abc import Iterator, Mapping

import pytest

from pgproxy.testing.postgres import Instance
from tests.support import wire
from tests.support.client import context
from tests.support.endpoints import Config, Endpoint, Farm, Servers, wait_until
from tests.support.oracles import PG17, PG18, PGPROXY
from tests.support.pki import Pki

psycopg = pytest.importorskip("psycopg", reason="psycopg changes the memberships")

pytestmark = pytest.mark.interop

RULES = """\
host    all        +staff,tom  127.0.0.1/32  trust
host    samerole   ana         127.0.0.1/32  trust
host    samegroup  cleo,cora   127.0.0.1/32  trust
host    all        "+dev"      127.0.0.1/32  trust
host    all        cora        127.0.0.1/32  reject
"""


def local(backend: Instance, user: str = "reader") -> str:
    return f"host={backend.socket_dir} port={backend.port} user={user} dbname=postgres"


@pytest.fixture(scope="module")
def reader(backend: Instance) -> str:
    """Return the connection string of a login that may do nothing but log in."""
    with psycopg.connect(backend.conninfo, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'")
        if not found.fetchone():
            connection.execute("CREATE ROLE reader LOGIN")
    return local(backend)


def verdict(server: Endpoint, user: str, database: str = "postgres") -> str:
    """Return "in", or the SQLSTATE and the message of a refusal by the rules."""
    with server.connect() as client:
        client.send(wire.startup(user=user, database=database))
        message = client.read_message()
        if message.kind == "R":
            return "in"
        return f"{message.fields['C']} {message.fields['M']}"


def no_entry(user: str, database: str = "postgres") -> str:
    return (
        f'28000 no pg_hba.conf entry for host "127.0.0.1", user "{user}", database '
        f'"{database}", no encryption'
    )


@pytest.mark.parametrize(
    ("user", "database", "expected"),
    [
        # HBA-75: directly, through another, oneself; and who is none.
        ("dev", "postgres", "in"),
        ("cleo", "postgres", "in"),
        ("staff", "postgres", "in"),
        ("tom", "postgres", "in"),
        ("dina", "postgres", no_entry("dina")),
        ("boss", "postgres", no_entry("boss")),  # a superuser is not one by itself
        ("nobody", "postgres", no_entry("nobody")),
        ("+dev", "postgres", "in"),  # quoted, it is a name
        # HBA-74, HBA-76: the role that is called like the database.
        ("ana", "ana", "in"),
        ("ana", "staff", no_entry("ana", "staff")),
        ("cora", "cora", "in"),
        (
            "cora",
            "staff",
            (
                '28000 pg_hba.conf rejects connection for host "127.0.0.1", user '
                '"cora", database "staff", no encryption'
            ),
        ),
    ],
)
def test_verdicts(
    servers: Servers, reader: str, user: str, database: str, expected: str
) -> None:
    # To PostgreSQL a name with a dot is a setting of some extension.
    config = Config(hba=RULES, settings={"pgproxy.role_conninfo": reader})
    server = servers.farm.get(servers.kind, config)
    assert verdict(server, user, database) == expected


IDENT = b'm bob +staff\nm /^(.*)x$ \\1\nm eve "+staff"\n'


class WithMaps(Config):
    """A server that has a pg_ident.conf, too."""

    def files(self, pki: Pki) -> Mapping[str, bytes]:
        """Return that, with the certificates."""
        return {**Config.files(self, pki), "pg_ident.conf": IDENT}


# PostgreSQL 15 knows no roles in a map.
@pytest.mark.parametrize("kind", [PG17, PG18, PGPROXY])
def test_members_in_a_map(farm: Farm, reader: str, kind: str) -> None:
    """ID-07: on a cert line, a certificate may stand for all members of a role."""
    config = WithMaps(
        ca=True,
        hba="hostssl all all all cert map=m\n",
        settings={"pgproxy.role_conninfo": reader},
    )
    with farm.private(kind, config) as server:
        for common_name, user, expected in (
            ("bob", "cleo", "R"),
            ("bob", "staff", "R"),  # itself
            ("bob", "dina", "E"),
            ("bob", "boss", "E"),  # a superuser is none
            ("bob", "bob", "E"),  # whom nobody knows
            ("eve", "cleo", "E"),  # quoted, it is a name
            ("dinax", "dina", "R"),
        ):
            files = farm.pki.client(common_name)
            with server.connect() as client:
                client.request_tls(context(certificate=files))
                client.send(wire.startup(user=user))
                assert client.read_message().kind == expected, (common_name, user)


def reload(server: Endpoint) -> None:
    before = len(server.log_text())
    server.signal(signal.SIGHUP)
    wait_until(
        lambda: "configuration was reloaded" in server.log_text()[before:],
        server.log_text,
    )


@pytest.fixture
def newcomer(backend: Instance) -> Iterator[str]:
    """Return a role that is a member of none."""
    with psycopg.connect(backend.conninfo, autocommit=True) as connection:
        connection.execute("CREATE ROLE newcomer LOGIN")
        yield "newcomer"
        connection.execute("DROP ROLE newcomer")


@pytest.mark.parametrize("ttl", ["0", "1h"])
def test_how_long_it_is_known(
    farm: Farm, backend: Instance, reader: str, newcomer: str, ttl: str
) -> None:
    """A GRANT counts at once, or after the time that was set, or with a reload."""
    settings = {"pgproxy.role_conninfo": reader, "pgproxy.role_cache_ttl": ttl}
    config = Config(hba="host all +staff all trust\n", settings=settings)
    with farm.private(PGPROXY, config) as server:
        assert verdict(server, newcomer) == no_entry(newcomer)
        with psycopg.connect(backend.conninfo, autocommit=True) as connection:
            connection.execute(f"GRANT staff TO {newcomer}")
        known_at_once = verdict(server, newcomer)
        assert known_at_once == ("in" if ttl == "0" else no_entry(newcomer))
        reload(server)
        assert verdict(server, newcomer) == "in"


def test_nobody_can_say(farm: Farm, backend: Instance) -> None:
    """HBA-80: 57P03, and the log has why; who does not need to know comes in."""
    conninfo = local(backend, "no_such_role") + " password=sesame"
    config = Config(
        hba="host all +staff,tom all trust\n",
        settings={"pgproxy.role_conninfo": conninfo},
    )
    with farm.private(PGPROXY, config) as server:
        assert verdict(server, "cleo") == (
            "57P03 the database system is not accepting connections"
        )
        text = server.log_text()
        assert "could not look up role memberships: " in text
        assert 'role \\"no_such_role\\" does not exist' in text
        assert "Check pgproxy.role_conninfo" in text
        assert verdict(server, "tom") == "in"
        # The failure is not remembered.
        with psycopg.connect(backend.conninfo, autocommit=True) as connection:
            connection.execute("CREATE ROLE no_such_role LOGIN")
            try:
                assert verdict(server, "cleo") == "in"
            finally:
                connection.execute("DROP ROLE no_such_role")
        assert "sesame" not in server.log_text()
