"""Every setting that there is: its default, its range, and when it may change."""

from dataclasses import fields
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.settings.catalogue import (
    GUCS,
    LogConnections,
    LogFormat,
    Settings,
    SslProtocol,
    read_listen_addresses,
    read_log_connections,
    read_passphrase_command,
    read_workers,
    resolve,
)
from pgproxy.settings.conninfo import BackendHost
from pgproxy.settings.guc import Context
from pgproxy.settings.values import InvalidValue

RECEIPT, AUTHENTICATION, AUTHORIZATION, SETUP_DURATIONS = LogConnections
ON = {RECEIPT, AUTHENTICATION, AUTHORIZATION}


@pytest.mark.parametrize(
    ("name", "boot_val", "context", "vartype", "unit"),
    [
        ("listen_addresses", "localhost", "postmaster", "string", None),
        ("port", "6432", "postmaster", "integer", None),
        ("max_connections", "100", "postmaster", "integer", None),
        ("authentication_timeout", "1min", "sighup", "integer", "s"),
        ("hba_file", "pg_hba.conf", "postmaster", "string", None),
        ("ident_file", "pg_ident.conf", "postmaster", "string", None),
        ("ssl", "off", "sighup", "bool", None),
        ("ssl_cert_file", "server.crt", "sighup", "string", None),
        ("ssl_key_file", "server.key", "sighup", "string", None),
        ("ssl_ca_file", "", "sighup", "string", None),
        ("ssl_crl_file", "", "sighup", "string", None),
        ("ssl_crl_dir", "", "sighup", "string", None),
        ("ssl_ciphers", "HIGH:MEDIUM:+3DES:!aNULL", "sighup", "string", None),
        ("ssl_prefer_server_ciphers", "on", "sighup", "bool", None),
        ("ssl_min_protocol_version", "TLSv1.2", "sighup", "enum", None),
        ("ssl_max_protocol_version", "", "sighup", "enum", None),
        ("log_connections", "", "sighup", "string", None),
        ("log_disconnections", "off", "sighup", "bool", None),
        ("log_hostname", "off", "sighup", "bool", None),
        ("trace_connection_negotiation", "off", "postmaster", "bool", None),
        (
            "pgproxy.backend_conninfo",
            "host=localhost port=5432",
            "sighup",
            "string",
            None,
        ),
        ("pgproxy.workers", "1", "postmaster", "string", None),
        ("pgproxy.log_format", "console", "sighup", "enum", None),
    ],
)
def test_defaults(
    name: str, boot_val: str, context: str, vartype: str, unit: str | None
) -> None:
    """TLS-01 to TLS-18: as in pg_settings of PostgreSQL 18, but for the port."""
    setting = GUCS[name]
    assert setting.show(setting.default) == boot_val
    assert (setting.context, setting.vartype, setting.unit) == (context, vartype, unit)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("port", 0, 65535),
        ("max_connections", 1, 262143),
        ("authentication_timeout", 1, 600),  # TLS-16
    ],
)
def test_ranges(name: str, low: int, high: int) -> None:
    setting = GUCS[name]
    assert setting.parse(str(low)) == low
    assert setting.parse(str(high)) == high
    for beyond in (low - 1, high + 1):
        with pytest.raises(InvalidValue, match="is outside the valid range"):
            setting.parse(str(beyond))


def test_every_field_is_a_setting() -> None:
    attributes = [setting.attribute for setting in GUCS.values()]
    assert attributes == [field.name for field in fields(Settings)]
    settings = Settings()
    for setting in GUCS.values():
        assert getattr(settings, setting.attribute) == setting.default
        assert setting.description.endswith(".")
        assert setting.context in set(Context)


def test_every_default_reads_back() -> None:
    for setting in GUCS.values():
        assert setting.parse(setting.show(setting.default)) == setting.default


def test_values() -> None:
    """TLS-11: there is no lower bound "any"; TLS-12: there is an upper one."""
    low, high = GUCS["ssl_min_protocol_version"], GUCS["ssl_max_protocol_version"]
    assert low.parse("tlsv1") is SslProtocol.TLS1
    assert high.parse("") is SslProtocol.ANY
    assert high.parse("TLSv1.1") is SslProtocol.TLS1_1
    assert high.parse("TLSv1.3") is SslProtocol.TLS1_3
    with pytest.raises(InvalidValue) as refused:
        low.parse("")
    assert refused.value.hint == ("Available values: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3.")
    with pytest.raises(InvalidValue) as refused:
        high.parse("TLSv9")
    assert refused.value.hint == (
        "Available values: , TLSv1, TLSv1.1, TLSv1.2, TLSv1.3."
    )
    assert GUCS["pgproxy.log_format"].parse("JSON") is LogFormat.JSON


def test_the_default_backend() -> None:
    assert Settings().backend_conninfo.hosts == (BackendHost("localhost", "", 5432),)


