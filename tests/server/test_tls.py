"""Settings to a context: what is wrong with them, in PostgreSQL's words."""

import os
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from pgproxy.protocol.errors import Report, Severity, SqlState
from pgproxy.server.private_key import check_key_permissions
from pgproxy.server.tls import VERSIONS, build_context
from pgproxy.server.tls_error import TlsConfigurationError
from pgproxy.testing.authority import Authority, rsa_key
from tests.support.tls_files import Folder

IS_ROOT = os.geteuid() == 0

Spoil = Callable[[Path], object]


# --- What is wrong with the files (TLS-25 to TLS-48) ----------------------------------


def rejected(folder: Folder, **settings: object) -> Report:
    with pytest.raises(TlsConfigurationError) as error:
        build_context(folder.settings(**settings), folder.path)
    (report,) = error.value.reports
    assert report.severity is Severity.ERROR
    assert report.event == "tls.rejected"
    return report


def write(name: str, content: bytes) -> Spoil:
    return lambda path: (path / name).write_bytes(content)


def remove(name: str) -> Spoil:
    return lambda path: (path / name).unlink()


def make_folder(name: str) -> Spoil:
    def spoil(path: Path) -> None:
        (path / name).unlink()
        (path / name).mkdir()

    return spoil


def other_key(path: Path) -> None:
    Authority.root("other").server("localhost").write(
        path / "other.crt", path / "server.key"
    )


def key_of_another_kind(path: Path) -> None:
    Authority.root("other").server("localhost", key=rsa_key()).write(
        path / "other.crt", path / "server.key"
    )


def nothing(_path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        pytest.param(
            remove("server.crt"),
            {},
            'could not load server certificate file "server.crt": '
            "No such file or directory",
            id="TLS-25 missing",
        ),
        pytest.param(
            write("server.crt", b""),
            {},
            'could not load server certificate file "server.crt": no start line',
            id="TLS-25 empty",
        ),
        pytest.param(
            write("server.crt", b"certainly not\n"),
            {},
            'could not load server certificate file "server.crt": no start line',
            id="TLS-25 garbage",
        ),
        pytest.param(
            nothing,
            {"ssl_cert_file": "server.key"},
            'could not load server certificate file "server.key": no start line',
            id="TLS-25 a key",
        ),
        pytest.param(
            nothing,
            {"ssl_cert_file": ""},
            'could not load server certificate file "": No such file or directory',
            id="TLS-02 empty name",
        ),
        pytest.param(
            nothing,
            {"ssl_cert_file": "sub/dir/x.crt"},
            'could not load server certificate file "sub/dir/x.crt": '
            "No such file or directory",
            id="TLS-25 the name as configured",
        ),
        pytest.param(
            make_folder("server.key"),
            {},
            'private key file "server.key" is not a regular file',
            id="TLS-27 directory",
        ),
        pytest.param(
            write("server.key", b""),
            {},
            'could not load private key file "server.key": no start line',
            id="TLS-30 empty",
        ),
        pytest.param(
            write("server.key", b"garbage\n"),
            {},
            'could not load private key file "server.key": no start line',
            id="TLS-30 garbage",
        ),
        pytest.param(
            other_key,
            {},
            'could not load private key file "server.key": key values mismatch',
            id="TLS-30 another certificate's",
        ),
        pytest.param(
            key_of_another_kind,
            {},
            "check of private key failed: no certificate assigned",
            id="TLS-32 of another kind",
        ),
        pytest.param(
            nothing,
            {"ssl_ciphers": "nonsense"},
            "could not set the TLSv1.2 cipher list (no valid ciphers available)",
            id="TLS-40",
        ),
        pytest.param(
            nothing,
            {"ssl_ciphers": ""},
            "could not set the TLSv1.2 cipher list (no valid ciphers available)",
            id="TLS-40 empty",
        ),
        pytest.param(
            nothing,
            {"ssl_ciphers": "\udce9"},
            "could not set the TLSv1.2 cipher list (no valid ciphers available)",
            id="TLS-40 not UTF-8",
        ),
        pytest.param(
            nothing,
            {"ssl_ca_file": "none.crt"},
            'could not load root certificate file "none.crt": '
            "No such file or directory",
            id="TLS-41 missing",
        ),
        pytest.param(
            write("ca.crt", b""),
            {"ssl_ca_file": "ca.crt"},
            'could not load root certificate file "ca.crt": '
            "no certificate or crl found",
            id="TLS-41 empty",
        ),
        pytest.param(
            nothing,
            {"ssl_ca_file": "server.key"},
            'could not load root certificate file "server.key": '
            "no certificate or crl found",
            id="TLS-41 no certificate",
        ),
        pytest.param(
            nothing,
            {"ssl_ca_file": "root.crt", "ssl_crl_file": "none.crl"},
            "could not load SSL certificate revocation list file "
            '"none.crl": No such file or directory',
            id="TLS-42 missing",
        ),
        pytest.param(
            write("root.crl", b""),
            {"ssl_ca_file": "root.crt", "ssl_crl_file": "root.crl"},
            'could not load SSL certificate revocation list file "root.crl": '
            "no certificate or crl found",
            id="TLS-42 empty",
        ),
        pytest.param(
            nothing,
            {"ssl_ca_file": "root.crt", "ssl_crl_file": "root.crt"},
            'could not load SSL certificate revocation list file "root.crt": '
            "no certificate or crl found",
            id="TLS-46 certificates alone are no CRL",
        ),
        pytest.param(
            nothing,
            {
                "ssl_ca_file": "root.crt",
                "ssl_crl_file": "none.crl",
                "ssl_crl_dir": "crls",
            },
            'could not load SSL certificate revocation list file "none.crl" or '
            'directory "crls": No such file or directory',
            id="TLS-42 both",
        ),
        pytest.param(
            nothing,
            {"ssl_crl_file": "none.crl"},
            "could not load SSL certificate revocation list file "
            '"none.crl": No such file or directory',
            id="TLS-42 without a CA",
        ),
    ],
)
def test_rejected(
    folder: Folder, spoil: Spoil, settings: dict[str, object], message: str
) -> None:
    """Each fault in PostgreSQL's words, with the name of the file as configured."""
    spoil(folder.path)
    report = rejected(folder, **settings)
    assert report.message == message
    assert report.sqlstate is SqlState.CONFIG_FILE_ERROR


