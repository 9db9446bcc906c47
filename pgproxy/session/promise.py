"""What a line of pg_hba.conf promises of a login, and whether the backend keeps it."""

from collections.abc import Mapping
from typing import Final

from pgproxy.protocol.backend import (
    AUTH_REQ_MD5,
    AUTH_REQ_PASSWORD,
    AUTH_REQ_SASL,
    AUTH_REQ_SASL_CONT,
    AUTH_REQ_SASL_FIN,
)
from pgproxy.protocol.errors import ConfigFileError

# What each method lets the backend ask first. `md5` accepts SCRAM, as PostgreSQL
# does; `trust` is not here, because it promises nothing.
FIRST_REQUESTS: Final[Mapping[str, frozenset[int]]] = {
    "scram-sha-256": frozenset({AUTH_REQ_SASL}),
    "md5": frozenset({AUTH_REQ_MD5, AUTH_REQ_SASL}),
    "password": frozenset({AUTH_REQ_PASSWORD}),
    "ldap": frozenset({AUTH_REQ_PASSWORD}),
    "radius": frozenset({AUTH_REQ_PASSWORD}),
    "pam": frozenset({AUTH_REQ_PASSWORD}),
    "bsd": frozenset({AUTH_REQ_PASSWORD}),
    "cert": frozenset(),
}

_NAMES: Final = {
    AUTH_REQ_PASSWORD: "a clear-text password",
    AUTH_REQ_MD5: "an MD5 password",
    AUTH_REQ_SASL: "SASL",
}


class Promise:
    """
    Holds a backend to the method of the line that matched (CERT-20).

    A backend with ``trust`` behind a line that says ``scram-sha-256`` would let
    everybody in, and one that asks for a clear-text password would get to see it.

    Args:
        auth_method: As pg_hba.conf has it.
        connection_matched: Which line that was, for the log.

    """

    def __init__(self, auth_method: str, connection_matched: str) -> None:
        self._method = auth_method
        self._matched = connection_matched
        self._allowed = FIRST_REQUESTS.get(auth_method)
        self._kept = not self._allowed

    def asked(self, code: int) -> None:
        """
        Take note that the backend has asked for *code*, one of ``AUTH_REQ_*``.

        Raises:
            ConfigFileError: The line has promised something else.

        """
        if self._allowed is None:
            return
        if code not in self._allowed:
            what = _NAMES.get(code, f"authentication of type {code}")
            raise self._broken(f"the backend asked for {what}")
        # A SASL exchange has one way through, and only its end counts.
        match code:
            case 10:
                self._allowed = frozenset({AUTH_REQ_SASL_CONT})
            case 11:
                self._allowed = frozenset({AUTH_REQ_SASL_FIN})
            case _ if self._method == "pam":
                # As often as a module of PAM asks: pam_passwd_conv_proc in auth.c.
                self._kept = True
            case _:
                self._allowed, self._kept = frozenset(), True

    def completed(self) -> None:
        """
        Take note that the backend is content.

        Raises:
            ConfigFileError: It has not asked for what the line has promised.

        """
        if not self._kept:
            raise self._broken("the backend let the user in without asking for it")

    def _broken(self, how: str) -> ConfigFileError:
        if self._method == "cert":
            hint = (
                "The certificate has decided. Give the backend's pg_hba.conf a line "
                'with method "trust" for connections from pgproxy, over a Unix-domain '
                "socket or an address that nobody else can use."
            )
        else:
            hint = (
                "Give the backend's pg_hba.conf a line for connections from pgproxy "
                f'with method "{self._method}", or change the line here.'
            )
        return ConfigFileError(
            f'authentication method "{self._method}" is not what the server behind '
            "this address uses",
            log_detail=f"{how}\n{self._matched}",
            log_hint=hint,
        )
