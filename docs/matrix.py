"""What the page of the handshake matrix says around its table, and how that is folded."""

import re
from typing import Final

from tests.matrix.cells import (
    KEY_TYPES,
    LET_IN,
    PASSWORD_USER,
    STATES,
    USER,
    State,
)
from tests.support.logs import LogLine

HEAD: Final = """\
What becomes of a client, by the certificate that it shows: what it sees, and what the log
says. To find a cause from either end, search this page for the words.
"""

DOTS: Final = """\
Here `…` stands for a name of TLS, `sslv3`, `tlsv1` or `ssl/tls`, by the age of the client's
OpenSSL and of the alert; in the log for a serial number. What libpq says first,
`connection to server at ... failed:`, is left out, and so are folders.
"""

TLS_1_3: Final = """\
With TLS 1.3 a client has done its part of the handshake before the server looks at its
certificate. So it hears of a failure when it waits for the answer to its first message.
libpq tells the alert all the same. asyncpg says that the connection was closed, and has the
alert as the cause of that exception: look at the whole traceback. PostgreSQL itself closes
while the rest of the client's handshake is still unread; then asyncpg and s_client may see a
connection that was reset, and no alert. pgproxy reads it first, and the alert arrives
(NEG-69).

With `sslmode=prefer`, which is libpq's default, and TLS 1.2, libpq tries again without TLS
after a handshake that has failed; with TLS 1.3 it does not.
"""

CELLS: Final = f"""\
The tests in `tests/matrix` try each state with TLS 1.2 and 1.3, with server's keys of five
types ({", ".join(KEY_TYPES)}), and with psycopg (which is libpq),
asyncpg, and `openssl s_client -starttls postgres`. This page is printed from the table that
they compare with. The type of the key makes no difference; the version makes one to asyncpg.
The same is asked of PostgreSQL 18, and of 17 with one type of key, with the same files. What
they log is the same to the letter, but for words that OpenSSL 1.1.1 has of its own.
"""

FILES: Final = f"""\
The root is in `root.crt`. Below it are intermediate CAs, and where nothing else is said,
each has a current list in `root.crl`, and the client sends its CA's certificate behind its
own. It logs in as `{USER}`, or as `{PASSWORD_USER}` where it is asked for a password.
"""

BY_HAND: Final = """\
To try a certificate without a driver, use openssl. `-cert` takes the first certificate of
its file only; what is behind it goes into another file.
"""

COMMAND: Final = """\
openssl s_client -starttls postgres -connect db.example.com:6432 -CAfile root.crt \\
  -cert alice.crt -cert_chain issuing.crt -key alice.key
"""


def overview() -> list[tuple[str, str, str]]:
    """Return a row for each state: its name, what is told, what is logged."""
    return [
        (_link(state), state.outcome.told, f"`{_reason(state)}`") for state in STATES
    ]


def _link(state: State) -> str:
    words = re.sub(r"[^\w ]", "", state.name.lower())
    return f"[{state.name}](#{words.replace(' ', '-')})"


def _reason(state: State) -> str:
    """Return the line of the log that says what is wrong."""
    last = state.outcome.log[-1]
    if state.fails_handshake and last.detail:
        return last.detail.splitlines()[0]
    return last.message


def views() -> list[tuple[str, str, str, str]]:
    """Return a row for each text of each client; states that look alike share one."""
    rows = {
        (
            state.outcome.told,
            seen.client,
            _versions(seen.versions),
            f"`{seen.text}`",
        ): None
        for state in STATES
        for seen in state.outcome.seen
        if seen.text != LET_IN
    }
    return list(rows)


def _versions(versions: tuple[str, ...]) -> str:
    return " and ".join(version.removeprefix("TLSv") for version in versions)


def logged(line: LogLine) -> str:
    """Return *line* as ``log_error_verbosity = verbose`` would print it."""
    text = f"{line.severity}:  {line.state_code}: {line.message}"
    if line.detail is None:
        return text
    first, *rest = line.detail.splitlines()
    return "\n".join([text, f"DETAIL:  {first}", *(f"         {one}" for one in rest)])
