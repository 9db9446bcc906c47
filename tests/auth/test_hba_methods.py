"""Methods and their options: HBA-54, HBA-60."""

from pgproxy.auth.hba_methods import FLAGS, METHODS, ONLY_FOR, REFUSED_METHODS, SHOWN


def test_methods() -> None:
    """HBA-54: all that PostgreSQL 18 knows, and those that are refused."""
    first = "trust reject md5 password scram-sha-256 ident peer gss sspi pam bsd ldap"
    assert sorted(METHODS) == sorted([*first.split(), "cert", "radius", "oauth"])
    assert sorted(REFUSED_METHODS) == ["gss", "ident", "oauth", "sspi"]


def test_tables_agree() -> None:
    """HBA-60: no method and no option is in one table alone."""
    assert set().union(*(methods for methods, _ in ONLY_FOR.values())) < METHODS
    assert set(ONLY_FOR) > FLAGS
    # The scope is never said as an option, only in a URL.
    assert set(ONLY_FOR) > set(SHOWN) - {"ldapscope"}
    unseen = set(ONLY_FOR) - set(SHOWN) - {"map", "ldapurl", "pam_use_hostname"}
    for option in unseen:
        assert ONLY_FOR[option][0] <= REFUSED_METHODS
