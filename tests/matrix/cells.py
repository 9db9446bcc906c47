r"""
The handshake matrix: what a client sees, and what the log says of it.

One table, three readers: the tests hold pgproxy and PostgreSQL to it, cell by cell;
docs/reference/handshake-matrix.md prints it; and it is meant to be read here. It has no
column for the type of the server's key, because that makes no difference: a cell is a
state, a client and a version of TLS, and is tried with each type.

What is different in each run is not in it: ports, folders, serial numbers, and the
name that OpenSSL has for TLS in front of an alert (``sslv3``, ``tlsv1``, ``ssl/tls``,
by its age and by the alert's). Where that was, there is ``…``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.support.logs import LogLine, commerror

TLS_1_2: Final = "TLSv1.2"
TLS_1_3: Final = "TLSv1.3"
VERSIONS: Final = (TLS_1_2, TLS_1_3)

PSYCOPG: Final = "psycopg"
ASYNCPG: Final = "asyncpg"
S_CLIENT: Final = "s_client"
CLIENTS: Final = (PSYCOPG, ASYNCPG, S_CLIENT)

RSA: Final = "RSA"
RSA_PSS: Final = "RSA-PSS"
P_256: Final = "P-256"
P_384: Final = "P-384"
ED25519: Final = "Ed25519"
KEY_TYPES: Final = (RSA, RSA_PSS, P_256, P_384, ED25519)

USER: Final = "cleo"
PASSWORD_USER: Final = "pat"
SOMEBODY_ELSE: Final = "ana"

SETTINGS: Final[Mapping[str, str]] = {
    "ssl": "on",
    "ssl_ca_file": "root.crt",
    "ssl_crl_file": "root.crl",
    "log_connections": "on",
}

HBA: Final = """\
hostssl all cleo 127.0.0.1/32 cert
hostssl all pat 127.0.0.1/32 password clientcert=verify-full
"""

ROOT: Final = "Example root CA"
ISSUING: Final = "Example issuing CA"
CLOSED: Final = "Example closed CA"
STALE: Final = "Example stale CA"
UNLISTED: Final = "Example unlisted CA"
STRANGER: Final = "Example other CA"
"""Common names of CAs; all but the stranger are below the root."""

LET_IN: Final = "let in"

CAUSE: Final = "; cause: "
"""Between an exception and the one that it was raised from."""

LOST_ALERTS: Final[Mapping[str, str]] = {
    ASYNCPG: "ConnectionResetError: [Errno 104] Connection reset by peer",
    S_CLIENT: "write:errno=104",
}
"""
What PostgreSQL may leave of an alert with TLS 1.3. It closes while the rest of the
client's handshake is still unread, so an RST follows the alert, and the client's first
message cannot be written any more (NEG-69). libpq then reads what has come.
"""

WORDS_OF_OPENSSL_1_1: Final[Mapping[str, str]] = {
    "unsuitable certificate purpose": "unsupported certificate purpose",
}
"""What OpenSSL 1.1.1 calls what OpenSSL 3 has another name for (TLS-68)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What one client says.

    Args:
        client: Which one.
        text: The exception and its text; of s_client, the alert or the ErrorResponse.
        versions: With which versions of TLS.

    """

    client: str
    text: str
    versions: tuple[str, ...] = VERSIONS


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What becomes of a client.

    Args:
        told: What it is sent, in a few words.
        seen: What that looks like to each client.
        log: What is logged; ``TLSv1.x`` is the version.

    """

    told: str
    seen: tuple[Seen, ...]
    log: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class State:
    """
    A state that a client's certificate can be in.

    Args:
        name: What it is called.
        meaning: What that is.
        advice: What the operator does about it.
        outcome: What becomes of it.
        user: Who wants to log in.

    """

    name: str
    meaning: str
    advice: str
    outcome: Outcome
    user: str = USER

    @property
    def fails_handshake(self) -> bool:
        """Whether it is TLS that fails, and not the login inside."""
        return self.outcome.log[-1].message.startswith("could not accept SSL")

    def seen(self, client: str, version: str) -> str:
        """Return what *client* sees."""
        (text,) = (
            seen.text
            for seen in self.outcome.seen
            if seen.client == client and version in seen.versions
        )
        return text