@pytest.mark.parametrize("name", ["", "none.key"])
def test_missing_key(folder: Folder, name: str) -> None:
    """TLS-26, TLS-03: a key that is not there has an SQLSTATE of its own."""
    report = rejected(folder, ssl_key_file=name)
    assert report.message == (
        f'could not access private key file "{name}": No such file or directory'
    )
    assert report.sqlstate is SqlState.UNDEFINED_FILE


def test_version_range(folder: Folder) -> None:
    """TLS-34: the settings are fine one by one; the context is not."""
    report = rejected(
        folder,
        ssl_min_protocol_version="TLSv1.3",
        ssl_max_protocol_version="TLSv1.2",
    )
    assert report.message == "could not set SSL protocol version range"
    assert report.detail == (
        '"ssl_min_protocol_version" cannot be higher than "ssl_max_protocol_version"'
    )
    assert report.sqlstate is SqlState.CONFIG_FILE_ERROR


@pytest.mark.parametrize("bound", ["min", "max"])
def test_unknown_version(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """TLS-33: a version that this OpenSSL was built without."""
    name = f"ssl_{bound}_protocol_version"
    monkeypatch.setitem(VERSIONS, "TLSv1.3", 0x0399)
    report = rejected(folder, **{name: "TLSv1.3"})
    assert report.message == f'"{name}" setting "TLSv1.3" not supported by this build'
    assert report.sqlstate is SqlState.INTERNAL_ERROR


def test_no_context(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS-43: OpenSSL has no memory for one, say."""

    def fail(_protocol: object) -> None:
        raise ssl.SSLError(1, "[SSL] malloc failure (_ssl.c:3000)")

    monkeypatch.setattr(ssl, "SSLContext", fail)
    assert rejected(folder).message == "could not create SSL context: malloc failure"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ((), "root certificate"),
        (("ciphers",), "cipher list"),
        (("ciphers", "versions"), "version range"),
        (("ciphers", "versions", "key"), "private key"),
        (("ciphers", "versions", "key", "mode"), "group or world access"),
        (
            ("ciphers", "versions", "key", "mode", "certificate"),
            "server certificate",
        ),
    ],
)
def test_first_error_wins(folder: Folder, spoil: Iterable[str], message: str) -> None:
    """TLS-23: certificate, permissions, key, versions, ciphers, CA."""
    settings: dict[str, object] = {"ssl_ca_file": "none.crt"}
    for what in spoil:
        match what:
            case "ciphers":
                settings["ssl_ciphers"] = "nonsense"
            case "versions":
                settings["ssl_min_protocol_version"] = "TLSv1.3"
                settings["ssl_max_protocol_version"] = "TLSv1.2"
            case "key":
                (folder.path / "server.key").write_bytes(b"")
            case "mode":
                (folder.path / "server.key").chmod(0o644)
            case _:
                (folder.path / "server.crt").unlink()
    assert message in rejected(folder, **settings).message


MINE, ROOT, OTHER = "ours", "root's", "somebody else's"
GROUP_OR_WORLD = 'private key file "server.key" has group or world access'
OWNER = 'private key file "server.key" must be owned by the database user or root'


@pytest.mark.parametrize(
    ("owner", "mode", "message"),
    [
        (MINE, 0o400, None),
        (MINE, 0o600, None),
        (MINE, 0o700, None),
        (MINE, 0o640, GROUP_OR_WORLD),
        (MINE, 0o610, GROUP_OR_WORLD),
        (MINE, 0o604, GROUP_OR_WORLD),
        (MINE, 0o601, GROUP_OR_WORLD),
        (ROOT, 0o400, None),
        (ROOT, 0o600, None),
        (ROOT, 0o640, None),
        (ROOT, 0o660, GROUP_OR_WORLD),
        (ROOT, 0o650, GROUP_OR_WORLD),
        (ROOT, 0o644, GROUP_OR_WORLD),
        (OTHER, 0o600, OWNER),
        (OTHER, 0o644, OWNER),
    ],
)
def test_key_permissions(
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
    mode: int,
    message: str | None,
) -> None:
    """TLS-28, TLS-29, TLS-48: by owner and mode, for a server that is not root."""
    key = folder.path / "server.key"
    key.chmod(mode)
    us = 1000
    uid = {MINE: us, ROOT: 0, OTHER: 1001}[owner]
    real = key.stat()
    fake = os.stat_result((real.st_mode, *real[1:4], uid, *real[5:]))
    monkeypatch.setattr(Path, "stat", lambda *_args, **_kwargs: fake)
    monkeypatch.setattr(os, "geteuid", lambda: us)
    if message is None:
        check_key_permissions("server.key", folder.path)
        return
    with pytest.raises(TlsConfigurationError) as error:
        check_key_permissions("server.key", folder.path)
    (report,) = error.value.reports
    assert (report.message, report.sqlstate) == (message, SqlState.CONFIG_FILE_ERROR)
    assert report.detail == (
        "File must have permissions u=rw (0600) or less if owned by the database "
        "user, or permissions u=rw,g=r (0640) or less if owned by root."
        if message == GROUP_OR_WORLD
        else None
    )


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
@pytest.mark.parametrize(
    ("uid", "mode", "message"),
    [
        (0, 0o600, None),
        (0, 0o640, GROUP_OR_WORLD),  # root is the server here: the first rule counts
        (65534, 0o600, OWNER),
    ],
)
def test_key_permissions_of_root(
    folder: Folder, uid: int, mode: int, message: str | None
) -> None:
    """TLS-48: as root, whose own file is still its own."""
    key = folder.path / "server.key"
    os.chown(key, uid, uid)
    key.chmod(mode)
    if message is None:
        build_context(folder.settings(), folder.path)
    else:
        assert rejected(folder).message == message


def test_key_behind_a_link(folder: Folder) -> None:
    """TLS-48: links are followed, and it is the file that is looked at."""
    (folder.path / "real.key").write_bytes((folder.path / "server.key").read_bytes())
    (folder.path / "real.key").chmod(0o644)
    (folder.path / "server.key").unlink()
    (folder.path / "server.key").symlink_to("real.key")
    assert rejected(folder).message == GROUP_OR_WORLD
    (folder.path / "real.key").chmod(0o600)
    build_context(folder.settings(), folder.path)


def test_key_is_a_fifo(folder: Folder) -> None:
    """TLS-27: and it is not opened, which would wait for ever."""
    (folder.path / "server.key").unlink()
    os.mkfifo(folder.path / "server.key", 0o600)
    assert rejected(folder).message == (
        'private key file "server.key" is not a regular file'
    )


def test_other_files_have_no_mode(folder: Folder) -> None:
    """TLS-49: only the key is secret."""
    for name in ("server.crt", "root.crt"):
        (folder.path / name).chmod(0o666)
    build_context(folder.settings(ssl_ca_file="root.crt"), folder.path)


def test_absolute_paths(
    folder: Folder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An absolute path is itself, wherever the data directory is."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    settings = folder.settings(
        ssl_cert_file=str(folder.path / "server.crt"),
        ssl_key_file=str(folder.path / "server.key"),
        ssl_ca_file=str(folder.path / "root.crt"),
    )
    build_context(settings, elsewhere)


@pytest.mark.parametrize("name", ["none", "empty"])
def test_directory_without_crls(folder: Folder, name: str) -> None:
    """TLS-45: is accepted; that nobody gets in with a certificate shows later."""
    (folder.path / "empty").mkdir()
    settings = folder.settings(ssl_ca_file="root.crt", ssl_crl_dir=name)
    context = build_context(settings, folder.path).context
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN


def test_bad_file_in_crl_directory(folder: Folder) -> None:
    """What is named like a CRL has to be one; the rest is not looked at."""
    crls = folder.path / "crls"
    crls.mkdir()
    (crls / "README").write_text("not a CRL")
    settings = {"ssl_ca_file": "root.crt", "ssl_crl_dir": "crls"}
    build_context(folder.settings(**settings), folder.path)
    (crls / "0123abcd.r0").write_text("not a CRL either")
    report = rejected(folder, **settings)
    assert report.message == (
        'could not load SSL certificate revocation list directory "crls": '
        "no certificate or crl found"
    )
    assert report.detail == 'It is "0123abcd.r0" that cannot be loaded.'


def test_unreadable_crl_directory(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a fault of the configuration, and not of pgproxy."""
    (folder.path / "crls").mkdir()

    def refuse(_self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    report = rejected(folder, ssl_ca_file="root.crt", ssl_crl_dir="crls")
    assert report.message == (
        'could not load SSL certificate revocation list directory "crls": '
        "Permission denied"
    )
