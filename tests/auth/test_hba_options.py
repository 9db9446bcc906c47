"""Options of pg_hba.conf: HBA-35 to HBA-43, HBA-54 to HBA-61."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hba_line import ClientCert, ClientName, ConnType, HbaLine
from pgproxy.auth.hba_options import (
    METHODS,
    OTHER_METHODS,
    OptionError,
    with_option,
)


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


def test_methods() -> None:
    """HBA-54: all that PostgreSQL 18 knows, each in one of two ways."""
    done = ["trust", "reject", "cert", "scram-sha-256", "md5", "password"]
    other = ["ident", "peer", "gss", "sspi", "pam", "bsd", "ldap", "radius", "oauth"]
    assert sorted(METHODS) == sorted(done)
    assert sorted(OTHER_METHODS) == sorted(other)


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
    assert with_option(before, option) == after


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
        with_option(before, option)
    assert str(caught.value) == message


@given(st.sampled_from([HOST, HOSTSSL, CERT, PEER]), st.text())
def test_any_option(before: HbaLine, option: str) -> None:
    """An option is good or an error, and of no other kind."""
    try:
        assert with_option(before, option) is not before
    except OptionError as error:
        assert str(error)  # noqa: PT017 - either is fine, this is about the rest
