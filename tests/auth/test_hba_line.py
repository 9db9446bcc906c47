"""How a line of pg_hba.conf is shown."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from pgproxy.auth.address import AddressKeyword, AddressRange, HostName
from pgproxy.auth.hba_line import (
    ClientCert,
    ClientName,
    ConnType,
    HbaLine,
    Rule,
)
from pgproxy.auth.lexer import Token

LINE = HbaLine(
    source="/etc/pg/pg_hba.conf",
    line_number=7,
    raw_line='hostssl  "all",b all 10.0.0.0/8 trust # us',
    conntype=ConnType.HOSTSSL,
    databases=(Token("all", quoted=True), Token("b", quoted=False)),
    users=(Token("all", quoted=False),),
    address=AddressRange(ip_address("10.0.0.0"), ip_address("255.0.0.0")),
    auth_method="trust",
)

RULE = Rule(
    type="hostssl",
    database=("all", "b"),
    user_name=("all",),
    address="10.0.0.0",
    netmask="255.0.0.0",
    auth_method="trust",
    options=(),
)


def test_connection_matched() -> None:
    """HBA-89: with the line as it was written."""
    assert LINE.connection_matched == (
        'Connection matched file "/etc/pg/pg_hba.conf" line 7: '
        '"hostssl  "all",b all 10.0.0.0/8 trust # us"'
    )


def test_defaults() -> None:
    """No certificate is asked for; if one were, its CN would count (HBA-58)."""
    assert LINE.clientcert is ClientCert.OFF
    assert LINE.clientname is ClientName.CN
    assert LINE.usermap is None


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (LINE, RULE),
        (
            replace(LINE, address=HostName(".example.com")),
            replace(RULE, address=".example.com", netmask=None),
        ),
        (
            replace(
                LINE,
                clientcert=ClientCert.VERIFY_CA,
                method_options=(("ldapserver", "s"), ("ldapscope", "2")),
            ),
            replace(
                RULE,
                options=("clientcert=verify-ca", "ldapserver=s", "ldapscope=2"),
            ),
        ),
        (
            replace(LINE, conntype=ConnType.LOCAL, address=None),
            replace(RULE, type="local", address=None, netmask=None),
        ),
        (
            replace(LINE, address=AddressKeyword.SAMENET),
            replace(RULE, address="samenet", netmask=None),
        ),
        (
            replace(
                LINE,
                address=AddressRange(
                    ip_address("::ffff:1.2.3.4"), ip_address("ffff::")
                ),
            ),
            replace(RULE, address="::ffff:1.2.3.4", netmask="ffff::"),
        ),
        (
            replace(LINE, auth_method="cert", usermap="m a p"),
            replace(RULE, auth_method="cert", options=("map=m a p",)),
        ),
        (replace(LINE, usermap=""), replace(RULE, options=("map=",))),
        (
            replace(LINE, clientcert=ClientCert.VERIFY_CA),
            replace(RULE, options=("clientcert=verify-ca",)),
        ),
        (
            replace(
                LINE,
                usermap="m",
                clientcert=ClientCert.VERIFY_FULL,
                clientname=ClientName.DN,
            ),
            replace(RULE, options=("map=m", "clientcert=verify-full", "clientname=DN")),
        ),
    ],
)
def test_rule(line: HbaLine, rule: Rule) -> None:
    """As the view pg_hba_file_rules shows it, and clientname as well."""
    assert line.rule == rule


def test_words() -> None:
    """They are those of the file."""
    assert [c.value for c in ConnType] == [
        "local",
        "host",
        "hostssl",
        "hostnossl",
        "hostgssenc",
        "hostnogssenc",
    ]
    assert [c.value for c in ClientCert] == ["off", "verify-ca", "verify-full"]
    assert [c.value for c in ClientName] == ["CN", "DN"]
