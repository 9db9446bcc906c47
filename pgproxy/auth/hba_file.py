"""Reads pg_hba.conf: every line or none, and every complaint at once."""

from dataclasses import dataclass
from typing import Final

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    AddressSpec,
    HostName,
    InvalidAddress,
    IPAddress,
    ParseAddress,
    cidr_mask,
    without_scope,
)
from pgproxy.auth.auth_file import AuthLine, tokenize_auth_file
from pgproxy.auth.hba_line import ConnType, HbaLine
from pgproxy.auth.hba_methods import METHODS, REFUSED_METHODS
from pgproxy.auth.hba_options import OptionError, complete, with_option
from pgproxy.auth.lexer import Field, Token
from pgproxy.auth.name_token import NameRefused, roles_unknown, with_regex
from pgproxy.protocol.conffiles import ListDirectory, Read
from pgproxy.protocol.errors import Report, Severity, SqlState


@dataclass(frozen=True, slots=True, kw_only=True)
class HbaFile:
    """
    pg_hba.conf as read.

    Args:
        lines: Its lines, in order. Not to be used if there are *problems*: one bad
            line refuses the whole file, and rules in force stay (HBA-52, HBA-53).
        problems: What is wrong with it, all of it.
        notices: What the log should say, though the file is good (HBA-46).

    """

    lines: tuple[HbaLine, ...]
    problems: tuple[Report, ...]
    notices: tuple[Report, ...]


def load_hba(
    path: str,
    *,
    ssl: bool,
    parse_address: ParseAddress,
    read: Read,
    list_directory: ListDirectory,
    roles: bool = False,
) -> HbaFile:
    """
    Read the rules in *path* and in what it includes.

    Args:
        path: Absolute.
        ssl: Whether there will be TLS: without it ``hostssl`` lines are vain.
        parse_address: How to read a numeric address.
        read: How to read a file.
        list_directory: How to list a directory.
        roles: Whether there will be somebody to ask who is a member of which role
            (HBA-80): without, ``+role``, ``samerole`` and ``samegroup`` are refused.

    Source: ``load_hba`` in hba.c.

    """
    file = tokenize_auth_file(path, read=read, list_directory=list_directory)
    lines: list[HbaLine] = []
    problems, notices = list(file.problems), list(file.notices)
    for auth_line in file.lines:
        parser = _Parser(auth_line, parse_address, ssl=ssl, roles=roles)
        try:
            lines.append(parser.parse())
        except _BadLineError:
            problems += parser.problems
        notices += parser.notices
    if not problems and not lines:
        problems.append(
            Report(
                severity=Severity.LOG,
                sqlstate=SqlState.CONFIG_FILE_ERROR,
                message=f'configuration file "{path}" contains no entries',
                event="hba.empty",
            )
        )
    return HbaFile(lines=tuple(lines), problems=tuple(problems), notices=tuple(notices))


_ADDRESS_KEYWORDS: Final = frozenset(keyword.value for keyword in AddressKeyword)


class _BadLineError(Exception):
    """The line cannot be used; why, is in the parser's problems."""


