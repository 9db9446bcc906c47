"""
Where servers differ from pgproxy in how they read a file, each said once.

pgproxy is PostgreSQL 18 with every method that there is. What is not in this list must
be the same, row by row. A difference explains one row exactly, or it does not explain it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pgproxy.auth.hba_line import Rule
from pgproxy.auth.lexer import Field
from tests.differential.cases import HBA
from tests.differential.files import Row
from tests.support.oracles import NATIVE, PG15, PG17, PG18

TOO_DEEP: Final = "maximum nesting depth exceeded"

NOTHING: Final = Row(("nothing", 0), None, None)
"""One has a row of this line, and the other has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """
    One line, and what two have made of it.

    Args:
        kind: Which server.
        name: The file that the case is about.
        ours: What pgproxy would show.
        theirs: What the view shows.
        fields: How the line was cut; empty where it could not be read.
        refused: Why pgproxy does not take it although it is good.

    """

    kind: str
    name: str
    ours: Row
    theirs: Row
    fields: Sequence[Field] = ()
    refused: str | None = None

    @property
    def error(self) -> str:
        """What is wrong with it, as we say it."""
        return self.ours.error or ""

    @property
    def method(self) -> str | None:
        """The word where the method is, unless something before it is wrong."""
        if (
            self.name != HBA
            or not self.fields
            or (self.ours.said is None and EARLIER.match(self.error))
        ):
            return None
        if isinstance(self.ours.said, Rule):
            return self.ours.said.auth_method
        if self.fields[0][0].text == "local":
            return self.fields[3][0].text
        # A mask has a field of its own, so the method is the fifth or the sixth.
        rest = [field[0].text for field in self.fields[4:6]]
        return next((word for word in rest if word in BUILT), rest[0] if rest else None)


EARLIER: Final = re.compile(
    "end-of-line before|multiple values specified|invalid connection type|invalid IP|"
    "specifying both host name|invalid CIDR mask|IP address and mask do not match|"
    "invalid regular expression|could not open|could not read|empty configuration|"
    'invalid authentication method "[^"]*"$'
)
"""What is found wrong before the method is looked at, or at it."""

BUILT: Final = {
    "gss": (PG15, PG17),
    "sspi": (),
    "pam": (PG15,),
    "bsd": (),
    "ldap": (PG15,),
    "oauth": (PG18,),
    "ident": NATIVE,
    "cert": NATIVE,
    "peer": NATIVE,
    "radius": NATIVE,
    "trust": NATIVE,
    "reject": NATIVE,
    "md5": NATIVE,
    "password": NATIVE,
    "scram-sha-256": NATIVE,
}
"""Which servers are built with which method (HBA-54)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One way in which a server does not read as pgproxy does.

    Args:
        statement: What it is about.
        servers: Which ones differ.
        why: For what reason.
        explains: Whether it is what makes this pair differ.
        example: A line that shows it; none where it takes more than a line.
        in_the_log: Whether the log has what the view has not.

    """

    statement: str
    servers: Sequence[str]
    why: str
    explains: Callable[[Pair], bool]
    example: str = ""
    in_the_log: bool = False


def _reworded(ours: str, theirs: str) -> Callable[[Pair], bool]:
    def explains(pair: Pair) -> bool:
        said = pair.theirs.said is None and pair.ours.said is None
        return said and pair.error.replace(ours, theirs) == pair.theirs.error

    return explains


def _silent(*starts: str) -> Callable[[Pair], bool]:
    """Nothing is said, or what was said before (HBA-46)."""

    def explains(pair: Pair) -> bool:
        error = pair.theirs.error or "hostssl"
        return (
            pair.error.startswith(starts)
            and pair.theirs.said is None
            and error.startswith(("hostssl", "hostgssenc"))
        )

    return explains


def _is_directory(pair: Pair) -> bool:
    ours = re.sub('(empty configuration directory name): ".*"$', r"\1", pair.error)
    ours = re.sub(
        'could not open configuration (directory ".*"): .*', r"could not open \1", ours
    )
    return ours != pair.error and ours == pair.theirs.error