def test_the_conninfo_names_its_setting() -> None:
    with pytest.raises(InvalidValue) as refused:
        GUCS["pgproxy.backend_conninfo"].parse("secret")
    assert refused.value.message == (
        'invalid value for parameter "pgproxy.backend_conninfo"'
    )


@pytest.mark.parametrize(
    ("text", "aspects"),
    [
        ("", set()),
        (" ", set()),
        ("receipt", {RECEIPT}),
        ("authentication", {AUTHENTICATION}),
        ("authorization", {AUTHORIZATION}),
        ("setup_durations", {SETUP_DURATIONS}),
        ("Receipt, AUTHORIZATION,receipt", {RECEIPT, AUTHORIZATION}),
        ('"receipt" ,"Authentication"', {RECEIPT, AUTHENTICATION}),
        ("all", {*ON, SETUP_DURATIONS}),
        ("receipt, all", {*ON, SETUP_DURATIONS}),
        ("on", ON),
        ("TRUE", ON),
        ("yes", ON),
        ("1", ON),
        ("off", set()),
        ("false", set()),
        ("No", set()),
        ("0", set()),
    ],
)
def test_log_connections(text: str, aspects: set[LogConnections]) -> None:
    """TLS-17."""
    assert read_log_connections("log_connections", text) == aspects


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("a,,b", 'Invalid list syntax in parameter "log_connections".'),
        ("receipt,", 'Invalid list syntax in parameter "log_connections".'),
        (
            "On,receipt",
            'Cannot specify log_connections option "on" in a list with other options.',
        ),
        (
            "0, off",
            'Cannot specify log_connections option "0" in a list with other options.',
        ),
        ("receipt,on", 'Invalid option "on".'),
        ("Rec", 'Invalid option "rec".'),
        ("t", 'Invalid option "t".'),
        ("all, nothing", 'Invalid option "nothing".'),
        ('""', 'Invalid option "".'),
    ],
)
def test_no_log_connections(text: str, detail: str) -> None:
    """TLS-17: a boolean word has to be whole, and alone."""
    with pytest.raises(InvalidValue) as refused:
        read_log_connections("log_connections", text)
    assert refused.value.message == (
        f'invalid value for parameter "log_connections": "{text}"'
    )
    assert refused.value.detail == detail


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("", ()),
        ("*", ("*",)),
        ("localhost", ("localhost",)),
        ("::1, 127.0.0.1,DB.Example", ("::1", "127.0.0.1", "DB.Example")),
    ],
)
def test_listen_addresses(text: str, addresses: tuple[str, ...]) -> None:
    assert read_listen_addresses("listen_addresses", text) == addresses


def test_no_listen_addresses() -> None:
    with pytest.raises(InvalidValue) as refused:
        GUCS["listen_addresses"].parse("a b")
    assert refused.value.message == (
        'invalid list syntax in parameter "listen_addresses"'
    )


@given(st.text())
def test_any_text_is_a_value_or_refused(text: str) -> None:
    for setting in GUCS.values():
        try:
            value = setting.parse(text)
        except InvalidValue:
            continue
        assert setting.parse(setting.show(value)) == value or '"' in text


@pytest.mark.parametrize(
    ("configured", "path"),
    [
        ("server.crt", "/data/server.crt"),
        ("tls/server.crt", "/data/tls/server.crt"),
        ("/etc/ssl/server.crt", "/etc/ssl/server.crt"),
    ],
)
def test_resolve(configured: str, path: str) -> None:
    assert resolve(PurePosixPath("/data"), configured) == PurePosixPath(path)


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        ("", None),
        ("echo secret", None),
        ("ask '%p'", None),
        ("printf 100%%", None),
        ("printf '%%p %p %%'", None),
        ("printf %s", 'String contains unexpected placeholder "%s".'),
        ("a %\n", 'String contains unexpected placeholder "%\n".'),
        ("a %", 'String ends unexpectedly after escape character "%".'),
        ("a %%%", 'String ends unexpectedly after escape character "%".'),
    ],
)
def test_ssl_passphrase_command(command: str, detail: str | None) -> None:
    """TLS-14, TLS-53: what it cannot stand for is told at once, and ends nothing."""
    name = "ssl_passphrase_command"
    if detail is None:
        assert read_passphrase_command(name, command) == command
        return
    with pytest.raises(InvalidValue) as error:
        read_passphrase_command(name, command)
    assert error.value.message == (f'invalid value for parameter "{name}": "{command}"')
    assert error.value.detail == detail


@pytest.mark.parametrize(
    ("text", "value"), [("1", "1"), ("0x10", "16"), ("256", "256"), ("AUTO", "auto")]
)
def test_workers(text: str, value: str) -> None:
    assert read_workers("pgproxy.workers", text) == value


@pytest.mark.parametrize("text", ["0", "257", "-1", "many", "", "1s"])
def test_no_number_of_workers(text: str) -> None:
    with pytest.raises(InvalidValue):
        read_workers("pgproxy.workers", text)
