"""Lines of pg_hba.conf that are wrong in one way each: HBA-15 to HBA-51."""

from collections.abc import Callable, Mapping
from typing import Final

from tests.differential.grammar import BAD_PATTERNS, TYPES, HbaMaker, Line

TCP: Final = TYPES[:-1]


def _fields(made: HbaMaker) -> list[str]:
    """Return a good start of a line for TCP, one column in each field."""
    return [
        made.one(TCP),
        made.names(made.database_keyword),
        made.names(made.user_keyword),
    ]


def _method(word: str, *options: str) -> Callable[[HbaMaker], Line]:
    return lambda made: [*_fields(made), "all", word, *options]


def _hostssl(method: str, *options: str) -> Callable[[HbaMaker], Line]:
    return lambda made: ["hostssl", *_fields(made)[1:], "all", method, *options]


def _address(*choices: str) -> Callable[[HbaMaker], Line]:
    return lambda made: [*_fields(made), made.one(choices), "trust"]


def _cut(made: HbaMaker) -> Line:
    line = [*_fields(made), made.one(["all", "10.0.0.1", "::1 ::"]), "trust"]
    return line[: made.random.randint(1, 4)]


def _missing_at(made: HbaMaker) -> Line:
    return [made.one(TCP), made.field("a", "@none"), "all", "all", "trust"]


def _many(made: HbaMaker) -> Line:
    line = [*_fields(made), "10.0.0.1", "255.0.0.0", "trust"]
    at = made.random.choice([3, 4, 5])
    line[at] += f",{line[at]}"
    return line


def _not_on_a_local_socket(made: HbaMaker) -> Line:
    return ["local", *_fields(made)[1:], "gss"]


def _cert(made: HbaMaker) -> Line:
    conntype = made.one(["host", "hostnossl", "local", "hostgssenc", "hostnogssenc"])
    address = ["all"] if conntype != "local" else []
    return [conntype, *_fields(made)[1:], *address, "cert"]


def _no_hostssl(option: str) -> Callable[[HbaMaker], Line]:
    def line(made: HbaMaker) -> Line:
        conntype = made.one([one for one in TYPES if one != "hostssl"])
        address = ["all"] if conntype != "local" else []
        return [conntype, *_fields(made)[1:], *address, "trust", option]

    return line


def _only_for(made: HbaMaker) -> Line:
    option = made.one(
        [
            *("map=x", "pamservice=x", "pam_use_hostname=1", "ldapurl=x", "ldaptls=1"),
            *(
                "ldapscheme=x",
                "ldapserver=x",
                "ldapport=1",
                "ldapbinddn=x",
                "krb_realm=x",
            ),
            *("ldapbindpasswd=x", "ldapsearchattribute=x", "ldapsearchfilter=x"),
            *("ldapbasedn=x", "ldapprefix=x", "ldapsuffix=x", "include_realm=1"),
            *("compat_realm=1", "upn_username=1", "radiusservers=x", "radiussecrets=x"),
            *("radiusports=1", "radiusidentifiers=x", "issuer=x", "scope=x"),
            *("validator=x", "delegate_ident_mapping=1"),
        ]
    )
    made.mark(f"wrong option {option.partition('=')[0]}")
    return [
        *_fields(made),
        "all",
        made.one(["trust", "reject", "md5", "password"]),
        option,
    ]


def _regex(made: HbaMaker) -> Line:
    pattern = made.name("/" + made.one(BAD_PATTERNS))
    fields = _fields(made)
    fields[made.random.choice([1, 2])] = pattern
    return [*fields, "all", "trust"]


def _require(made: HbaMaker) -> Line:
    method, options = made.random.choice(
        [
            ("radius", ["radiusservers=127.0.0.1"]),
            ("radius", ["radiussecrets=s"]),
            ("radius", []),
            ("oauth", ["scope=x"]),
            ("oauth", ["issuer=x"]),
        ]
    )
    return [*_fields(made), "all", method, *options]


def _ldap(made: HbaMaker) -> Line:
    options = made.random.choice(
        [
            ["ldapprefix=x", "ldapbasedn=y"],
            ["ldapsuffix=x", "ldapurl=ldap://h.example/dc=x"],
            [],
            ["ldapserver=x"],
            ["ldapbasedn=x", "ldapsearchattribute=a", "ldapsearchfilter=b"],
            ["ldapurl=http://h.example/"],
            ["ldapurl=nothing"],
            ["ldapurl=ldap://h.example/dc=x?a?deep"],
            ["ldapprefix=x", "ldapport=0"],
            ["ldapprefix=x", "ldapport=x"],
            ["ldapprefix=x", "ldapscheme=http"],
        ]
    )
    return [*_fields(made), "all", "ldap", *options]


