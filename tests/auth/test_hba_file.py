"""Reading pg_hba.conf: HBA-22 to HBA-54, HBA-62 to HBA-66, HBA-74 to HBA-80."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    AddressSpec,
    HostName,
    InvalidAddress,
    IPAddress,
)
from pgproxy.auth.hba_file import HbaFile, load_hba
from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine
from pgproxy.auth.lexer import Token
from pgproxy.auth.regex import compile_regex
from pgproxy.protocol.errors import Report, Severity, SqlState
from tests.auth.support import HBA, Files, load, messages, parse_address

TRUST = HbaLine(
    source=HBA,
    line_number=1,
    raw_line="",
    conntype=ConnType.HOST,
    databases=(Token("all", quoted=False),),
    users=(Token("all", quoted=False),),
    address=AddressRange(ip_address("10.0.0.0"), ip_address("255.0.0.0")),
    auth_method="trust",
)


def regex(pattern: str, *, quoted: bool) -> Token:
    """Return the token of a regular expression."""
    return Token(f"/{pattern}", quoted, compile_regex(pattern))


def good(text: str) -> HbaLine:
    """Return the only line of a file that nothing is wrong with."""
    file = load(text)
    assert (file.problems, file.notices) == ((), ())
    (line,) = file.lines
    return line


def bad(text: str) -> Report:
    """Return the only problem of a file without a good line."""
    file = load(text)
    assert (file.lines, file.notices) == ((), ())
    (problem,) = file.problems
    return problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host all all 10.0.0.0/8 trust", TRUST),
        (
            "local all all trust",
            replace(TRUST, conntype=ConnType.LOCAL, address=None),
        ),
        (
            "hostssl all all 10.0.0.0/8 trust",
            replace(TRUST, conntype=ConnType.HOSTSSL),
        ),
        (
            "hostnossl all all 10.0.0.0/8 trust",
            replace(TRUST, conntype=ConnType.HOSTNOSSL),
        ),
        (
            "hostnogssenc all all 10.0.0.0/8 trust",
            replace(TRUST, conntype=ConnType.HOSTNOGSSENC),
        ),
        (
            'host a,"b" "all",c,"" 10.0.0.0/8 reject',
            replace(
                TRUST,
                databases=(Token("a", quoted=False), Token("b", quoted=True)),
                users=(
                    Token("all", quoted=True),
                    Token("c", quoted=False),
                    Token("", quoted=True),
                ),
                auth_method="reject",
            ),
        ),
        # HBA-12: there, quotes make no difference.
        ('"host" all all 10.0.0.0/8 "trust"', TRUST),
        *(
            (f"host all all 10.0.0.0/8 {method}", replace(TRUST, auth_method=method))
            for method in ("reject", "scram-sha-256", "md5", "password", "pam", "bsd")
        ),
        # HBA-54: a line that never matches may have any method, and any line a method
        # that asks for a password.
        *(
            (
                f"local all all {method}",
                replace(
                    TRUST, conntype=ConnType.LOCAL, address=None, auth_method=method
                ),
            )
            for method in ("reject", "scram-sha-256", "md5", "password", "pam", "bsd")
        ),
        (
            "host all all 10.0.0.0/8 ldap ldapprefix=cn= ldapport=1",
            replace(
                TRUST,
                auth_method="ldap",
                method_options=(
                    ("ldapport", "1"),
                    ("ldapprefix", "cn="),
                    ("ldapscope", "2"),
                ),
            ),
        ),
        (
            'hostssl all all 10.0.0.0/8 radius "radiusservers=a,b",radiussecrets=c',
            replace(
                TRUST,
                conntype=ConnType.HOSTSSL,
                auth_method="radius",
                method_options=(("radiusservers", "a,b"), ("radiussecrets", "c")),
            ),
        ),
        # HBA-57
        (
            "hostssl all all 10.0.0.0/8 cert",
            replace(
                TRUST,
                conntype=ConnType.HOSTSSL,
                auth_method="cert",
                clientcert=ClientCert.VERIFY_FULL,
            ),
        ),
        # HBA-55
        (
            "hostssl all all 10.0.0.0/8 cert map=a,clientname=DN map=b",
            replace(
                TRUST,
                conntype=ConnType.HOSTSSL,
                auth_method="cert",
                clientcert=ClientCert.VERIFY_FULL,
                clientname=ClientName.DN,
                usermap="b",
            ),
        ),
        # HBA-56
        (
            "hostssl all all 10.0.0.0/8 reject clientcert=verify-ca",
            replace(
                TRUST,
                conntype=ConnType.HOSTSSL,
                auth_method="reject",
                clientcert=ClientCert.VERIFY_CA,
            ),
        ),
        (
            'hostssl all all 10.0.0.0/8 cert "map=my map"',
            replace(
                TRUST,
                conntype=ConnType.HOSTSSL,
                auth_method="cert",
                clientcert=ClientCert.VERIFY_FULL,
                usermap="my map",
            ),
        ),
        # A line for Unix-domain sockets is read, and then never matches; `ident` is
        # `peer` there (HBA-54).
        *(
            (
                f"local all all {method} map=m",
                replace(
                    TRUST,
                    conntype=ConnType.LOCAL,
                    address=None,
                    auth_method="peer",
                    usermap="m",
                ),
            )
            for method in ("peer", "ident")
        ),
        # HBA-77: a slash begins a regular expression, in quotes too.
        (
            'host /^a,b "/^c,d$",/ 10.0.0.0/8 trust',
            replace(
                TRUST,
                databases=(regex("^a", quoted=False), Token("b", quoted=False)),
                users=(regex("^c,d$", quoted=True), regex("", quoted=False)),
            ),
        ),
        # HBA-74 to HBA-76
        (
            "host samerole,samegroup +x,+ 10.0.0.0/8 trust",
            replace(
                TRUST,
                databases=(
                    Token("samerole", quoted=False),
                    Token("samegroup", quoted=False),
                ),
                users=(Token("+x", quoted=False), Token("+", quoted=False)),
            ),
        ),
        # Words that are keywords only in other fields, or only as they are.
        (
            "host SAMEROLE,+x,samehost replication 10.0.0.0/8 trust",
            replace(
                TRUST,
                databases=(
                    Token("SAMEROLE", quoted=False),
                    Token("+x", quoted=False),
                    Token("samehost", quoted=False),
                ),
                users=(Token("replication", quoted=False),),
            ),
        ),
        (
            'host "samerole","samegroup","+x" samerole,"+x" 10.0.0.0/8 trust',
            replace(
                TRUST,
                databases=(
                    Token("samerole", quoted=True),
                    Token("samegroup", quoted=True),
                    Token("+x", quoted=True),
                ),
                users=(Token("samerole", quoted=False), Token("+x", quoted=True)),
            ),
        ),
    ],
)
def test_line(text: str, expected: HbaLine) -> None:
    assert good(text) == replace(expected, raw_line=text)


def test_regular_expressions_match() -> None:
    """HBA-77: what is compiled is what stands behind the slash."""
    line = good('host "/^a,b$" /^c all trust')
    assert [
        token.matches(name) for token in line.databases for name in ("a,b", "a")
    ] == [
        True,
        False,
    ]
    assert [token.matches(name) for token in line.users for name in ("cd", "dc")] == [
        True,
        False,
    ]


def the_range(address: str, netmask: str) -> AddressRange:
    return AddressRange(ip_address(address), ip_address(netmask))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("all", AddressKeyword.ALL),
        ("samehost", AddressKeyword.SAMEHOST),
        ("samenet", AddressKeyword.SAMENET),
        ("192.168.1.77/24", the_range("192.168.1.77", "255.255.255.0")),
        ('"10.0.0.0/ 8"', the_range("10.0.0.0", "255.0.0.0")),
        ("10.0.0.0 255.0.255.0", the_range("10.0.0.0", "255.0.255.0")),
        ("10.0.0.0 0.0.0.0", the_range("10.0.0.0", "0.0.0.0")),
        ("::1/128", the_range("::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("2001:db8:: ffff:ffff::", the_range("2001:db8::", "ffff:ffff::")),
        ("fe80::1%lo/10", the_range("fe80::1", "ffc0::")),
        ("fe80::1%lo ffc0::%lo", the_range("fe80::1", "ffc0::")),
        # HBA-62, HBA-63: what is no number and no keyword is a name, without a mask.
        *(
            (name, HostName(name))
            for name in ("localhost", ".example.com", "1.2.3.256", "ALL", "SameHost")
        ),
        ('"all"', HostName("all")),
        ('"samenet"', HostName("samenet")),
        ('""', HostName("")),
    ],
)
def test_address(field: str, expected: AddressSpec) -> None:
    assert good(f"host all all {field} trust").address == expected


def test_addresses_are_read_as_the_system_does() -> None:
    """HBA-64: what is an address, is not decided here."""
    asked: list[str] = []

    def read_anything(text: str) -> None:
        asked.append(text)

    files = Files({HBA: b"host all all 127.1/8 trust\nhost all all 0x7f.1 trust"})
    load_hba(
        HBA,
        ssl=True,
        parse_address=read_anything,
        read=files.read,
        list_directory=files.list_directory,
    )
    assert asked == ["127.1", "0x7f.1"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (  # HBA-22
            "host,local all all all trust",
            "multiple values specified for connection type",
            "Specify exactly one connection type per line.",
        ),
        # HBA-23, HBA-11, HBA-01, HBA-16
        *(
            (f"{word} all all all trust", f'invalid connection type "{word}"', None)
            for word in ("HOST", "hosts", "hostgss", "include", "\ufeffhost", "off")
        ),
        ('"" all', 'invalid connection type ""', None),
        # HBA-24
        ("host", "end-of-line before database specification", None),
        ("local", "end-of-line before database specification", None),
        ("host all", "end-of-line before role specification", None),
        ("host all all", "end-of-line before IP address specification", None),
        (
            "host all all 10.0.0.0",
            "end-of-line before netmask specification",
            (
                "Specify an address range in CIDR notation, or provide a separate "
                "netmask."
            ),
        ),
        (
            "host all all 10.0.0.0/8",
            "end-of-line before authentication method",
            None,
        ),
        ("host all all all", "end-of-line before authentication method", None),
        (
            "host all all 10.0.0.0 255.0.0.0",
            "end-of-line before authentication method",
            None,
        ),
        ("local all all", "end-of-line before authentication method", None),
        # HBA-25
        (
            "host all all 1.2.3.4/32,5.6.7.8/32 trust",
            "multiple values specified for host address",
            "Specify one address range per line.",
        ),
        (
            "host all all 1.2.3.4 255.0.0.0,255.0.0.0 trust",
            "multiple values specified for netmask",
            None,
        ),
        (
            "host all all all trust,md5",
            "multiple values specified for authentication type",
            "Specify exactly one authentication type per line.",
        ),
        # HBA-27
        *(
            (
                f"host all all {text} trust",
                f'specifying both host name and CIDR mask is invalid: "{text}"',
                None,
            )
            for text in ("1.2.3.256/32", "localhost/32", "/8", "x/y/z")
        ),
        # HBA-28
        *(
            (
                f"host all all {text} trust",
                f'invalid CIDR mask in address "{text}"',
                None,
            )
            for text in ("1.2.3.4/33", "1.2.3.4/", "1.2.3.4/x", "::1/129", "::/1/2")
        ),
        # HBA-29
        (
            "host all all 127.0.0.1 trust",
            'invalid IP mask "trust": Name or service not known',
            None,
        ),
        (
            'host all all 127.0.0.1 "" trust',
            'invalid IP mask "": Name or service not known',
            None,
        ),
        # HBA-30
        (
            "host all all ::1 255.0.0.0 trust",
            "IP address and mask do not match",
            None,
        ),
        (
            "host all all 1.2.3.4 ffff:: trust",
            "IP address and mask do not match",
            None,
        ),
        # HBA-31
        *(
            (
                f"host all all all {method}",
                f'invalid authentication method "{method}"',
                None,
            )
            for method in ("krb5", "crypt", "Trust", "scram", "implicit")
        ),
        # HBA-32
        (
            "local all all gss",
            "gssapi authentication is not supported on local sockets",
            None,
        ),
        # HBA-33
        (
            "host all all all peer",
            "peer authentication is only supported on local sockets",
            None,
        ),
        # HBA-34
        *(
            (
                f"{line} cert",
                "cert authentication is only supported on hostssl connections",
                None,
            )
            for line in ("host all all all", "hostnossl all all all", "local all all")
        ),
        # HBA-35; the rest in test_hba_options.py.
        (
            "host all all all trust x",
            "authentication option not in name=value format: x",
            None,
        ),
        (
            "hostssl all all all trust clientname=DN,x",
            "authentication option not in name=value format: x",
            None,
        ),
        (
            "local all all trust clientcert=verify-ca",
            'clientcert can only be configured for "hostssl" rows',
            None,
        ),
        # HBA-37: PostgreSQL's words for what PostgreSQL refuses too, even if
        # something else on the line is not implemented.
        *(
            (
                f"host all {user} localhost {method} ldapport=1",
                (
                    'authentication option "ldapport" is only valid for authentication '
                    "methods ldap"
                ),
                None,
            )
            for user in ("all", "/(?=x)")
            for method in ("trust", "ident", "gss", "oauth")
        ),
        # HBA-38, HBA-49 to HBA-51: the rest in test_hba_options.py.
        (
            "local all all oauth scope=x",
            'authentication method "oauth" requires argument "issuer" to be set',
            None,
        ),
        (
            "local all all radius radiusservers=a",
            (
                'authentication method "radius" requires argument "radiussecrets" to be '
                "set"
            ),
            None,
        ),
        (
            "host all all all ldap ldapurl=x",
            'could not parse LDAP URL "x": Time limit exceeded',
            None,
        ),
        ("host /x", "end-of-line before role specification", None),
    ],
)
def test_bad_line(text: str, message: str, hint: str | None) -> None:
    """In the words of PostgreSQL, with the place."""
    assert bad(f"\n{text}\n") == Report(
        severity=Severity.LOG,
        sqlstate=SqlState.CONFIG_FILE_ERROR,
        message=message,
        hint=hint,
        context=f'line 2 of configuration file "{HBA}"',
        event="hba.line_invalid",
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("host all all 127.1 255.0.0.0 trust", 'invalid IP address "127.1": no memory'),
        ("host all all 10.0.0.0 255.1 trust", 'invalid IP mask "255.1": no memory'),
    ],
)
def test_an_address_that_cannot_be_read(line: str, message: str) -> None:
    """HBA-26: other than a name, which is none of a number."""

    def parse_or_fail(text: str) -> IPAddress | None:
        if text.count(".") == 1:
            raise InvalidAddress("no memory")
        return parse_address(text)

    files = Files({HBA: line.encode()})
    file = load_hba(
        HBA,
        ssl=True,
        parse_address=parse_or_fail,
        read=files.read,
        list_directory=files.list_directory,
    )
    assert messages(file.problems) == [message]


def test_md5_has_no_condition() -> None:
    """HBA-48: the setting that forbade it was 16's, and is gone."""
    (line,) = load("host all all all md5").lines
    assert line.auth_method == "md5"


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("host /( all all trust", "("),
        ('host a,"/(" all all trust', "("),
        ("host all /( all trust", "("),
        ("local all b,/( trust", "("),
        # Before what else is wrong with the line, if that comes later.
        ("host /(", "("),
        ("host /( /[ x/y nonsense", "("),
        ("host a /(,/[ x/y nonsense", "("),
        # After what comes earlier, be it implemented or not.
        ("host /(?=x) /( all trust", "("),
    ],
)
def test_bad_regular_expression(text: str, pattern: str) -> None:
    """HBA-44: with a SQLSTATE of its own."""
    assert bad(f"\n{text}\n") == Report(
        severity=Severity.LOG,
        sqlstate=SqlState.INVALID_REGULAR_EXPRESSION,
        message=(
            f'invalid regular expression "{pattern}": parentheses () not balanced'
        ),
        context=f'line 2 of configuration file "{HBA}"',
        event="hba.line_invalid",
    )


