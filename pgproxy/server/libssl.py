"""
What the standard library's ``ssl`` does not expose, and a PostgreSQL server has.

One door: ctypes on the very libssl that ``_ssl`` is linked to. The ``SSL_CTX *`` is
taken from the context object, where CPython keeps it right behind the object's head,
and is checked before it is used: OpenSSL has to answer with the options that the
context itself reports. Where that fails, or the interpreter is not one that this was
tried on, the door stays shut, and `Door.open` returns None.

Callbacks are module-level, so they live as long as every context; each runs inside
one ``do_handshake`` of the thread that calls it.
"""

import ctypes
import os
import platform
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable
from ctypes import (
    byref,
    c_char_p,
    c_size_t,
    c_void_p,
)
from dataclasses import dataclass
from pathlib import Path
from ssl import CERT_NONE, SSLContext
from typing import Any, Final, Self

from pgproxy.server import openssl

TRIED_ON: Final = frozenset({(3, 11), (3, 12), (3, 13)})
"""Versions of CPython whose context object was looked at; ``_ssl.c``."""

ALPN: Final = b"postgresql"

SSL_CTRL_SET_SESS_CACHE_MODE: Final = 44
SSL_CTRL_SET_MAX_SEND_FRAGMENT: Final = 52
SSL_CTRL_SET_GROUPS_LIST: Final = 92
SSL_SESS_CACHE_OFF: Final = 0
SSL_VERIFY_PEER: Final = 1
SSL_VERIFY_CLIENT_ONCE: Final = 4
SSL_TLSEXT_ERR_OK: Final = 0
SSL_TLSEXT_ERR_ALERT_FATAL: Final = 2
SSL_CTRL_SET_VERIFY_CERT_STORE: Final = 106
SSL_CTRL_SET_CHAIN_CERT_STORE: Final = 107
SSL_CTRL_GET_CHAIN_CERTS: Final = 115
SSL_CLIENT_HELLO_ERROR: Final = 0
SSL_CLIENT_HELLO_SUCCESS: Final = 1
TLSEXT_TYPE_SERVER_NAME: Final = 0
SSL_AD_INTERNAL_ERROR: Final = 80


@dataclass(frozen=True, slots=True)
class VerifyFailure:
    """
    Why a client's certificate was refused (TLS-82, TLS-84).

    Args:
        depth: Of the certificate that failed; 0 is the client's own.
        reason: In OpenSSL's words.
        certificate: That certificate in DER; None if there was none to blame.

    """

    depth: int
    reason: str
    certificate: bytes | None


_failures: list[VerifyFailure] = []


def take_verify_failure() -> VerifyFailure | None:
    """Return the failure of the handshake that was just done, once."""
    failure = _failures[-1] if _failures else None
    _failures.clear()
    return failure


@openssl.ALPN_SELECT  # type: ignore[untyped-decorator]
def _select_alpn(
    _ssl: int,
    out: Any,  # noqa: ANN401 - a pointer of ctypes
    out_length: Any,  # noqa: ANN401
    offered: Any,  # noqa: ANN401
    size: int,
    _arg: int,
) -> int:
    """
    Select ``postgresql``, or end the handshake with alert 120 (NEG-28).

    ::

        Byte1   length of a name
        ByteN   the name                    any number of times
    """
    names, at = bytes(offered[:size]), 0
    while at < len(names):
        end = at + 1 + names[at]
        if names[at + 1 : end] == ALPN:
            out[0], out_length[0] = ALPN, len(ALPN)
            return SSL_TLSEXT_ERR_OK
        at = end
    return SSL_TLSEXT_ERR_ALERT_FATAL


@openssl.VERIFY  # type: ignore[untyped-decorator]
def _note_failure(ok: int, store: int) -> int:
    """Leave the verdict as it is, and remember what a bad one was about."""
    if not ok:
        current = openssl.lib.X509_STORE_CTX_get_current_cert(store)
        reason = openssl.lib.X509_verify_cert_error_string(
            openssl.lib.X509_STORE_CTX_get_error(store)
        )
        _failures.append(
            VerifyFailure(
                depth=openssl.lib.X509_STORE_CTX_get_error_depth(store),
                reason=reason.decode("ascii", "replace"),
                certificate=_der(current) if current else None,
            )
        )
    return ok


