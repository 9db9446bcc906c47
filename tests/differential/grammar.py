"""
The grammar of pg_hba.conf, as a generator of lines and files.

Each production is a method; its name, or the statement that it is about, is counted.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.differential.writer import Writer

NAMES: Final = (
    *("ana", "tom", "db1", "postgres", "a b", "x,y", "a#b", 'a"b', "é", "ALL", "a\\b"),
    *("'q'", "trust", "host", "a=b", "\udce9", "x@y", "a\vb", "repl", "n" * 70, "-"),
)

KEYWORDS: Final = ("all", "sameuser", "samerole", "samegroup", "replication")

PATTERNS: Final = (
    *(
        "^a",
        "a$",
        "^(ana|tom)$",
        "^db[0-9]+$",
        "",
        ".",
        r"^\w+$",
        "[[:alpha:]]",
        "a{1,3}",
    ),
    *(r"\mdb", r"^a\.b", "(?i)^ANA", "***=a.b", "^a,b$", "a b", "[^x]y?", "é", "x+?y"),
    *("a|b|", r"\d\d", "()", "(?:a)(b)", r"\Atom\Z", "[]a]", "[a-", "{", "^*"),
)
"""The last three PostgreSQL judges, whatever it makes of them."""

BAD_PATTERNS: Final = (
    "(",
    "[a",
    "a**",
    "a{2,1}",
    r"\x",
    "[z-a]",
    "*a",
    ")",
    "(?z)",
    "[[:x:]]",
)

UNSUPPORTED_PATTERNS: Final = (r"^(a)\1$", "^(?!a)", "^(?=a)", "(?<=a)b")
"""PostgreSQL takes them; an engine in linear time cannot (HBA-78)."""

METHODS: Final = (
    *("trust", "reject", "md5", "password", "scram-sha-256", "ident", "peer", "gss"),
    *("sspi", "pam", "bsd", "ldap", "cert", "radius", "oauth"),
)

PLAIN_METHODS: Final = (
    *("trust", "reject", "md5", "password", "scram-sha-256", "radius", "cert", "peer"),
)
"""Those that every server of the comparison has."""

TYPES: Final = ("host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc", "local")

OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "pam": ("pamservice=x", "pam_use_hostname=1", "pam_use_hostname=0"),
    "ldap": (
        *("ldapserver=a.example b.example", "ldapport=389", "ldapport=1x", "ldaptls=1"),
        *("ldaptls=0", "ldapscheme=ldaps", "ldapscheme=ldap"),
    ),
    "gss": ("map=m", "krb_realm=X", "include_realm=1", "include_realm=0"),
    "sspi": (
        "map=m",
        "krb_realm=X",
        "include_realm=0",
        "compat_realm=1",
        "upn_username=1",
    ),
    "ident": ("map=m", "map=my map"),
    "peer": ("map=m", "map="),
    "cert": ("map=m", "map=", "map=a=b", "clientcert=verify-full", "map=my map"),
    "radius": ("radiusidentifiers=x", "radiusports=1812", "radiusports=1x"),
    "oauth": ("map=m", "validator=v"),
    "trust": (),
    "reject": (),
    "md5": (),
    "password": (),
    "scram-sha-256": (),
    "bsd": (),
}
"""Options of each method that can be there or not."""

REQUIRED: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "ldap": (
        ("ldapprefix=uid=",),
        ("ldapsuffix=,dc=x",),
        ("ldapprefix=a", "ldapsuffix=b"),
        ("ldapbasedn=dc=x",),
        ("ldapbasedn=dc=x", "ldapsearchattribute=uid"),
        ("ldapbasedn=dc=x", "ldapsearchfilter=(uid=$username)"),
        ("ldapbasedn=dc=x", "ldapbinddn=cn=a", "ldapbindpasswd=secret"),
        ("ldapurl=ldap://h.example/dc=x?uid?sub",),
        ("ldapurl=ldaps://h.example:636/dc=x??one?(uid=a)",),
        ("ldapurl=ldap://h.example/dc=x%20y?uid",),
    ),
    "radius": (
        ("radiusservers=127.0.0.1", "radiussecrets=s"),
        ("radiusservers=127.0.0.1,127.0.0.2", "radiussecrets=s"),
        ("radiusservers=127.0.0.1, ::1", "radiussecrets=a,b", "radiusports=1,2"),
        ("radiusservers=127.0.0.1", 'radiussecrets="a,b"', "radiusidentifiers=x"),
    ),
    "oauth": (("issuer=https://x.example", "scope=openid"),),
}

HOSTSSL_OPTIONS: Final = (
    *(
        "clientcert=verify-ca",
        "clientcert=verify-full",
        "clientname=CN",
        "clientname=DN",
    ),
)

Line = Sequence[str]
"""The fields of a line, as they are written."""


class HbaMaker(Writer):
    """
    Makes lines of pg_hba.conf.

    A file with what some server cannot do is a file that it does not load. So there
    are files of which each line may be such, and others.
    """

    def __init__(self, source: random.Random) -> None:
        super().__init__(source)
        self.exotic = self.chance(0.3)

    # --- Names ---------------------------------------------------------------------

    def database_keyword(self) -> str:
        """Write a keyword for databases (HBA-74)."""
        word = self.one(KEYWORDS)
        self.mark(f"database {word}")
        return self.keyword(word)

    def user_keyword(self) -> str:
        """Write the keyword for users (HBA-75)."""
        return self.keyword("all")

    def plain_name(self) -> str:
        """Write a name."""
        return self.name(self.one(NAMES))

    def quoted_keyword(self) -> str:
        """Write a name that only quotes make one (HBA-05, HBA-74)."""
        return self.quoted(self.one([*KEYWORDS, "+role", "@file"]))

    def role(self) -> str:
        """Write the members of a role (HBA-75); no more than a name of a database."""
        role = self.one(["staff", "role a", "", "é", "+x"])
        return f'+"{role}"' if " " in role else f"+{role}"

    def regex(self) -> str:
        """Write a regular expression (HBA-77)."""
        pattern = self.one(PATTERNS)
        if self.exotic and self.chance(0.05):
            self.mark("HBA-78 unsupported")
            pattern = self.one(UNSUPPORTED_PATTERNS)
        return self.name(f"/{pattern}")

    def at(self) -> str:
        """Write names that stand in a file (HBA-13)."""
        kinds = [self.plain_name, self.quoted_keyword, self.regex, self.user_keyword]
        return self.at_file(
            *(self.production(kinds) for _ in range(self.random.randint(1, 3)))
        )

    def empty_at(self) -> str:
        """Write names, of which some stand in a file that has none (HBA-14)."""
        return f"{self.plain_name()},{self.at_file()}"

    def names(self, keyword: Callable[[], str]) -> str:
        """Write a field of names."""
        if self.chance(0.45):
            self.mark(keyword.__name__)
            return self.field(keyword())
        kinds = [
            *(keyword, keyword, self.plain_name, self.plain_name, self.plain_name),
            *(self.quoted_keyword, self.role, self.regex, self.regex, self.at),
            *((self.empty_at,) if self.chance(0.2) else ()),
        ]
        number = self.random.choice([1, 1, 1, 2, 2, 3])
        return self.field(*(self.production(kinds) for _ in range(number)))

    # --- Addresses -----------------------------------------------------------------

    def cidr4(self) -> str:
        """An IPv4 network (HBA-65)."""
        return f"{self.address4()}/{self.random.randint(0, 32)}"

    def cidr6(self) -> str:
        """An IPv6 network."""
        return f"{self.address6()}/{self.random.randint(0, 128)}"

    def cidr_odd(self) -> str:
        """A prefix length as only strtol reads it (HBA-65)."""
        return self.one(
            [
                *("10.0.0.0/+8", '"10.0.0.0/ 8"', "10.0.0.0/08", "10.0.0.0/-0"),
                *("::1/+128", "::/00", '"::1/\t1"', "10.0.0.0/000000000000000000008"),
            ]
        )

    def mask4(self) -> str:
        """An IPv4 mask in a column of its own (HBA-66)."""
        masks = ["255.0.0.0", "255.255.255.255", "0.0.0.0", "255.255.254.0"]
        return f"{self.address4()} {self.one(masks)}"

    def mask4_odd(self) -> str:
        """A mask with gaps, or one that only the C library reads."""
        masks = ["255.0.255.0", "0.0.0.255", "1.2.3.4", "0xff000000", "255"]
        return f"{self.address4()} {self.one(masks)}"

    def mask6(self) -> str:
        """An IPv6 mask."""
        masks = ["ffff:ffff::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"]
        return f"{self.address6()} {self.one(masks)}"

    def address_keyword(self) -> str:
        """A keyword for addresses (HBA-62)."""
        word = self.one(["all", "all", "samehost", "samenet"])
        self.mark(f"address {word}")
        return self.keyword(word)

    def quoted_address(self) -> str:
        """A keyword that quotes make a host name (HBA-62)."""
        return self.quoted(self.one(["all", "samehost", "samenet", "", "ALL"]))

    def host_name(self) -> str:
        """A host name (HBA-63, HBA-68)."""
        return self.name(
            self.one(
                ["localhost", "db.example.com", "1.2.3.256", "1.2.3.4.5", "ALL", "é"]
            )
        )

    def suffix(self) -> str:
        """The end of host names (HBA-68)."""
        return self.name(self.one([".example.com", ".", ".x"]))

    def libc_number(self) -> str:
        """What only the C library takes for an address (HBA-64)."""
        numbers = [
            "127.1",
            "0x7f000001",
            "010.0.0.1",
            "2130706433",
            "127.0.1",
            "0177.1",
        ]
        return f"{self.one(numbers)}/{self.random.randint(0, 32)}"

    def scoped(self) -> str:
        """An address with a scope (HBA-64)."""
        return f"fe80::{self.random.randint(1, 9)}%lo/{self.random.randint(0, 128)}"

    def mapped(self) -> str:
        """An IPv4 address in an IPv6 one (HBA-67)."""
        return f"{self.one(['::ffff:', '::'])}{self.address4()}/128"

    def address4(self) -> str:
        """An IPv4 address."""
        return ".".join(str(self.random.choice([0, 1, 10, 127, 255])) for _ in range(4))

    def address6(self) -> str:
        """An IPv6 address, long or short, in either case."""
        return self.one(
            ["::1", "::", "2001:db8::", "2001:DB8:0:0::1", "fe80::1", "1:2:3:4:5:6:7:8"]
        )

    def address(self) -> str:
        """Write an address, with its mask."""
        return self.production(
            [
                *(self.cidr4, self.cidr4, self.cidr6, self.cidr_odd, self.mask4),
                *(
                    self.mask4_odd,
                    self.mask6,
                    self.address_keyword,
                    self.address_keyword,
                ),
                *(
                    self.address_keyword,
                    self.quoted_address,
                    self.host_name,
                    self.suffix,
                ),
                *(self.libc_number, self.scoped, self.mapped),
            ]
        )

    # --- Methods and options -------------------------------------------------------

    def options(self, conntype: str, method: str) -> list[str]:
        """Return options that *method* may have, and must have."""
        required = self.random.choice(REQUIRED.get(method, ((),)))
        found = [*required, *self.some(OPTIONS[method])]
        if conntype == "hostssl":
            found += self.some(
                [o for o in HOSTSSL_OPTIONS if method != "cert" or "verify-ca" not in o]
            )
        if "delegate_ident_mapping=1" not in found and method == "oauth":
            found = [o for o in found if "map=" not in o] + self.some(
                ["delegate_ident_mapping=1"]
            )
        if self.chance(0.05) and found:
            self.mark("HBA-55 option twice")
            found.append(found[0])
        self.random.shuffle(found)
        return found

    def some(self, options: Sequence[str]) -> list[str]:
        """Return a few of *options*, mostly none."""
        return [option for option in options if self.chance(0.2)]

    def written(self, options: Sequence[str]) -> list[str]:
        """Write options as fields: quoted in part or whole, and some joined (HBA-55)."""
        fields: list[str] = []
        for option in options:
            name, _equals, value = option.partition("=")
            self.mark(f"option {name}")
            text = option
            if set(option) & set(' ,#"'):
                quoted = value.replace('"', '""')
                text = f'"{name}={quoted}"'
                if self.chance(0.5):
                    text = f'{name}="{quoted}"'
            if fields and self.chance(0.1):
                self.mark("HBA-55 options in a list")
                fields[-1] += f",{text}"
            else:
                fields.append(text)
        return fields

    # --- Lines ---------------------------------------------------------------------

    def start(self, conntype: str) -> list[str]:
        """Write a line up to its method."""
        self.mark(f"type {conntype}")
        fields = [
            self.fixed(conntype),
            self.names(self.database_keyword),
            self.names(self.user_keyword),
        ]
        if conntype != "local":
            fields.append(self.address())
        return fields

    def rule(self) -> Line:
        """Write a line that is good, somewhere."""
        method = self.one(METHODS if self.exotic else PLAIN_METHODS)
        conntype = self.one(TYPES)
        if method == "cert":
            conntype = "hostssl"
        if method == "gss" and conntype == "local":
            conntype = "host"
        if method == "peer":
            conntype = "local"
        return self.rule_of(conntype, method)

    def rule_of(self, conntype: str, method: str) -> Line:
        """Write a line with this method."""
        self.mark(f"method {method}")
        return [
            *self.start(conntype),
            self.fixed(method),
            *self.written(self.options(conntype, method)),
        ]
