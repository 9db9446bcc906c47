"""Reading pg_hosts.conf: TLS-98."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.auth.hosts import HostsLine
from pgproxy.auth.hosts_file import HostsFile, load_hosts
from pgproxy.protocol.errors import Severity, SqlState
from tests.auth.support import Files, messages

HOSTS = "/etc/pg/pg_hosts.conf"


def load(text: str | bytes | int) -> HostsFile:
    data = text.encode() if isinstance(text, str) else text
    files = Files({HOSTS: data, "/etc/pg/names": b"b.org\nc.org", "/etc/pg/more": b""})
    return load_hosts(HOSTS, read=files.read, list_directory=files.list_directory)


def good(text: str) -> tuple[HostsLine, ...]:
    file = load(text)
    assert (file.problems, file.duplicates, file.notices) == ((), (), ())
    return file.lines


def host(*names: str, **more: object) -> HostsLine:
    made = {"ssl_cert": "c", "ssl_key": "k", "source": HOSTS, "line_number": 1, **more}
    return HostsLine(hostnames=names, **made)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.org c k", host("a.org")),
        ("* c k", host("*")),
        ("/no_sni/ c k", host("/no_sni/")),
        ("a.org,b.org c k", host("a.org", "b.org")),
        ("a.org,@names c k", host("a.org", "b.org", "c.org")),
        ('"a b" "c c" k # x', host("a b", ssl_cert="c c")),
        ("a c k r", host("a", ssl_ca="r")),
        ('a c k ""', host("a")),
        ('a c k r "echo x"', host("a", ssl_ca="r", ssl_passphrase_cmd="echo x")),
        (
            "a c k r cat on",
            host("a", ssl_ca="r", ssl_passphrase_cmd="cat", ssl_passphrase_reload=True),
        ),
        ("a c k r cat no", host("a", ssl_ca="r", ssl_passphrase_cmd="cat")),
    ],
)
def test_line(text: str, expected: HostsLine) -> None:
    assert good(text) == (expected,)


def test_lines_in_order() -> None:
    assert good("\nb c k\na c \\\nk") == (
        host("b", line_number=2),
        host("a", line_number=3),
    )


@pytest.mark.parametrize("text", ["", "# nothing", "\n\n"])
def test_nothing_in_it(text: str) -> None:
    """Then the settings count."""
    assert good(text) == ()


def test_missing() -> None:
    """Then they count as well, and the log says that there is none."""
    file = load(errno.ENOENT)
    assert (file.lines, file.problems) == ((), ())
    (notice,) = file.notices
    assert notice.message == f'could not open file "{HOSTS}": No such file or directory'
    assert notice.severity is Severity.LOG


def test_unreadable() -> None:
    """Not the same: nobody knows what is in it."""
    assert messages(load(errno.EACCES).problems) == [
        f'could not open file "{HOSTS}": Permission denied'
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "missing entry at end of line"),
        ("a c", "missing entry at end of line"),
        ("a c,d k", "multiple values specified for SSL certificate"),
        ("a c k,l", "multiple values specified for SSL key"),
        ("a c k r,s", "multiple values specified for SSL CA"),
        ("a c k r x,y", "multiple values specified for SSL passphrase command"),
        (
            "a c k r x maybe",
            "incorrect syntax for boolean value SSL_passphrase_cmd_reload",
        ),
        (
            "a c k r x on,off",
            "incorrect syntax for boolean value SSL_passphrase_cmd_reload",
        ),
        ("a c k r x on y", "extra fields at end of line"),
        (
            "a,* c k",
            "default and non-SNI entries cannot be mixed with other entries",
        ),
        (
            "/no_sni/,b c k",
            "default and non-SNI entries cannot be mixed with other entries",
        ),
    ],
)
def test_bad_line(text: str, message: str) -> None:
    file = load(f"good c k\n{text}\nalso,@missing c k")
    assert [host.hostnames for host in file.lines] == [("good",)]
    unread, problem = file.problems
    assert unread.message.startswith('could not open file "/etc/pg/missing"')
    assert problem.message == message
    assert problem.context == f'line 2 of configuration file "{HOSTS}"'
    assert problem.sqlstate is SqlState.CONFIG_FILE_ERROR
    assert problem.event == "hosts.line_invalid"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("* c k\n* c k", "multiple default hosts specified", 2),
        ("/no_sni/ c k\n\n/no_sni/ c k", "multiple no_sni hosts specified", 3),
        ("a c k\nb c k\na c k", 'multiple entries for host "a" specified', 3),
        ("a.org c k\nb,A.org c k", 'multiple entries for host "A.org" specified', 2),
        ("a,a c k", 'multiple entries for host "a" specified', 1),
    ],
)
def test_duplicates(text: str, message: str, line: int) -> None:
    file = load(text)
    assert file.problems == ()
    (duplicate,) = file.duplicates
    assert duplicate.message == message
    assert duplicate.context == f'line {line} of configuration file "{HOSTS}"'


@given(st.text(alphabet='ab*/,"@# \n\\\t+on', max_size=60))
def test_any_text(text: str) -> None:
    """A line is in the result, or there is a complaint about it."""
    file = load(text)
    for line in file.lines:
        assert line.hostnames
        assert line.ssl_cert or '""' in text