def _alert(
    alert: str,
    number: int,
    reason: str,
    *,
    issuer: str = ISSUING,
    subject: str = USER,
    depth: int = 0,
) -> Outcome:
    """
    Return what comes of a certificate that fails verification.

    With TLS 1.3 the client is done before the server has looked at the certificate, so
    the alert comes when it waits for the answer to its first message (CERT-08).

    Args:
        alert: Its name.
        number: Its number.
        reason: In OpenSSL's words.
        issuer: Who has issued the certificate that fails.
        subject: Whose it is.
        depth: Where in the chain it is; 0 is the client's own.

    """
    closed = (
        "ConnectionDoesNotExistError 08003: "
        "connection was closed in the middle of operation"
    )
    return Outcome(
        f"alert {number}, {alert}",
        (
            Seen(PSYCOPG, f"OperationalError: SSL error: … alert {alert}"),
            Seen(ASYNCPG, f"SSLError: … alert {alert}", (TLS_1_2,)),
            Seen(ASYNCPG, f"{closed}{CAUSE}SSLError: … alert {alert}", (TLS_1_3,)),
            Seen(S_CLIENT, f"… alert {alert}: SSL alert number {number}"),
        ),
        (
            commerror(
                "could not accept SSL connection: certificate verify failed",
                detail=f"Client certificate verification failed at depth {depth}: "
                f"{reason}.\n"
                f'Failed certificate data (unverified): subject "/CN={subject}", '
                f'serial number …, issuer "/CN={issuer}".',
            ),
        ),
    )


def _refused(exception: str, *log: LogLine) -> Outcome:
    """
    Return what comes of a client that is refused inside TLS.

    Args:
        exception: asyncpg's, which has one for each SQLSTATE.
        log: The last line is what the client is told, without its DETAIL.

    """
    code, message = log[-1].state_code, log[-1].message
    return Outcome(
        f"FATAL, {code}",
        (
            Seen(PSYCOPG, f"OperationalError: FATAL:  {message}"),
            Seen(ASYNCPG, f"{exception} {code}: {message}"),
            Seen(S_CLIENT, f"ErrorResponse {code}: {message}"),
        ),
        log,
    )


def _log(message: str) -> LogLine:
    return LogLine("LOG", message)


def _matched(line: int) -> str:
    text = HBA.splitlines()[line - 1]
    return f'Connection matched file "pg_hba.conf" line {line}: "{text}"'


NONE: Final = State(
    "No certificate",
    "On a line with `cert` or `clientcert=`. Elsewhere none is needed.",
    "Give the client its certificate and key: `sslcert` and `sslkey` for libpq, which "
    "takes `~/.postgresql/postgresql.crt` and `.key` if they are there; for asyncpg an "
    "`SSLContext` with `load_cert_chain`.",
    _refused(
        "InvalidAuthorizationSpecificationError",
        LogLine("FATAL", "connection requires a valid client certificate", "28000"),
    ),
)

GOOD: Final = State(
    "Good",
    "Issued to the role by a CA below a root in `ssl_ca_file`, sent with what is "
    "between them, revoked by nobody; and each of these CAs has a current list.",
    "Nothing.",
    Outcome(
        "let in",
        tuple(Seen(client, LET_IN) for client in CLIENTS),
        (
            _log(
                f'connection authenticated: identity="CN={USER}" method=cert '
                "(pg_hba.conf:1)"
            ),
            _log(
                f"connection authorized: user={USER} database=postgres "
                "SSL enabled (protocol=TLSv1.x)"
            ),
        ),
    ),
)

WRONG_NAME: Final = State(
    "Another's name",
    f"A good certificate of `{SOMEBODY_ELSE}`, and the client wants to be `{USER}`.",
    "Log in as the role that the certificate names; or let `pg_ident.conf` say that "
    "this name may be that role, and give the line a `map=`.",
    _refused(
        "InvalidAuthorizationSpecificationError",
        _log(
            f'connection authenticated: identity="CN={SOMEBODY_ELSE}" method=cert '
            "(pg_hba.conf:1)"
        ),
        _log(
            f"provided user name ({USER}) and authenticated user name "
            f"({SOMEBODY_ELSE}) do not match"
        ),
        LogLine(
            "FATAL",
            f'certificate authentication failed for user "{USER}"',
            "28000",
            detail=_matched(1),
        ),
    ),
)

