"""Options of pg_hba.conf: HBA-35 to HBA-43, HBA-49 to HBA-51, HBA-55 to HBA-61."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine
from pgproxy.auth.hba_methods import METHODS, ONLY_FOR
from pgproxy.auth.hba_options import OptionError, complete, with_option


def line(conntype: str, method: str) -> HbaLine:
    return HbaLine(
        source="pg_hba.conf",
        line_number=1,
        raw_line="",
        conntype=ConnType(conntype),
        databases=(),
        users=(),
        address=None,
        auth_method=method,
    )


HOST = line("host", "trust")
HOSTSSL = line("hostssl", "scram-sha-256")
CERT = line("hostssl", "cert")
PEER = line("local", "peer")


def with_options(before: HbaLine, *options: str) -> HbaLine:
    """Return a line with options of which there is nothing to be said."""
    notices: list[str] = []
    for option in options:
        before = with_option(before, option, notices)
    assert notices == []
    return complete(before)


@pytest.mark.parametrize(
    ("before", "option", "after"),
    [
        # HBA-59
        (CERT, "map=m", replace(CERT, usermap="m")),
        (PEER, "map=m", replace(PEER, usermap="m")),
        (CERT, "map=", replace(CERT, usermap="")),
        (CERT, "map= a b=c ", replace(CERT, usermap=" a b=c ")),  # HBA-55
        # HBA-56, HBA-57
        (
            HOSTSSL,
            "clientcert=verify-ca",
            replace(HOSTSSL, clientcert=ClientCert.VERIFY_CA),
        ),
        (
            HOSTSSL,
            "clientcert=verify-full",
            replace(HOSTSSL, clientcert=ClientCert.VERIFY_FULL),
        ),
        (
            CERT,
            "clientcert=verify-full",
            replace(CERT, clientcert=ClientCert.VERIFY_FULL),
        ),
        # HBA-58
        (HOSTSSL, "clientname=DN", replace(HOSTSSL, clientname=ClientName.DN)),
        (
            replace(CERT, clientname=ClientName.DN),
            "clientname=CN",
            replace(CERT, clientname=ClientName.CN),
        ),
        # HBA-55: the last one counts.
        (replace(CERT, usermap="a"), "map=b", replace(CERT, usermap="b")),
    ],
)
def test_option(before: HbaLine, option: str, after: HbaLine) -> None:
    notices: list[str] = []
    assert with_option(before, option, notices) == after
    assert notices == []


@pytest.mark.parametrize(
    ("before", "option", "message"),
    [
        # HBA-35
        (HOST, "x", "authentication option not in name=value format: x"),
        (HOST, "", "authentication option not in name=value format: "),
        (
            HOSTSSL,
            "clientcert",
            "authentication option not in name=value format: clientcert",
        ),
        # HBA-36
        (HOST, "x=y", 'unrecognized authentication option name: "x"'),
        (HOST, "=y", 'unrecognized authentication option name: ""'),
        (CERT, "MAP=y", 'unrecognized authentication option name: "MAP"'),
        # HBA-37
        (
            HOSTSSL,
            "map=m",
            (
                'authentication option "map" is only valid for authentication methods '
                "ident, peer, gssapi, sspi, cert, and oauth"
            ),
        ),
        # HBA-39, HBA-40: before the value is looked at.
        *(
            (
                line(conntype, "trust"),
                f"{option}=x",
                f'{option} can only be configured for "hostssl" rows',
            )
            for conntype in ("local", "host", "hostnossl", "hostgssenc", "hostnogssenc")
            for option in ("clientcert", "clientname")
        ),
        # HBA-41
        (
            CERT,
            "clientcert=verify-ca",
            'clientcert only accepts "verify-full" when using "cert" authentication',
        ),
        # HBA-42, HBA-61
        *(
            (
                HOSTSSL,
                f"clientcert={value}",
                f'invalid value for clientcert: "{value}"',
            )
            for value in ("", "0", "1", "no-verify", "off", "Verify-CA", "verify-ca ")
        ),
        (CERT, "clientcert=x", 'invalid value for clientcert: "x"'),
        # HBA-43
        *(
            (
                HOSTSSL,
                f"clientname={value}",
                f'invalid value for clientname: "{value}"',
            )
            for value in ("", "cn", "dn", "SAN")
        ),
        # HBA-60: what belongs to methods that are not here.
        *(
            (
                HOSTSSL,
                f"{option}=1",
                (
                    f'authentication option "{option}" is only valid for '
                    f"authentication methods {methods}"
                ),
            )
            for option, methods in [
                ("pamservice", "pam"),
                ("pam_use_hostname", "pam"),
                ("ldapurl", "ldap"),
                ("ldaptls", "ldap"),
                ("ldapscheme", "ldap"),
                ("ldapserver", "ldap"),
                ("ldapport", "ldap"),
                ("ldapbinddn", "ldap"),
                ("ldapbindpasswd", "ldap"),
                ("ldapsearchattribute", "ldap"),
                ("ldapsearchfilter", "ldap"),
                ("ldapbasedn", "ldap"),
                ("ldapprefix", "ldap"),
                ("ldapsuffix", "ldap"),
                ("krb_realm", "gssapi and sspi"),
                ("include_realm", "gssapi and sspi"),
                ("compat_realm", "sspi"),
                ("upn_username", "sspi"),
                ("radiusservers", "radius"),
                ("radiusports", "radius"),
                ("radiussecrets", "radius"),
                ("radiusidentifiers", "radius"),
                ("issuer", "oauth"),
                ("scope", "oauth"),
                ("validator", "oauth"),
                ("delegate_ident_mapping", "oauth"),
            ]
        ),
    ],
)
def test_bad_option(before: HbaLine, option: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        with_option(before, option, [])
    assert str(caught.value) == message


LDAP = line("host", "ldap")
RADIUS = line("host", "radius")
SIMPLE = ("ldapprefix=a",)
SEARCH = ("ldapbasedn=b",)
SERVERS = ("radiusservers=a", "radiussecrets=b")


@pytest.mark.parametrize(
    ("method", "options", "shown"),
    [
        ("trust", (), ()),
        ("bsd", (), ()),
        ("pam", (), ()),
        ("pam", ("pamservice=pg",), ("pamservice=pg",)),
        ("pam", ("pamservice=", "pam_use_hostname=1"), ("pamservice=",)),
        ("pam", ("pam_use_hostname=yes",), ()),
        # HBA-49: in the order of the view, and with a scope that nobody asked for.
        ("ldap", SIMPLE, ("ldapprefix=a", "ldapscope=2")),
        ("ldap", ("ldapsuffix=",), ("ldapsuffix=", "ldapscope=2")),
        (
            "ldap",
            ("ldapsuffix=,c", "ldapprefix=a=", "ldapserver=s t", "ldapscheme=ldaps"),
            (
                "ldapserver=s t",
                "ldapscheme=ldaps",
                "ldapprefix=a=",
                "ldapsuffix=,c",
                "ldapscope=2",
            ),
        ),
        (
            "ldap",
            (
                "ldapsearchfilter=f",
                "ldapbindpasswd=p",
                "ldapbinddn=d",
                "ldapbasedn=",
                "ldaptls=1",
            ),
            (
                "ldaptls=true",
                "ldapbasedn=",
                "ldapbinddn=d",
                "ldapbindpasswd=p",
                "ldapsearchfilter=f",
                "ldapscope=2",
            ),
        ),
        (
            "ldap",
            (*SEARCH, "ldapsearchattribute=x"),
            ("ldapbasedn=b", "ldapsearchattribute=x", "ldapscope=2"),
        ),
        # HBA-55: the last one counts, and 1 is the only truth.
        ("ldap", (*SIMPLE, "ldaptls=1", "ldaptls=0"), ("ldapprefix=a", "ldapscope=2")),
        ("ldap", (*SIMPLE, "ldaptls=true"), ("ldapprefix=a", "ldapscope=2")),
        *(
            (
                "ldap",
                (*SIMPLE, f"ldapport={text}"),
                (f"ldapport={port}", "ldapprefix=a", "ldapscope=2"),
            )
            for text, port in [
                ("389", 389),
                (" 7x", 7),
                ("-1", -1),
                ("99999999999", 1215752191),
            ]
        ),
        # A URL is many options in one, and any option behind it undoes its scope.
        (
            "ldap",
            ("ldapurl=ldaps://h:1/d?a,b?one",),
            (
                "ldapserver=h",
                "ldapport=1",
                "ldapscheme=ldaps",
                "ldapbasedn=d",
                "ldapsearchattribute=a",
                "ldapscope=1",
            ),
        ),
        (
            "ldap",
            ("ldapserver=x", "ldapurl=ldap:///???f"),
            (
                "ldapserver=x",
                "ldapport=389",
                "ldapscheme=ldap",
                "ldapbasedn=",
                "ldapsearchfilter=f",
            ),
        ),
        (
            "ldap",
            ("ldapurl=ldap://h/d??one", "ldaptls=0"),
            (
                "ldapserver=h",
                "ldapport=389",
                "ldapscheme=ldap",
                "ldapbasedn=d",
                "ldapscope=2",
            ),
        ),
        # HBA-50
        ("radius", SERVERS, ("radiusservers=a", "radiussecrets=b")),
        (
            "radius",
            (
                'radiusports=1, "2"',
                "radiusidentifiers=i",
                "radiussecrets= x,y ",
                'radiusservers="a b" ,::1',
            ),
            (
                'radiusservers="a b" ,::1',
                "radiussecrets= x,y ",
                "radiusidentifiers=i",
                'radiusports=1, "2"',
            ),
        ),
        (
            "radius",
            (*SERVERS, "radiusports=", "radiusidentifiers="),
            (
                "radiusservers=a",
                "radiussecrets=b",
                "radiusidentifiers=",
                "radiusports=",
            ),
        ),
        # HBA-51, HBA-60: these lines are refused all the same.
        ("gss", ("map=m", "krb_realm=R", "include_realm=0"), ("map=m",)),
        ("sspi", ("compat_realm=1", "upn_username=1", "krb_realm=R"), ()),
        ("ident", ("map=m",), ("map=m",)),
        ("oauth", ("issuer=i", "scope=s", "map=m", "validator=v"), ("map=m",)),
        ("oauth", ("issuer=i", "scope=s", "delegate_ident_mapping=1"), ()),
        (
            "oauth",
            ("issuer=i", "scope=s", "map=m", "delegate_ident_mapping=0"),
            ("map=m",),
        ),
    ],
)
def test_options(method: str, options: tuple[str, ...], shown: tuple[str, ...]) -> None:
    """As get_hba_options in hbafuncs.c shows them."""
    assert with_options(line("host", method), *options).rule.options == shown


def test_cert_is_verify_full() -> None:
    """HBA-57."""
    assert with_options(CERT).clientcert is ClientCert.VERIFY_FULL
    assert with_options(HOSTSSL).clientcert is ClientCert.OFF


def test_a_scheme_that_is_none() -> None:
    """HBA-49: it is told, and the line is as good as without."""
    notices: list[str] = []
    found = with_option(LDAP, "ldapscheme=LDAP", notices)
    assert notices == ['invalid ldapscheme value: "LDAP"']
    assert ("ldapscheme", "LDAP") in found.method_options


MIXED = "cannot mix options for simple bind and search+bind modes"
LDAP_REQUIRES = (
    'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or '
    '"ldapsuffix" to be set'
)


def requires(method: str, name: str) -> str:
    return f'authentication method "{method}" requires argument "{name}" to be set'


def radius_count(what: str, found: int, servers: int) -> str:
    return (
        f"the number of RADIUS {what} ({found}) must be 1 or the same as the number of "
        f"RADIUS servers ({servers})"
    )


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        # HBA-49
        ("ldap", (), LDAP_REQUIRES),
        ("ldap", ("ldapserver=x",), LDAP_REQUIRES),
        ("ldap", ("ldapbinddn=x", "ldapsearchfilter=y"), LDAP_REQUIRES),
        ("ldap", ("ldapurl=ldap://h",), LDAP_REQUIRES),
        *(
            ("ldap", (f"{simple}=x", f"{search}=y"), MIXED)
            for simple in ("ldapprefix", "ldapsuffix")
            for search in (
                "ldapbasedn",
                "ldapbinddn",
                "ldapbindpasswd",
                "ldapsearchattribute",
                "ldapsearchfilter",
            )
        ),
        ("ldap", (*SIMPLE, "ldapurl=ldap://h/"), MIXED),
        (
            "ldap",
            (*SEARCH, "ldapsearchattribute=x", "ldapsearchfilter=y"),
            "cannot use ldapsearchattribute together with ldapsearchfilter",
        ),
        (
            "ldap",
            ("ldapurl=ldap://h/d?a??f",),
            "cannot use ldapsearchattribute together with ldapsearchfilter",
        ),
        *(
            ("ldap", (f"ldapport={port}",), f'invalid LDAP port number: "{port}"')
            for port in ("", "0", "x", "-0", "4294967296")
        ),
        (
            "ldap",
            ("ldapurl=h",),
            'could not parse LDAP URL "h": Time limit exceeded',
        ),
        ("ldap", ("ldapurl=ldapi://h",), "unsupported LDAP URL scheme: ldapi"),
        # HBA-38, HBA-50
        ("radius", (), requires("radius", "radiusservers")),
        ("radius", ("radiussecrets=a",), requires("radius", "radiusservers")),
        ("radius", ("radiusservers=a",), requires("radius", "radiussecrets")),
        (
            "radius",
            ("radiusservers=", "radiussecrets="),
            requires("radius", "radiusservers"),
        ),
        (
            "radius",
            ("radiusservers=a", "radiussecrets= "),
            requires("radius", "radiussecrets"),
        ),
        ("radius", (*SERVERS, "radiussecrets=a,b"), radius_count("secrets", 2, 1)),
        (
            "radius",
            (*SERVERS, "radiusservers=a,b,c", "radiusports=1,2"),
            radius_count("ports", 2, 3),
        ),
        (
            "radius",
            (*SERVERS, "radiusidentifiers=a,b"),
            radius_count("identifiers", 2, 1),
        ),
        (
            "radius",
            ("radiusservers=a,",),
            'could not parse RADIUS server list "a,"',
        ),
        (
            "radius",
            ('radiusservers=a,""',),
            (
                'could not translate RADIUS server name "" to address: Name or service '
                "not known"
            ),
        ),
        ("radius", ("radiusports=,",), 'could not parse RADIUS port list ","'),
        *(
            (
                "radius",
                (f"radiusports={text}",),
                f'invalid RADIUS port number: "{text}"',
            )
            for text in ("0", "1,x", '""')
        ),
        (
            "radius",
            ('radiussecrets="a',),
            'could not parse RADIUS secret list ""a"',
        ),
        (
            "radius",
            ("radiusidentifiers=a b",),
            'could not parse RADIUS identifiers list "a b"',
        ),
        # HBA-38, HBA-51
        ("oauth", (), requires("oauth", "scope")),
        ("oauth", ("scope=s",), requires("oauth", "issuer")),
        (
            "oauth",
            ("scope=s", "issuer=i", "map=", "delegate_ident_mapping=1"),
            "map cannot be used in combination with delegate_ident_mapping",
        ),
        # HBA-37: gss has some of sspi's.
        (
            "gss",
            ("compat_realm=1",),
            (
                'authentication option "compat_realm" is only valid for '
                "authentication methods sspi"
            ),
        ),
    ],
)
def test_bad_options(method: str, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        with_options(line("host", method), *options)
    assert str(caught.value) == message


@given(
    st.sampled_from(sorted(METHODS)),
    st.lists(
        st.text()
        | st.tuples(
            st.sampled_from(sorted(ONLY_FOR)),
            st.sampled_from(["", "1", "a", "a,b", '"', "ldap://h/x?y?sub?z"]),
        ).map("=".join)
    ),
)
def test_any_options(method: str, options: list[str]) -> None:
    """They are good or an error, and of no other kind."""
    try:
        found = line("hostssl", method)
        for option in options:
            found = with_option(found, option, [])
        found = complete(found)
    except OptionError as error:
        assert str(error)  # noqa: PT017 - either is fine, this is about the rest
    else:
        assert complete(found) == found