def refused(message: str, hint: str, sqlstate: SqlState) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=sqlstate,
        message=message,
        hint=hint,
        context=f'line 1 of configuration file "{HBA}"',
        event="hba.not_implemented",
    )


@pytest.mark.parametrize("field", ["host {} all all trust", "local all x,{} trust"])
def test_regular_expression_that_is_not_implemented(field: str) -> None:
    """HBA-78: never a match that may be another one."""
    assert bad(field.format("/a(?=b)")) == refused(
        'regular expression "a(?=b)" is not supported: it has a lookahead '
        "at position 2",
        "Write it without that, or list the names.",
        SqlState.FEATURE_NOT_SUPPORTED,
    )


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("host samerole all all trust", "samerole"),
        ("local a,samegroup all trust", "samegroup"),
        ("host all a,+staff all trust", "+staff"),
        ("local all + trust", "+"),
    ],
)
def test_roles_unknown(line: str, token: str) -> None:
    """HBA-80: refused where nobody could say who is a member."""
    file = load(line, roles=False)
    assert file.problems == (
        refused(
            f'"{token}" cannot be matched without the role memberships of the server',
            'Set "pgproxy.role_conninfo", a login that can read them, or list the '
            "names.",
            SqlState.FEATURE_NOT_SUPPORTED,
        ),
    )
    assert load(line, roles=True).problems == ()


