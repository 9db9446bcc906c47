r"""Distinguished names: TLS-83, TLS-86, TLS-87, and the vectors of LIB-12."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.der import DerError, only
from pgproxy.auth.names import (
    Attribute,
    Name,
    common_name,
    parse_name,
    rfc2253,
    slash_form,
)
from tests.auth.support import CN, ORG, OU, Pair, name, oid, tlv, utf8

UTF8, NUMERIC, PRINTABLE, T61, IA5 = 0x0C, 0x12, 0x13, 0x14, 0x16
UTC_TIME, GENERALIZED_TIME, VISIBLE, UNIVERSAL, BMP = 0x17, 0x18, 0x1A, 0x1C, 0x1E
GENERAL, BIT_STRING, BOOLEAN = 0x1B, 0x03, 0x01

EMAIL, SERIAL, UNKNOWN = "1.2.840.113549.1.9.1", "2.5.4.5", "1.2.3.4.5"


def parsed(*relative: Pair | list[Pair]) -> Name:
    return parse_name(only(name(*relative)))


def test_parse() -> None:
    """Relative names in their order, attributes in theirs."""
    assert parsed([(OU, utf8("ou")), (CN, utf8("multi"))], (ORG, utf8("o"))) == (
        (Attribute(OU, only(utf8("ou"))), Attribute(CN, only(utf8("multi")))),
        (Attribute(ORG, only(utf8("o"))),),
    )


def test_parse_nobody() -> None:
    assert parsed() == ()
    assert rfc2253(()) == slash_form(()) == ""


@pytest.mark.parametrize(
    ("der", "message"),
    [
        (tlv(0x31), "tag 0x31 where 0x30 is due"),
        (tlv(0x30, tlv(0x30)), "tag 0x30 where 0x31 is due"),
        (tlv(0x30, tlv(0x31)), "empty relative name"),
        (
            tlv(0x30, tlv(0x31, tlv(0x31, oid(CN), utf8("a")))),
            "tag 0x31 where 0x30 is due",
        ),
        (
            tlv(0x30, tlv(0x31, tlv(0x30, utf8("a"), oid(CN)))),
            "tag 0x0c where 0x06 is due",
        ),
        (
            tlv(0x30, tlv(0x31, tlv(0x30, oid(CN)))),
            "attribute is not a type and a value",
        ),
        (
            tlv(0x30, tlv(0x31, tlv(0x30, oid(CN), utf8("a"), utf8("b")))),
            "attribute is not a type and a value",
        ),
        (tlv(0x30, b"\x31\x05"), "value ends behind what it is part of"),
        (name((CN, tlv(0x2C, utf8("a")))), None),
        (name((CN, tlv(0x31, utf8("a")))), None),
        (name((CN, tlv(0x80, b"a"))), None),
        (name((CN, tlv(0x4C, b"a"))), None),
        (name((CN, tlv(0xA0, utf8("a")))), None),
        (name((CN, tlv(BIT_STRING))), "bad BIT STRING"),
        (name((CN, tlv(BIT_STRING, b"\x08\0"))), "bad BIT STRING"),
        (name((CN, tlv(BIT_STRING, b"\x01"))), "bad BIT STRING"),
        (name((CN, tlv(BIT_STRING, b"\x07"))), "bad BIT STRING"),
        (name((CN, tlv(BIT_STRING, b"\x01\x01"))), "bad BIT STRING"),
        (name((CN, tlv(BIT_STRING, b"\x07\xff\xc0"))), "bad BIT STRING"),
        # 80 characters, which OpenSSL would cut.
        (name(("1.2" + ".123456" * 11, utf8("a"))), "attribute type is too long"),
    ],
)
def test_parse_bad(der: bytes, message: str | None) -> None:
    with pytest.raises(DerError) as caught:
        parse_name(only(der))
    expected = message or "attribute value is of no type that a name can have"
    assert str(caught.value) == expected


def test_longest_type() -> None:
    """79 characters are printed whole."""
    kind = "1.2" + ".123456" * 10 + ".12345"
    assert len(kind) == 79
    assert rfc2253(parsed((kind, utf8("a")))) == f"{kind}=#0C0161"


@pytest.mark.parametrize(
    ("relative", "cn"),
    [
        ([], None),
        ([(ORG, utf8("o"))], None),
        ([(CN, utf8("a"))], b"a"),
        # TLS-86: the first, not the last; in a relative name of several too.
        ([(CN, utf8("a")), (ORG, utf8("o")), (CN, utf8("b"))], b"a"),
        ([[(OU, utf8("x")), (CN, utf8("a"))], (CN, utf8("b"))], b"a"),
        ([(CN, utf8(""))], b""),
        ([(CN, utf8("\u039f"))], b"\xce\x9f"),
        ([(CN, tlv(BMP, b"\0a\x4e\x2d"))], b"\0a\x4e\x2d"),
        ([(CN, tlv(T61, b"\xe9"))], b"\xe9"),
        ([(CN, tlv(PRINTABLE, b"a"))], b"a"),
    ],
)
def test_common_name(relative: list[Pair], cn: bytes | None) -> None:
    assert common_name(parsed(*relative)) == cn


@pytest.mark.parametrize("tag", [BIT_STRING, BOOLEAN, GENERAL, 0x30])
def test_common_name_that_is_no_string(tag: int) -> None:
    content = b"\0" if tag == BIT_STRING else b""
    with pytest.raises(DerError) as caught:
        common_name(parsed((CN, tlv(tag, content))))
    assert str(caught.value) == "common name is not a string"


# What stands in the name; as RFC 2253; with slashes.
NAMES: list[tuple[list[Pair | list[Pair]], str, str]] = [
    ([(CN, utf8("ssltestuser"))], "CN=ssltestuser", "/CN=ssltestuser"),
    ([(CN, utf8(""))], "CN=", "/CN="),
    # Order: relative names, and attributes in them.
    (
        [(ORG, utf8("PGDG")), (OU, utf8("Testing")), (CN, utf8("a"))],
        "CN=a,OU=Testing,O=PGDG",
        "/O=PGDG/OU=Testing/CN=a",
    ),
    (
        [[(OU, utf8("ou")), (CN, utf8("multi"))], (ORG, utf8("o"))],
        "O=o,CN=multi+OU=ou",
        "/OU=ou/CN=multi/O=o",
    ),
    # Escapes.
    ([(CN, utf8("a,b"))], r"CN=a\,b", r"/CN=a\,b"),
    (
        [(CN, utf8('a+b"c\\d<e>f;g=h/i'))],
        r"CN=a\+b\"c\\d\<e\>f\;g=h/i",
        r"/CN=a\+b\"c\\d\<e\>f\;g=h/i",
    ),
    ([(CN, utf8(" lead"))], r"CN=\ lead", r"/CN=\ lead"),
    ([(CN, utf8("trail "))], "CN=trail\\ ", "/CN=trail\\ "),
    ([(CN, utf8("  a  b  "))], "CN=\\  a  b \\ ", "/CN=\\  a  b \\ "),
    ([(CN, utf8(" "))], "CN=\\ ", "/CN=\\ "),
    ([(CN, utf8("#x"))], r"CN=\#x", r"/CN=\#x"),
    ([(CN, utf8("x#"))], "CN=x#", "/CN=x#"),
    ([(CN, utf8("x#y z"))], "CN=x#y z", "/CN=x#y z"),
    ([(CN, utf8("##"))], r"CN=\##", r"/CN=\##"),
    ([(CN, utf8("#"))], "CN=#", "/CN=#"),  # the last is not the first
    (
        [(CN, utf8("\0\x01\n\x1f\x7f~"))],
        r"CN=\00\01\0A\1F\7F~",
        r"/CN=\00\01\0A\1F\7F~",
    ),
    # What is not ASCII.
    ([(CN, utf8("\u039f"))], r"CN=\CE\9F", r"/CN=\xce\x9f"),
    ([(CN, utf8("\U0001f600"))], r"CN=\F0\9F\98\80", r"/CN=\xf0\x9f\x98\x80"),
    # Other types of strings.
    ([(CN, tlv(PRINTABLE, b"a b"))], "CN=a b", "/CN=a b"),
    ([(CN, tlv(NUMERIC, b"12"))], "CN=12", "/CN=12"),
    ([(CN, tlv(VISIBLE, b"a,"))], r"CN=a\,", r"/CN=a\,"),
    ([(CN, tlv(UTC_TIME, b"25Z"))], "CN=25Z", "/CN=25Z"),
    ([(CN, tlv(GENERALIZED_TIME, b"25Z"))], "CN=25Z", "/CN=25Z"),
    ([(CN, tlv(T61, b"\xe9"))], r"CN=\C3\A9", r"/CN=\xc3\xa9"),
    ([(CN, tlv(IA5, b"a\x80"))], r"CN=a\C2\80", r"/CN=a\xc2\x80"),
    (
        [(CN, tlv(BMP, b"\0 \0a\x4e\x2d\0#"))],
        r"CN=\ a\E4\B8\AD#",
        r"/CN=\ a\xe4\xb8\xad#",
    ),
    (
        [(CN, tlv(UNIVERSAL, b"\0\0\0#\0\1\xf6\0"))],
        r"CN=\#\F0\9F\98\80",
        r"/CN=\#\xf0\x9f\x98\x80",
    ),
    ([(CN, tlv(BMP))], "CN=", "/CN="),
    # Other attributes, other types.
    (
        [(EMAIL, tlv(IA5, b"a@b")), (SERIAL, tlv(PRINTABLE, b"7"))],
        "serialNumber=7,emailAddress=a@b",
        "/emailAddress=a@b/serialNumber=7",
    ),
    (
        [(UNKNOWN, utf8("bar")), (CN, utf8("ssltestuser"))],
        "CN=ssltestuser,1.2.3.4.5=#0C03626172",
        "/1.2.3.4.5=bar/CN=ssltestuser",
    ),
    (
        [(CN, tlv(BIT_STRING, b"\x04\xf0"))],
        "CN=#030204F0",
        "/CN=#030204F0",
    ),
    ([(CN, tlv(BIT_STRING, b"\0"))], "CN=#030100", "/CN=#030100"),
    ([(CN, tlv(BIT_STRING, b"\x07\x80"))], "CN=#03020780", "/CN=#03020780"),
    ([(CN, tlv(0x30, utf8("a")))], "CN=#30030C0161", "/CN=#30030C0161"),
    ([(CN, tlv(GENERAL, b"a"))], "CN=#1B0161", "/CN=#1B0161"),
]


@pytest.mark.parametrize(("relative", "rfc", "_slash"), NAMES)
def test_rfc2253(relative: list[Pair | list[Pair]], rfc: str, _slash: str) -> None:
    assert rfc2253(parsed(*relative)) == rfc


@pytest.mark.parametrize(("relative", "_rfc", "slash"), NAMES)
def test_slash_form(relative: list[Pair | list[Pair]], _rfc: str, slash: str) -> None:
    assert slash_form(parsed(*relative)) == slash


@pytest.mark.parametrize(
    ("tag", "content", "message"),
    [
        (UTF8, b"\xff", "string has characters that are none"),
        (UTF8, b"a\xc0\x80", "string has characters that are none"),
        (UTF8, b"\xed\xa0\x80", "string has characters that are none"),
        (BMP, b"\0a\0", "string ends in the middle of a character"),
        (UNIVERSAL, b"\0\0\0a\0\0", "string ends in the middle of a character"),
        (BMP, b"\xd8\x00", "string has characters that are none"),
        (BMP, b"\xd8\x3d\xde\x00", "string has characters that are none"),
        (UNIVERSAL, b"\0\0\xd8\0", "string has characters that are none"),
        (UNIVERSAL, b"\0\x11\0\0", "string has characters that are none"),
        (UNIVERSAL, b"\xff\xff\xff\xff", "string has characters that are none"),
    ],
)
def test_strings_that_are_none(tag: int, content: bytes, message: str) -> None:
    """OpenSSL fails, or leaves characters out; then two names are one."""
    broken = parsed((CN, tlv(tag, content)))
    for form in (rfc2253, slash_form):
        with pytest.raises(DerError) as caught:
            form(broken)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("cn", "slash"),
    [
        ("a" * 67, "/CN=" + "a" * 67),  # 71 bytes
        ("a" * 68, "..." + "a" * 68),
        ("a" * 64 + "b" * 64, "..." + "a" * 4 + "b" * 64),
        ("a" * 70 + "\u039f", "..." + "a" * 66 + r"\xce\x9f"),
        ("\u039f" + "a" * 67, r"...\x9f" + "a" * 67),  # bytes, not characters
    ],
)
def test_long_names(cn: str, slash: str) -> None:
    """TLS-83: 71 bytes are left, and then what is not ASCII takes more room."""
    assert slash_form(parsed((CN, utf8(cn)))) == slash


STRINGS = st.builds(
    tlv, st.sampled_from([PRINTABLE, T61, IA5]), st.binary()
) | st.text().map(utf8)
PAIRS = st.tuples(st.sampled_from([CN, ORG, OU, EMAIL, UNKNOWN]), STRINGS)


@given(st.lists(st.lists(PAIRS, min_size=1)))
def test_printed(relative: list[list[Pair]]) -> None:
    """All of it is printable ASCII, and says what is where."""
    found = parsed(*relative)
    rfc, slash = rfc2253(found), slash_form(found)
    assert all(" " <= c <= "~" for c in rfc + slash)
    assert (rfc == "") is (not relative)
    if len(found) == 1 and len(found[0]) == 1 and found[0][0].type == CN:
        value = found[0][0].value
        if value.tag == UTF8:
            assert unescaped(rfc.removeprefix("CN=")) == value.content


def unescaped(text: str) -> bytes:
    """Return what RFC 2253 says that *text* stands for."""
    octets, at = b"", 0
    while at < len(text):
        if text[at] != "\\":
            octets += text[at].encode()
            at += 1
        elif text[at + 1] in ',+"\\<>; #':
            octets += text[at + 1].encode()
            at += 2
        else:
            octets += bytes.fromhex(text[at + 1 : at + 3])
            at += 3
    return octets


@given(st.binary())
def test_any_bytes(data: bytes) -> None:
    """A name or an error."""
    for der in (data, tlv(0x30, data), tlv(0x30, tlv(0x31, tlv(0x30, oid(CN), data)))):
        try:
            found = parse_name(only(der))
            rfc2253(found)
            slash_form(found)
            common_name(found)
        except DerError:
            continue
