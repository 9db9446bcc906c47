"""What a StartupMessage says, and how it is refused: NEG-42 to NEG-55."""

import struct

import pytest

from tests.negotiation.differences import alike, differs
from tests.negotiation.test_ssl_request import read_refusal, unsupported
from tests.support import wire
from tests.support.client import CLEAN, FIN
from tests.support.endpoints import Servers, log_in
from tests.support.logs import LogLine
from tests.support.wire import error, packet, parameters, startup, told

pytestmark = pytest.mark.interop

BAD_LAYOUT = error(
    "08P01", "invalid startup packet layout: expected terminator as last byte"
)
NO_USER = error("28000", "no PostgreSQL user name specified in startup packet")
V3 = struct.pack(">I", wire.PROTOCOL_3_0)


@pytest.mark.parametrize(
    ("version", "printed"),
    [
        (0x0000_0000, "0.0"),
        (0x0004_0000, "4.0"),
        (0xFFFF_FFFF, "65535.65535"),
        (80877102 + 3, "1234.5681"),
    ],
    ids=repr,
)
def test_version(servers: Servers, version: int, printed: str) -> None:
    """Two halves, in decimal; only major version 3 is spoken (NEG-42)."""
    server = servers()
    with server.connect() as client:
        client.send(startup(version=version))
        expected = unsupported(server, printed)
        assert read_refusal(client, FIN) == expected
        assert server.log_of(client) == [LogLine("FATAL", expected["M"], "0A000")]


@pytest.mark.parametrize("body", [b"", parameters(("user", "tom"))], ids=len)
@pytest.mark.parametrize(
    ("version", "printed"), [(3, "0.3"), (0x10000, "1.0"), (0x20000, "2.0")]
)
def test_version_of_old(
    servers: Servers, version: int, printed: str, body: bytes
) -> None:
    """
    A client of protocol 1 or 2 is told in its own format (NEG-43).

    Of major version 0 only 0.0 is told in the new one; ``send_message_to_frontend``.
    """
    server = servers()
    text = unsupported(server, printed)["M"]
    with server.connect() as client:
        client.send(packet(struct.pack(">I", version) + body))
        assert client.read_end() == (f"EFATAL:  {text}\n\0".encode(), FIN)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user\0tom\0",
        b"user\0tom",
        b"user\0",
        b"user",
        b"user\0tom\0database\0\0",
        b"user\0tom\0\0\0",
        b"user\0tom\0\0x",
        b"user\0tom\0\0database\0postgres\0\0",
        b"\0\0",
    ],
    ids=repr,
)
def test_layout(servers: Servers, body: bytes) -> None:
    """One NUL ends the packet, and is its last byte (NEG-44, NEG-45)."""
    server = servers()
    with server.connect() as client:
        client.send(packet(V3 + body))
        assert read_refusal(client, FIN) == BAD_LAYOUT
        assert server.log_of(client) == [LogLine("FATAL", BAD_LAYOUT["M"], "08P01")]


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (("application_name", ""),),
        (("options", ""),),
        (("application_name", "a"), ("application_name", "b")),
        (("client_encoding", "UTF8"), ("DateStyle", "ISO")),
        (("options", "-c search_path=x"),),
    ],
    ids=repr,
)
def test_parameters(servers: Servers, pairs: tuple[tuple[str, str], ...]) -> None:
    """Values may be empty, and settings come twice (NEG-45, NEG-46)."""
    with servers().connect() as client:
        log_in(client, startup(*pairs))


@pytest.mark.parametrize(
    ("pairs", "refusal"),
    [
        ([("User", "tom"), ("database", "postgres")], NO_USER),
        ([("nonsense", "1")], None),
    ],
    ids=repr,
)
def test_names_are_case_sensitive(
    servers: Servers,
    pairs: list[tuple[str, str]],
    refusal: dict[str, str] | None,
) -> None:
    """What is not one of the four names is a setting, for later (NEG-46)."""
    with servers().connect() as client:
        if refusal:
            client.send(packet(V3 + parameters(*pairs)))
            assert read_refusal(client, FIN) == refusal
            return
        client.send(startup(*pairs))
        *_, last = client.read_messages()[0]
        assert told(last) == error(
            "42704", 'unrecognized configuration parameter "nonsense"'
        )


