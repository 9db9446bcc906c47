"""The certificates that all other tests stand on: OpenSSL has the last word."""

import datetime as dt
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID, ObjectIdentifier
from cryptography.x509.verification import (
    PolicyBuilder,
    Store,
    VerificationError,
)

from pgproxy.testing.authority import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Authority,
    Credentials,
    days,
    rsa_key,
    subject_name,
    write_certificates,
    write_crls,
)

ROOT = Authority.root("root")
ODD = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\5\0"), True)
ISSUING = ROOT.intermediate("issuing", path_length=0)


def verify_client(leaf: Credentials, root: Authority = ROOT) -> None:
    """Walk the chain of *leaf* up to *root*."""
    PolicyBuilder().store(Store([root.certificate])).build_client_verifier().verify(
        leaf.certificate, list(leaf.chain)
    )


def test_chain_of_an_intermediate() -> None:
    """What a leaf sends along reaches the root without holding it."""
    alice = ISSUING.client("alice")
    assert alice.chain == (ISSUING.certificate,)
    assert ROOT.client("bob").chain == ()
    assert alice.certificate_pem().count(b"BEGIN CERTIFICATE") == 2
    alice.certificate.verify_directly_issued_by(ISSUING.certificate)
    ISSUING.certificate.verify_directly_issued_by(ROOT.certificate)
    ROOT.certificate.verify_directly_issued_by(ROOT.certificate)


def test_intermediates_stack_up() -> None:
    """The nearest CA comes first, as TLS wants it."""
    lower = ROOT.intermediate("one").intermediate("two")
    names = [one.subject.rfc4514_string() for one in lower.client("x").chain]
    assert names == ["CN=two", "CN=one"]


def test_server_names() -> None:
    """An IP address becomes one, everything else a host name."""
    server = ISSUING.server("localhost", "db.example", "127.0.0.1", "::1")
    names = server.certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "db.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
    ]
    assert server.certificate.subject.rfc4514_string() == "CN=localhost"
    PolicyBuilder().store(Store([ROOT.certificate])).build_server_verifier(
        x509.DNSName("db.example")
    ).verify(server.certificate, list(server.chain))


def test_server_with_a_subject_of_its_own() -> None:
    """The subject need not be the first name."""
    server = ROOT.server("db.example", subject=[("O", "Example"), ("CN", "database")])
    assert server.certificate.subject.rfc4514_string() == "CN=database,O=Example"


@pytest.mark.parametrize(
    ("subject", "printed"),
    [
        ("alice", "CN=alice"),
        ([("O", "Example"), ("OU", "DBA"), ("CN", "x")], "CN=x,OU=DBA,O=Example"),
        ([("1.2.3.4", "odd")], "1.2.3.4=odd"),
        ([("CN", "first"), ("CN", "second")], "CN=second,CN=first"),
        (x509.Name([x509.NameAttribute(NameOID.USER_ID, "u")]), "UID=u"),
        ([], ""),
    ],
)
def test_subjects(
    subject: str | list[tuple[str, str]] | x509.Name, printed: str
) -> None:
    """Short names, dotted OIDs, repeated attributes, none at all."""
    assert subject_name(subject).rfc4514_string() == printed


@pytest.mark.parametrize(
    ("issuer", "wrong", "reason"),
    [
        (ROOT, {"validity": days(-2, -1)}, "not valid at validation time"),
        (ROOT, {"validity": days(1, 2)}, "not valid at validation time"),
        (ROOT, {"purposes": [SERVER_AUTH]}, "required EKU not found"),
        (ROOT, {"extensions": [ODD]}, "unaccounted-for critical"),
        (ISSUING.intermediate("too deep"), {}, "path length"),
        (Authority.root("stranger"), {}, "candidates exhausted"),
    ],
    ids=["expired", "early", "purpose", "critical", "path length", "stranger"],
)
def test_what_is_made_wrong_is_refused(
    issuer: Authority, wrong: dict[str, Any], reason: str
) -> None:
    """Each knob has its effect."""
    right: dict[str, Any] = {"names": ["a.example"], "purposes": [CLIENT_AUTH]}
    with pytest.raises(VerificationError, match=reason):
        verify_client(issuer.issue("alice", **(right | wrong)))


def test_what_is_made_right_is_accepted() -> None:
    """The control of the test above."""
    verify_client(ISSUING.issue("x", names=["a.example"], purposes=[CLIENT_AUTH]))


def test_an_extension_given_replaces_the_usual_one() -> None:
    """A leaf may be made to call itself a CA."""
    leaf = ROOT.issue(
        "x", extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)]
    )
    constraints = [
        one.value
        for one in leaf.certificate.extensions
        if isinstance(one.value, x509.BasicConstraints)
    ]
    assert [one.ca for one in constraints] == [True]


def test_default_validity() -> None:
    """Valid now, for thirty days."""
    now = dt.datetime.now(dt.UTC)
    certificate = ROOT.client("alice").certificate
    assert certificate.not_valid_before_utc <= now - dt.timedelta(minutes=59)
    rest = certificate.not_valid_after_utc - now
    assert dt.timedelta(days=29) < rest <= dt.timedelta(days=30)


def test_revocation(tmp_path: Path) -> None:
    """A list names what was revoked, and is its CA's."""
    alice, bob = ISSUING.client("alice"), ISSUING.client("bob")
    crl = ISSUING.crl(alice.certificate)
    assert crl.is_signature_valid(ISSUING.key.public_key())
    assert crl.get_revoked_certificate_by_serial_number(alice.certificate.serial_number)
    assert not crl.get_revoked_certificate_by_serial_number(
        bob.certificate.serial_number
    )
    write_crls(tmp_path / "root.crl", ROOT.crl(), crl)
    assert (tmp_path / "root.crl").read_bytes().count(b"BEGIN X509 CRL") == 2


def test_expired_list() -> None:
    """A list may be made stale."""
    crl = ROOT.crl(current=days(-3, -1))
    end = crl.next_update_utc
    assert end is not None
    assert end < dt.datetime.now(dt.UTC)


@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_files(tmp_path: Path, passphrase: bytes | None) -> None:
    """The key is 0600 whatever lay there before, and fits the certificate."""
    alice = ISSUING.client("alice", key=rsa_key())
    cert_file, key_file = tmp_path / "alice.crt", tmp_path / "alice.key"
    key_file.write_bytes(b"old")
    key_file.chmod(0o644)
    alice.write(cert_file, key_file, passphrase)
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    key = load_pem_private_key(key_file.read_bytes(), passphrase)
    certificates = x509.load_pem_x509_certificates(cert_file.read_bytes())
    assert certificates[0].public_key() == key.public_key()
    assert (b"ENCRYPTED" in key_file.read_bytes()) == (passphrase is not None)
    write_certificates(tmp_path / "both.crt", ROOT.certificate, ISSUING.certificate)
    assert x509.load_pem_x509_certificates((tmp_path / "both.crt").read_bytes()) == [
        ROOT.certificate,
        ISSUING.certificate,
    ]
