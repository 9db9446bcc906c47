"""Reads pg_hba.conf: every line or none, and every complaint at once."""

from dataclasses import dataclass, replace

from pgproxy.auth.address import (
    AddressKeyword,
    AddressRange,
    AddressSpec,
    ParseAddress,
    cidr_mask,
    without_scope,
)
from pgproxy.auth.auth_file import AuthLine, ListDirectory, Read, tokenize_auth_file
from pgproxy.auth.hba_line import ClientCert, ConnType, HbaLine
from pgproxy.auth.hba_options import METHODS, OTHER_METHODS, OptionError, with_option
from pgproxy.auth.lexer import Field, Token
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
) -> HbaFile:
    """
    Read the rules in *path* and in what it includes.

    Args:
        path: Absolute.
        ssl: Whether there will be TLS: without it ``hostssl`` lines are vain.
        parse_address: How to read a numeric address.
        read: How to read a file.
        list_directory: How to list a directory.

    Source: ``load_hba`` in hba.c.

    """
    file = tokenize_auth_file(path, read=read, list_directory=list_directory)
    lines: list[HbaLine] = []
    problems, notices = list(file.problems), list(file.notices)
    for auth_line in file.lines:
        parser = _Parser(auth_line, parse_address, ssl=ssl)
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
        self, line: AuthLine, parse_address: ParseAddress, *, ssl: bool
    ) -> None:
        self.line = line
        self.parse_address = parse_address
        self.ssl = ssl
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
        databases = self.field("database specification")
        users = self.field("role specification")
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
        for option in (token for tokens in self._fields for token in tokens):
            try:
                hba = with_option(hba, option.text)
            except OptionError as error:
                raise self.bad(str(error)) from None
        if method == "cert":
            hba = replace(hba, clientcert=ClientCert.VERIFY_FULL)
        self.names(databases, users)
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
            self.cannot_match(
                "hostssl record cannot match because SSL is disabled",
                hint='Set "ssl = on" in postgresql.conf.',
            )
        if conntype is ConnType.HOSTGSSENC:
            self.cannot_match(
                "hostgssenc record cannot match because GSSAPI is not supported by "
                "this build"
            )
        return conntype

    def address(self) -> AddressSpec:
        """Read the address, and the mask if it has a field of its own (HBA-62 to 66)."""
        token = self.single(
            self.field("IP address specification"),
            "host address",
            hint="Specify one address range per line.",
        )
        for keyword in AddressKeyword:
            if token.is_keyword(keyword.value):
                return keyword
        host, slash, numbits = token.text.partition("/")
        # To the C library an empty string is no address at all.
        address = self.parse_address(host) if host else None
        if address is None:
            if slash:
                raise self.bad(
                    "specifying both host name and CIDR mask is invalid: "
                    f'"{token.text}"'
                )
            self.not_implemented(
                f'host name "{host}" in pg_hba.conf is not supported by this build',
                hint="Specify the addresses of the host, or an address range in CIDR "
                "notation.",
            )
            return AddressKeyword.ALL  # the line is bad; its other fields are read
        if slash:
            mask = cidr_mask(numbits, address)
            if mask is None:
                raise self.bad(f'invalid CIDR mask in address "{token.text}"')
            return AddressRange(without_scope(address), mask)
        text = self.single(
            self.field(
                "netmask specification",
                hint="Specify an address range in CIDR notation, or provide a separate "
                "netmask.",
            ),
            "netmask",
        ).text
        mask = self.parse_address(text) if text else None
        if mask is None:
            # What getaddrinfo says of a name where only a number may be (HBA-29).
            raise self.bad(f'invalid IP mask "{text}": Name or service not known')
        if mask.version != address.version:
            raise self.bad("IP address and mask do not match")
        return AddressRange(without_scope(address), without_scope(mask))

    def method(self, conntype: ConnType) -> str:
        """Read the authentication method (HBA-31 to HBA-34)."""
        word = self.single(
            self.field("authentication method"),
            "authentication type",
            hint="Specify exactly one authentication type per line.",
        ).text
        if word in {"ident", "peer"} and conntype is ConnType.LOCAL:
            # It never matches, so it may ask for what is known of a Unix-domain
            # socket only; and there `ident` has always meant `peer`.
            return "peer"
        if word == "peer":
            raise self.bad("peer authentication is only supported on local sockets")
        if word in OTHER_METHODS:
            raise self.bad(
                f'invalid authentication method "{word}": not supported by this build'
            )
        if word not in METHODS:
            raise self.bad(f'invalid authentication method "{word}"')
        if word == "cert" and conntype is not ConnType.HOSTSSL:
            raise self.bad(
                "cert authentication is only supported on hostssl connections"
            )
        return word

    def names(self, databases: Field, users: Field) -> None:
        """Refuse the names that are more than names, and not implemented."""
        for token in (*databases, *users):
            if token.text.startswith("/"):  # even quoted (HBA-77)
                self.not_implemented(
                    f'regular expression "{token.text[1:]}" in pg_hba.conf is not '
                    "supported by this build",
                    hint="List the names, or use all.",
                )
        for token in databases:
            if token.is_keyword("samerole") or token.is_keyword("samegroup"):
                self.not_implemented(
                    f'database keyword "{token.text}" is not supported by this build',
                    hint="List the databases, or use sameuser.",
                )
        for token in users:
            if token.text.startswith("+") and not token.quoted:
                self.not_implemented(
                    f'members of role "{token.text[1:]}" in pg_hba.conf are not '
                    "supported by this build",
                    hint="List the members of the role.",
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

    def bad(self, message: str, hint: str | None = None) -> _BadLineError:
        """Return the error that PostgreSQL too has with this line."""
        # Then what else could not be used says nothing new.
        self.problems = [self._report(message, hint, event="hba.line_invalid")]
        return _BadLineError()

    def not_implemented(self, message: str, hint: str) -> None:
        """Take note of what is PostgreSQL's, and not done here."""
        self.problems.append(
            self._report(
                message,
                hint,
                event="hba.not_implemented",
                sqlstate=SqlState.FEATURE_NOT_SUPPORTED,
            )
        )

    def cannot_match(self, message: str, hint: str | None = None) -> None:
        """Take note that the line is good, and for nothing."""
        self.notices.append(self._report(message, hint, event="hba.line_cannot_match"))

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
