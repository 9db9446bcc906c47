"""Ephemeral Diffie-Hellman: TLS-35 to TLS-37, TLS-58."""

import base64
import ssl
from typing import Any

import pytest

from pgproxy.protocol.errors import SqlState
from pgproxy.server.dh_params import FILE_DH2048
from pgproxy.server.tls import build_context
from pgproxy.server.tls_error import TlsConfigurationError
from pgproxy.session.events import TlsEstablished
from pgproxy.testing.authority import rsa_key
from tests.auth.support import tlv
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support.meeting import handshake_messages, meet, try_tls
from tests.support.tls_files import Folder

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
SERVER_KEY_EXCHANGE = 12


def integer(number: int) -> bytes:
    return tlv(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def pem(p: int, g: int) -> bytes:
    """Return parameters, good or bad: a SEQUENCE of p and g."""
    body = base64.encodebytes(tlv(0x30, integer(p), integer(g)))
    return b"-----BEGIN DH PARAMETERS-----\n%b-----END DH PARAMETERS-----\n" % body


RFC3526 = int.from_bytes(
    # Behind the heads of the SEQUENCE and of the INTEGER, and its sign.
    base64.b64decode(b"".join(FILE_DH2048.splitlines()[1:-1]))[9 : 9 + 256]
)


def test_the_group_of_rfc_3526() -> None:
    """The prime is 2^2048 - 2^1984 - 1 + 2^64 * ([2^1918 pi] + 124476)."""
    text = b"".join(FILE_DH2048.split())
    assert text == b"".join(pem(RFC3526, 2).split())
    assert RFC3526.bit_length() == 2048
    assert RFC3526 & (1 << 64) - 1 == (1 << 64) - 1
    assert RFC3526 >> 1984 == (1 << 64) - 1
    assert pow(3, RFC3526 - 1, RFC3526) == 1


@pytest.mark.parametrize("file", ["", "dh.pem"])
def test_on_the_wire(folder: Folder, run: Run[Any], file: str) -> None:
    """
    TLS-13, TLS-58: the group that is configured is the one that a client is sent.

    ::

        Int16   length of p
        Byten   p
    """
    folder.authority.server("localhost", key=rsa_key()).write(
        folder.path / "server.crt", folder.path / "server.key"
    )
    prime = RFC3526
    if file:
        # A safe prime that is not the built-in one: that of RFC 7919, ffdhe2048.
        prime = FFDHE2048
        (folder.path / file).write_bytes(pem(prime, 2))
    client = tls_client.context(
        versions=TLS_1_2, configure=lambda context: context.set_ciphers("EDH+aRSA")
    )
    context = folder.context(ssl_dh_params_file=file)
    event, seen = run(meet(context, try_tls(client)))
    assert isinstance(event, TlsEstablished)
    assert event.cipher.startswith("DHE-RSA-")
    (exchange,) = [
        body
        for kind, body in handshake_messages(seen.received)
        if kind == SERVER_KEY_EXCHANGE
    ]
    size = int.from_bytes(exchange[:2])
    assert int.from_bytes(exchange[2 : 2 + size]) == prime


FFDHE2048 = int(
    "FFFFFFFFFFFFFFFFADF85458A2BB4A9AAFDC5620273D3CF1D8B9C583CE2D3695A9E13641146433FB"
    "CC939DCE249B3EF97D2FE363630C75D8F681B202AEC4617AD3DF1ED5D5FD65612433F51F5F066ED0"
    "856365553DED1AF3B557135E7F57C935984F0C70E0E68B77E2A689DAF3EFE8721DF158A136ADE735"
    "30ACCA4F483A797ABC0AB182B324FB61D108A94BB2C8E3FBB96ADAB760D7F4681D4F42A3DE394DF4"
    "AE56EDE76372BB190B07A7C8EE0A6D709E02FCE1CDF7E2ECC03404CD28342F619172FE9CE98583FF"
    "8E4F1232EEF28183C3FE3B1B4C6FAD733BB5FCBC2EC22005C58EF1837D1683B2C6F34A26C1B2EFFA"
    "886B423861285C97FFFFFFFFFFFFFFFF",
    16,
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "could not load DH parameters file: no start line"),
        (b"garbage", "could not load DH parameters file: no start line"),
        # TLS-36
        (pem(FFDHE2048 - 2, 2), "invalid DH parameters: p is not prime"),
        (
            pem((1 << 521) - 1, 1),
            "invalid DH parameters: neither suitable generator or safe prime",
        ),
        (pem(1283, 2), "DH: could not set DH parameters: dh key too small"),
    ],
    ids=["empty", "garbage", "not prime", "not safe", "too small"],
)
@pytest.mark.parametrize("at_start", [True, False])
def test_rejected(folder: Folder, content: bytes, message: str, at_start: bool) -> None:
    """TLS-36; and at a reload too, other than in PostgreSQL (TLS-37)."""
    (folder.path / "dh.pem").write_bytes(content)
    settings = folder.settings(ssl_dh_params_file="dh.pem")
    with pytest.raises(TlsConfigurationError) as error:
        build_context(settings, folder.path, at_start=at_start)
    assert error.value.reports[-1].message == message


def test_missing(folder: Folder) -> None:
    """TLS-35."""
    with pytest.raises(TlsConfigurationError) as error:
        build_context(folder.settings(ssl_dh_params_file="none"), folder.path)
    (report,) = error.value.reports
    assert report.message == (
        'could not open DH parameters file "none": No such file or directory'
    )
    assert report.sqlstate is SqlState.UNDEFINED_FILE
