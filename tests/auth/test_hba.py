"""Which line decides, and what a refused client is told: HBA-67 to HBA-89."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import IPAddress
from pgproxy.auth.hba import (
    Client,
    Fact,
    Facts,
    ForwardLookup,
    HbaLine,
    Interface,
    Interfaces,
    LookupFailed,
    Memberships,
    Mismatch,
    Needs,
    Replication,
    ReverseLookup,
    Roles,
    Verdict,
    explain,
    first_match,
    hostname_lookup_detail,
    refusal,
)
from tests.auth.support import load

ANA = Client(
    user="ana",
    database="app",
    host="10.1.1.1",
    address=ip_address("10.1.1.1"),
    ssl_in_use=True,
)
PHYSICAL = replace(ANA, replication=Replication.PHYSICAL)

NOTHING = Facts()
LOOKED = Facts(
    interfaces=(
        Interface(ip_address("127.0.0.1"), ip_address("255.0.0.0")),
        Interface(ip_address("10.1.1.1"), ip_address("255.255.0.0")),
        Interface(ip_address("fe80::1"), ip_address("ffff:ffff:ffff:ffff::")),
    )
)


def lines(text: str) -> tuple[HbaLine, ...]:
    file = load(text)
    assert not file.problems
    return file.lines


def at(address: str) -> Client:
    return replace(ANA, host=address, address=ip_address(address))


def decides(text: str, client: Client, facts: Facts = NOTHING) -> int | None:
    """Return the number of the line that decides."""
    verdict = first_match(lines(text), client, facts)
    assert isinstance(verdict, Verdict)
    return None if verdict.line is None else verdict.line.line_number


RULES = """\
hostnossl all       all      all               reject
hostssl   app       ana,bob  10.0.0.0/8        scram-sha-256
host      sameuser  all      10.0.0.0/8        trust
host      all       all      10.0.0.0/8        reject
host      all       all      2001:db8::/32     md5
"""


@pytest.mark.parametrize(
    ("user", "database", "address", "ssl", "line_number"),
    [
        ("ana", "app", "10.1.1.1", True, 2),
        ("ana", "app", "10.1.1.1", False, 1),  # HBA-72: the first match is final
        ("bob", "app", "10.9.9.9", True, 2),
        ("eve", "app", "10.1.1.1", True, 4),
        ("eve", "eve", "10.1.1.1", True, 3),
        ("ana", "ana", "10.1.1.1", True, 3),
        ("ana", "app", "2001:db8::1", True, 5),
        ("ana", "app", "192.0.2.1", True, None),
        ("ana", "app", "192.0.2.1", False, 1),
    ],
)
def test_first_match(
    user: str, database: str, address: str, ssl: bool, line_number: int | None
) -> None:
    """The first line whose every field matches decides."""
    client = replace(at(address), user=user, database=database, ssl_in_use=ssl)
    assert decides(RULES, client) == line_number


def test_no_lines() -> None:
    assert first_match((), ANA, NOTHING) == Verdict(None)


def test_verdict_has_the_line() -> None:
    rules = lines(RULES)
    assert first_match(rules, ANA, NOTHING) == Verdict(rules[1])


@pytest.mark.parametrize(
    ("conntype", "with_ssl", "without"),
    [
        # HBA-71, HBA-73
        ("host", None, None),
        ("hostssl", None, Mismatch.SSL),
        ("hostnossl", Mismatch.NO_SSL, None),
        ("hostgssenc", Mismatch.GSS, Mismatch.GSS),
        ("hostnogssenc", None, None),
        ("local", Mismatch.LOCAL, Mismatch.LOCAL),
    ],
)
def test_conntype(
    conntype: str, with_ssl: Mismatch | None, without: Mismatch | None
) -> None:
    text = f"{conntype} all all {'' if conntype == 'local' else 'all'} trust"
    for ssl, why in ((True, with_ssl), (False, without)):
        assert mismatch(text, replace(ANA, ssl_in_use=ssl)) is why


def mismatch(text: str, client: Client, facts: Facts = NOTHING) -> Mismatch | None:
    """Return why the only line of *text* does not match; None if it does."""
    (line,) = lines(text)
    why = [why for _line, why in explain([line], client, facts)]
    assert first_match([line], client, facts) == Verdict(None if why else line)
    return why[0] if why else None


@pytest.mark.parametrize(
    ("field", "address", "matches"),
    [
        ("10.1.1.1/32", "10.1.1.1", True),
        ("10.1.1.1/32", "10.1.1.2", False),
        ("10.0.0.0 255.0.0.255", "10.9.9.0", True),
        ("10.0.0.0 255.0.0.255", "10.9.9.1", False),
        ("all", "10.1.1.1", True),
        ("all", "::1", True),
        # HBA-67
        ("0.0.0.0/0", "::1", False),
        ("::/0", "10.1.1.1", False),
        ("::ffff:10.1.1.1/128", "10.1.1.1", False),
        ("::1/128", "::1", True),
        # HBA-70
        ("samehost", "127.0.0.1", True),
        ("samehost", "127.0.0.2", False),
        ("samehost", "10.1.1.1", True),
        ("samehost", "10.1.1.2", False),
        ("samehost", "fe80::1", True),
        ("samehost", "fe80::2", False),
        ("samenet", "127.0.0.2", True),
        ("samenet", "10.1.2.2", True),
        ("samenet", "10.2.1.1", False),
        ("samenet", "fe80::2", True),
        ("samenet", "fe81::1", False),
    ],
)
def test_address(field: str, address: str, matches: bool) -> None:
    why = mismatch(f"host all all {field} trust", at(address), LOOKED)
    assert why is (None if matches else Mismatch.ADDRESS)


@pytest.mark.parametrize("keyword", ["samehost", "samenet"])
def test_interfaces_are_asked_for(keyword: str) -> None:
    """HBA-70: nothing is known until it was looked up; then nobody may be there."""
    rules = lines(
        f"host all all 192.0.2.0/24 md5\nhost all all {keyword} trust\n"
        "host all all all reject"
    )
    assert first_match(rules, ANA, NOTHING) == Needs(Interfaces())
    assert list(explain(rules, ANA, NOTHING)) == [(rules[0], Mismatch.ADDRESS)]
    assert first_match(rules, ANA, LOOKED) == Verdict(rules[1])
    assert first_match(rules, ANA, Facts(interfaces=())) == Verdict(rules[2])


def test_interfaces_are_not_asked_for_in_vain() -> None:
    """Not if an earlier line matches, nor for a line of another kind."""
    assert decides("host all all all trust\nhost all all samenet md5", ANA) == 1
    assert decides("hostnossl all all samenet md5", ANA) is None


NAMED = "host all all a.example.com trust"
UNDER = "host all all .example.com trust"
AT_HOME = frozenset({ip_address("192.0.2.1"), ip_address("10.1.1.1")})
UNKNOWN = LookupFailed("Name or service not known")


def named(
    name: str | LookupFailed | None,
    addresses: frozenset[IPAddress] | LookupFailed | None = None,
) -> Facts:
    """Return what the name service has said."""
    return Facts(remote_hostname=name, remote_addresses=addresses)


@pytest.mark.parametrize(
    ("text", "facts", "found"),
    [
        # HBA-68: the name of the address, then the addresses of that name.
        (NAMED, NOTHING, ReverseLookup()),
        (NAMED, named("a.example.com"), ForwardLookup("a.example.com")),
        (NAMED, named("A.EXAMPLE.COM"), ForwardLookup("A.EXAMPLE.COM")),
        (UNDER, named("b.a.example.com"), ForwardLookup("b.a.example.com")),
        (NAMED, named("a.example.com", AT_HOME), None),
        (UNDER, named("b.a.example.com", AT_HOME), None),
        (NAMED, named("b.example.com"), Mismatch.HOST_NAME),
        (UNDER, named("example.com"), Mismatch.HOST_NAME),
        (NAMED, named("a.example.com", frozenset()), Mismatch.HOST_NAME),
        (
            NAMED,
            named("a.example.com", frozenset({ip_address("::1")})),
            Mismatch.HOST_NAME,
        ),
        # What failed once has failed.
        (NAMED, named(UNKNOWN), Mismatch.HOST_NAME),
        (UNDER, named(UNKNOWN), Mismatch.HOST_NAME),
        (NAMED, named("a.example.com", UNKNOWN), Mismatch.HOST_NAME),
    ],
)
def test_host_name(text: str, facts: Facts, found: Fact | Mismatch | None) -> None:
    if isinstance(found, Mismatch) or found is None:
        assert mismatch(text, ANA, facts) is found
    else:
        rules = lines(f"host all all 192.0.2.0/24 md5\n{text}")
        assert first_match(rules, ANA, facts) == Needs(found)
        assert list(explain(rules, ANA, facts)) == [(rules[0], Mismatch.ADDRESS)]


@pytest.mark.parametrize(
    "line",
    [
        "hostnossl all all a.example.com trust",
        "host x all a.example.com trust",
        "host all x a.example.com trust",
        "host all +staff 192.0.2.1/32 trust",
        "host samerole x all trust",
        "host x +staff all trust",
    ],
)
def test_nothing_is_asked_in_vain(line: str) -> None:
    """Of a line that does not match anyway, nobody is asked anything."""
    assert first_match(lines(line), ANA, NOTHING) == Verdict(None)


def test_one_question_after_the_other() -> None:
    """A line can have three; a no to the first ends them."""
    rules = lines("host samerole +staff a.example.com trust")
    facts = NOTHING
    assert first_match(rules, ANA, facts) == Needs(ReverseLookup())
    facts = named("a.example.com")
    assert first_match(rules, ANA, facts) == Needs(ForwardLookup("a.example.com"))
    assert first_match(rules, ANA, named(UNKNOWN)) == Verdict(None)
    facts = named("a.example.com", AT_HOME)
    assert first_match(rules, ANA, facts) == Needs(Memberships())
    for roles, line in (
        ({"ana": ["staff", "app"]}, rules[0]),
        ({"ana": ["staff"]}, None),
        ({"ana": ["app"]}, None),
    ):
        known = replace(facts, roles=Roles(roles))
        assert first_match(rules, ANA, known) == Verdict(line)


@pytest.mark.parametrize(
    ("facts", "detail"),
    [
        # HBA-69
        (NOTHING, None),
        (
            named("a.example.com"),
            (
                'Client IP address resolved to "a.example.com", forward lookup not '
                "checked."
            ),
        ),
        (
            named("a.example.com", AT_HOME),
            'Client IP address resolved to "a.example.com", forward lookup matches.',
        ),
        (
            named("a.example.com", frozenset()),
            (
                'Client IP address resolved to "a.example.com", forward lookup does not '
                "match."
            ),
        ),
        (
            named(UNKNOWN),
            (
                "Could not resolve client IP address to a host name: Name or service not "
                "known."
            ),
        ),
        (
            named("a.example.com", UNKNOWN),
            (
                'Could not translate client host name "a.example.com" to IP address: Name '
                "or service not known."
            ),
        ),
    ],
)
def test_hostname_lookup_detail(facts: Facts, detail: str | None) -> None:
    assert hostname_lookup_detail(ANA, facts) == detail


STAFF = Facts(roles=Roles({"ana": ["dev"], "dev": ["staff"], "staff": [], "app": []}))


@pytest.mark.parametrize(
    ("users", "user", "why"),
    [
        # HBA-75
        ("+staff", "ana", None),
        ("+dev", "ana", None),
        ("+staff", "staff", None),
        ("+dev", "staff", Mismatch.USER),
        ("+nobody", "ana", Mismatch.USER),
        ("+nobody", "nobody", Mismatch.USER),
        ("+staff", "eve", Mismatch.USER),
        ("x,+staff", "ana", None),
        ("+x,+staff", "ana", None),
        ("+x,ana", "ana", None),
        ('"+staff"', "ana", Mismatch.USER),
        ('"+staff"', "+staff", None),
        ("+", "ana", Mismatch.USER),
    ],
)
def test_members(users: str, user: str, why: Mismatch | None) -> None:
    client = replace(ANA, user=user)
    assert mismatch(f"host all {users} all trust", client, STAFF) is why


@pytest.mark.parametrize(
    ("databases", "database", "why"),
    [
        # HBA-74, HBA-76
        ("samerole", "dev", None),
        ("samerole", "staff", None),
        ("samegroup", "staff", None),
        ("samerole", "ana", None),
        ("samerole", "app", Mismatch.DATABASE),
        ("samerole", "postgres", Mismatch.DATABASE),
        ("samerole,postgres", "postgres", None),
        ('"samerole"', "staff", Mismatch.DATABASE),
        ('"samerole"', "samerole", None),
    ],
)
def test_samerole(databases: str, database: str, why: Mismatch | None) -> None:
    client = replace(ANA, database=database)
    assert mismatch(f"host {databases} all all trust", client, STAFF) is why
    standby = replace(client, replication=Replication.PHYSICAL)
    text = f"host {databases} all all trust"
    assert mismatch(text, standby, STAFF) is Mismatch.REPLICATION


@pytest.mark.parametrize(
    ("line", "matches"),
    [
        ("host all +staff all trust", None),
        ("host all x,+staff all trust", None),
        ("host samerole all all trust", None),
        ("host samerole,x all all trust", None),
        # Another token knows without.
        ("host all +staff,ana all trust", True),
        ("host all +staff,all all trust", True),
        ("host all +staff,/^a all trust", True),
        ("host samerole,app all all trust", True),
        ("host samegroup,all all all trust", True),
        ("host samerole,sameuser all all trust", None),
    ],
)
def test_roles_are_asked_for(line: str, matches: bool | None) -> None:
    """Only if nothing else on the line says yes (HBA-80)."""
    (rule,) = lines(line)
    found = first_match((rule,), ANA, NOTHING)
    assert found == (Verdict(rule) if matches else Needs(Memberships()))


@pytest.mark.parametrize(
    ("field", "name", "matches"),
    [
        # HBA-77, HBA-78
        ("/^an", "ana", True),
        ("/n", "ana", True),
        ("/^n", "ana", False),
        ("/", "ana", True),
        ("/^ANA$", "ana", False),
        ("/^.{4}$", "n\u00e9e", True),
        ("/^.{3}$", "n\u00e9e", False),
        ('"/^a,b$"', "a,b", True),
        ("x,/a$", "ana", True),
        ("/b,/c", "ana", False),
    ],
)
def test_regex(field: str, name: str, matches: bool) -> None:
    user = replace(ANA, user=name)
    why = mismatch(f"host all {field} all trust", user)
    assert why is (None if matches else Mismatch.USER)
    database = replace(ANA, database=name)
    why = mismatch(f"host {field} all all trust", database)
    assert why is (None if matches else Mismatch.DATABASE)
    standby = replace(database, replication=Replication.PHYSICAL)
    why = mismatch(f"host {field} all all trust", standby)
    assert why is Mismatch.REPLICATION


@pytest.mark.parametrize(
    ("field", "database", "replication", "why"),
    [
        # HBA-74
        ("all", "app", Replication.NONE, None),
        ("app", "app", Replication.NONE, None),
        ("x,app", "app", Replication.NONE, None),
        ("app", "App", Replication.NONE, Mismatch.DATABASE),
        ("app", "appx", Replication.NONE, Mismatch.DATABASE),
        ("ALL", "app", Replication.NONE, Mismatch.DATABASE),
        ('"all"', "app", Replication.NONE, Mismatch.DATABASE),
        ('"all"', "all", Replication.NONE, None),
        ("sameuser", "ana", Replication.NONE, None),
        ("sameuser", "app", Replication.NONE, Mismatch.DATABASE),
        ("sameuser", "sameuser", Replication.NONE, Mismatch.DATABASE),
        ('"sameuser"', "sameuser", Replication.NONE, None),
        ('"sameuser"', "ana", Replication.NONE, Mismatch.DATABASE),
        ("sameuser,app", "app", Replication.NONE, None),
        ("replication", "app", Replication.NONE, Mismatch.DATABASE),
        ("replication", "replication", Replication.NONE, Mismatch.DATABASE),
        ("replication,all", "app", Replication.NONE, None),
        ('"replication"', "replication", Replication.NONE, None),
        ('""', "", Replication.NONE, None),
        ('""', "app", Replication.NONE, Mismatch.DATABASE),
        # A walsender for a database is like everybody else.
        ("all", "app", Replication.DATABASE, None),
        ("app", "app", Replication.DATABASE, None),
        ("sameuser", "ana", Replication.DATABASE, None),
        ("replication", "app", Replication.DATABASE, Mismatch.DATABASE),
        ("replication", "replication", Replication.DATABASE, Mismatch.DATABASE),
        # A physical one has no database.
        ("replication", "", Replication.PHYSICAL, None),
        ("x,replication", "app", Replication.PHYSICAL, None),
        ("all", "app", Replication.PHYSICAL, Mismatch.REPLICATION),
        ("app", "app", Replication.PHYSICAL, Mismatch.REPLICATION),
        ("sameuser", "ana", Replication.PHYSICAL, Mismatch.REPLICATION),
        ('"replication"', "replication", Replication.PHYSICAL, Mismatch.REPLICATION),
        ('""', "", Replication.PHYSICAL, Mismatch.REPLICATION),
    ],
)
def test_database(
    field: str, database: str, replication: Replication, why: Mismatch | None
) -> None:
    client = replace(ANA, database=database, replication=replication)
    assert mismatch(f"host {field} all all trust", client) is why


@pytest.mark.parametrize(
    ("field", "user", "matches"),
    [
        # HBA-75, HBA-79, HBA-81
        ("all", "ana", True),
        ("ana", "ana", True),
        ("x,ana", "ana", True),
        ("ana", "Ana", False),
        ("ana", "an", False),
        ("ALL", "ana", False),
        ('"all"', "ana", False),
        ('"all"', "all", True),
        ('"+staff"', "+staff", True),
        ("sameuser", "ana", False),
        ("\u00e9", "e\u0301", False),
        ("\u00e9", "\u00e9", True),
    ],
)
def test_user(field: str, user: str, matches: bool) -> None:
    why = mismatch(f"host all {field} all trust", replace(ANA, user=user))
    assert why is (None if matches else Mismatch.USER)


def test_names_that_are_no_text() -> None:
    """Bytes that are not UTF-8 come from both sides in the same way."""
    (line,) = load(b"host all \xff\xfe all trust").lines
    client = replace(ANA, user=b"\xff\xfe".decode("utf-8", "surrogateescape"))
    assert first_match([line], client, NOTHING) == Verdict(line)


def test_explain() -> None:
    """Every line before the one that decides, in the order of hba.c."""
    rules = lines(
        "local all all trust\n"
        "hostnossl x x 192.0.2.1/32 trust\n"
        "host x x 192.0.2.1/32 trust\n"
        "host x x all trust\n"
        "host all x all trust\n"
        "host all all all reject\n"
        "hostnossl all all all trust\n"
    )
    assert list(explain(rules, ANA, NOTHING)) == [
        (rules[0], Mismatch.LOCAL),
        (rules[1], Mismatch.NO_SSL),
        (rules[2], Mismatch.ADDRESS),
        (rules[3], Mismatch.DATABASE),
        (rules[4], Mismatch.USER),
    ]
    assert list(explain(rules[:5], ANA, NOTHING)) == list(explain(rules, ANA, NOTHING))


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        (
            Mismatch.LOCAL,
            "it is for Unix-domain sockets, and the client has come over TCP",
        ),
        (Mismatch.SSL, "it is for connections with SSL, and this one has none"),
        (Mismatch.NO_SSL, "it is for connections without SSL, and this one has it"),
        (
            Mismatch.GSS,
            "it is for connections with GSSAPI encryption, which is not supported",
        ),
        (Mismatch.ADDRESS, "the address of the client is not one of its addresses"),
        (Mismatch.DATABASE, "the database is not one of its databases"),
        (
            Mismatch.REPLICATION,
            "a replication connection needs the keyword replication",
        ),
        (Mismatch.USER, "the user is not one of its users"),
    ],
)
def test_sentences(why: Mismatch, sentence: str) -> None:
    assert why.value == sentence


REJECT = lines("host all all all reject")[0]


@pytest.mark.parametrize(
    ("line", "client", "text"),
    [
        (  # HBA-82
            None,
            ANA,
            (
                'no pg_hba.conf entry for host "10.1.1.1", user "ana", database "app", '
                "SSL encryption"
            ),
        ),
        (
            None,
            replace(at("::1"), ssl_in_use=False),
            (
                'no pg_hba.conf entry for host "::1", user "ana", database "app", '
                "no encryption"
            ),
        ),
        (  # HBA-83
            None,
            PHYSICAL,
            (
                "no pg_hba.conf entry for replication connection from host "
                '"10.1.1.1", user "ana", SSL encryption'
            ),
        ),
        (
            None,
            replace(PHYSICAL, ssl_in_use=False),
            (
                "no pg_hba.conf entry for replication connection from host "
                '"10.1.1.1", user "ana", no encryption'
            ),
        ),
        (  # HBA-84
            REJECT,
            ANA,
            (
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", SSL encryption'
            ),
        ),
        (
            REJECT,
            replace(ANA, ssl_in_use=False),
            (
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", no encryption'
            ),
        ),
        (  # HBA-85
            REJECT,
            PHYSICAL,
            (
                "pg_hba.conf rejects replication connection for host "
                '"10.1.1.1", user "ana", SSL encryption'
            ),
        ),
        (  # HBA-86
            None,
            replace(ANA, replication=Replication.DATABASE),
            (
                'no pg_hba.conf entry for host "10.1.1.1", user "ana", database "app", '
                "SSL encryption"
            ),
        ),
        (
            REJECT,
            replace(ANA, replication=Replication.DATABASE),
            (
                'pg_hba.conf rejects connection for host "10.1.1.1", user "ana", '
                'database "app", SSL encryption'
            ),
        ),
    ],
)
def test_refusal(line: HbaLine | None, client: Client, text: str) -> None:
    assert refusal(line, client) == text


@given(
    st.lists(
        st.builds(
            "{} {} {} {} trust".format,
            st.sampled_from(["host", "hostssl", "hostnossl", "hostgssenc"]),
            st.sampled_from(["all", "app", "x", "sameuser", "replication"]),
            st.sampled_from(["all", "ana", "x"]),
            st.sampled_from(["all", "10.0.0.0/8", "::/0", "samenet"]),
        ),
        min_size=1,
    ),
    st.sampled_from([ANA, PHYSICAL, replace(ANA, ssl_in_use=False), at("::1")]),
    st.sampled_from([NOTHING, LOOKED]),
)
def test_explanation_and_verdict_agree(
    text: list[str], client: Client, facts: Facts
) -> None:
    """What is explained is exactly what comes before the line that decides."""
    rules = lines("\n".join(text))
    explained = list(explain(rules, client, facts))
    assert [line for line, _why in explained] == list(rules[: len(explained)])
    verdict = first_match(rules, client, facts)
    if isinstance(verdict, Verdict) and verdict.line is None:
        assert len(explained) == len(rules)
    elif isinstance(verdict, Verdict):
        assert rules[len(explained)] is verdict.line
    else:
        assert rules[len(explained)].address == "samenet"