@pytest.mark.parametrize(
    "line", ['host "samerole" "+x" all trust', "host sameuser samerole all trust"]
)
def test_names_that_look_like_roles(line: str) -> None:
    """HBA-74, HBA-75: in quotes and in the other field they are names."""
    assert load(line, roles=False).problems == ()


@pytest.mark.parametrize(
    "line",
    [
        "host all all all ident",
        "host all all all ident map=m",
        "host all all all gss krb_realm=R include_realm=0 map=m",
        "hostgssenc all all all gss",
        "host all all all sspi upn_username=1",
        "local all all sspi",
        "host all all all oauth scope=s issuer=i",
    ],
)
def test_method_that_is_not_implemented(line: str) -> None:
    """HBA-31, HBA-54: once the rest of the line is known to be good."""
    method = line.replace("all ", "").split()[1]
    assert load(line).problems == (
        refused(
            f'invalid authentication method "{method}": not supported by this build',
            "Use a method that asks the client for a password, or cert.",
            SqlState.CONFIG_FILE_ERROR,
        ),
    )


def test_all_that_is_not_implemented() -> None:
    """One line, and all that would have to change."""
    file = load("host /a(?=b),samerole /(?!c),+d localhost ident", roles=False)
    assert [message.split('"')[1] for message in messages(file.problems)] == [
        "a(?=b)",
        "(?!c)",
        "samerole",
        "+d",
        "ident",
    ]
    assert file.lines == ()


