"""Sessions, packets and messages for the tests of the ladder."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from pgproxy.auth.hba_file import load_hba
from pgproxy.auth.hba_index import HbaIndex
from pgproxy.auth.hba_line import HbaLine
from pgproxy.auth.ident_file import load_ident
from pgproxy.protocol.frontend import (
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
)
from pgproxy.session.actions import Action
from pgproxy.session.events import (
    Accepted,
    BackendMessage,
    BytesRead,
    Event,
    FirstByte,
    TlsEstablished,
)
from pgproxy.session.policy import Policy
from pgproxy.session.session import Session
from pgproxy.session.states import Step
from pgproxy.testing.authority import Authority, Subject

ALL_ASPECTS = frozenset({"receipt", "authentication", "authorization"})

SSL_REQUEST = SSLRequest().encode()
GSSENC_REQUEST = GSSENCRequest().encode()
CANCEL_REQUEST = CancelRequest(42, b"\1\2\3\4").encode()

ACCEPTED = Accepted(host="10.1.1.1", port=40000, address=ip_address("10.1.1.1"))
TLS13 = TlsEstablished(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", bits=256)

CA = Authority.root("the only CA")

SASL_NAMES = b"SCRAM-SHA-256\0\0"
SASL_PLUS_NAMES = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"


def startup(version: int = 0x0003_0000, /, **parameters: str) -> bytes:
    parameters = parameters or {"user": "ana", "database": "app"}
    return StartupMessage(version, tuple(parameters.items())).encode()


LOGIN_PACKET = startup()


def message(kind: bytes, payload: bytes = b"") -> bytes:
    return kind + (4 + len(payload)).to_bytes(4) + payload


def authentication(code: int, data: bytes = b"") -> bytes:
    return message(b"R", code.to_bytes(4) + data)


OK = authentication(0)
PASSWORD = authentication(3)
MD5 = authentication(5, b"salt")
SASL = authentication(10, SASL_NAMES)
SASL_CONTINUE = authentication(11, b"r=...")
SASL_FINAL = authentication(12, b"v=...")
READY = message(b"Z", b"I")
ANSWER = message(b"p", b"answer\0")


def rules(text: str, *, ssl: bool = True) -> tuple[HbaLine, ...]:
    """Read *text* as pg_hba.conf."""
    found = load_hba(
        "/etc/pg_hba.conf",
        ssl=ssl,
        roles=True,
        parse_address=ip_address_or_none,
        read=lambda _path: text.encode(),
        list_directory=lambda _path: [],
    )
    assert not found.problems, found.problems
    return found.lines


def ip_address_or_none(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def policy(
    hba: str = "host all all all trust", ident: str = "", **more: object
) -> Policy:
    maps = load_ident(
        "/etc/pg_ident.conf",
        roles=True,
        read=lambda _path: ident.encode(),
        list_directory=lambda _path: [],
    )
    settings = {"ssl": True, "ca_loaded": True, "log_connections": ALL_ASPECTS, **more}
    return Policy(hba=HbaIndex(rules(hba)), ident=maps.lines, **settings)  # type: ignore[arg-type]


def session(
    hba: str = "host all all all trust", ident: str = "", **more: object
) -> Session:
    return Session(policy(hba, ident, **more))


def certificate(subject: Subject) -> bytes:
    """Return a client's certificate in DER."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return CA.client(subject).certificate.public_bytes(Encoding.DER)


def tls(subject: Subject | None = None, alpn: str | None = None) -> TlsEstablished:
    """Return the event of a handshake, with a certificate for *subject* if given."""
    der = None if subject is None else certificate(subject)
    return TlsEstablished("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, alpn, der)


def packet(data: bytes, *, more: bool = False) -> list[Event]:
    """Return the two events that bring a packet: its length, then the rest."""
    return [BytesRead(data[:4]), BytesRead(data[4:], more=more)]


def in_clear(data: bytes = LOGIN_PACKET) -> list[Event]:
    return [ACCEPTED, FirstByte(0), *packet(data)]


def in_tls(data: bytes = LOGIN_PACKET, subject: Subject | None = None) -> list[Event]:
    return [*in_clear(SSL_REQUEST), tls(subject), *packet(data)]


def direct(data: bytes = LOGIN_PACKET, subject: Subject | None = None) -> list[Event]:
    established = tls(subject, alpn="postgresql")
    return [ACCEPTED, FirstByte(0x16), established, *packet(data)]


def said(*messages: bytes) -> list[Event]:
    return [BackendMessage(data) for data in messages]


def steps(ladder: Session, *events: Event) -> list[Step]:
    return [ladder.handle(event) for event in events]


def play(ladder: Session, *events: Event) -> list[tuple[bytes, Action]]:
    """Two columns: what is sent, and what is done next."""
    return [(step.send, step.next) for step in steps(ladder, *events)]


def told(step: Step) -> list[str]:
    """What the log is told, message by message."""
    return [report.message for report in step.log]


def error_fields(data: bytes) -> dict[str, str]:
    """Return the fields of the ErrorResponse that *data* is, and nothing else."""
    assert data[:1] == b"E", data
    assert int.from_bytes(data[1:5]) == len(data) - 1
    parts = data[5:-2].decode("utf-8", "surrogateescape").split("\0")
    return {part[0]: part[1:] for part in parts}