def _is_literal_regex(pair: Pair) -> bool:
    wrong = "invalid regular expression" in pair.error or bool(
        pair.refused and "regular expression" in pair.refused
    )
    return wrong and any(t.text.startswith("/") for f in pair.fields for t in f)


def _is_not_built(pair: Pair) -> bool:
    word = pair.method
    return (
        pair.kind not in BUILT.get(word or "", NATIVE)
        and pair.theirs.said is None
        and pair.theirs.error
        == f'invalid authentication method "{word}": not supported by this build'
    )


def _is_not_known(pair: Pair) -> bool:
    return (
        pair.method == "oauth"
        and pair.theirs.said is None
        and pair.theirs.error == 'invalid authentication method "oauth"'
    )


def _is_no_option(pair: Pair) -> bool:
    found = re.fullmatch(
        'authentication option "(.*)" is only valid for authentication methods oauth',
        pair.error,
    )
    return bool(found) and (
        pair.theirs.error == f'unrecognized authentication option name: "{found[1]}"'
        if found
        else False
    )


def _is_refused_method(pair: Pair) -> bool:
    if "not supported by this build" not in (pair.refused or ""):
        return False
    if pair.theirs.said is None:
        return False
    return isinstance(pair.theirs.said, Rule) and pair.theirs.said.auth_method in {
        *("gss", "ident", "sspi", "oauth")
    }


def _is_validator(pair: Pair) -> bool:
    return "not supported by this build" in (pair.refused or "") and (
        pair.theirs.error or ""
    ).startswith('validator "')


def _is_unresolved(pair: Pair) -> bool:
    said = pair.ours.said
    return (
        isinstance(said, Rule)
        and said.auth_method == "radius"
        and pair.theirs.said is None
        and pair.theirs.error is None
    )


def _is_refused_regex(pair: Pair) -> bool:
    return "regular expression" in (pair.refused or "") and pair.theirs.said is not None


def _has_gss(pair: Pair) -> bool:
    return (
        pair.error.startswith("hostgssenc record cannot match")
        and pair.theirs.error is None
        and pair.ours.said == pair.theirs.said
        and pair.theirs.said is not None
    )


def _secondary(pair: Pair) -> bool:
    found = re.fullmatch('could not open file "(.*)": (.*)', pair.error, re.DOTALL)
    theirs = re.fullmatch(
        'could not open secondary authentication file "@.*" as "(.*)": (.*)',
        pair.theirs.error or "",
        re.DOTALL,
    )
    return bool(found and theirs and found.groups() == theirs.groups())