Choose = Callable[[bytes | None], "Door | int"]
"""
Takes the body of ``server_name`` in a ClientHello, None if there is none; returns whose
certificate to show, or the number of the alert to end the handshake with.
"""

_choosers: dict[int, Choose] = {}
_chosen: dict[int, "Door | int"] = {}


def take_choice(fd: int) -> "Door | int | None":
    """Return what was chosen in the handshake on this descriptor, once."""
    return _chosen.pop(fd, None)


@openssl.CLIENT_HELLO  # type: ignore[untyped-decorator]
def _on_client_hello(
    ssl: int,
    alert: Any,  # noqa: ANN401 - a pointer of ctypes
    _arg: int,
) -> int:
    """
    Have the client shown the certificate of the host that it asks for.

    What goes wrong in here ends the handshake: ctypes returns 0 for it, and that is
    SSL_CLIENT_HELLO_ERROR.

    Source: ``sni_clienthello_cb`` in be-secure-openssl.c of PostgreSQL 19; TLS-98.
    """
    alert[0] = SSL_AD_INTERNAL_ERROR
    data, size = c_void_p(), c_size_t()
    extension = None
    if openssl.lib.SSL_client_hello_get0_ext(
        ssl, TLSEXT_TYPE_SERVER_NAME, byref(data), byref(size)
    ):
        extension = ctypes.string_at(data.value or 0, size.value)
    choice = _choosers[openssl.lib.SSL_get_SSL_CTX(ssl)](extension)
    _chosen[openssl.lib.SSL_get_fd(ssl)] = choice
    if isinstance(choice, int):
        alert[0] = choice
        return SSL_CLIENT_HELLO_ERROR
    return SSL_CLIENT_HELLO_SUCCESS if choice.lend_to(ssl) else SSL_CLIENT_HELLO_ERROR


def _der(certificate: int) -> bytes:
    size = openssl.lib.i2d_X509(certificate, None)
    buffer = ctypes.create_string_buffer(size)
    cursor = c_void_p(ctypes.addressof(buffer))
    openssl.lib.i2d_X509(certificate, byref(cursor))
    return buffer.raw


def _add_crl(store: int, der: bytes) -> bool:
    crl = openssl.lib.d2i_X509_CRL(None, byref(c_char_p(der)), len(der))
    if not crl:
        return False
    try:
        return bool(openssl.lib.X509_STORE_add_crl(store, crl))
    finally:
        openssl.lib.X509_CRL_free(crl)  # the store has a reference of its own


