"""The words of a regular expression (HBA-78)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.are_chars import ALL, CLASSES
from pgproxy.auth.are_lexer import (
    ADVF,
    AHEAD,
    BACKREF,
    BADBR,
    BADOPT,
    BADPAT,
    BADRPT,
    BEHIND,
    CCLASS,
    CCLASSC,
    CCLASSS,
    COLLEL,
    DIGIT,
    EBRACE,
    EBRACK,
    ECLASS,
    EESCAPE,
    END,
    EOS,
    EXPANDED,
    EXTENDED,
    ICASE,
    LACON,
    NLANCH,
    NLSTOP,
    NWBDRY,
    PLAIN,
    QUOTE,
    RANGE,
    SBEGIN,
    SEND,
    WBDRY,
    InvalidRegularExpression,
    Lexer,
    UnsupportedRegularExpression,
)

Word = tuple[str, int]


def words(pattern: bytes, *, groups: int = 0) -> list[Word]:
    """Return all words of *pattern*."""
    lexer = Lexer(pattern)
    lexer.groups = groups
    found = []
    while lexer.type != EOS:
        found.append((lexer.type, int(lexer.value)))
        lexer.next()
    return found


def plain(text: str) -> list[Word]:
    """Return the words of characters that stand for themselves."""
    return [(PLAIN, ord(char)) for char in text]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (b"a\xe9}],-", plain("a\xe9}],-")),
        (b"|.^$)", [(char, ord(char)) for char in "|.^$)"]),
        (b"*+|?", [("*", 1), ("+", 1), ("|", 124), ("?", 1)]),
        (b"*?+????", [("*", 0), ("+", 0), ("?", 0), ("?", 1)]),
        (b"(?:", [("(", 0)]),
        (b"(", [("(", 1)]),
        (b"(?=(?!", [(LACON, AHEAD), (LACON, AHEAD)]),
        (b"(?<=(?<!", [(LACON, BEHIND), (LACON, BEHIND)]),
        (b"a(?#b)c(?#d", plain("ac")),
        (b"{a{", plain("{a{")),
        (b"{12,3}", [("{", 0), (DIGIT, 1), (DIGIT, 2), (",", 0), (DIGIT, 3), ("}", 1)]),
        (b"{1}?", [("{", 0), (DIGIT, 1), ("}", 0)]),
        (b"[[:<:]][[:>:]]", [("<", 0), (">", 0)]),
        (b"[^]-]", [("[", 0), *plain("]-"), ("]", 0)]),
        (b"[-a-b-]", [("[", 1), *plain("-a"), (RANGE, 45), *plain("b-"), ("]", 0)]),
        (b"[[a]", [("[", 1), *plain("[a"), ("]", 0)]),
        (
            b"[[.-.][=a=][:b:]]",
            [
                *[("[", 1), (COLLEL, 0), *plain("-"), (END, 0), (ECLASS, 0)],
                *[*plain("a"), (END, 0), (CCLASS, 0), *plain("b"), (END, 0), ("]", 0)],
            ],
        ),
        (rb"[\d\W\]]", [("[", 1), *words(rb"\d\W\]"), ("]", 0)]),
    ],
)
def test_words(pattern: bytes, expected: list[Word]) -> None:
    """What the words are; HBA-78."""
    assert words(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (rb"\.\\\_\-", plain(".\\_-")),
        (b"\\\xe9", plain("\xe9")),
        (rb"\a\b\B\e\f\n\r\t\v", plain("\a\b\\\x1b\f\n\r\t\v")),
        (rb"\cA\c[", plain("\x01\x1b")),
        (rb"\A\Z\m\M\y\Y", [(SBEGIN, 0), (SEND, 0), ("<", 0), (">", 0), (WBDRY, 0)]),
        (rb"\d\s\w", [(CCLASSS, CLASSES[name]) for name in ("digit", "space", "word")]),
        (
            rb"\D\S\W",
            [(CCLASSC, ALL & ~CLASSES[name]) for name in ("digit", "space", "word")],
        ),
        (rb"\u00e9x\U00000041\x4\x041", [*plain("\xe9xA\x04A")]),
        # More digits than fit: as 32 bits have it.
        (rb"\x100000041", plain("A")),
        (rb"\u20ac", [(PLAIN, 0x20AC)]),
        (rb"\0\07\101\377\400\18", [*plain("\0\x07A\xff\x20"), *plain("0\x018")]),
        (rb"\1\9", [(BACKREF, 1), (BACKREF, 9)]),
        (rb"\10", plain("\x08")),
    ],
)
def test_escapes(pattern: bytes, expected: list[Word]) -> None:
    """What comes after a backslash; HBA-78."""
    assert words(pattern)[: len(expected)] == expected


def test_number_of_groups() -> None:
    """With more than one digit, only what there is so far is a back reference."""
    assert words(rb"x\10", groups=9) == plain("x\x08")
    assert words(rb"x\10", groups=10) == [*plain("x"), (BACKREF, 10)]
    assert words(rb"x\100000000005", groups=10) == [*plain("x@000000005")]


def test_no_word_boundary() -> None:
    r"""``\Y`` is the last of the constraints."""
    assert words(rb"\Y") == [(NWBDRY, 0)]


@pytest.mark.parametrize(
    ("pattern", "flags", "rest"),
    [
        (b"a", EXTENDED | ADVF, "a"),
        (b"***:a", EXTENDED | ADVF, "a"),
        (b"***=(?i)*", QUOTE, "(?i)*"),
        (b"(?i)a", EXTENDED | ADVF | ICASE, "a"),
        (b"***:(?i)a", EXTENDED | ADVF | ICASE, "a"),
        (b"(?ic)a", EXTENDED | ADVF, "a"),
        (b"(?e)a", EXTENDED, "a"),
        (b"(?be)a", EXTENDED, "a"),
        (b"(?n)a", EXTENDED | ADVF | NLSTOP | NLANCH, "a"),
        (b"(?m)a", EXTENDED | ADVF | NLSTOP | NLANCH, "a"),
        (b"(?np)a", EXTENDED | ADVF | NLSTOP, "a"),
        (b"(?nw)a", EXTENDED | ADVF | NLANCH, "a"),
        (b"(?ns)a", EXTENDED | ADVF, "a"),
        (b"(?x)a", EXTENDED | ADVF | EXPANDED, "a"),
        (b"(?xt)a", EXTENDED | ADVF, "a"),
        (b"(?qinx)a.(", QUOTE | ICASE, "a.("),
        (b"(?qe)a", EXTENDED, "a"),
        # One character more, and it would be a director.
        (b"***", EXTENDED | ADVF, None),
    ],
)
def test_prefixes(pattern: bytes, flags: int, rest: str | None) -> None:
    """A director and embedded options; HBA-78."""
    assert Lexer(pattern).flags == flags
    if rest is not None:
        assert words(pattern) == plain(rest)


def test_expanded() -> None:
    """In the expanded syntax blanks and comments are nothing, but not in brackets."""
    assert words(b"(?x) a # b\n\t(?#c) d{ 1 # e\n } [ #]#f") == [
        *plain("ad"),
        *[("{", 0), (DIGIT, 1), ("}", 1), ("[", 1), *plain(" #"), ("]", 0)],
    ]
    assert words(b"(?x){ a") == plain("{a")


def test_extended() -> None:
    """In an ERE a backslash takes the meaning from what follows, and no more."""
    assert words(rb"(?e)\d\.a*?[\d]") == [
        *plain("d.a"),
        *[("*", 1), ("?", 1), ("[", 1), *plain(r"\d"), ("]", 0)],
    ]
    assert words(rb"(?e)(?") == [("(", 1), ("?", 1)]


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        (b"***?", BADPAT),
        (b"***x", BADRPT),
        (b"(?z)", BADOPT),
        (b"(?i", BADOPT),
        (b"(?i:a)", BADOPT),
        (b"a{1", EBRACE),
        (b"a{1,", EBRACE),
        (b"a{1x}", BADBR),
        (b"[", EBRACK),
        (b"[a", EBRACK),
        (b"[[", EBRACK),
        (b"[[.", EBRACK),
        (b"[[=a", EBRACK),
        (b"[[:a:", EBRACK),
        (b"\\", EESCAPE),
        (b"[\\", EESCAPE),
        (rb"[\y]", EESCAPE),
        (rb"[\1]", EESCAPE),
        (rb"\q", EESCAPE),
        (rb"\c", EESCAPE),
        (rb"\x", EESCAPE),
        (rb"\xg", EESCAPE),
        (rb"\u00", EESCAPE),
        (rb"\u00g0", EESCAPE),
        (rb"\U7fffffff", EESCAPE),
        (b"(?", BADRPT),
        (b"(?<", BADRPT),
        (b"(?<a", BADRPT),
        (b"(?1", BADRPT),
    ],
)
def test_errors(pattern: bytes, error: str) -> None:
    """What is no word, in PostgreSQL's words; HBA-78."""
    with pytest.raises(InvalidRegularExpression) as caught:
        words(pattern)
    assert str(caught.value) == error


def test_basic() -> None:
    """Basic regular expressions are refused, with the place."""
    with pytest.raises(UnsupportedRegularExpression) as caught:
        Lexer(b"***:(?ib)a")
    assert caught.value.position == 5
    assert str(caught.value) == "it has the embedded option b at position 5"


@given(st.binary(max_size=30))
def test_any(pattern: bytes) -> None:
    """Whatever it is, it has words, in order, or it is refused."""
    try:
        lexer = Lexer(pattern)
        while lexer.type != EOS:
            assert lexer.offset < lexer.now <= len(pattern)
            before = lexer.now
            lexer.next()
            assert before <= lexer.offset
    except (InvalidRegularExpression, UnsupportedRegularExpression):
        pass