class _Parser:
    """
    Reads one line, field by field, as ``parse_hba_line`` in hba.c.

    What PostgreSQL refuses is refused first, at the field where PostgreSQL does, in
    its words. What only this program cannot do is told when the rest of the line is
    known to be good, all of it at once.
    """

    def __init__(
        self, line: AuthLine, parse_address: ParseAddress, *, ssl: bool, roles: bool
    ) -> None:
        self.line = line
        self.parse_address = parse_address
        self.ssl = ssl
        self.roles = roles
        self.problems: list[Report] = []
        self.notices: list[Report] = []
        self._fields = iter(line.fields)

    def parse(self) -> HbaLine:
        """
        Return the line.

        Raises:
            _BadLineError: It is none.

        """
        conntype = self.conntype()
        databases = self.names("database specification")
        users = self.names("role specification")
        address = None if conntype is ConnType.LOCAL else self.address()
        method = self.method(conntype)
        hba = HbaLine(
            source=self.line.source,
            line_number=self.line.line_number,
            raw_line=self.line.raw_line,
            conntype=conntype,
            databases=databases,
            users=users,
            address=address,
            auth_method=method,
        )
        hba = self.options(hba)
        if not self.roles:
            self.no_roles(hba)
        if method in REFUSED_METHODS:
            self.no_method(method)
        if self.problems:
            raise _BadLineError
        return hba

    def conntype(self) -> ConnType:
        """Read the first field (HBA-22, HBA-23, HBA-46)."""
        word = self.single(
            next(self._fields),
            "connection type",
            hint="Specify exactly one connection type per line.",
        ).text
        try:
            conntype = ConnType(word)
        except ValueError:
            raise self.bad(f'invalid connection type "{word}"') from None
        if conntype is ConnType.HOSTSSL and not self.ssl:
            self.notice(
                "hostssl record cannot match because SSL is disabled",
                'Set "ssl = on" in postgresql.conf.',
                event="hba.line_cannot_match",
            )
        if conntype is ConnType.HOSTGSSENC:
            self.notice(
                "hostgssenc record cannot match because GSSAPI is not supported by "
                "this build",
                event="hba.line_cannot_match",
            )
        return conntype

    def address(self) -> AddressSpec:
        """Read the address, and the mask if it has a field of its own (HBA-62 to 66)."""
        token = self.single(
            self.field("IP address specification"),
            "host address",
            hint="Specify one address range per line.",
        )
        if token.text in _ADDRESS_KEYWORDS and not token.quoted:
            return AddressKeyword(token.text)
        host, slash, numbits = token.text.partition("/")
        # To the C library an empty string is no address at all.
        try:
            address = self.parse_address(host) if host else None
        except InvalidAddress as error:
            raise self.bad(f'invalid IP address "{host}": {error}') from None
        if address is None:
            if slash:
                raise self.bad(
                    "specifying both host name and CIDR mask is invalid: "
                    f'"{token.text}"'
                )
            return HostName(host)
        if slash:
            mask = cidr_mask(numbits, address)
            if mask is None:
                raise self.bad(f'invalid CIDR mask in address "{token.text}"')
            return AddressRange(without_scope(address), mask)
        return AddressRange(without_scope(address), self.netmask(address))

    def netmask(self, address: IPAddress) -> IPAddress:
        """Read the mask of *address*, in a field of its own (HBA-29, HBA-30)."""
        text = self.single(
            self.field(
                "netmask specification",
                hint="Specify an address range in CIDR notation, or provide a separate "
                "netmask.",
            ),
            "netmask",
        ).text
        mask, why = None, "Name or service not known"
        try:
            mask = self.parse_address(text) if text else None
        except InvalidAddress as error:
            why = str(error)
        if mask is None:
            # What getaddrinfo says of a name where only a number may be (HBA-29).
            raise self.bad(f'invalid IP mask "{text}": {why}')
        if mask.version != address.version:
            raise self.bad("IP address and mask do not match")
        return without_scope(mask)

    def method(self, conntype: ConnType) -> str:
        """Read the authentication method (HBA-31 to HBA-34, HBA-54)."""
        word = self.single(
            self.field("authentication method"),
            "authentication type",
            hint="Specify exactly one authentication type per line.",
        ).text
        if word in {"ident", "peer"} and conntype is ConnType.LOCAL:
            # It never matches, so it may ask for what is known of a Unix-domain
            # socket only; and there `ident` has always meant `peer`.
            return "peer"
        if word == "gss" and conntype is ConnType.LOCAL:
            raise self.bad("gssapi authentication is not supported on local sockets")
        if word == "peer":
            raise self.bad("peer authentication is only supported on local sockets")
        if word not in METHODS:
            raise self.bad(f'invalid authentication method "{word}"')
        if word == "cert" and conntype is not ConnType.HOSTSSL:
            raise self.bad(
                "cert authentication is only supported on hostssl connections"
            )
        return word

    def options(self, hba: HbaLine) -> HbaLine:
        """Read what is left of the line (HBA-35 to HBA-43, HBA-49 to HBA-51)."""
        notices: list[str] = []
        try:
            for token in (token for tokens in self._fields for token in tokens):
                hba = with_option(hba, token.text, notices)
            return complete(hba)
        except OptionError as error:
            raise self.bad(str(error)) from None
        finally:
            for message in notices:
                self.notice(message, event="hba.option_invalid")

    def names(self, what: str) -> Field:
        """Read the names of databases or users, each as it comes (HBA-44, HBA-77)."""
        return tuple(map(self.name, self.field(what)))

    def name(self, token: Token) -> Token:
        """Return *token* with its regular expression, if it is one."""
        try:
            return with_regex(token)
        except NameRefused as refused:
            if refused.hint is None:
                raise self.bad(refused.message, sqlstate=refused.sqlstate) from None
            self.refused(refused)
            return token

    def no_roles(self, hba: HbaLine) -> None:
        """Refuse what cannot be known of roles (HBA-74 to HBA-76, HBA-80)."""
        for token in hba.databases:
            if token.is_keyword("samerole") or token.is_keyword("samegroup"):
                self.refused(roles_unknown(token))
        for token in hba.users:
            if token.is_member_check():
                self.refused(roles_unknown(token))

    def no_method(self, method: str) -> None:
        """Refuse what only the server can do that the client talks to (HBA-31)."""
        self.problems.append(
            self._report(
                f'invalid authentication method "{method}": not supported by this '
                "build",
                "Use a method that asks the client for a password, or cert.",
                event="hba.not_implemented",
            )
        )

    def field(self, what: str, hint: str | None = None) -> Field:
        """Return the next field, which must be there (HBA-24)."""
        for tokens in self._fields:
            return tokens
        raise self.bad(f"end-of-line before {what}", hint=hint)

    def single(self, tokens: Field, what: str, hint: str | None = None) -> Token:
        """Return the only one of *tokens* (HBA-22, HBA-25)."""
        if len(tokens) > 1:
            raise self.bad(f"multiple values specified for {what}", hint=hint)
        return tokens[0]

    def bad(
        self,
        message: str,
        hint: str | None = None,
        sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
    ) -> _BadLineError:
        """Return the error that PostgreSQL too has with this line."""
        # Then what else could not be used says nothing new.
        self.problems = [
            self._report(message, hint, event="hba.line_invalid", sqlstate=sqlstate)
        ]
        return _BadLineError()

    def refused(self, refused: NameRefused) -> None:
        """Take note of what is PostgreSQL's, and not done here."""
        self.problems.append(
            self._report(
                refused.message,
                refused.hint,
                event="hba.not_implemented",
                sqlstate=refused.sqlstate,
            )
        )

    def notice(self, message: str, hint: str | None = None, *, event: str) -> None:
        """Take note of what should be said, though the line is good."""
        self.notices.append(self._report(message, hint, event=event))

    def _report(
        self,
        message: str,
        hint: str | None,
        *,
        event: str,
        sqlstate: SqlState = SqlState.CONFIG_FILE_ERROR,
    ) -> Report:
        return Report(
            severity=Severity.LOG,
            sqlstate=sqlstate,
            message=message,
            hint=hint,
            context=self.line.context,
            event=event,
        )
