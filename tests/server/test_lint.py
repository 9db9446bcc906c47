"""What can be loaded and is wrong all the same: each with what to do about it."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID

from pgproxy.protocol.errors import Report, Severity
from pgproxy.server.lint import dates, lint
from pgproxy.server.openssl import crl_issuer_hash
from pgproxy.testing.authority import (
    Authority,
    Credentials,
    days,
    rsa_key,
    write_certificates,
    write_crls,
)
from tests.support.tls_files import Folder

NOW = datetime.now(UTC)
CA: dict[str, Any] = {"ssl_ca_file": "root.crt"}


def found(folder: Folder, now: datetime = NOW, **settings: Any) -> list[Report]:
    reports = list(lint(folder.settings(**settings), folder.path, now))
    for report in reports:
        assert report.severity is Severity.WARNING
        assert report.hint
    return reports


def events(folder: Folder, now: datetime = NOW, **settings: Any) -> list[str]:
    return [report.event for report in found(folder, now, **settings)]


def serve(folder: Folder, credentials: Credentials) -> None:
    credentials.write(folder.path / "server.crt", folder.path / "server.key")


def test_nothing_is_wrong(folder: Folder) -> None:
    write_crls(folder.path / "root.crl", folder.authority.crl())
    assert events(folder) == []
    assert events(folder, **CA, ssl_crl_file="root.crl") == []


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (NOW, []),
        (NOW + timedelta(days=17), ["expires on"]),
        (NOW + timedelta(days=31), ["has expired on"]),
        (NOW - timedelta(days=1), ["is not valid before"]),
    ],
)
def test_dates_of_the_certificate(
    folder: Folder, now: datetime, says: list[str]
) -> None:
    reports = [
        report
        for report in dates(folder.settings(), folder.path, now)
        if report.event == "tls.certificate_dates"
    ]
    assert len(reports) == len(says)
    for report, words in zip(reports, says, strict=True):
        assert report.message.startswith(
            'server certificate "CN=localhost" in file "server.crt" ' + words
        )
        assert "ssl_cert_file" in (report.hint or "")


def test_dates_of_a_ca(folder: Folder) -> None:
    old = Authority.root("old CA", validity=days(-9, -1))
    write_certificates(folder.path / "root.crt", old.certificate)
    (report,) = found(folder, **CA)
    assert report.message.startswith('root certificate "CN=old CA" in file "root.crt"')
    assert "has expired" in report.message


@pytest.mark.parametrize(
    ("period", "says"),
    [
        ((-3, 30), None),
        ((-3, 2), "expires on"),
        ((-3, -1), "has expired on"),
        ((1, 30), "is not valid before"),
    ],
)
@pytest.mark.parametrize("where", ["ssl_crl_file", "ssl_crl_dir"])
def test_dates_of_a_list(
    folder: Folder, period: tuple[int, int], says: str | None, where: str
) -> None:
    """TLS-73b: and with it goes every certificate of that CA."""
    crl = folder.authority.crl(current=days(*period))
    value = "root.crl"
    if where == "ssl_crl_file":
        write_crls(folder.path / value, crl)
    else:
        value = "crls"
        (folder.path / value).mkdir()
        issuer = crl_issuer_hash(crl.public_bytes(Encoding.DER))
        write_crls(folder.path / value / f"{issuer:08x}.r0", crl)
    reports = found(folder, **CA, **cast("dict[str, Any]", {where: value}))
    assert [report.event for report in reports] == ["tls.crl_dates"] * bool(says)
    for report in reports:
        assert f"{says}" in report.message
        assert value in report.message


def test_no_names(folder: Folder) -> None:
    serve(folder, folder.authority.issue("localhost"))
    (report,) = found(folder)
    assert report.message == (
        'server certificate file "server.crt" has no subject alternative name'
    )


def public_leaf(authority: Authority) -> Credentials:
    """Return a certificate as public CAs issue them: it says where its issuer is."""
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS,
                x509.UniformResourceIdentifier("http://ca.example/ca.crt"),
            )
        ]
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    return authority.issue("localhost", extensions=[(access, False), (names, False)])


def test_missing_intermediate(folder: Folder) -> None:
    issuing = folder.authority.intermediate("issuing CA")
    leaf = public_leaf(issuing)
    serve(folder, leaf)
    assert events(folder) == []
    serve(folder, Credentials(leaf.certificate, leaf.key))
    (report,) = found(folder)
    assert report.event == "tls.incomplete_chain"
    assert report.detail == 'It was issued by "CN=issuing CA".'
    # TLS-70: OpenSSL completes it from there.
    write_certificates(
        folder.path / "root.crt", issuing.certificate, folder.authority.certificate
    )
    assert events(folder, **CA) == []


def test_weak_key(folder: Folder) -> None:
    serve(folder, folder.authority.server("localhost", key=rsa_key(1024)))
    (report,) = found(folder)
    assert "has 1024 bits" in report.message


def test_ca_file_without_a_ca(folder: Folder) -> None:
    leaf = folder.authority.client("ana").certificate
    write_certificates(folder.path / "root.crt", leaf, folder.authority.certificate)
    (report,) = found(folder, **CA)
    assert report.event == "tls.not_a_ca"
    assert '"CN=ana"' in report.message


def test_ca_file_without_a_root(folder: Folder) -> None:
    """TLS-67."""
    issuing = folder.authority.intermediate("issuing CA")
    write_certificates(folder.path / "root.crt", issuing.certificate)
    assert events(folder, **CA) == ["tls.no_root"]


def test_a_ca_without_a_list(folder: Folder) -> None:
    """TLS-72."""
    issuing = folder.authority.intermediate("issuing CA")
    write_certificates(
        folder.path / "root.crt", issuing.certificate, folder.authority.certificate
    )
    write_crls(folder.path / "root.crl", issuing.crl())
    (report,) = found(folder, **CA, ssl_crl_file="root.crl")
    assert report.event == "tls.no_crl"
    assert folder.authority.certificate.subject.rfc4514_string() in report.message


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("TLSv1", ["tls.old_version"]),
        ("TLSv1.1", ["tls.old_version"]),
        ("TLSv1.2", []),
        ("TLSv1.3", []),
    ],
)
def test_old_versions(folder: Folder, version: str, said: list[str]) -> None:
    assert events(folder, ssl_min_protocol_version=version) == said


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a library that understands nothing."""

    def refuse(_data: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(x509, "load_pem_x509_certificates", refuse)
    monkeypatch.setattr(x509, "load_der_x509_crl", refuse)


@pytest.mark.usefixtures("strict")
def test_what_is_not_understood_is_not_blamed(folder: Folder) -> None:
    """OpenSSL has taken it."""
    write_crls(folder.path / "root.crl", folder.authority.crl())
    assert events(folder, **CA, ssl_crl_file="root.crl") == []