def _radius(made: HbaMaker) -> Line:
    options = made.random.choice(
        [
            ["radiusservers=127.0.0.1", '"radiussecrets=a,b"'],
            ['"radiusservers=127.0.0.1,127.0.0.2,::1"', '"radiussecrets=a,b"'],
            ["radiusservers=127.0.0.1", "radiussecrets=a", '"radiusports=1,2"'],
            ["radiusservers=127.0.0.1", "radiussecrets=a", '"radiusidentifiers=a,b"'],
            ["radiusservers=127.0.0.1", "radiussecrets=a", "radiusports=x"],
            ["radiusservers=127.0.0.1", "radiussecrets=a", '"radiusports=1,0"'],
            ["radiusservers=", "radiussecrets=a"],
            ["radiusservers=127.0.0.1", '"radiussecrets=""a"'],
            ['"radiusservers=127.0.0.1,"', "radiussecrets=a"],
        ]
    )
    return [*_fields(made), "all", "radius", *options]


def _oauth(made: HbaMaker) -> Line:
    both = ["issuer=x", "scope=y", "map=m", "delegate_ident_mapping=1"]
    return [*_fields(made), "all", "oauth", *both]


FAULTS: Final[Mapping[str, Callable[[HbaMaker], Line]]] = {
    "HBA-14": lambda made: [*_fields(made)[:2], made.at_file(), "all", "trust"],
    "HBA-15": _missing_at,
    "HBA-16": lambda made: [made.one(["include", "include_dir"]), *["x"] * 2],
    "HBA-17": lambda _made: ["include", "none"],
    "HBA-18": lambda made: ["include_dir", made.one(["none", '""', '" "'])],
    "HBA-19": lambda made: made.random.choice(
        [["include", "pg_hba.conf"], ["local", "all", "@pg_hba.conf", "trust"]]
    ),
    "HBA-22": lambda made: ["host,local", *_fields(made)[1:], "all", "trust"],
    "HBA-23": lambda made: [
        made.one(["HOST", "hosts", '""', "\ufeffhost", "é", "all", "\fhost"]),
        *_fields(made)[1:],
        *("all", "trust"),
    ],
    "HBA-24": _cut,
    "HBA-25": _many,
    "HBA-27": _address(
        "1.2.3.256/32", "localhost/32", "/8", "a/", '"/"', "1.2.3.4.5/8"
    ),
    "HBA-28": _address(
        *("10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "::1/129", "10.0.0.0/8x"),
        *("10.0.0.0/-1", '"10.0.0.0/8 "', "10.0.0.0/1/2", "::/0x8"),
        "10.0.0.0/18446744073709551616",
    ),
    "HBA-29": _address("127.0.0.1", "::1", '127.0.0.1 ""', "10.0.0.0 localhost"),
    "HBA-30": _address("::1 255.0.0.0", "127.0.0.1 ffff::", "::1 0"),
    "HBA-31": lambda made: _method(
        made.one(["krb5", "crypt", "Trust", '""', "TRUST", "tru", "no"])
    )(made),
    "HBA-32": _not_on_a_local_socket,
    "HBA-33": _method("peer"),
    "HBA-34": _cert,
    "HBA-35": lambda made: _method(
        "trust", made.one(["x", '""', "map", "a b", "#,x y"])
    )(made),
    "HBA-36": lambda made: _method(
        made.one(["trust", "md5", "radius"]), made.one(["x=y", "=", "Map=x", "mapp=x"])
    )(made),
    "HBA-37": _only_for,
    "HBA-38": _require,
    "HBA-39": _no_hostssl("clientcert=verify-ca"),
    "HBA-40": _no_hostssl("clientname=DN"),
    "HBA-41": _hostssl("cert", "clientcert=verify-ca"),
    "HBA-42": lambda made: _hostssl(
        made.one(["trust", "cert", "md5"]),
        "clientcert=" + made.one(["0", "1", "no-verify", "", "Verify-CA"]),
    )(made),
    "HBA-43": lambda made: _hostssl(
        "cert", "clientname=" + made.one(["cn", "dn", "", "O"])
    )(made),
    "HBA-44": _regex,
    "HBA-49": _ldap,
    "HBA-50": _radius,
    "HBA-51": _oauth,
}
"""By statement: a line that a server refuses because of it."""
