"""The group of ephemeral Diffie-Hellman, for the DHE ciphers of TLS 1.2."""

import ssl
import tempfile
from pathlib import Path
from typing import Final

from pgproxy.protocol.errors import errcode_for_file_access
from pgproxy.server.openssl import check_dh_params
from pgproxy.server.port import ssl_reason
from pgproxy.server.tls_error import tls_error

FILE_DH2048: Final = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA///////////JD9qiIWjCNMTGYouA3BzRKQJOCIpnzHQCC76mOxOb
IlFKCHmONATd75UZs806QxswKwpt8l8UN0/hNW1tUcJF5IW1dmJefsb0TELppjft
awv/XLb0Brft7jhr+1qJn6WunyQRfEsf5kkoZlHs5Fs9wgB8uKFjvwWY2kg2HFXT
mmkWP6j9JM9fg2VdI9yjrZYcYvNWIIVSu57VKQdwlpZtZww1Tkq8mATxdGwIyhgh
fDKQXkYuNs474553LBgOhgObJ4Oi7Aeij7XFXfBvTFLJ3ivL9pVYFxg5lUl86pVq
5RXSJhiY+gUQFXKOWoqsqmj//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""
The 2048-bit MODP group of RFC 3526, which PostgreSQL has built in (TLS-58).

Source: ``FILE_DH2048`` in libpq-be.h.
"""


def load_dh_params(context: ssl.SSLContext, file: str, directory: Path) -> None:
    """
    Load the parameters in *file*, ``ssl_dh_params_file``; "" for the built-in group.

    PostgreSQL falls back to that group if a reload finds the file bad. Here such a
    reload is refused, like any other (TLS-37).

    Raises:
        TlsConfigurationError: In PostgreSQL's words (TLS-35, TLS-36).

    Source: ``initialize_dh``, ``load_dh_file`` in be-secure-openssl.c.

    """
    pem = FILE_DH2048
    if file:
        try:
            pem = (directory / file).read_bytes()
        except OSError as error:
            raise tls_error(
                f'could not open DH parameters file "{file}": {error.strerror}',
                sqlstate=errcode_for_file_access(error),
            ) from error
    parsed, problem = check_dh_params(pem)
    if problem is not None:
        raise tls_error(f"invalid DH parameters: {problem}")
    with tempfile.NamedTemporaryFile() as params:
        params.write(pem)
        params.flush()
        try:
            context.load_dh_params(params.name)
        except ssl.SSLError as error:
            what = "could not load DH parameters file"
            if parsed:
                what = "DH: could not set DH parameters"
            raise tls_error(f"{what}: {ssl_reason(error)}") from error
