"""A line of pg_hba.conf: what it says, and how that is shown."""

from dataclasses import dataclass
from enum import StrEnum

from pgproxy.auth.address import AddressRange, AddressSpec, HostName, numeric_host
from pgproxy.auth.lexer import Token


class ConnType(StrEnum):
    """Which connections a line is about: its first word."""

    LOCAL = "local"
    HOST = "host"
    HOSTSSL = "hostssl"
    HOSTNOSSL = "hostnossl"
    HOSTGSSENC = "hostgssenc"
    HOSTNOGSSENC = "hostnogssenc"


class ClientCert(StrEnum):
    """What a line asks of a client's certificate, besides its method."""

    OFF = "off"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class ClientName(StrEnum):
    """Which name in a certificate is compared with the user."""

    CN = "CN"
    DN = "DN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A line as it was understood, under the names of the view pg_hba_file_rules."""

    type: str
    database: tuple[str, ...]
    user_name: tuple[str, ...]
    address: str | None
    netmask: str | None
    auth_method: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HbaLine:
    """
    One line of pg_hba.conf.

    Args:
        source: The file that it stands in.
        line_number: Its first physical line, counted from 1.
        raw_line: Its text, for the log.
        conntype: Which connections it is about.
        databases: Names and keywords of databases.
        users: Names and keywords of users; ``roles`` in libpq/hba.h.
        address: Which clients it is about; None with ``local``.
        auth_method: What they have to go through, under its name in the file.
        clientcert: What their certificate has to be.
        clientname: Which name in it counts.
        usermap: The map of pg_ident.conf; None or empty: none (HBA-59).
        method_options: What is said to the method alone, and is the backend's
            business: names and values, as the view pg_hba_file_rules has them.

    """

    source: str
    line_number: int
    raw_line: str
    conntype: ConnType
    databases: tuple[Token, ...]
    users: tuple[Token, ...]
    address: AddressSpec | None
    auth_method: str
    clientcert: ClientCert = ClientCert.OFF
    clientname: ClientName = ClientName.CN
    usermap: str | None = None
    method_options: tuple[tuple[str, str], ...] = ()

    @property
    def connection_matched(self) -> str:
        """What the log says of a login that this line has ended (HBA-89)."""
        return (
            f'Connection matched file "{self.source}" line {self.line_number}: '
            f'"{self.raw_line}"'
        )

    @property
    def rule(self) -> Rule:
        """
        The line as it was understood, for who wrote it.

        Quotes are not shown: the view has none either. ``clientname`` is shown where
        it is not the default; the view never shows it.

        Source: ``fill_hba_line``, ``get_hba_options`` in hbafuncs.c.
        """
        address = netmask = None
        if isinstance(self.address, AddressRange):
            address = numeric_host(self.address.address)
            netmask = numeric_host(self.address.netmask)
        elif isinstance(self.address, HostName):
            address = self.address.name
        elif self.address is not None:
            address = self.address.value
        options = []
        if self.usermap is not None:
            options.append(f"map={self.usermap}")
        if self.clientcert is not ClientCert.OFF:
            options.append(f"clientcert={self.clientcert.value}")
        if self.clientname is not ClientName.CN:
            options.append(f"clientname={self.clientname.value}")
        options += [f"{name}={value}" for name, value in self.method_options]
        return Rule(
            type=self.conntype.value,
            database=tuple(token.text for token in self.databases),
            user_name=tuple(token.text for token in self.users),
            address=address,
            netmask=netmask,
            auth_method=self.auth_method,
            options=tuple(options),
        )
