"""The scanner, line by line; guc-file.l is the authority."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.guc_scan import deescape_quoted_string, parse_line, quote


@pytest.mark.parametrize(
    "line", ["", " \t\r", "#", "# port = 5432", "  # 'x", "\r", "#\0\udcff"]
)
def test_lines_that_set_nothing(line: str) -> None:
    assert parse_line(line) is None


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("port = 5432", "port", "5432"),
        ("port=5432", "port", "5432"),
        ("port 5432", "port", "5432"),
        ("port\t=\r5432 \r", "port", "5432"),
        ("PORT 5432#", "PORT", "5432"),
        ("port 5432 # = 3", "port", "5432"),
        ("port'5432'", "port", "5432"),
        ("_p0rt=x", "_p0rt", "x"),
        ("Ünï=é", "Ünï", "é"),
        ("\udcff=\udcfe", "\udcff", "\udcfe"),
        ("ssl on", "ssl", "on"),
        ("a.b = c", "a.b", "c"),
        ("a.b=c.d.e", "a.b", "c.d.e"),
        ("x = a-b.c:d/e_9", "x", "a-b.c:d/e_9"),
        ("x = -1", "x", "-1"),
        ("x = +1", "x", "+1"),
        ("x = 0x1Fmin", "x", "0x1Fmin"),
        ("x = 10kB", "x", "10kB"),
        ("x = 0x", "x", "0x"),
        ("x = 0xg", "x", "0xg"),
        ("x = 1.5", "x", "1.5"),
        ("x = -.5e-3", "x", "-.5e-3"),
        ("x = 1.", "x", "1."),
        ("x = .", "x", "."),
        ("x = ''", "x", ""),
        ("x = 'a b'", "x", "a b"),
        ("x = 'it''s' # '", "x", "it's"),
        (r"x = 'it\'s'", "x", "it's"),
        ("x = '# no comment'", "x", "# no comment"),
        ("x = '\t\r\f\v'", "x", "\t\r\f\v"),
        ("x = 'a\\\\'", "x", "a\\"),
        ("include 'x'", "include", "x"),
    ],
)
def test_lines_that_set_something(line: str, name: str, value: str) -> None:
    assert parse_line(line) == (name, value)


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("port", ""),
        ("port =", ""),
        ("port = # 5432", ""),
        ("=", "="),
        ("= 3", "="),
        ("5432", "5432"),
        ("'port' = 3", "'port'"),
        ("a-b = 3", "a-b"),
        ("a.b.c = 3", "a.b.c"),
        ("3.x=3", "3."),
        ("port = = 3", "="),
        ("port == 3", "="),
        ("port = 1 2", "2"),
        ("port = 1 = 2", "="),
        ("x = 1 min", "min"),
        ("x = 1.5min", "min"),
        ("x = 1e5", "5"),
        ("x = 1,2", ","),
        ("x = /etc", "/"),
        ("x = -x", "-"),
        ("x = 'a'b'", "b"),
        ("x = 'a", "'"),
        ("x = 'a\\'", "'"),
        ("x = 'a\\", "'"),
        ("x = 'a\0'", "'"),
        ("x = 'a\\\0'", "'"),
        # Two rules match as much, and the first is that of a name of two parts.
        ("ssl_cert_file = server.crt", "server.crt"),
        ("x\f= 1", "\f"),
        ("x\0= 1", "\0"),
        ("x\x7f", "\x7f"),
        ('x = "a"', '"'),
    ],
)
def test_where_a_line_goes_wrong(line: str, token: str) -> None:
    """The token is the first that cannot stand there; "" is the end of the line."""
    assert parse_line(line) == token


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("''", ""),
        ("''''", "'"),
        ("'a''b'", "a'b"),
        (r"'\b\f\n\r\t'", "\b\f\n\r\t"),
        (r"'\a\'\\\"'", "a'\\\""),
        (r"'\é'", "é"),
        (r"'\101\60\7'", "A0\x07"),
        (r"'\1018'", "A8"),
        (r"'\18'", "\x018"),
        (r"'\777'", "\udcff"),
        (r"'\303\251'", "é"),
        (r"'\303'", "\udcc3"),
        (r"'a\0b'", "a"),
        (r"'a\000'", "a"),
        (r"'a\400b'", "a"),
        ("'\udcff'", "\udcff"),
        ("'\udcc3\\251'", "é"),
        (r"'\\n'", r"\n"),
    ],
)
def test_escapes(token: str, value: str) -> None:
    assert deescape_quoted_string(token) == value


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("", "''"),
        ("a", "'a'"),
        ("it's", "'it''s'"),
        ("a\\b", "'a\\\\b'"),
        ("a\nb", "'a\\nb'"),
        ("\\'\n", "'\\\\''\\n'"),
    ],
)
def test_quote(value: str, quoted: str) -> None:
    assert quote(value) == quoted


TEXT = st.binary().map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)


@given(TEXT)
def test_what_is_quoted_reads_back(value: str) -> None:
    line = f"x = {quote(value)} # comment"
    assert "\n" not in line
    assert parse_line(line) == ("x", value)


@given(st.text().map(lambda text: text.replace("\n", "")))
def test_any_line_is_read_or_refused(line: str) -> None:
    match parse_line(line):
        case None | "":
            pass
        case str(token):
            assert token in line
        case (name, _value):
            assert name in line


@given(st.text(alphabet="ab=.'\\#0x-+e \t"))
def test_lines_of_what_matters(line: str) -> None:
    match parse_line(line):
        case None | "":
            pass
        case str(token):
            assert token in line
        case (name, value):
            assert name in line
            assert parse_line(f"{name} {quote(value)}") == (name, value)
