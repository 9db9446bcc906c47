"""What a server sends: NEG-43, NEG-56 to NEG-58, PRX-16, SCR-01."""

import pytest

from pgproxy.protocol.backend import (
    AUTH_REQ_MD5,
    AUTH_REQ_OK,
    AUTH_REQ_PASSWORD,
    AUTH_REQ_SASL,
    AUTH_REQ_SASL_CONT,
    AUTH_REQ_SASL_FIN,
    ErrorResponse,
    NegotiateProtocolVersion,
    authentication_request,
    sasl_mechanisms,
)
from pgproxy.protocol.errors import (
    CommunicationError,
    InvalidAuthorization,
    ProtocolViolation,
    SessionRefused,
)
from pgproxy.protocol.frontend import StartupMessage

V3 = 0x0003_0000


def raised(error: SessionRefused) -> SessionRefused:
    def complain() -> None:
        raise error

    with pytest.raises(SessionRefused) as caught:
        complain()
    return caught.value


def test_error_response() -> None:
    """The fields, in PostgreSQL's order; each ends with NUL, and so does the message."""
    error = ProtocolViolation("no", detail="why", hint="do", log_detail="secret")
    response = ErrorResponse.of(raised(error))
    assert [key for key, _text in response.fields] == list("SVCMDHFLR")
    fields = dict(response.fields)
    assert fields["S"] == fields["V"] == "FATAL"
    assert (fields["C"], fields["M"]) == ("08P01", "no")
    assert (fields["D"], fields["H"]) == ("why", "do")
    message = response.encode()
    assert message[:1] == b"E"
    assert int.from_bytes(message[1:5]) == len(message) - 1
    assert message.endswith(b"\0\0")
    parts = message[5:-2].split(b"\0")
    assert parts == [(key + text).encode() for key, text in response.fields]
    assert b"secret" not in message


def test_error_response_says_who_raised_it() -> None:
    """PRX-16: file, line and routine are there, and are true."""
    fields = dict(ErrorResponse.of(raised(InvalidAuthorization("no"))).fields)
    assert fields["F"] == "test_backend.py"
    assert int(fields["L"]) > 0
    assert fields["R"] == "complain"
    assert "D" not in fields
    assert "H" not in fields


def test_error_response_that_nobody_raised() -> None:
    """Then there is no line to name, and the fields are there all the same."""
    fields = dict(ErrorResponse.of(InvalidAuthorization("no")).fields)
    assert (fields["F"], fields["L"], fields["R"]) == (
        "session.py",
        "0",
        "InvalidAuthorization",
    )


def test_error_response_in_protocol_2() -> None:
    """NEG-43: no length, two blanks, a line feed, NUL."""
    error = InvalidAuthorization("unsupported", detail="d")
    assert ErrorResponse.of(error).encode_v2() == b"EFATAL:  unsupported\n\0"


def test_names_go_out_as_they_came() -> None:
    """HBA-88: bytes that are not UTF-8 are sent raw."""
    name = b"\xff\xe9".decode("utf-8", "surrogateescape")
    assert b"M\xff\xe9\0" in ErrorResponse.of(InvalidAuthorization(name)).encode()


@pytest.mark.parametrize(
    ("version", "options", "answer"),
    [
        (V3, (), None),
        (V3 | 1, (), None),  # 3.1 is accepted in silence (NEG-57)
        (V3 | 2, (), None),
        (V3 | 3, (), (V3 | 2, ())),
        (V3 | 9999, (), (V3 | 2, ())),
        (V3, ("_pq_.x",), (V3, ("_pq_.x",))),
        (V3 | 1, ("_pq_.x",), (V3 | 1, ("_pq_.x",))),
        (V3 | 9999, ("_pq_.b", "_pq_.a"), (V3 | 2, ("_pq_.b", "_pq_.a"))),
    ],
)
def test_negotiate_protocol_version(
    version: int, options: tuple[str, ...], answer: tuple[int, tuple[str, ...]] | None
) -> None:
    """NEG-56, NEG-57: the version is a full number."""
    pairs = (("user", "a"), *((name, "") for name in options))
    due = NegotiateProtocolVersion.due(StartupMessage(version, pairs))
    assert due == (None if answer is None else NegotiateProtocolVersion(*answer))


def test_negotiate_protocol_version_on_the_wire() -> None:
    """NEG-56."""
    message = NegotiateProtocolVersion(V3 | 2, ("_pq_.x", "_pq_.y")).encode()
    assert message == (b"v\0\0\0\x1a\0\x03\0\x02\0\0\0\x02_pq_.x\0_pq_.y\0")


def test_authentication_requests() -> None:
    """protocol.h."""
    assert [
        AUTH_REQ_OK,
        AUTH_REQ_PASSWORD,
        AUTH_REQ_MD5,
        AUTH_REQ_SASL,
        AUTH_REQ_SASL_CONT,
        AUTH_REQ_SASL_FIN,
    ] == [0, 3, 5, 10, 11, 12]
    assert authentication_request(b"R\0\0\0\x08\0\0\0\x05") == 5
    assert authentication_request(b"R\0\0\0\x0c\0\0\0\x0bdata") == 11
    assert authentication_request(b"R\0\0\0\x08\1\0\0\0") == 1 << 24


@pytest.mark.parametrize("message", [b"R\0\0\0\x04", b"R\0\0\0\x07\0\0\0"])
def test_authentication_request_is_refused(message: bytes) -> None:
    """It does not even say what it asks for."""
    with pytest.raises(
        CommunicationError, match=r"^invalid authentication request from the backend$"
    ):
        authentication_request(message)


def test_sasl_mechanisms() -> None:
    """SCR-01: names, each with its NUL, then one more."""
    names = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
    head = b"R" + (8 + len(names)).to_bytes(4) + b"\0\0\0\x0a"
    assert sasl_mechanisms(head + names) == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert sasl_mechanisms(b"R\0\0\0\x09\0\0\0\x0a\0") == ()
