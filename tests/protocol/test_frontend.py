"""What a client sends before it is logged in: NEG-10, NEG-42 to NEG-53, CAN-01."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.errors import (
    CommunicationError,
    FeatureNotSupported,
    InvalidParameterValue,
    ProtocolViolation,
    SessionRefused,
    SqlState,
)
from pgproxy.protocol.frontend import (
    PG_PROTOCOL_EARLIEST,
    PG_PROTOCOL_LATEST,
    CancelRequest,
    GSSENCRequest,
    SSLRequest,
    StartupMessage,
    truncate_name,
)

V3 = 0x0003_0000


def startup(**parameters: str) -> StartupMessage:
    return StartupMessage(V3, tuple(parameters.items()))


def body(*strings: bytes) -> bytes:
    return b"".join(string + b"\0" for string in strings)


def test_byte_vectors() -> None:
    """postgres.md 1.0: the codes as they are on the wire."""
    assert SSLRequest().encode() == bytes.fromhex("00000008 04D2162F")
    assert GSSENCRequest().encode() == bytes.fromhex("00000008 04D21630")
    assert CancelRequest(1, b"\1\2\3\4").encode() == bytes.fromhex(
        "00000010 04D2162E 00000001 01020304"
    )
    assert PG_PROTOCOL_EARLIEST == 196608
    assert PG_PROTOCOL_LATEST == 196610
    assert StartupMessage(V3, (("user", "a"),)).encode() == (
        b"\0\0\0\x10\0\x03\0\0user\0a\0\0"
    )


@pytest.mark.parametrize("key", [b"k", b"1234", b"x" * 32, b"x" * 256])
def test_cancel_request(key: bytes) -> None:
    """CAN-01: the key is 4 bytes up to 3.1, up to 256 from 3.2."""
    request = CancelRequest(0xFFFF_FFFE, key)
    assert CancelRequest.decode(request.encode()[8:]) == request


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (b"", "invalid length of cancel request packet"),
        (b"123", "invalid length of cancel request packet"),
        (b"1234", "invalid length of cancel key in cancel request packet"),
        (
            b"1234" + b"x" * 257,
            "invalid length of cancel key in cancel request packet",
        ),
    ],
)
def test_cancel_request_is_refused(packet: bytes, message: str) -> None:
    """CAN-02."""
    with pytest.raises(CommunicationError, match=f"^{message}$"):
        CancelRequest.decode(packet)


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
)
parameters = st.dictionaries(names, names | st.just(""), max_size=5).filter(
    lambda found: "replication" not in found
)


@given(
    version=st.integers(V3, V3 | 0xFFFF),
    pairs=parameters,
)
def test_what_is_encoded_is_decoded(version: int, pairs: dict[str, str]) -> None:
    """Any names and values come out as they went in, in their order."""
    message = StartupMessage(version, tuple(pairs.items()))
    assert StartupMessage.decode(version, message.encode()[8:]) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(packet: bytes) -> None:
    """No body crashes the scan, and what it accepts it has read whole."""
    try:
        message = StartupMessage.decode(V3, packet)
    except SessionRefused:
        return
    assert message.encode()[8:-1] == packet[:-1]


def test_bytes_that_are_not_utf_8_come_through() -> None:
    """A name is bytes; which encoding they are in, nobody knows yet (HBA-88)."""
    message = StartupMessage.decode(V3, body(b"user", b"\xff\xfe") + b"\0")
    assert message.user.encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert message.encode()[8:] == body(b"user", b"\xff\xfe") + b"\0"


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (0, "0.0"),
        (1 << 16, "1.0"),
        (2 << 16, "2.0"),
        (4 << 16 | 7, "4.7"),
        (SSLRequest.code, "1234.5679"),
        (GSSENCRequest.code, "1234.5680"),
    ],
)
def test_major_version_must_be_3(code: int, shown: str) -> None:
    """NEG-42; NEG-16: a request out of place is an absurd version."""
    with pytest.raises(FeatureNotSupported) as caught:
        StartupMessage.decode(code, body(b"user", b"a") + b"\0")
    assert caught.value.sqlstate is SqlState.FEATURE_NOT_SUPPORTED
    assert caught.value.message == (
        f"unsupported frontend protocol {shown}: server supports 3.0 to 3.2"
    )


@pytest.mark.parametrize(
    "packet",
    [
        b"",  # length 8
        body(b"user", b"a"),  # no terminator
        body(b"user", b"a") + b"\0\0",  # a byte too many
        body(b"user", b"a", b"name"),  # a name without a value
        body(b"user", b"a") + b"name\0value",  # a value without an end
        body(b"user", b"a") + b"xy",  # a name without an end
        b"\0" + body(b"user", b"a") + b"\0",  # an empty name ends the scan
        body(b"user", b"a", b"", b"v") + b"\0",
        body(b"user", b"a", b"replication"),  # no value, so none that is wrong
    ],
)
def test_layout(packet: bytes) -> None:
    """NEG-44, NEG-45."""
    with pytest.raises(ProtocolViolation) as caught:
        StartupMessage.decode(V3, packet)
    assert caught.value.sqlstate is SqlState.PROTOCOL_VIOLATION
    assert caught.value.message == (
        "invalid startup packet layout: expected terminator as last byte"
    )


@pytest.mark.parametrize("last", [b"\0", b"x"])
def test_one_byte_left_is_a_terminator(last: bytes) -> None:
    """ProcessStartupPacket counts what is left, and does not look at it (NEG-44)."""
    message = StartupMessage.decode(V3, body(b"user", b"a") + last)
    assert message.parameters == (("user", "a"),)


@pytest.mark.parametrize("name", ["user", "database", "replication", "options"])
def test_what_decides_may_not_come_twice(name: str) -> None:
    """NEG-47, NEG-49: PostgreSQL takes the last one; we refuse to choose."""
    pair = body(name.encode(), b"on")
    with pytest.raises(ProtocolViolation) as caught:
        StartupMessage.decode(V3, body(b"x", b"y") + pair + pair + b"\0")
    assert caught.value.message == (
        f'parameter "{name}" appears more than once in startup packet'
    )


def test_other_parameters_may_come_twice() -> None:
    """They are settings, and the backend takes the last one."""
    packet = body(b"TimeZone", b"UTC", b"TimeZone", b"CET") + b"\0"
    message = StartupMessage.decode(V3, packet)
    assert message.parameters == (("TimeZone", "UTC"), ("TimeZone", "CET"))
    assert message.get("TimeZone") == "CET"


@pytest.mark.parametrize(
    ("value", "walsender", "db_walsender"),
    [
        ("database", True, True),
        *[
            (word, True, False)
            for word in ("t", "TRUE", "tr", "y", "yes", "on", "ON", "1")
        ],
        *[(word, False, False) for word in ("f", "false", "n", "no", "of", "off", "0")],
    ],
)
def test_replication(value: str, walsender: bool, db_walsender: bool) -> None:
    """NEG-48."""
    packet = body(b"user", b"a", b"replication", value.encode()) + b"\0"
    message = StartupMessage.decode(V3, packet)
    assert message.am_walsender is walsender
    assert message.am_db_walsender is db_walsender


def test_no_replication() -> None:
    """Most clients do not ask."""
    assert not startup(user="a").am_walsender
    assert not startup(user="a").am_db_walsender


@pytest.mark.parametrize("value", ["o", "Database", "2", "truex", "", "yess", "ja"])
def test_replication_is_refused(value: str) -> None:
    """NEG-48: during the scan, before the layout is judged."""
    packet = body(b"replication", value.encode()) + b"not the end"
    with pytest.raises(InvalidParameterValue) as caught:
        StartupMessage.decode(V3, packet)
    assert caught.value.sqlstate is SqlState.INVALID_PARAMETER_VALUE
    assert caught.value.message == (
        f'invalid value for parameter "replication": "{value}"'
    )
    assert caught.value.hint == ('Valid values are: "false", 0, "true", 1, "database".')


@pytest.mark.parametrize(
    ("parameters", "user", "database"),
    [
        ({"user": "ana", "database": "app"}, "ana", "app"),
        ({"user": "ana"}, "ana", "ana"),  # NEG-51
        ({"user": "ana", "database": ""}, "ana", "ana"),
        ({}, "", ""),  # NEG-50 is for the session to say
        ({"user": "ana", "database": "app", "replication": "true"}, "ana", ""),
        ({"user": "ana", "replication": "true"}, "ana", ""),  # NEG-53
        ({"user": "ana", "database": "d", "replication": "off"}, "ana", "d"),
        ({"user": "ana", "database": "d", "replication": "database"}, "ana", "d"),
    ],
)
def test_user_and_database(
    parameters: dict[str, str], user: str, database: str
) -> None:
    """Who, and where, as pg_hba.conf sees it."""
    message = startup(**parameters)
    assert (message.user, message.database) == (user, database)


def test_a_value_that_ends_the_packet_is_read() -> None:
    """What is wrong with it comes before what is wrong with the layout (NEG-48)."""
    with pytest.raises(InvalidParameterValue):
        StartupMessage.decode(V3, body(b"user", b"a", b"replication", b""))
    with pytest.raises(InvalidParameterValue):
        StartupMessage.decode(V3, body(b"user", b"a", b"replication") + b"maybe")


def test_names_are_cut() -> None:
    """NEG-52: at 63 bytes, through the middle of a character if need be."""
    assert truncate_name("x" * 63) == "x" * 63
    assert truncate_name("x" * 64) == "x" * 63
    assert truncate_name("x" * 62 + "é") == "x" * 62 + "\udcc3"
    message = startup(user="u" * 70, database="d" * 70)
    assert message.user == "u" * 63
    assert message.database == "d" * 63
    assert startup(user="u" * 70).database == "u" * 63


def test_application_name_is_ascii() -> None:
    """NEG-85: what could forge a line of the log is shown in hex."""
    message = startup(user="a", application_name="a~ \n\x7fé")
    assert message.application_name == r"a~ \x0a\x7f\xc3\xa9"
    assert startup(user="a").application_name == ""
    assert startup(application_name="x" * 70).application_name == "x" * 63


def test_protocol_options() -> None:
    """NEG-56: the names as they came, in their order, repeated ones too."""
    message = StartupMessage(
        V3,
        (
            ("_pq_.b", "1"),
            ("user", "a"),
            ("_pq_.a", ""),
            ("_pq_.b", "2"),
            ("_pq_", "x"),
        ),
    )
    assert message.protocol_options == ("_pq_.b", "_pq_.a", "_pq_.b")
    assert re.match("_pq_", message.parameters[0][0])
