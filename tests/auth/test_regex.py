r"""Regular expressions of pg_hba.conf and pg_ident.conf (HBA-77, HBA-78, ID-08)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth import regex
from pgproxy.auth.are import MAX_SIZE
from pgproxy.auth.regex import (
    InvalidRegularExpression,
    Regex,
    UnsupportedRegularExpression,
    compile_regex,
)

# Patterns, and texts that they are found in, or not.
MATCHES = [
    ("", ["", "a", "\n"], []),
    ("b", ["b", "abc"], ["", "B", "ac"]),
    ("^a,b$", ["a,b"], ["xa,b", "a,bx", "a,b\n"]),
    ("^a$", ["a"], ["a\n", "\na", "b\na"]),
    ("(?n)^a$", ["a", "a\n", "\na", "b\na\nc"], ["ab", "\nba"]),
    ("(?w)^a.b$", ["\na\nb\n"], ["ab"]),
    ("(?p)^a.b$", ["axb"], ["a\nb", "axb\n"]),
    ("a.b", ["a\nb", "a\udc85b"], ["ab"]),
    # One byte is one character: an e with an accent is two (HBA-78).
    ("^.{2}$", ["ab", "\u00e9"], ["a", "abc", "a\u00e9"]),
    ("^.{2}$", ["\udcff\udcfe"], ["\udcff"]),
    ("[\u00e9]", ["\u00e9", "\u00e8"], ["e"]),
    (r"\xc3", ["\u00e9"], ["e"]),
    ("(?i)\u00e9", ["\u00e9"], ["\u00c9"]),
    ("(?i)^abc$", ["abc", "ABC", "aBc"], ["ab"]),
    ("(?i)k", ["K"], ["\u212a"]),
    (r"^\w$", ["a", "Z", "0", "_"], ["-", "\u00e9", "\udcff"]),
    (r"^\W$", ["-", "\udcff", "\n"], ["a"]),
    ("^[[:alpha:]]+$", ["aZ"], ["a1", "\u00e9"]),
    ("[[:cntrl:]]", ["\n", "\x7f", "\udc80", "\udc9f"], ["\udca0", "a"]),
    ("a|", ["a", "b"], []),
    ("^(?:a|bc){2,3}$", ["abc", "aaa", "bcbcbc"], ["a", "aaaa", "bcb"]),
    ("^a{2}$", ["aa"], ["a", "aaa"]),
    ("^a{2,}$", ["aa", "aaaa"], ["a"]),
    (r"[^\u20ac]", ["a"], [""]),
    (r"[\u20ac]", [], ["", "a", "\u20ac"]),
    (r"\ya\y", ["a", "-a-", "\u00e9a"], ["ab", "_a", "1a"]),
    (r"^\Y$", [""], ["a"]),
    (r"a\Yb", ["ab"], ["a-b"]),
    (r"a\y", ["a", "a-"], ["ab"]),
    # A word begins, or ends; RE2 knows neither.
    (r"\mapp\M", ["app", "my app", "app-x"], ["apps", "my_app", "\u00e9pp"]),
    ("[[:<:]]app[[:>:]]", ["app", "my app"], ["apps", "my_app"]),
    (r"-\m", ["-a"], ["-", "--", "a"]),
    (r"\M-", ["a-"], ["-", "--", "a"]),
    (r"^\m", ["a"], ["", "-", "-a"]),
    (r"\M$", ["a", "-a"], ["", "a-"]),
    (r"(?n)^\m", ["-\na"], ["", "-", "-\n"]),
    (r"(?n)\M$", ["a\n-"], ["", "-", "\n"]),
    (r"a\m", [], ["a", "ab", "a-"]),
    (r"\Ma", [], ["a", "ba", "-a"]),
    (r"\m-", [], ["-", "a-"]),
    (r"-\M", [], ["-", "-a"]),
    (r"^(?:\ma-)*$", ["", "a-", "a-a-"], ["a", "aa-"]),
    (r"^(?:-|\m)a$", ["-a", "a"], ["ba"]),
    (r"(?:x*\m){2}a", ["a"], ["xa"]),
    ("***=a.b", ["xa.bx"], ["axb"]),
    ("(?q)^", ["^"], [""]),
    ("(?x) a b # c", ["ab"], ["a b"]),
]


@pytest.mark.parametrize(("pattern", "found", "not_found"), MATCHES)
def test_matches(pattern: str, found: list[str], not_found: list[str]) -> None:
    """In which texts a regular expression is found; HBA-77, HBA-78, ID-06."""
    compiled = compile_regex(pattern)
    assert [text for text in found if not compiled.matches(text)] == []
    assert [text for text in not_found if compiled.matches(text)] == []


@pytest.mark.parametrize(
    ("pattern", "text", "captured"),
    [
        # What maps are for.
        (r"^(.*)@example\.com$", "ana@example.com", "ana"),
        ("^CN=([^,]+),.*$", "CN=Ana B,OU=x,O=y", "Ana B"),
        ("^.*OU=(.*),.*$", "CN=a,OU=b,OU=c,O=d", "c"),
        ("^.*?OU=(.*?),.*$", "CN=a,OU=b,OU=c,O=d", "b"),
        # No parentheses, none that took part, nothing found: there is no capture.
        ("a", "a", None),
        ("(?:a)", "a", None),
        ("(a){0}", "", None),
        ("(a)|b", "b", None),
        ("(a)?b", "b", None),
        ("(a)b", "a", None),
        # An empty one is one.
        ("x(a*)", "x", ""),
        ("()", "a", ""),
        # The leftmost, then the longest as a whole; what is first goes first.
        ("(a|ab)(c|bcd)(d*)", "abcd", "ab"),
        ("(a|ab)(bcd|c)", "abcd", "a"),
        ("(b|bc)", "abc", "bc"),
        ("(bc??)", "abc", "b"),
        ("(a*)(a*)", "aaa", "aaa"),
        ("(a*?)(a*)", "aaa", ""),
        ("(a*?)b", "aab", "aa"),
        ("(a*)(ab)*b*", "aab", "aa"),
        # A branch that mixes is as its first quantifier is.
        ("(?:(a*?)b*)", "aabb", ""),
        ("(a*)b*?", "aabb", "aa"),
        ("(?:(a.*?)|b)", "aaa", "aaa"),
        # SELECT SUBSTRING('XY1234Z', 'Y*?([0-9]{1,3})') of the manual, 9.7.3.5.
        ("Y*([0-9]{1,3})", "XY1234Z", "123"),
        ("Y*?([0-9]{1,3})", "XY1234Z", "1"),
        ("(?:(?:.*?)(\\d+)(.*)){1,1}", "abc01234xyz", "01234"),
        # The last of iterations counts.
        ("(a|b)*", "abab", "b"),
        ("(a|b)+", "aba", "a"),
        ("(a|ab|b)*c", "abc", "ab"),
        ("(a|b){2,3}", "abab", "a"),
        ("(a|b){0,2}", "abab", "b"),
        ("(aa|a){0,2}$", "aaa", "a"),
        ("(?:(a)|b)*", "ab", None),
        ("(?:(a)|b)*", "ba", "a"),
        ("(a*)*", "b", ""),
        ("(a*)*", "aa", "aa"),
        ("(a)*", "b", None),
        ("(a*?)*", "b", None),
        ("(a*?)*$", "aa", "a"),
        ("(a+?)*$", "aaa", "a"),
        ("(a{1,2}?){0,2}$", "aaa", "aa"),
        ("((a)|b)*", "ab", "b"),
        # What is around counts, too.
        (r"(a*\y)", "aa-", "aa"),
        (r"(\w+?)\M-", "ab-", "ab"),
        (r"(.*)\mb", "a b b", "a b "),
        ("(?n)(^.*$)\n", "a\nb\n", "a"),
        # Bytes, not characters.
        ("(.)$", "\u00e9", "\udca9"),
        ("^(..)", "\u00e9a", "\u00e9"),
    ],
)
def test_capture(pattern: str, text: str, captured: str | None) -> None:
    """What the first parentheses capture; ID-08, ID-11, ID-12."""
    assert compile_regex(pattern).capture(text) == captured


def test_invalid() -> None:
    """What PostgreSQL does not take is refused in its words."""
    with pytest.raises(InvalidRegularExpression, match=r"^brackets \[\] not balanced$"):
        compile_regex("[a")


@pytest.mark.parametrize(
    ("pattern", "why", "position"),
    [
        (r"\m", r"a \m with any character beside it", 1),
        ("\u00e9.[[:<:]].", r"a \m with any character beside it", 3),
        (r"a*\M.", r"a \M with any character beside it", 3),
        ("x*[[:>:]]-?", r"a \M with any character beside it", 3),
        (r"(?:\m|.)*a", r"a \m with any character beside it", 4),
        (r"(?n)$\m", r"a \m with any character beside it", 6),
        (r"(a)\1", "a back reference", 4),
    ],
)
def test_unsupported(pattern: str, why: str, position: int) -> None:
    r"""What RE2 cannot do exactly is refused; so is \m, where its side is not sure."""
    with pytest.raises(UnsupportedRegularExpression) as caught:
        compile_regex(pattern)
    assert (caught.value.why, caught.value.position) == (why, position)


def test_is_a_value() -> None:
    """Two of the same pattern are the same; a token is compared with it."""
    assert compile_regex("a") is compile_regex("a")
    assert Regex("a") == Regex("a")
    assert Regex("a") != Regex("b")
    assert Regex("a") != "a"
    assert hash(Regex("a")) == hash(Regex("a"))
    assert repr(Regex("a")) == "compile_regex('a')"


LETTERS = st.text("ab-\n", max_size=8)
COMMON = st.recursive(
    st.sampled_from(["a", "b", "-", "[ab]", "[^a]", "(?s:.)", r"\Z", r"\A", "a\n"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda b: f"(?:{'|'.join(b)})"),
        st.tuples(inner, st.sampled_from(["*", "+?", "{2}", "{0,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(COMMON, LETTERS)
def test_yes_or_no(pattern: str, text: str) -> None:
    """Where the two dialects are the same, so are the answers of another engine."""
    ours = compile_regex(pattern.replace("(?s:.)", "."))
    assert ours.matches(text) is (re.search(pattern, text) is not None)


@given(COMMON, COMMON, LETTERS)
def test_capture_is_a_match(left: str, right: str, text: str) -> None:
    """What is captured, its parentheses match, and the others match the rest."""
    left, right = left.replace("(?s:.)", "."), right.replace("(?s:.)", ".")
    for sign in ("", "?"):
        whole = compile_regex(rf"\A((?:{left}){{1,2}}{sign})(?:{right})\Z")
        captured = whole.capture(text)
        assert (captured is not None) is whole.matches(text)
        if captured is not None:
            assert text.startswith(captured)


HOSTILE = [
    "(a*)*b",
    "(a|aa)*b",
    "(a|a?)+$",
    "(.*)(.*)(.*)(.*)(.*)x",
    "(a{0,30}){0,30}b",
    "(?:(?:a*)*)*b",
    "(.*?)(?:a|b)*?x?$",
    "((?:a|aa)+)+$",
]


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.timeout(20)
def test_hostile(pattern: str) -> None:
    """No pattern makes a text of 8 kB a matter of minutes."""
    compiled = Regex(pattern)
    for text in ("a" * 63, "a" * 8000, "ab" * 4000, "a" * 8000 + "c"):
        compiled.matches(text)
        compiled.capture(text)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that takes too long to find is an error; ID-13."""
    few, many = "a" * 20, "a" * 2000
    monkeypatch.setattr(regex, "MAX_WORK", 1_000_000)
    small, large = Regex("(a)*"), Regex("^(.*?)(?:a{200}|b{200})*$")
    assert small.capture(few) == "a"
    assert large.capture(few) == few
    for one in (small, large):
        with pytest.raises(
            InvalidRegularExpression, match=r"^regular expression is too complex$"
        ):
            one.capture(many)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a" * (MAX_SIZE - 1), "a" * MAX_SIZE),
        ("[acegikmoqsuwy]" * (MAX_SIZE // 13 - 1), "acegikmoqsuwy" * MAX_SIZE),
        ("(?:ab|cd){1,200}" * 5, "ab" * 5),
        ("^(?:(?:[a-z]{1,30}){1,30}|x)$", "a" * 900),
        ("(" * 99 + "a*" + ")*" * 99, "b"),
        ("(?:a?){0,255}" * 8 + "b", "a" * 3000 + "b"),
        ("(?:" * 100 + "a" + "|b)*" * 100, "b"),
    ],
)
def test_largest(pattern: str, text: str) -> None:
    """RE2 takes whatever is within the limits."""
    assert Regex(pattern).matches(text)
    Regex(pattern).capture(text)