WRONG_NAME_PASSWORD: Final = State(
    "Another's name, and the right password",
    "The same on a line with a password and `clientcert=verify-full`; `password` here, "
    "`scram-sha-256` is no different.",
    "As above. The client is told that the password is wrong, which it is not: look at "
    "the log.",
    _refused(
        "InvalidPasswordError",
        _log(
            f'connection authenticated: identity="{PASSWORD_USER}" method=password '
            "(pg_hba.conf:2)"
        ),
        _log(
            f"provided user name ({PASSWORD_USER}) and authenticated user name "
            f"({SOMEBODY_ELSE}) do not match"
        ),
        _log(
            "certificate validation (clientcert=verify-full) failed for user "
            f'"{PASSWORD_USER}": CN mismatch'
        ),
        LogLine(
            "FATAL",
            f'password authentication failed for user "{PASSWORD_USER}"',
            "28P01",
            detail=_matched(2),
        ),
    ),
    PASSWORD_USER,
)

EXPIRED: Final = State(
    "Expired",
    "Its last day is over, by the server's clock.",
    "Issue a new one. If it should be valid, look at the clock.",
    _alert("certificate expired", 45, "certificate has expired"),
)

REVOKED: Final = State(
    "Revoked",
    "It is in its CA's list, and that is in `ssl_crl_file` or `ssl_crl_dir`.",
    "Issue a new one. What was revoked by mistake is valid again when a list without "
    "it is there, and the server has read that.",
    _alert("certificate revoked", 44, "certificate revoked"),
)

CA_REVOKED: Final = State(
    "Its CA revoked",
    "The root has revoked the intermediate CA, and so all that this has issued. The "
    "DETAIL says depth 1, and names the CA.",
    "Issue new certificates with another CA.",
    _alert(
        "certificate revoked",
        44,
        "certificate revoked",
        subject=CLOSED,
        issuer=ROOT,
        depth=1,
    ),
)

UNKNOWN_CA: Final = State(
    "Unknown CA",
    "Neither who has issued it nor anybody above is in `ssl_ca_file`.",
    "Add the root to `ssl_ca_file`, if you trust it to name your roles, and reload; "
    "otherwise issue a certificate with a CA that is there.",
    _alert("unknown ca", 48, "unable to get local issuer certificate", issuer=STRANGER),
)

NO_INTERMEDIATE: Final = State(
    "The intermediate CA is missing",
    "The client sends its certificate alone, and the server knows the root alone. Only "
    "the issuer in the DETAIL tells it from an unknown CA.",
    "Put the CA's certificate behind the client's own, into the same file; or into "
    "`ssl_ca_file`, beside the root.",
    _alert("unknown ca", 48, "unable to get local issuer certificate"),
)

WRONG_PURPOSE: Final = State(
    "For servers only",
    "Its extended key usage does not have clientAuth. (OpenSSL 1.1.1 says "
    "`unsupported` and not `unsuitable`.)",
    "Issue one for clients, and do not let a service show its server's certificate.",
    _alert("unsupported certificate", 43, "unsuitable certificate purpose"),
)

CRL_EXPIRED: Final = State(
    "Its CA's list expired",
    "The certificate is good. But the list was to be replaced by now, and until it is, "
    "all clients of this CA are turned away, with the alert for an expired certificate.",
    "Make a new list, bring it to the server, and reload. pgproxy warns of a list that "
    "expires soon, when it starts and when it reloads.",
    _alert("certificate expired", 45, "CRL has expired", issuer=STALE),
)

CRL_MISSING: Final = State(
    "Its CA has no list",
    "Where there is one list, there has to be one of every CA in the chain, the root "
    "among them. To the client it looks like an unknown CA.",
    "Make the missing list and put it behind the others in `ssl_crl_file`, or into "
    "`ssl_crl_dir`.",
    _alert("unknown ca", 48, "unable to get certificate CRL", issuer=UNLISTED),
)

STATES: Final = (
    GOOD,
    NONE,
    WRONG_NAME,
    WRONG_NAME_PASSWORD,
    EXPIRED,
    REVOKED,
    CA_REVOKED,
    UNKNOWN_CA,
    NO_INTERMEDIATE,
    WRONG_PURPOSE,
    CRL_EXPIRED,
    CRL_MISSING,
)