@pytest.mark.parametrize(
    ("name", "values", "outcome"),
    [
        ("user", ("nobody", "tom"), None),
        ("user", ("tom", "nobody"), 'role "nobody" does not exist'),
        ("database", ("nowhere", "postgres"), None),
        ("database", ("postgres", "nowhere"), 'database "nowhere" does not exist'),
        ("options", ("-c nonsense=1", "-c search_path=x"), None),
        ("replication", ("database", "false"), None),
    ],
    ids=repr,
)
def test_repeated(
    servers: Servers, name: str, values: tuple[str, str], outcome: str | None
) -> None:
    """PostgreSQL takes the last one; pgproxy takes neither (NEG-47, NEG-49)."""
    named = {"user": "tom", "database": "postgres"}
    named.pop(name, None)
    pairs = [*named.items(), (name, values[0]), (name, values[1])]
    with servers().connect() as client:
        client.send(packet(V3 + parameters(*pairs)))
        if differs("NEG-47", servers.kind):
            assert read_refusal(client, FIN) == error(
                "08P01", f'parameter "{name}" appears more than once in startup packet'
            )
        elif outcome is None:
            client.read_until("Z")
        else:
            *_, last = client.read_messages()[0]
            assert told(last)["M"] == outcome


def replication(value: str, user: str = "rex") -> bytes:
    """Return the StartupMessage of a walsender."""
    return startup(("replication", value), user=user)


@pytest.mark.parametrize(
    "value", ["true", "TRUE", "tr", "t", "yes", "Y", "on", "oN", "1"]
)
def test_physical_walsender(servers: Servers, value: str) -> None:
    """A boolean as PostgreSQL reads them; it has no database (NEG-48, NEG-53)."""
    with servers().connect() as client:
        log_in(client, replication(value))
        client.send(wire.query("IDENTIFY_SYSTEM"))
        row = next(one for one in client.read_until("Z") if one.kind == "D")
        # systemid, timeline, xlogpos, dbname: NULL has the length -1.
        assert row.payload.endswith(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("value", ["false", "f", "no", "off", "OF", "0"])
def test_no_walsender(servers: Servers, value: str) -> None:
    """False is an ordinary session (NEG-48)."""
    with servers().connect() as client:
        log_in(client, replication(value, user="tom"))
        client.send(wire.query("SELECT 1"))
        assert "D" in wire.kinds(client.read_until("Z"))


def test_logical_walsender(servers: Servers) -> None:
    """``database``, exactly so, is a walsender with a database (NEG-48)."""
    with servers().connect() as client:
        log_in(client, replication("database"))
        client.send(wire.query("IDENTIFY_SYSTEM"))
        row = next(one for one in client.read_until("Z") if one.kind == "D")
        assert row.payload.endswith(b"postgres")


@pytest.mark.parametrize("value", ["o", "Database", "databas", "2", "", "truex", "ja"])
def test_replication_is_no_boolean(servers: Servers, value: str) -> None:
    """Anything else is refused, before all else in the packet (NEG-48)."""
    expected = error(
        "22023",
        f'invalid value for parameter "replication": "{value}"',
        hint='Valid values are: "false", 0, "true", 1, "database".',
    )
    with servers().connect() as client:
        pair = ("replication", value)
        # There is no user, and no terminator: that would be found out later.
        client.send(packet(V3 + parameters(pair)[:-1]))
        assert read_refusal(client, FIN) == expected


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    "pairs", [[], [("user", "")], [("database", "postgres")]], ids=repr
)
def test_no_user(servers: Servers, pairs: list[tuple[str, str]], tls: bool) -> None:
    """A name has to be given (NEG-50)."""
    server = servers()
    with server.connect() as client:
        if tls:
            client.request_tls()
        client.send(packet(V3 + parameters(*pairs)))
        assert read_refusal(client, CLEAN if tls else FIN) == NO_USER
        assert server.log_of(client) == [LogLine("FATAL", NO_USER["M"], "28000")]


