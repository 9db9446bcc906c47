"""What a session needs of the configuration, and what it is without it."""

import dataclasses

import pytest

from pgproxy.auth.hba_index import HbaIndex
from pgproxy.session.policy import Policy


def test_defaults_are_postgresqls() -> None:
    """NEG-80: the bounds in the hint; nobody vouches for clients; nothing is logged."""
    policy = Policy(ssl=False, hba=HbaIndex(()))
    assert policy.ssl_min_protocol_version == "TLSv1.2"
    assert policy.ssl_max_protocol_version == "TLSv1.3"
    assert policy.ident == ()
    assert not policy.ca_loaded
    assert policy.log_connections == frozenset()
    assert not policy.log_hostname
    assert not policy.trace_connection_negotiation


def test_a_generation_does_not_change() -> None:
    """A reload makes a new one, and a session keeps the one that it began with."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Policy(ssl=False, hba=HbaIndex(())).ssl = True  # type: ignore[misc]
