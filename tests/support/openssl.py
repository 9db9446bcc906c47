"""Which OpenSSL a server was built with: what a setting means may depend on it."""

import functools
import re
import ssl
import subprocess

from tests.support import oracles


@functools.cache
def major(server: str) -> int:
    """Return 1 or 3, for one of `oracles.SERVERS`."""
    if server == oracles.PGPROXY:
        return ssl.OPENSSL_VERSION_INFO[0]
    postgres = oracles.find(server).bin_dir / "postgres"
    libraries = subprocess.run(
        ["ldd", postgres], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"libssl[-\w]*\.so\.(\d)", libraries)
    assert found, libraries
    return int(found[1])