@pytest.mark.parametrize("database", [None, ""])
def test_no_database(servers: Servers, database: str | None) -> None:
    """The user's name serves (NEG-51)."""
    with servers().connect() as client:
        client.send(startup(database=database))
        *_, last = client.read_messages()[0]
        assert told(last) == error("3D000", 'database "tom" does not exist')


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a" * 63, "a" * 63),
        ("a" * 64, "a" * 63),
        ("a" * 200, "a" * 63),
        ("a" + "ä" * 40, "a" + "ä" * 31),
        ("ä" * 40, "ä" * 31 + "\udcc3"),
    ],
    ids=[63, 64, 200, "whole", "split"],
)
def test_long_names(servers: Servers, name: str, kept: str) -> None:
    """63 bytes count, even if the last character is cut in two (NEG-52)."""
    rules = "host all all 127.0.0.1/32 reject\n"
    with servers(hba=rules).connect() as client:
        client.send(startup(user=name, database=name))
        assert read_refusal(client, FIN)["M"] == (
            f'pg_hba.conf rejects connection for host "127.0.0.1", user "{kept}", '
            f'database "{kept}", no encryption'
        )


def test_long_name_matches_a_rule(servers: Servers) -> None:
    """What is matched is what is left (NEG-52, HBA-79)."""
    with servers(hba=f"host all {'b' * 63} 127.0.0.1/32 trust\n").connect() as client:
        client.send(startup(user="b" * 70))
        *_, last = client.read_messages()[0]
        assert told(last)["M"] == f'role "{"b" * 63}" does not exist'


@pytest.mark.parametrize(
    ("user", "database", "refusal"),
    [
        ("nobody", "postgres", error("28000", 'role "nobody" does not exist')),
        ("tom", "nowhere", error("3D000", 'database "nowhere" does not exist')),
    ],
)
def test_who_does_not_exist(
    servers: Servers, user: str, database: str, refusal: dict[str, str]
) -> None:
    """That is found out after AuthenticationOk (NEG-54)."""
    with servers().connect() as client:
        client.request_tls()
        client.send(startup(user=user, database=database))
        messages, end = client.read_messages()
        assert end == CLEAN
        assert messages[0].kind == "R"
        assert messages[0].code == 0
        assert told(messages[-1]) == refusal


NEWEST = struct.pack(">I", wire.PROTOCOL_3_2)


def negotiate(version: int, *names: str) -> bytes:
    """Return the payload of a NegotiateProtocolVersion."""
    options = b"".join(name.encode() + b"\0" for name in names)
    return struct.pack(">II", version, len(names)) + options


@pytest.mark.parametrize(
    ("version", "options", "answer", "old_answer"),
    [
        (0x30000, [], None, None),
        (0x30001, [], None, 0x30000),
        (0x30002, [], None, 0x30000),
        (0x30003, [], 0x30002, 0x30000),
        (0x3270F, [], 0x30002, 0x30000),
        (0x30000, ["_pq_.x"], 0x30000, 0x30000),
        (0x30002, ["_pq_.x"], 0x30002, 0x30000),
        (0x30000, ["_pq_.b", "_pq_.a", "_pq_.b"], 0x30000, 0x30000),
        (0x30000, ["_pq_."], 0x30000, 0x30000),
        (0x3270F, ["_pq_.x"], 0x30002, 0x30000),
    ],
    ids=repr,
)
@pytest.mark.parametrize("refused", [False, True], ids=["let in", "refused"])
def test_negotiate_protocol_version(
    servers: Servers,
    version: int,
    options: list[str],
    answer: int | None,
    old_answer: int | None,
    refused: bool,
) -> None:
    """
    What is too new, or unknown, is said before anything else (NEG-56 to NEG-58).

    And once: where the backend says it, pgproxy does not.
    """
    user = "eve" if refused else "tom"
    with servers().connect() as client:
        pairs = [(name, "value") for name in options]
        client.send(startup(*pairs, user=user, version=version))
        messages = client.read_messages()[0] if refused else client.read_until("Z")
        told_version = old_answer if differs("NEG-42", servers.kind) else answer
        first = "" if told_version is None else "v"
        assert wire.kinds(messages).startswith(first + ("E" if refused else "R"))
        assert wire.kinds(messages).count("v") == len(first)
        if told_version is not None:
            assert messages[0].payload == negotiate(told_version, *options)


@alike("NEG-42")
@pytest.mark.parametrize(("version", "length"), [(0x30000, 4), (0x30002, 32)])
def test_length_of_the_key(servers: Servers, version: int, length: int) -> None:
    """The backend's key comes through as it is (NEG-59, CAN-03)."""
    with servers().connect() as client:
        messages = log_in(client, startup(version=version))
        key = next(one for one in messages if one.kind == "K")
        assert len(key.key[1]) == length