DIFFERENCES: Final = (
    Difference(
        statement="HBA-41",
        servers=NATIVE,
        why="the view has another wording than the log, which is ours",
        explains=_reworded("clientcert only accepts", "clientcert can only be set to"),
        example="hostssl all all all cert clientcert=verify-ca",
        in_the_log=True,
    ),
    Difference(
        statement="HBA-42",
        servers=NATIVE,
        why="the view does not say what is wrong; the log does",
        explains=_silent("invalid value for clientcert: "),
        example="hostssl all all all trust clientcert=1",
        in_the_log=True,
    ),
    Difference(
        statement="HBA-43",
        servers=NATIVE,
        why="the view does not say what is wrong; the log does",
        explains=_silent("invalid value for clientname: "),
        example="hostssl all all all trust clientname=cn",
        in_the_log=True,
    ),
    Difference(
        statement="HBA-50",
        servers=NATIVE,
        why="the view does not say what is wrong with a list; the log does",
        explains=_silent("invalid RADIUS port number: ", "could not parse RADIUS "),
        example="host all all all radius radiusservers=127.0.0.1 radiussecrets=s radiusports=x",
        in_the_log=True,
    ),
    Difference(
        statement="HBA-50 server",
        servers=NATIVE,
        why="PostgreSQL looks its RADIUS servers up when it reads the file; pgproxy "
        "never speaks to them",
        explains=_is_unresolved,
        example="host all all all radius radiusservers=no..such radiussecrets=s",
    ),
    Difference(
        statement="HBA-18",
        servers=(PG17, PG18),
        why="the view has other words than the log",
        explains=_is_directory,
        example="include_dir none",
        in_the_log=True,
    ),
    Difference(
        statement="HBA-37",
        servers=(PG15, PG17),
        why="oauth began with 18",
        explains=_reworded("sspi, cert, and oauth", "sspi, and cert"),
        example="host all all all trust map=x",
    ),
    Difference(
        statement="HBA-49",
        servers=(PG15,),
        why="up to 17 the options are named",
        explains=_reworded(
            "cannot mix options for simple bind and search+bind modes",
            "cannot use ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, "
            "ldapsearchfilter, or ldapurl together with ldapprefix",
        ),
        example="host all all all ldap ldapprefix=x ldapbasedn=y",
    ),
    Difference(
        statement="HBA-49 ldapscheme",
        servers=(PG15,),
        why="the view shows the line, and not what the log says of it",
        explains=lambda pair: (
            pair.error.startswith("invalid ldapscheme value: ")
            and pair.ours.said == pair.theirs.said
            and pair.theirs.said is not None
            and pair.theirs.error is None
        ),
        example="host all all all ldap ldapprefix=x ldapscheme=http",
    ),
    Difference(
        statement="HBA-31",
        servers=NATIVE,
        why="no server is built with all methods, and it says so before it looks "
        "further",
        explains=_is_not_built,
        example="host all all all bsd",
    ),
    Difference(
        statement="HBA-54",
        servers=(PG15, PG17),
        why="oauth began with 18: an unknown word",
        explains=_is_not_known,
        example="host all all all oauth issuer=x scope=y",
    ),
    Difference(
        statement="HBA-36",
        servers=(PG15, PG17),
        why="the options of oauth began with 18",
        explains=_is_no_option,
        example="host all all all trust issuer=x",
    ),
    Difference(
        statement="PRX-03",
        servers=NATIVE,
        why="what only the server can do that the client talks to is refused",
        explains=_is_refused_method,
        example="host all all all ident",
    ),
    Difference(
        statement="HBA-51",
        servers=(PG18,),
        why="whether a validator is permitted is a setting of the server's",
        explains=_is_validator,
        example="host all all all oauth issuer=x scope=y validator=w",
    ),
    Difference(
        statement="HBA-78",
        servers=NATIVE,
        why="what an engine in linear time cannot match is refused",
        explains=_is_refused_regex,
        example="host all /(a)\\1 all trust",
    ),
    Difference(
        statement="HBA-19",
        servers=(PG17, PG18),
        why="what may be missing is skipped even beyond the limit, if the last system "
        "call that failed, whichever, failed for that reason",
        explains=lambda pair: (
            pair.error.endswith(TOO_DEEP)
            and (pair.theirs == NOTHING or (pair.theirs.error or "").endswith(TOO_DEEP))
        ),
    ),
    Difference(
        statement="HBA-77",
        servers=(PG15,),
        why="up to 15 a name may begin with a slash",
        explains=_is_literal_regex,
        example="host all /( all trust",
    ),
    Difference(
        statement="HBA-46",
        servers=(PG15, PG17),
        why="built with GSSAPI",
        explains=_has_gss,
        example="hostgssenc all all all trust",
    ),
    Difference(
        statement="HBA-15",
        servers=(PG15,),
        why="up to 15 the file is called secondary",
        explains=_secondary,
        example="host all @none all trust",
    ),
)


def difference(pair: Pair) -> Difference | None:
    """Return what makes *pair* differ, and may."""
    for one in DIFFERENCES:
        if pair.kind in one.servers and one.explains(pair):
            return one
    return None
