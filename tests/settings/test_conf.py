"""From a file and a command line to `Settings`, or to all that is wrong."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.settings.catalogue import GUCS, LogConnections, LogFormat, Settings
from pgproxy.settings.conf import COMMAND_LINE, Loaded, Rejected, Source, load
from pgproxy.settings.guc_scan import quote
from pgproxy.settings.postgresql import NAMES

FILE = "/data/postgresql.conf"


def load_of(files: dict[str, bytes], *overrides: str) -> Loaded | Rejected:
    def read(path: str) -> bytes:
        try:
            return files[path]
        except KeyError:
            number = errno.ENOENT
            raise OSError(number, os.strerror(number), path) from None

    def list_directory(path: str) -> list[str]:
        return [name.rpartition("/")[2] for name in files if name.startswith(path)]

    return load(FILE, read=read, list_directory=list_directory, overrides=overrides)


def outcome(text: str, *overrides: str) -> Loaded | Rejected:
    return load_of({FILE: text.encode()}, *overrides)


def loaded(text: str, *overrides: str) -> Loaded:
    found = outcome(text, *overrides)
    assert isinstance(found, Loaded), found
    return found


def problems(text: str, *overrides: str) -> tuple[Report, ...]:
    found = outcome(text, *overrides)
    assert isinstance(found, Rejected)
    return found.problems


def test_nothing_is_set() -> None:
    assert loaded("") == Loaded(settings=Settings(), sources={}, notices=())


def test_values_and_where_they_come_from() -> None:
    found = loaded(
        "\nPort = 5433\nSSL on\nssl_ca_file = 'ca.crt'\nport 5434\n"
        "pgproxy.log_format = JSON\nPGPROXY.Backend_Conninfo = 'host=/run'\n"
        "log_connections = receipt\n",
        "authentication-timeout=2min",
        "ssl=off",
    )
    settings = found.settings
    assert settings.port == 5434
    assert settings.ssl is False
    assert settings.ssl_ca_file == "ca.crt"
    assert settings.log_format is LogFormat.JSON
    assert settings.backend_conninfo.hosts[0].host == "/run"
    assert settings.log_connections == {LogConnections.RECEIPT}
    assert settings.authentication_timeout == 120
    assert settings.ssl_key_file == "server.key"
    assert found.sources == {
        "port": Source(FILE, 5),
        "ssl": COMMAND_LINE,
        "ssl_ca_file": Source(FILE, 4),
        "pgproxy.log_format": Source(FILE, 6),
        "pgproxy.backend_conninfo": Source(FILE, 7),
        "log_connections": Source(FILE, 8),
        "authentication_timeout": COMMAND_LINE,
    }
    assert found.notices == ()


def test_where_it_says_that_it_is() -> None:
    assert str(Source(FILE, 5)) == f'line 5 of configuration file "{FILE}"'
    assert str(COMMAND_LINE) == "command-line option -c"


def test_the_last_one_wins() -> None:
    found = loaded("port=1\nPORT=2", "port=3", "Port=4")
    assert found.settings.port == 4
    assert loaded("port=1\nPORT=2").settings.port == 2


def test_those_before_the_last_are_not_looked_at() -> None:
    """As in PostgreSQL."""
    assert loaded("port=bad\nport=1").settings.port == 1
    assert len(problems("port=1\nport=bad")) == 1


def test_what_the_command_line_wins_over_is_looked_at() -> None:
    """As in PostgreSQL: the same file has to do without that command line."""
    (problem,) = problems("port=bad", "port=1")
    assert problem.context == f'line 1 of configuration file "{FILE}"'


def test_a_directory_is_included() -> None:
    found = load_of(
        {FILE: b"include_dir 'd'", "/data/d/x.conf": b"port=5"},
    )
    assert isinstance(found, Loaded)
    assert found.sources == {"port": Source("/data/d/x.conf", 1)}


def test_an_included_file_is_named() -> None:
    found = load_of(
        {FILE: b"include 'x.conf'", "/data/x.conf": b"\n\nport=5"},
    )
    assert isinstance(found, Loaded)
    assert found.sources == {"port": Source("/data/x.conf", 3)}


@pytest.mark.parametrize(
    ("text", "message", "detail", "hint"),
    [
        ("ssl = maybe", 'parameter "ssl" requires a Boolean value', None, None),
        ("SSL = maybe", 'parameter "ssl" requires a Boolean value', None, None),
        (
            "ssl_min_protocol_version = 'TLSv1.4'",
            'invalid value for parameter "ssl_min_protocol_version": "TLSv1.4"',
            None,
            "Available values: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3.",
        ),
        (
            "authentication_timeout = 11min",
            (
                '660 s is outside the valid range for parameter "authentication_timeout" '
                "(1 s .. 600 s)"
            ),
            None,
            None,
        ),
        (
            "log_connections = nonsense",
            'invalid value for parameter "log_connections": "nonsense"',
            'Invalid option "nonsense".',
            None,
        ),
        (
            "pgproxy.backend_conninfo = 'user=x'",
            'invalid value for parameter "pgproxy.backend_conninfo"',
            'connection option "user" cannot be used here',
            "The client decides that when it logs in; leave it out.",
        ),
    ],
)
def test_bad_values(
    text: str, message: str, detail: str | None, hint: str | None
) -> None:
    """TLS-22."""
    assert problems(f"\n{text}") == (
        Report(
            severity=Severity.LOG,
            sqlstate=SqlState.INVALID_PARAMETER_VALUE,
            message=message,
            detail=detail,
            hint=hint,
            context=f'line 2 of configuration file "{FILE}"',
            event="settings.rejected",
        ),
    )


def test_a_bad_value_on_the_command_line() -> None:
    assert problems("", "ssl=maybe") == (
        Report(
            severity=Severity.FATAL,
            sqlstate=SqlState.INVALID_PARAMETER_VALUE,
            message='parameter "ssl" requires a Boolean value',
            context="command-line option -c",
            event="settings.rejected",
        ),
    )


def test_all_problems_at_once() -> None:
    found = outcome(
        "=\ninclude 'missing'\ninclude_if_exists 'gone'\nnonsense=1\nssl=maybe\n"
        "work_mem=1\n",
        "port=x",
        "also_nonsense=1",
        "ssl",
    )
    assert isinstance(found, Rejected)
    assert [report.message for report in found.problems] == [
        f'syntax error in file "{FILE}" line 1, near token "="',
        'could not open configuration file "/data/missing": No such file or directory',
        f'unrecognized configuration parameter "nonsense" in file "{FILE}" line 4',
        'parameter "ssl" requires a Boolean value',
        'invalid value for parameter "port": "x"',
        'unrecognized configuration parameter "also_nonsense"',
        "-c ssl requires a value",
    ]
    assert [report.message for report in found.notices] == [
        'skipping missing configuration file "/data/gone"',
        'pgproxy has no use for these parameters: "work_mem"',
    ]
    assert {report.event for report in found.problems} == {"settings.rejected"}


def test_the_file_is_missing() -> None:
    found = load_of({})
    assert isinstance(found, Rejected)
    (problem,) = found.problems
    assert problem.message == (
        f'could not open configuration file "{FILE}": No such file or directory'
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("prot", "port"),
        ("ports", "port"),
        ("sslx", "ssl"),
        ("max_conections", "max_connections"),
        ("ssl_cert", "ssl_cert_file"),
        ("shared_bufers", "shared_buffers"),
        ("date_style", "DateStyle"),
        ("log_format", "pgproxy.log_format"),
        ("BACKEND_CONNINFO", "pgproxy.backend_conninfo"),
        ("pgproxy.backend_coninfo", "pgproxy.backend_conninfo"),
        ("pgproxy.logformat", "pgproxy.log_format"),
        ("pgproxy.port", "port"),
        ("PgProxy.SSL", "ssl"),
    ],
)
def test_the_name_that_was_meant(name: str, meant: str) -> None:
    assert problems(f"{name} = 1") == (
        Report(
            severity=Severity.LOG,
            sqlstate=SqlState.UNDEFINED_OBJECT,
            message=f'unrecognized configuration parameter "{name}" in file "{FILE}" '
            "line 1",
            hint=f'Perhaps you meant the parameter "{meant}".',
            event="settings.rejected",
        ),
    )


@pytest.mark.parametrize(
    "name", ["nonsense", "a", "sslmode", "pgproxy.nonsense", "pgproxy.x"]
)
def test_nothing_is_close_enough(name: str) -> None:
    (problem,) = problems(f"{name} = 1")
    assert problem.sqlstate is SqlState.UNDEFINED_OBJECT
    assert problem.hint is None


@pytest.mark.parametrize(
    ("override", "message", "sqlstate", "context"),
    [
        (
            "nonsense=1",
            'unrecognized configuration parameter "nonsense"',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        (
            "No-Sense=1",
            'unrecognized configuration parameter "No_Sense"',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        (
            "=1",
            'unrecognized configuration parameter ""',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        (
            "9a.b=1",
            'unrecognized configuration parameter "9a.b"',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        (
            "a..b=1",
            'unrecognized configuration parameter "a..b"',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        (
            "include=x",
            'unrecognized configuration parameter "include"',
            SqlState.UNDEFINED_OBJECT,
            "command-line option -c",
        ),
        ("ssl", "-c ssl requires a value", SqlState.SYNTAX_ERROR, None),
        ("", "-c  requires a value", SqlState.SYNTAX_ERROR, None),
    ],
)
def test_bad_overrides(
    override: str, message: str, sqlstate: SqlState, context: str | None
) -> None:
    (problem,) = problems("", override)
    assert (problem.message, problem.sqlstate) == (message, sqlstate)
    assert problem.severity is Severity.FATAL
    assert problem.context == context


def test_an_override_keeps_what_follows_the_first_equals() -> None:
    found = loaded("", "pgproxy.backend-conninfo=host=a-b port=1", "ssl_ca_file= x ")
    assert found.settings.backend_conninfo.hosts[0].host == "a-b"
    assert found.settings.ssl_ca_file == " x "


def test_what_is_of_no_use() -> None:
    """It is accepted, whatever its value, and named once."""
    found = loaded(
        "shared_buffers = nonsense\ndatestyle = iso\nPLPGSQL.x = 1\nport = 1\n"
        "sort_mem = 1\nwork_mem = 2\nSHARED_BUFFERS = 3\nssl_renegotiation_limit = 0\n",
        "a.b.c$=1",
        "-ä.ß=1",
    )
    assert found.notices == (
        Report(
            severity=Severity.NOTICE,
            sqlstate=SqlState.SUCCESSFUL_COMPLETION,
            message="pgproxy has no use for these parameters: "
            '"DateStyle", "plpgsql.x", "work_mem", "shared_buffers", '
            '"ssl_renegotiation_limit", "a.b.c$", "_ä.ß"',
            event="settings.unused",
        ),
    )
    assert found.sources == {"port": Source(FILE, 4)}


def test_every_name_of_postgresql_is_accepted() -> None:
    text = "".join(f"{name} = x\n" for name in sorted(NAMES - set(GUCS)))
    (notice,) = loaded(text).notices
    assert notice.message.count('"') == 2 * len(NAMES - set(GUCS))


@pytest.mark.parametrize("name", GUCS)
def test_every_setting_can_be_set(name: str) -> None:
    """Its default, written down, is what it was without."""
    setting = GUCS[name]
    text = f"{name.upper()} = {quote(setting.show(setting.default))}"
    found = loaded(text)
    assert found.settings == Settings()
    assert found.sources == {name: Source(FILE, 1)}


VALUE = st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"))


@given(VALUE, VALUE)
def test_what_is_quoted_is_what_is_set(ciphers: str, key: str) -> None:
    found = loaded(
        f"ssl_ciphers = {quote(ciphers)}\nssl_key_file {quote(key)}",
        f"ssl_cert_file={key}",
    )
    assert found.settings.ssl_ciphers == ciphers
    assert found.settings.ssl_key_file == key
    assert found.settings.ssl_cert_file == key


SETTING = st.sampled_from([*GUCS, "include", "work_mem", "x", "a.b"])
LINE = st.builds("{} {}".format, SETTING, st.text())


@given(st.binary() | st.lists(LINE).map(lambda lines: "\n".join(lines).encode()))
def test_any_bytes_give_settings_or_reports(content: bytes) -> None:
    found = load_of({FILE: content})
    reports = found.problems if isinstance(found, Rejected) else found.notices
    assert all(isinstance(report, Report) for report in reports)
    assert isinstance(found, Loaded) or found.problems


@given(st.lists(st.builds("{}={}".format, SETTING, st.text()) | st.text()))
def test_any_command_line_gives_settings_or_reports(overrides: list[str]) -> None:
    found = load_of({FILE: b""}, *overrides)
    assert isinstance(found, Loaded) or found.problems