def test_every_bad_line_is_told() -> None:
    """HBA-52: all of them, those of the files before those of the fields."""
    file = load("host\nhost @none\nlocal all all trust\nlocal all all nonsense\n")
    assert messages(file.problems) == [
        'could not open file "/etc/pg/none": No such file or directory',
        "end-of-line before database specification",
        'invalid authentication method "nonsense"',
    ]
    assert [line.line_number for line in file.lines] == [3]


@pytest.mark.parametrize("text", ["", "\n\n", "# host all all all trust\n", " , \n"])
def test_no_entries(text: str) -> None:
    """HBA-45: then nobody could ever connect; without a line to point to."""
    assert bad(text) == Report(
        severity=Severity.LOG,
        sqlstate=SqlState.CONFIG_FILE_ERROR,
        message=f'configuration file "{HBA}" contains no entries',
        event="hba.empty",
    )


def test_missing_file() -> None:
    """HBA-47: and that it contains nothing is not told as well."""
    files = Files({})
    file = load_hba(
        HBA,
        ssl=True,
        parse_address=parse_address,
        read=files.read,
        list_directory=files.list_directory,
    )
    assert messages(file.problems) == [
        f'could not open file "{HBA}": No such file or directory'
    ]


def test_directory() -> None:
    """What is included is read as well."""
    rule = b"local all all trust"
    files = Files({HBA: b"include_dir d", "/etc/pg/d/a.conf": rule})
    file = load_hba(
        HBA,
        ssl=True,
        parse_address=parse_address,
        read=files.read,
        list_directory=files.list_directory,
    )
    assert [line.source for line in file.lines] == ["/etc/pg/d/a.conf"]