class Door:
    """
    The way to one ``SSL_CTX``.

    Make one with `open`; it keeps the context alive.
    """

    def __init__(self, context: SSLContext, pointer: int) -> None:
        self._context = context  # or the pointer would outlive what it points to
        self._ctx = c_void_p(pointer)
        self._cas = b""

    @classmethod
    def open(cls, context: SSLContext) -> Self | None:
        """Return the door to *context*, or None where there is none to trust."""
        if (
            openssl.lib is None
            or platform.python_implementation() != "CPython"
            or sys.version_info[:2] not in TRIED_ON
        ):
            return None
        pointer = c_void_p.from_address(id(context) + object.__basicsize__).value
        options = int(context.options) & 0xFFFF_FFFF_FFFF_FFFF
        if not pointer or openssl.lib.SSL_CTX_get_options(pointer) != options:
            return None
        return cls(context, pointer)

    def disable_session_cache(self) -> None:
        """Offer no resumption: an empty session id in ServerHello (TLS-56)."""
        openssl.lib.SSL_CTX_ctrl(
            self._ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, None
        )

    def set_groups(self, names: str) -> bool:
        """Offer only the groups in *names*, joined by colons; say if all are known."""
        done = openssl.lib.SSL_CTX_ctrl(
            self._ctx, SSL_CTRL_SET_GROUPS_LIST, 0, names.encode()
        )
        openssl.lib.ERR_clear_error()
        return bool(done)

    def set_ciphersuites(self, names: str) -> bool:
        """Offer only these suites of TLS 1.3, joined by colons; say if any is known."""
        done = openssl.lib.SSL_CTX_set_ciphersuites(self._ctx, names.encode())
        openssl.lib.ERR_clear_error()
        return bool(done)

    def limit_records(self, size: int) -> None:
        """Put at most *size* bytes of text, 512 to 16384, into a record (NEG-83)."""
        openssl.lib.SSL_CTX_ctrl(self._ctx, SSL_CTRL_SET_MAX_SEND_FRAGMENT, size, None)

    def trust(self, ca_file: Path) -> None:
        """
        Judge clients by *ca_file*, which the context has loaded.

        They are asked for a certificate and may have none; its subjects are named in
        CertificateRequest, in the file's order (TLS-64); why one fails is remembered.
        """
        names = openssl.lib.SSL_load_client_CA_file(os.fsencode(ca_file))
        openssl.lib.ERR_clear_error()
        if names:
            openssl.lib.SSL_CTX_set_client_CA_list(self._ctx, names)
        openssl.lib.SSL_CTX_set_verify(
            self._ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, _note_failure
        )
        self._cas = ca_file.read_bytes()

    def replace_crls(self, crls: Iterable[bytes]) -> bool:
        """
        Have the next handshakes go by these lists, given in DER.

        The CAs, the certificate, the key and all settings stay as they are, whatever
        has become of their files meanwhile. OpenSSL looks into the store while it
        verifies, which is within one call: no handshake sees both the old and the new.

        Returns:
            Whether all of it could be read. If not, nothing has changed.

        """
        store = openssl.lib.X509_STORE_new()
        try:
            with tempfile.NamedTemporaryFile() as cas:
                cas.write(self._cas)
                cas.flush()
                name = os.fsencode(cas.name)
                if not openssl.lib.X509_STORE_load_locations(store, name, None):
                    return False
            for der in crls:
                if not _add_crl(store, der):
                    return False
            openssl.lib.SSL_CTX_set_cert_store(self._ctx, store)
            store = None  # it is the context's now
        finally:
            openssl.lib.ERR_clear_error()
            if store is not None:
                openssl.lib.X509_STORE_free(store)
        return True

    def require_alpn(self) -> None:
        """Refuse a client that offers protocols without ours among them (NEG-28)."""
        openssl.lib.SSL_CTX_set_alpn_select_cb(self._ctx, _select_alpn, None)

    def choose_by_name(self, choose: Choose) -> None:
        """Ask *choose* for each client, whose certificate it is shown (TLS-98)."""
        address = self._ctx.value
        assert address is not None, "it was checked"
        _choosers[address] = choose
        # Every handshake keeps the context, so none can miss it.
        weakref.finalize(self._context, _choosers.pop, address, None)
        openssl.lib.SSL_CTX_set_client_hello_cb(self._ctx, _on_client_hello, None)

    def lend_to(self, ssl: int) -> bool:
        """
        Give the certificate, key and CAs of this context to one ``SSL``.

        Everything is counted by reference, so a context may be exchanged while a
        handshake is under way. ``SSL_set_SSL_CTX`` would do half of this (openssl#6109).

        Returns:
            Whether it could be done.

        Source: ``ssl_update_ssl`` in be-secure-openssl.c of PostgreSQL 19, which puts
        the CAs into the one context it has: a backend serves one client, we many.

        """
        chain = c_void_p()
        openssl.lib.SSL_CTX_ctrl(
            self._ctx, SSL_CTRL_GET_CHAIN_CERTS, 0, ctypes.cast(byref(chain), c_char_p)
        )
        if not openssl.lib.SSL_use_cert_and_key(
            ssl,
            openssl.lib.SSL_CTX_get0_certificate(self._ctx),
            openssl.lib.SSL_CTX_get0_privatekey(self._ctx),
            chain,
            1,
        ):
            openssl.lib.ERR_clear_error()
            return False
        if not self.checks_clients:
            return True
        # What is missing of the server's own chain is looked for here too (TLS-70).
        store = openssl.lib.SSL_CTX_get_cert_store(self._ctx)
        for control in (SSL_CTRL_SET_VERIFY_CERT_STORE, SSL_CTRL_SET_CHAIN_CERT_STORE):
            openssl.lib.SSL_ctrl(ssl, control, 1, store)
        names = openssl.lib.SSL_dup_CA_list(
            openssl.lib.SSL_CTX_get_client_CA_list(self._ctx)
        )
        openssl.lib.SSL_set_client_CA_list(ssl, names)
        openssl.lib.SSL_set_verify(
            ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, _note_failure
        )
        return True

    @property
    def checks_clients(self) -> bool:
        """Whether there is a CA that may vouch for a client."""
        return self._context.verify_mode is not CERT_NONE
