"""What the line of pg_hba.conf that matched means for a client."""

from typing import Final

from pgproxy.auth.certificate import PeerCertificate
from pgproxy.auth.hba import (
    Client,
    Facts,
    Needs,
    hostname_lookup_detail,
    refusal,
)
from pgproxy.auth.hba_line import ClientCert, ClientName, HbaLine
from pgproxy.auth.ident import check_usermap
from pgproxy.protocol.errors import (
    ConfigFileError,
    InvalidAuthorization,
    InvalidPassword,
    Report,
    SessionRefused,
    log_line,
)
from pgproxy.session.policy import Policy

PASSWORD_METHODS: Final = frozenset(
    {"scram-sha-256", "md5", "password", "ldap", "radius", "pam", "bsd"}
)
"""The client is asked something; the name is compared when it has answered."""

# What each method is called when it has failed; of the others, it is the password
# that is wrong, and that has a SQLSTATE of its own (CERT-06).
_AUTHENTICATION: Final = {
    "trust": '"trust" authentication',
    "cert": "certificate authentication",
    "ldap": "LDAP authentication",
    "radius": "RADIUS authentication",
    "pam": "PAM authentication",
    "bsd": "BSD authentication",
}


def auth_failed(line: HbaLine, client: Client) -> SessionRefused:
    """
    Return the refusal that names the method, whatever it was that failed.

    Source: ``auth_failed`` in auth.c; CERT-06, CERT-16.
    """
    what = _AUTHENTICATION.get(line.auth_method)
    kind: type[SessionRefused] = InvalidAuthorization
    if what is None:
        what, kind = "password authentication", InvalidPassword
    return kind(
        f'{what} failed for user "{client.user}"', log_detail=line.connection_matched
    )


def authenticated(line: HbaLine, identity: str) -> Report:
    """
    Return the line that says who the client has shown to be (CERT-13, CERT-14).

    ``trust`` shows nothing, so there it is a user and no identity.
    """
    word = "user" if line.auth_method == "trust" else "identity"
    return log_line(
        f'connection authenticated: {word}="{identity}" method={line.auth_method} '
        f"({line.source}:{line.line_number})",
        event="connection.authenticated",
    )


def check_certificate(
    line: HbaLine | None,
    client: Client,
    peer: PeerCertificate | None,
    facts: Facts,
    *,
    ca_loaded: bool,
) -> HbaLine:
    """
    Return *line* if it lets the client go on to its method.

    The order is PostgreSQL's: a certificate that is wanted and missing is told
    before ``reject`` is (CERT-03, HBA-87).

    Raises:
        SessionRefused: There is no line, or it says no.

    Source: ``ClientAuthentication`` in auth.c; CERT-01, CERT-02, HBA-82 to HBA-85.

    """
    if line is None:
        raise InvalidAuthorization(
            refusal(None, client), log_detail=hostname_lookup_detail(client, facts)
        )
    if line.clientcert is not ClientCert.OFF:
        if not ca_loaded:
            raise ConfigFileError(
                "client certificates can only be checked "
                "if a root certificate store is available"
            )
        if peer is None:
            raise InvalidAuthorization("connection requires a valid client certificate")
    if line.auth_method == "reject":
        raise InvalidAuthorization(refusal(line, client))
    return line


def compared_name(line: HbaLine, peer: PeerCertificate | None) -> str | None:
    """Return the name that *line* compares, if any; empty: the certificate has none."""
    if line.clientcert is not ClientCert.VERIFY_FULL or peer is None:
        return None
    if line.clientname is ClientName.DN:
        return peer.distinguished_name
    return peer.common_name or ""


def check_name(
    line: HbaLine,
    client: Client,
    peer: PeerCertificate | None,
    policy: Policy,
    facts: Facts,
    log: list[Report],
) -> Needs | None:
    """
    Compare the name in the certificate with the user, where *line* asks for it.

    Returns:
        What must be known first, if anything: ``+role`` in a map. Only a ``cert``
        line can have one (HBA-59).

    Raises:
        SessionRefused: They differ, or the certificate has no name.

    Source: ``CheckCertAuth`` in auth.c; CERT-05, CERT-09, CERT-15, ID-14, ID-15.

    """
    name = compared_name(line, peer)
    if name is None or peer is None:
        return None
    if not name:
        log.append(
            log_line(
                f'certificate authentication failed for user "{client.user}": '
                "client certificate contains no user name",
                event="certificate.nameless",
            )
        )
        raise auth_failed(line, client)
    mapped = check_usermap(policy.ident, line.usermap, name, client.user, facts)
    if isinstance(mapped, Needs):
        return mapped
    if line.auth_method == "cert" and "authentication" in policy.log_connections:
        # The DN even with clientname=CN, and before the comparison (CERT-13).
        log.append(authenticated(line, peer.distinguished_name))
    log.extend(mapped.log)
    if mapped.ok:
        return None
    if line.auth_method != "cert":
        log.append(
            log_line(
                "certificate validation (clientcert=verify-full) failed for user "
                f'"{client.user}": {line.clientname.value} mismatch',
                event="certificate.mismatch",
            )
        )
    raise auth_failed(line, client)
