"""The methods of pg_hba.conf, and which options go with which."""

from typing import Final

METHODS: Final = frozenset(
    {
        "trust",
        "reject",
        "md5",
        "password",
        "scram-sha-256",
        "ident",
        "peer",
        "gss",
        "sspi",
        "pam",
        "bsd",
        "ldap",
        "cert",
        "radius",
        "oauth",
    }
)
"""All that PostgreSQL 18 knows (HBA-54)."""

REFUSED_METHODS: Final = frozenset({"ident", "gss", "sspi", "oauth"})
"""Those of a line for TCP connections that cannot be done in the backend's place."""

ONLY_FOR: Final = {
    option: (frozenset(methods.split()), called)
    for methods, called, options in [
        (
            "ident peer gss sspi cert oauth",
            "ident, peer, gssapi, sspi, cert, and oauth",
            "map",
        ),
        ("pam", "pam", "pamservice pam_use_hostname"),
        ("ldap", "ldap", "ldapurl ldapserver ldapport ldapscheme ldaptls"),
        ("ldap", "ldap", "ldapprefix ldapsuffix"),
        ("ldap", "ldap", "ldapbasedn ldapbinddn ldapbindpasswd"),
        ("ldap", "ldap", "ldapsearchattribute ldapsearchfilter"),
        ("gss sspi", "gssapi and sspi", "krb_realm include_realm"),
        ("sspi", "sspi", "compat_realm upn_username"),
        ("radius", "radius", "radiusservers radiussecrets"),
        ("radius", "radius", "radiusidentifiers radiusports"),
        ("oauth", "oauth", "issuer scope validator delegate_ident_mapping"),
    ]
    for option in options.split()
}
"""On lines of which methods an option may be, and what PostgreSQL calls them (HBA-60)."""

FLAGS: Final = frozenset(
    {
        "pam_use_hostname",
        "ldaptls",
        "include_realm",
        "compat_realm",
        "upn_username",
        "delegate_ident_mapping",
    }
)
"""Options that ``1`` sets, and anything else unsets."""

SHOWN: Final = (
    "pamservice",
    "ldapserver",
    "ldapport",
    "ldapscheme",
    "ldaptls",
    "ldapprefix",
    "ldapsuffix",
    "ldapbasedn",
    "ldapbinddn",
    "ldapbindpasswd",
    "ldapsearchattribute",
    "ldapsearchfilter",
    "ldapscope",
    "radiusservers",
    "radiussecrets",
    "radiusidentifiers",
    "radiusports",
)
"""
What the view pg_hba_file_rules has of a line that is not refused, in its order.

It does not have ``pam_use_hostname``. Source: ``get_hba_options`` in hbafuncs.c.
"""
