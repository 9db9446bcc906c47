"""What a session needs of the configuration."""

from dataclasses import dataclass

from pgproxy.auth.hba_index import HbaIndex
from pgproxy.auth.ident import IdentLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    One generation of the configuration, as far as sessions are ruled by it.

    Made once a reload; a session keeps the one that it began with.

    Args:
        ssl: Whether SSLRequest is answered with ``S``.
        ca_loaded: Whether client certificates can be checked (``ssl_ca_file``); with
            pg_hosts.conf, whether those of any host can.
        ssl_min_protocol_version: For the hint that names the bounds (NEG-80).
        ssl_max_protocol_version: Likewise.
        hba: The lines of pg_hba.conf.
        ident: The lines of pg_ident.conf.
        log_connections: Which of ``receipt``, ``authentication`` and
            ``authorization`` are logged.
        log_hostname: Whether the name of a client is looked up, to be logged.
        trace_connection_negotiation: Whether the answers to requests are logged.

    """

    ssl: bool
    hba: HbaIndex
    ident: tuple[IdentLine, ...] = ()
    ca_loaded: bool = False
    ssl_min_protocol_version: str = "TLSv1.2"
    ssl_max_protocol_version: str = "TLSv1.3"
    log_connections: frozenset[str] = frozenset()
    log_hostname: bool = False
    trace_connection_negotiation: bool = False
