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
from collections.abc import Iterable
from ctypes import (
    CFUNCTYPE,
    POINTER,
    byref,
    c_char_p,
    c_int,
    c_long,
    c_ubyte,
    c_uint,
    c_uint64,
    c_ulong,
    c_void_p,
)
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Final, Self

TRIED_ON: Final = frozenset({(3, 11), (3, 12), (3, 13)})
"""Versions of CPython whose context object was looked at; ``_ssl.c``."""

ALPN: Final = b"postgresql"

SSL_CTRL_SET_SESS_CACHE_MODE: Final = 44
SSL_CTRL_SET_GROUPS_LIST: Final = 92
SSL_SESS_CACHE_OFF: Final = 0
SSL_VERIFY_PEER: Final = 1
SSL_VERIFY_CLIENT_ONCE: Final = 4
SSL_TLSEXT_ERR_OK: Final = 0
SSL_TLSEXT_ERR_ALERT_FATAL: Final = 2


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


_VERIFY = CFUNCTYPE(c_int, c_int, c_void_p)
_ALPN_SELECT = CFUNCTYPE(
    c_int,
    c_void_p,
    POINTER(c_char_p),
    POINTER(c_ubyte),
    POINTER(c_ubyte),
    c_uint,
    c_void_p,
)


def _library() -> Any:  # noqa: ANN401 - ctypes has no better type for a library
    import _ssl  # noqa: PLC0415 - where it is missing, so is the door

    lib = ctypes.CDLL(_ssl.__file__)
    for name, result, arguments in (
        ("SSL_CTX_get_options", c_uint64, [c_void_p]),
        ("SSL_CTX_ctrl", c_long, [c_void_p, c_int, c_long, c_char_p]),
        ("SSL_CTX_set_ciphersuites", c_int, [c_void_p, c_char_p]),
        ("SSL_CTX_set_cert_store", None, [c_void_p, c_void_p]),
        ("SSL_load_client_CA_file", c_void_p, [c_char_p]),
        ("SSL_CTX_set_client_CA_list", None, [c_void_p, c_void_p]),
        ("SSL_CTX_set_alpn_select_cb", None, [c_void_p, _ALPN_SELECT, c_void_p]),
        ("SSL_CTX_set_verify", None, [c_void_p, c_int, _VERIFY]),
        ("X509_STORE_CTX_get_error", c_int, [c_void_p]),
        ("X509_STORE_CTX_get_error_depth", c_int, [c_void_p]),
        ("X509_STORE_CTX_get_current_cert", c_void_p, [c_void_p]),
        ("X509_verify_cert_error_string", c_char_p, [c_long]),
        ("i2d_X509", c_int, [c_void_p, POINTER(c_void_p)]),
        ("X509_STORE_new", c_void_p, []),
        ("X509_STORE_free", None, [c_void_p]),
        ("X509_STORE_load_locations", c_int, [c_void_p, c_char_p, c_char_p]),
        ("X509_STORE_add_crl", c_int, [c_void_p, c_void_p]),
        ("d2i_X509_CRL", c_void_p, [c_void_p, POINTER(c_char_p), c_long]),
        ("X509_CRL_free", None, [c_void_p]),
        ("X509_CRL_get_issuer", c_void_p, [c_void_p]),
        ("X509_NAME_hash_ex", c_ulong, [c_void_p, c_void_p, c_void_p, POINTER(c_int)]),
        ("BIO_new_mem_buf", c_void_p, [c_char_p, c_int]),
        ("BIO_free", c_int, [c_void_p]),
        ("PEM_read_bio_DHparams", c_void_p, [c_void_p] * 4),
        ("DH_check", c_int, [c_void_p, POINTER(c_int)]),
        ("DH_free", None, [c_void_p]),
        ("ERR_clear_error", None, []),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


try:
    _lib = _library()
except (ImportError, OSError, AttributeError):
    _lib = None  # libssl is linked statically, or hides its symbols


@_ALPN_SELECT  # type: ignore[untyped-decorator]
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


@_VERIFY  # type: ignore[untyped-decorator]
def _note_failure(ok: int, store: int) -> int:
    """Leave the verdict as it is, and remember what a bad one was about."""
    if not ok:
        current = _lib.X509_STORE_CTX_get_current_cert(store)
        reason = _lib.X509_verify_cert_error_string(
            _lib.X509_STORE_CTX_get_error(store)
        )
        _failures.append(
            VerifyFailure(
                depth=_lib.X509_STORE_CTX_get_error_depth(store),
                reason=reason.decode("ascii", "replace"),
                certificate=_der(current) if current else None,
            )
        )
    return ok


def _der(certificate: int) -> bytes:
    size = _lib.i2d_X509(certificate, None)
    buffer = ctypes.create_string_buffer(size)
    cursor = c_void_p(ctypes.addressof(buffer))
    _lib.i2d_X509(certificate, byref(cursor))
    return buffer.raw


DH_CHECK_P_NOT_PRIME: Final = 0x01
DH_CHECK_P_NOT_SAFE_PRIME: Final = 0x02
DH_NOT_SUITABLE_GENERATOR: Final = 0x08


def check_dh_params(pem: bytes) -> tuple[bool, str | None]:
    """
    Return whether *pem* has Diffie-Hellman parameters, and what is wrong with them.

    Source: ``load_dh_file`` in be-secure-openssl.c; TLS-36.
    """
    if _lib is None:
        return False, None
    bio = _lib.BIO_new_mem_buf(pem, len(pem))
    dh = _lib.PEM_read_bio_DHparams(bio, None, None, None)
    _lib.BIO_free(bio)
    codes = c_int()
    checked = dh and _lib.DH_check(dh, byref(codes))
    _lib.DH_free(dh)
    _lib.ERR_clear_error()
    if not dh:
        return False, None
    neither = DH_NOT_SUITABLE_GENERATOR | DH_CHECK_P_NOT_SAFE_PRIME
    if not checked:
        return True, "they cannot be checked"
    if codes.value & DH_CHECK_P_NOT_PRIME:
        return True, "p is not prime"
    if codes.value & neither == neither:
        return True, "neither suitable generator or safe prime"
    return True, None


def crl_issuer_hash(der: bytes) -> int | None:
    """
    Return the hash that ``openssl rehash`` makes of a CRL's issuer.

    None if that cannot be told; a CRL that cannot be parsed has none.
    """
    if _lib is None:
        return None
    crl = _lib.d2i_X509_CRL(None, byref(c_char_p(der)), len(der))
    if not crl:
        _lib.ERR_clear_error()
        return None
    issuer = _lib.X509_CRL_get_issuer(crl)
    found = _lib.X509_NAME_hash_ex(issuer, None, None, None)
    _lib.X509_CRL_free(crl)
    return int(found)


def _add_crl(store: int, der: bytes) -> bool:
    crl = _lib.d2i_X509_CRL(None, byref(c_char_p(der)), len(der))
    if not crl:
        return False
    try:
        return bool(_lib.X509_STORE_add_crl(store, crl))
    finally:
        _lib.X509_CRL_free(crl)  # the store has a reference of its own


class Door:
    """
    The way to one ``SSL_CTX``.

    Make one with `open`; it keeps the context alive.
    """

    def __init__(self, context: SSLContext, pointer: int) -> None:
        self._context = context  # or the pointer would outlive what it points to
        self._ctx = c_void_p(pointer)

    @classmethod
    def open(cls, context: SSLContext) -> Self | None:
        """Return the door to *context*, or None where there is none to trust."""
        if (
            _lib is None
            or platform.python_implementation() != "CPython"
            or sys.version_info[:2] not in TRIED_ON
        ):
            return None
        pointer = c_void_p.from_address(id(context) + object.__basicsize__).value
        options = int(context.options) & 0xFFFF_FFFF_FFFF_FFFF
        if not pointer or _lib.SSL_CTX_get_options(pointer) != options:
            return None
        return cls(context, pointer)

    def disable_session_cache(self) -> None:
        """Offer no resumption: an empty session id in ServerHello (TLS-56)."""
        _lib.SSL_CTX_ctrl(
            self._ctx, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, None
        )

    def set_groups(self, names: str) -> bool:
        """Offer only the groups in *names*, joined by colons; say if all are known."""
        done = _lib.SSL_CTX_ctrl(self._ctx, SSL_CTRL_SET_GROUPS_LIST, 0, names.encode())
        _lib.ERR_clear_error()
        return bool(done)

    def set_ciphersuites(self, names: str) -> bool:
        """Offer only these suites of TLS 1.3, joined by colons; say if any is known."""
        done = _lib.SSL_CTX_set_ciphersuites(self._ctx, names.encode())
        _lib.ERR_clear_error()
        return bool(done)

    def replace_store(self, ca_file: str, crls: Iterable[bytes]) -> bool:
        """
        Have the next handshakes go by *ca_file* and by *crls*, given in DER.

        The certificate, the key and all settings stay as they are, so this needs no
        passphrase. OpenSSL looks into the store while it verifies, which is within one
        call: no handshake sees both the old and the new.

        Returns:
            Whether all of it could be read. If not, nothing has changed.

        """
        store = _lib.X509_STORE_new()
        try:
            if not _lib.X509_STORE_load_locations(store, os.fsencode(ca_file), None):
                return False
            for der in crls:
                if not _add_crl(store, der):
                    return False
            _lib.SSL_CTX_set_cert_store(self._ctx, store)
            store = None  # it is the context's now
        finally:
            _lib.ERR_clear_error()
            if store is not None:
                _lib.X509_STORE_free(store)
        return True

    def require_alpn(self) -> None:
        """Refuse a client that offers protocols without ours among them (NEG-28)."""
        _lib.SSL_CTX_set_alpn_select_cb(self._ctx, _select_alpn, None)

    def name_client_cas(self, ca_file: str) -> None:
        """Put the subjects in *ca_file* into CertificateRequest, in order (TLS-64)."""
        names = _lib.SSL_load_client_CA_file(os.fsencode(ca_file))
        _lib.ERR_clear_error()
        if names:
            _lib.SSL_CTX_set_client_CA_list(self._ctx, names)

    def note_verify_failures(self) -> None:
        """Ask for a certificate, take a session without, remember why one failed."""
        _lib.SSL_CTX_set_verify(
            self._ctx, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, _note_failure
        )