def notice(message: str, hint: str | None = None) -> Report:
    return Report(
        severity=Severity.LOG,
        sqlstate=SqlState.CONFIG_FILE_ERROR,
        message=message,
        hint=hint,
        context=f'line 1 of configuration file "{HBA}"',
        event="hba.line_cannot_match",
    )


SSL_DISABLED = notice(
    "hostssl record cannot match because SSL is disabled",
    'Set "ssl = on" in postgresql.conf.',
)
NO_GSSAPI = notice(
    "hostgssenc record cannot match because GSSAPI is not supported by this build"
)


@pytest.mark.parametrize(
    ("text", "ssl", "notices"),
    [
        ("hostssl all all all trust", False, (SSL_DISABLED,)),  # TLS-97
        ("hostssl all all all trust", True, ()),
        ("host all all all trust", False, ()),
        ("hostnossl all all all trust", False, ()),
        ("hostgssenc all all all trust", True, (NO_GSSAPI,)),  # HBA-46
        ("hostgssenc all all all trust", False, (NO_GSSAPI,)),
        ("hostnogssenc all all all trust", False, ()),
        ("local all all trust", False, ()),
    ],
)
def test_cannot_match(text: str, ssl: bool, notices: tuple[Report, ...]) -> None:
    """The line is good all the same."""
    file = load(text, ssl=ssl)
    assert (file.problems, file.notices) == ((), notices)
    assert len(file.lines) == 1


