"""Settings of TLS that are no good, and what each server says: TLS-20 to TLS-44."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from pgproxy.testing.authority import rsa_key, write_private
from pgproxy.testing.installation import ProgramError
from tests.negotiation.differences import differs
from tests.support import openssl
from tests.support.endpoints import (
    Config,
    Endpoint,
    NativeEndpoint,
    PgproxyEndpoint,
    Servers,
    wait_until,
)
from tests.support.pki import Pki

pytestmark = pytest.mark.interop


@contextlib.contextmanager
def started(servers: Servers, **settings: str) -> Iterator[Endpoint | str]:
    """Yield a server with these *settings*, or all it said if it does not start."""
    with contextlib.ExitStack() as running:
        outcome: Endpoint | str
        try:
            private = servers.farm.private(servers.kind, Config(settings=settings))
            outcome = running.enter_context(private)
        except (ProgramError, AssertionError) as error:
            outcome = str(error)
        yield outcome


@pytest.mark.parametrize("ciphers", ["nonsense", ""])
def test_no_ciphers(servers: Servers, ciphers: str) -> None:
    """TLS-44, TLS-40: whether that is an error is for the OpenSSL to say."""
    with started(servers, ssl_ciphers=ciphers) as outcome:
        if openssl.major(servers.kind) == 1:
            assert isinstance(outcome, Endpoint)
            with outcome.connect() as client:
                client.request_tls()
                assert client.tls is not None
                assert client.tls.version() == "TLSv1.3"
            return
        assert isinstance(outcome, str)
        version = "" if differs("TLS-40", servers.kind) else "TLSv1.2 "
        assert (
            f"could not set the {version}cipher list (no valid ciphers available)"
            in outcome
        )


@pytest.mark.parametrize(
    ("curve", "before", "now"),
    [
        (
            "nonsense",
            "ECDH: unrecognized curve name: nonsense",
            "could not set group names specified in ssl_groups: No valid groups found",
        ),
        ("X25519", "ECDH: could not create key", None),
        ("secp384r1", None, None),
    ],
)
def test_old_name_of_the_groups(
    servers: Servers, curve: str, before: str | None, now: str | None
) -> None:
    """TLS-38, TLS-10: what was one curve up to 17 is now a list of groups."""
    expected = before if differs("TLS-38", servers.kind) else now
    with started(servers, ssl_ecdh_curve=curve) as outcome:
        if expected is None:
            assert isinstance(outcome, Endpoint)
        else:
            assert isinstance(outcome, str)
            assert expected in outcome


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("ssl_library", "OpenSSL", 'parameter "ssl_library" cannot be changed'),
        (
            "ssl_renegotiation_limit",
            "1",
            (
                "1 is outside the valid range for parameter "
                '"ssl_renegotiation_limit" (0 .. 0)'
            ),
        ),
        ("ssl_renegotiation_limit", "0", None),
    ],
)
def test_what_cannot_be_set(
    servers: Servers, name: str, value: str, complaint: str | None
) -> None:
    """TLS-20: nobody chooses the library, and there is no renegotiation to limit."""
    with started(servers, **{name: value}) as outcome:
        if differs("TLS-20", servers.kind):
            assert isinstance(outcome, Endpoint)
            assert f'\\"{name}\\"' in outcome.log_text()  # in the NOTICE
        elif complaint is None:
            assert isinstance(outcome, Endpoint)
        else:
            assert isinstance(outcome, str)
            assert complaint in outcome


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        ("RSA", "check of private key failed: no certificate assigned"),
        ("EC", 'could not load private key file "server.key": key values mismatch'),
    ],
)
def test_key_that_does_not_match(
    servers: Servers, pki: Pki, kind: str, complaint: str
) -> None:
    """TLS-32, TLS-30: a key of another kind fails later than one of the same."""
    key = rsa_key() if kind == "RSA" else None
    other = pki.root.server("localhost", key=key).key_pem()
    with servers.private() as server:
        if isinstance(server, NativeEndpoint):
            server.instance.write("server.key", other)
        else:
            assert isinstance(server, PgproxyEndpoint)
            write_private(server.folder / "server.key", other)
        server.signal(signal.SIGHUP)
        wait_until(
            lambda: "SSL configuration was not reloaded" in server.log_text(),
            server.log_text,
        )
        assert complaint.replace('"', '\\"') in server.log_text()
