"""
The very OpenSSL that ``_ssl`` is linked to: its functions, and what needs no context.

`lib` is None where it cannot be reached; `pgproxy.server.libssl` says when it is used.
"""

import ctypes
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
from typing import Any, Final

VERIFY = CFUNCTYPE(c_int, c_int, c_void_p)
ALPN_SELECT = CFUNCTYPE(
    c_int,
    c_void_p,
    POINTER(c_char_p),
    POINTER(c_ubyte),
    POINTER(c_ubyte),
    c_uint,
    c_void_p,
)
CLIENT_HELLO = CFUNCTYPE(c_int, c_void_p, POINTER(c_int), c_void_p)


def _library() -> Any:  # noqa: ANN401 - ctypes has no better type for a library
    import _ssl  # noqa: PLC0415 - where it is missing, so is the door

    found = ctypes.CDLL(_ssl.__file__)
    for name, result, arguments in (
        ("SSL_CTX_get_options", c_uint64, [c_void_p]),
        ("SSL_CTX_ctrl", c_long, [c_void_p, c_int, c_long, c_char_p]),
        ("SSL_CTX_set_ciphersuites", c_int, [c_void_p, c_char_p]),
        ("SSL_CTX_set_cert_store", None, [c_void_p, c_void_p]),
        ("SSL_load_client_CA_file", c_void_p, [c_char_p]),
        ("SSL_CTX_set_client_CA_list", None, [c_void_p, c_void_p]),
        ("SSL_CTX_set_alpn_select_cb", None, [c_void_p, ALPN_SELECT, c_void_p]),
        ("SSL_CTX_set_verify", None, [c_void_p, c_int, VERIFY]),
        ("SSL_CTX_set_client_hello_cb", None, [c_void_p, CLIENT_HELLO, c_void_p]),
        ("SSL_CTX_get0_certificate", c_void_p, [c_void_p]),
        ("SSL_CTX_get0_privatekey", c_void_p, [c_void_p]),
        ("SSL_CTX_get_cert_store", c_void_p, [c_void_p]),
        ("SSL_CTX_get_client_CA_list", c_void_p, [c_void_p]),
        ("SSL_get_SSL_CTX", c_void_p, [c_void_p]),
        ("SSL_get_fd", c_int, [c_void_p]),
        ("SSL_client_hello_get0_ext", c_int, [c_void_p, c_uint, *[c_void_p] * 2]),
        ("SSL_use_cert_and_key", c_int, [*[c_void_p] * 4, c_int]),
        ("SSL_ctrl", c_long, [c_void_p, c_int, c_long, c_void_p]),
        ("SSL_dup_CA_list", c_void_p, [c_void_p]),
        ("SSL_set_client_CA_list", None, [c_void_p, c_void_p]),
        ("SSL_set_verify", None, [c_void_p, c_int, VERIFY]),
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
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


try:
    lib = _library()
except (ImportError, OSError, AttributeError):
    lib = None  # libssl is linked statically, or hides its symbols


DH_CHECK_P_NOT_PRIME: Final = 0x01
DH_CHECK_P_NOT_SAFE_PRIME: Final = 0x02
DH_NOT_SUITABLE_GENERATOR: Final = 0x08


def check_dh_params(pem: bytes) -> tuple[bool, str | None]:
    """
    Return whether *pem* has Diffie-Hellman parameters, and what is wrong with them.

    Source: ``load_dh_file`` in be-secure-openssl.c; TLS-36.
    """
    if lib is None:
        return False, None
    bio = lib.BIO_new_mem_buf(pem, len(pem))
    dh = lib.PEM_read_bio_DHparams(bio, None, None, None)
    lib.BIO_free(bio)
    codes = c_int()
    checked = dh and lib.DH_check(dh, byref(codes))
    lib.DH_free(dh)
    lib.ERR_clear_error()
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
    if lib is None:
        return None
    crl = lib.d2i_X509_CRL(None, byref(c_char_p(der)), len(der))
    if not crl:
        lib.ERR_clear_error()
        return None
    issuer = lib.X509_CRL_get_issuer(crl)
    found = lib.X509_NAME_hash_ex(issuer, None, None, None)
    lib.X509_CRL_free(crl)
    return int(found)
