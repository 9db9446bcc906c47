"""
Whole files: of good lines, with faults among them, with includes, and spoilt.

A case is made of a seed and its number alone, so that any of them can be made again
by itself.
"""

import random
from typing import Final

from tests.differential.faults import FAULTS
from tests.differential.grammar import BAD_PATTERNS, NAMES, PATTERNS, HbaMaker
from tests.differential.writer import ENCODING, Case, Writer

HBA: Final = "pg_hba.conf"
IDENT: Final = "pg_ident.conf"

IDENT_EVERY: Final = 5
"""Every so many files, one is a pg_ident.conf."""

SHARE_GOOD: Final = 0.65
"""How many files have only lines that are good, somewhere."""

SHARE_SPOILT: Final = 0.5
"""How many of the others are good ones, spoilt; the rest has a line with a fault."""

SPECIAL: Final = (
    *'",#\\@ \t\r\f/+=\n\0.:é\udcff',
    *(" all ", "trust", " host ", '""', "\\\n", "clientcert=verify-ca", "/", "include"),
)
"""What a spoilt file has in an odd place."""

DEEP: Final = 10
"""How deep files can include files."""


def case(seed: int, number: int) -> Case:
    """Return the case *number* of the series *seed*."""
    source = random.Random(f"{seed}/{number}")
    if number % IDENT_EVERY == 0:
        return IdentFiles(source).case(number)
    return HbaFiles(source).case(number)


def spoilt(made: Writer, content: bytes) -> bytes:
    """Return *content* with a few small changes, each in one place."""
    text = content.decode(*ENCODING)
    for _ in range(made.random.choice([1, 1, 2, 3])):
        lines = text.split("\n")
        at = made.random.randrange(len(lines))
        words = lines[at].split(" ")
        word = made.random.randrange(len(words))
        kind = made.one(["drop", "insert", "lose", "double", "swap", "case", "join"])
        made.mark(f"spoilt: {kind}")
        place = made.random.randint(0, len(lines[at]))
        match kind:
            case "drop":
                lines[at] = lines[at][:place] + lines[at][place + 1 :]
            case "insert":
                lines[at] = lines[at][:place] + made.one(SPECIAL) + lines[at][place:]
            case "lose":
                lines[at] = " ".join(words[:word] + words[word + 1 :])
            case "double":
                lines[at] = " ".join(words[: word + 1] + words[word:])
            case "swap":
                other = made.random.randrange(len(words))
                words[word], words[other] = words[other], words[word]
                lines[at] = " ".join(words)
            case "case":
                lines[at] = " ".join(
                    [*words[:word], words[word].swapcase(), *words[word + 1 :]]
                )
            case _:
                lines[at : at + 2] = ["".join(lines[at : at + 2])]
        text = "\n".join(lines)
    return text.encode(*ENCODING)


class HbaFiles(HbaMaker):
    """Makes pg_hba.conf, and what it includes."""

    def case(self, number: int) -> Case:
        """Return one case."""
        lines = self.rules(self.random.choice([1, 1, 2, 3, 4, 5, 6]))
        kind = "good"
        if not self.chance(SHARE_GOOD):
            kind = "spoilt" if self.chance(SHARE_SPOILT) else "faulty"
        if kind == "faulty":
            for _ in range(self.random.choice([1, 1, 1, 2])):
                lines.insert(self.random.randint(0, len(lines)), self.fault())
            if self.chance(0.04):
                self.mark("fault HBA-45")
                lines = ["# nothing"]
        if self.chance(0.25):
            lines.insert(self.random.randint(0, len(lines)), self.include(1))
        content = self.text(lines)
        if kind == "spoilt" and b"radius" not in content:
            # A spoilt address of a RADIUS server would be looked up.
            content = spoilt(self, content)
        self.mark(kind)
        return Case(number, HBA, {**self.files, HBA: content}, self.marks)

    def rules(self, number: int) -> list[str]:
        """Return good lines."""
        return [self.line(*self.rule()) for _ in range(number)]

    def fault(self) -> str:
        """Return a line with a fault."""
        statement = self.random.choice(list(FAULTS))
        self.mark(f"fault {statement}")
        return self.line(*FAULTS[statement](self))

    def include(self, depth: int) -> str:
        """Return a line that includes files (HBA-16 to HBA-20)."""
        kind = self.one(
            ["include", "include_if_exists", "include_missing", "include_dir"]
        )
        self.mark(kind)
        match kind:
            case "include_missing":
                return self.line(self.fixed("include_if_exists"), "sub/none")
            case "include_dir":
                return self.include_dir()
            case _:
                pass
        lines = self.rules(self.random.randint(1, 2))
        if depth < 3 and self.chance(0.4):
            self.mark("HBA-19 nesting")
            lines.append(self.include(depth + 1))
        if self.chance(0.05):
            self.mark("HBA-19 deep")
            lines.append(self.chain())
        names = ["one", "sub/two", "three four"]
        name = self.file(self.text(lines), names)
        # Relative to the file with the directive: in sub, what is in sub again.
        where = f"{'../' * self.random.choice([0, 0, 0])}{name}"
        return self.line(self.fixed(kind), self.name(where))

    def chain(self) -> str:
        """Return the inclusion of files that include each other, as deep as it goes."""
        last = self.random.choice([DEEP - 4, DEEP - 4, DEEP + 1])
        for depth in range(last):
            self.files[f"chain{depth}"] = f"include chain{depth + 1}\n".encode()
        self.files[f"chain{last}"] = self.text(self.rules(1))
        return "include chain0"

    def include_dir(self) -> str:
        """Return the inclusion of a folder (HBA-18)."""
        folder = self.one(["conf.d", "conf d"])
        if not any(name.startswith(folder) for name in self.files):
            for name in ("02_b.conf", "10.conf", "A.conf", "a.conf", "b.conf"):
                if self.chance(0.5):
                    self.files[f"{folder}/{name}"] = self.text(self.rules(1))
            for name in (".hidden.conf", ".conf", "x.conf~", "y.txt"):
                if self.chance(0.3):
                    self.mark("HBA-18 not included")
                    self.files[f"{folder}/{name}"] = b"not a line\n"
            # There has to be something, or there is no folder.
            self.files[f"{folder}/z"] = b""
        return self.line(self.fixed("include_dir"), self.name(folder))


