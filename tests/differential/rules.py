"""
Rules and connections that have to do with each other: so that each verdict comes up.

The rules are those of `grammar`, with the names, addresses and certificates that the
connections have.
"""

import random
from dataclasses import dataclass
from typing import Final

from tests.differential.grammar import HbaMaker, Line
from tests.differential.writer import Writer

ROLES: Final = ("ana", "mo", "tom", "rex", "sam", "all", "+staff", "Tom", "a b", "root")
"""Those that there are; `live.SQL` makes them."""

USERS: Final = (
    *(*ROLES, "ana", "ana", "ana", "ana", "tom", "tom", "tom", "mo", "mo", "sam"),
    *("nobody", "n" * 70, "replication"),
)

DATABASES: Final = (
    *("postgres", "db1", "ana", "tom", "staff", "replication", "all", "nodb", "a b"),
    *("postgres", "db1", "ana"),
)
"""All but ``nodb`` are there."""

GROUPS: Final = ("staff", "crew", "db1", "ana", "noone", "root")

SOURCES: Final = (
    *(
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.2",
        "127.1.2.3",
        "127.0.5.1",
        "127.255.255.254",
    ),
    *("::1", "::1"),
)

CERTIFICATES: Final[dict[str, list[tuple[str, str]]]] = {
    "ana": [("CN", "ana")],
    "tom": [("O", "x"), ("OU", "dev"), ("CN", "tom")],
    "upper": [("CN", "ANA")],
    "mail": [("CN", "ana@example.com")],
    "nameless": [("O", "x")],
    "other ana": [("CN", "ana")],
    "stranger": [("CN", "ana")],
}
"""Of each client certificate, its subject; whose CA is in `live`."""

MAPS: Final = (
    "m ana ana",
    "m ana tom",
    'm "CN=ana" ana',
    'm "CN=tom,OU=dev,O=x" tom',
    r"m /^(.*)@example\.com$ \1",
    r'm "/^CN=([a-z]+),OU=dev" \1',
    "m /^(x)?a \\1",
    "m ANA all",
    'm ana "all"',
    "m /^a +staff",
    "m tom /^t",
    "k ana mo",
    "k /ana +crew",
    r"k /^ana x\1",
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    A connection that is tried.

    Args:
        source: Where it comes from.
        user: As whom.
        database: To what; None is left out.
        replication: The start-up parameter, if it is there.
        tls: Whether with TLS.
        certificate: Which certificate it shows.

    """

    source: str
    user: str
    database: str | None
    replication: str | None
    tls: bool
    certificate: str | None


class RuleMaker(HbaMaker):
    """Makes rules about the connections that there will be."""

    def __init__(self, source: random.Random, *, host_names: bool) -> None:
        super().__init__(source)
        self.exotic = False
        self.host_names = host_names

    def names_of(self, names: tuple[str, ...], keyword: str) -> str:
        """Write a field of names."""
        some = []
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            name = self.one(names)
            kind = self.one(["name", "name", "quoted", "regex", keyword, keyword])
            self.mark(f"verdict {kind}")
            match kind:
                case "name" if name not in {"all", "replication"} and name[0] != "+":
                    some.append(self.name(name))
                case "regex":
                    patterns = ["^a", "^(ana|tom)$", "o", "^db[0-9]$", r"^\w{3}$", ".b"]
                    some.append(self.name(f"/{self.one(patterns)}"))
                case "+":
                    some.append(f"+{self.one(GROUPS)}")
                case "keyword":
                    words = ["all", "sameuser", "samerole", "samegroup", "replication"]
                    some.append(self.keyword(self.one(words)))
                case _:
                    some.append(self.quoted(name))
        return self.field(*some)

    def databases(self) -> str:
        """Write the databases of a rule."""
        if self.chance(0.45):
            return self.keyword("all")
        return self.names_of(DATABASES, "keyword")

    def users(self) -> str:
        """Write the users of a rule."""
        if self.chance(0.45):
            return self.keyword("all")
        return self.names_of(USERS, "+")

    def where(self) -> str:
        """Write an address."""
        kinds = [
            *("all", "samehost", "samenet", "127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0"),
            *("::1/128", "::/0", "127.0.0.0 255.0.255.0", "127.0.0.1 255.255.255.254"),
            *(
                "127.1/32",
                "0x7f000000/16",
                "::ffff:127.0.0.1/128",
                "127.0.5.9/24",
                "all",
            ),
            *("10.0.0.0/8", "127.255.0.0/16", "::1/127", "fe80::1%lo/64", "all", "all"),
        ]
        if self.host_names and self.chance(0.5):
            kinds = ["localhost", "localhost", "LocalHost", ".host", "nosuch.example"]
            kinds.append(".localdomain")
        kind = self.one(kinds)
        self.mark(f"verdict {kind.partition('/')[0]}")
        return kind

    def rule(self) -> Line:
        """Write a rule."""
        conntype = self.one(
            ["host", "host", "hostssl", "hostssl", "hostnossl", "local"]
        )
        if self.chance(0.1):
            conntype = self.one(["hostgssenc", "hostnogssenc"])
        method = self.one(
            ["trust", "trust", "reject", "scram-sha-256", "md5", "password"]
        )
        options: list[str] = []
        if conntype == "hostssl" and self.chance(0.6):
            method = self.one([method, method, "cert", "cert"])
            if method == "cert":
                options += self.some(["map=m", "map=k", "map=none", "map="])[:1]
            else:
                kinds = ["", "clientcert=verify-ca", *["clientcert=verify-full"] * 2]
                options += filter(None, [self.one(kinds)])
                if options and method != "reject":
                    method = self.one([method, "trust"])
            options += self.some(["clientname=DN"])
        self.mark(f"verdict {method}")
        address = [self.where()] if conntype != "local" else []
        fields = [self.fixed(conntype), self.databases(), self.users(), *address]
        return [*fields, method, *self.written(options)]


def pick(source: random.Random, *, host_names: bool) -> Attempt:
    """Return a connection; to one with host names only an address that has one."""
    tls = source.random() < 0.6
    replication = source.random() < 0.15
    return Attempt(
        source="127.0.0.1" if host_names else source.choice(SOURCES),
        user=source.choice(USERS),
        database=source.choice((*DATABASES, *DATABASES, None)),
        replication=source.choice(("true", "on", "1", "database", "false", "x"))
        if replication
        else None,
        tls=tls,
        certificate=source.choice((*CERTIFICATES, None, None)) if tls else None,
    )


def maps(source: random.Random) -> bytes:
    """Return a pg_ident.conf."""
    lines = [one for one in MAPS if source.random() < 0.5]
    source.shuffle(lines)
    return "".join(f"{line}\n" for line in lines).encode()


def rules(source: random.Random, *, host_names: bool) -> tuple[bytes, Writer]:
    """Return a pg_hba.conf, and what of the grammar is in it."""
    maker = RuleMaker(source, host_names=host_names)
    number = source.choice([3, 4, 6, 8, 10, 12])
    lines = [maker.line(*maker.rule()) for _ in range(number)]
    if source.random() < 0.3:
        lines.append(maker.line("host", "all", "all", "all", "trust"))
    return maker.text(lines), maker