def test_cannot_match_and_bad() -> None:
    """Both are told."""
    file = load("hostssl all all all", ssl=False)
    assert file.notices == (SSL_DISABLED,)
    assert messages(file.problems) == ["end-of-line before authentication method"]


@pytest.mark.parametrize("tail", ["ldapprefix=a", "x"])
def test_ldap_scheme_that_is_none(tail: str) -> None:
    """HBA-49: told, whatever else is said of the line."""
    file = load(f"host all all all ldap ldapscheme=x {tail}")
    assert file.notices == (
        Report(
            severity=Severity.LOG,
            sqlstate=SqlState.CONFIG_FILE_ERROR,
            message='invalid ldapscheme value: "x"',
            context=f'line 1 of configuration file "{HBA}"',
            event="hba.option_invalid",
        ),
    )
    assert len(file.lines) == (tail != "x")


def test_notices_of_files() -> None:
    """What was skipped comes before what cannot match."""
    file = load("hostgssenc all all all trust\ninclude_if_exists none")
    assert messages(file.notices) == [
        'skipping missing authentication file "/etc/pg/none"',
        NO_GSSAPI.message,
    ]


WORDS = st.sampled_from(
    [
        "local",
        "host",
        "hostssl",
        "all",
        "sameuser",
        "+a",
        "/b",
        "samenet",
        "10.0.0.0/8",
        "::1",
        "255.0.0.0",
        "x",
        "trust",
        "cert",
        "md5",
        "peer",
        "ldap",
        "radius",
        "pam",
        "oauth",
        "/(",
        "samerole",
        "localhost",
        "ldapprefix=x",
        "ldapscheme=x",
        "radiusservers=a",
        "map=a",
        "clientcert=verify-ca",
        "clientname=DN",
        '"all"',
        ",",
        '""',
        "#",
        "@none",
    ]
)


@given(st.lists(st.lists(WORDS)), st.booleans())
def test_any_lines(lines: list[list[str]], ssl: bool) -> None:
    """A file is good or has problems, and a good file has lines."""
    file = load("\n".join(map(" ".join, lines)), ssl=ssl)
    assert isinstance(file, HbaFile)
    assert file.lines or file.problems
    for line in file.lines:
        assert line.rule.type == line.conntype.value
        assert (line.address is None) is (line.conntype is ConnType.LOCAL)


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """Not even bytes that are no text raise anything."""
    file = load(b"host all " + data)
    assert file.lines or file.problems


NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\n")
).filter(lambda name: not name.startswith("/"))


@given(NAMES, NAMES)
def test_names_in_quotes(database: str, user: str) -> None:
    """Any name can be written, but one that begins with a slash (HBA-77)."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in (database, user)]
    line = good(f"host {quoted[0]} {quoted[1]} all trust # \\ ")
    assert line.databases == (Token(database, quoted=True),)
    assert line.users == (Token(user, quoted=True),)