class IdentFiles(Writer):
    """Makes pg_ident.conf."""

    def case(self, number: int) -> Case:
        """Return one case."""
        lines = [self.mapping() for _ in range(self.random.choice([1, 1, 2, 3, 5]))]
        kind = "good"
        if not self.chance(SHARE_GOOD):
            kind = "spoilt" if self.chance(SHARE_SPOILT) else "faulty"
        if kind == "faulty":
            lines.insert(self.random.randint(0, len(lines)), self.fault())
        if self.chance(0.15):
            self.mark("ident include")
            name = self.file(self.text([self.mapping()]), ["more"])
            lines.append(self.line(self.fixed("include"), self.name(name)))
        if self.chance(0.02):
            self.mark("ID-04 no entries")
            lines = ["# nothing"]
        content = self.text(lines)
        if kind == "spoilt":
            content = spoilt(self, content)
        self.mark(f"ident {kind}")
        return Case(number, IDENT, {**self.files, IDENT: content}, self.marks)

    def mapping(self) -> str:
        """Return a good line (ID-02)."""
        fields = [
            self.name(self.one(["m", "my map", "M", "", "n,o"])),
            self.system_user(),
            self.production(
                [
                    *(self.pg_user, self.pg_user, self.pg_all, self.pg_role),
                    *(self.pg_regex, self.pg_quoted, self.pg_backreference),
                ]
            ),
        ]
        if self.chance(0.1):
            self.mark("ID-02 more fields")
            fields.append(self.one(["x", "a,b", "( )", '""']))
        return self.line(*fields)

    def system_user(self) -> str:
        """Write whom the client says it is (ID-06)."""
        if self.chance(0.4):
            self.mark("ID-06 regex")
            return self.name("/" + self.one([*PATTERNS, "^(.*)@x$", "^CN=(.*),O=x$"]))
        if self.chance(0.1):
            self.mark("ID-17 DN")
            return self.name("CN=tom,OU=x y,O=z")
        if self.chance(0.05):
            return self.at_file(self.name(self.one(NAMES)))
        return self.name(self.one(NAMES))

    def pg_user(self) -> str:
        """A name."""
        return self.name(self.one(NAMES))

    def pg_all(self) -> str:
        """Any user (ID-07)."""
        return self.keyword("all")

    def pg_role(self) -> str:
        """Members of a role (ID-07)."""
        return self.one(["+staff", "+", '+"role a"'])

    def pg_regex(self) -> str:
        """A regular expression (ID-07)."""
        return self.name("/" + self.one(PATTERNS))

    def pg_quoted(self) -> str:
        """What quotes make a name (ID-07)."""
        return self.quoted(self.one(["all", "+staff", "@x"]))

    def pg_backreference(self) -> str:
        """What the regular expression captured (ID-08)."""
        return self.name(self.one([r"\1", r"x\1", r"\1\1", r"\2", r"+\1"]))

    def fault(self) -> str:
        """Return a line with a fault (ID-03)."""
        kind = self.one(
            ["ID-03 missing", "ID-03 multiple", "ID-03 regex", "ID-03 @file"]
        )
        self.mark(f"fault {kind}")
        fields = ["m", "s", "u"]
        at = self.random.randrange(3)
        match kind:
            case "ID-03 missing":
                fields = fields[: self.random.randint(1, 2)]
            case "ID-03 multiple":
                fields[at] = self.field("a", "b")
            case "ID-03 regex":
                fields[self.random.choice([1, 2])] = self.name(
                    "/" + self.one(BAD_PATTERNS)
                )
            case _:
                fields[at] = self.random.choice([self.at_file("a", "b"), "@none"])
        return self.line(*fields)
