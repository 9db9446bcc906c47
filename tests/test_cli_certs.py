"""The commands of `pgproxy certs`: what they make, say, and refuse."""

import datetime as dt
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID, NameOID

from pgproxy.certs import files, folder
from pgproxy.certs.issuing import CLIENT_AUTH, SERVER_AUTH, key_pem
from pgproxy.testing.authority import Authority, days, ec_key, write_private
from tests.support.ca import Ca
from tests.support.oracles import CHECKOUT


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    """Return a CA whose root issues."""
    made = Ca(tmp_path)
    made.do("init")
    return made


@pytest.fixture
def two(tmp_path: Path) -> Ca:
    """Return a CA whose root has an intermediate that issues."""
    made = Ca(tmp_path)
    made.do("init", "--intermediate")
    return made


def aged(tmp_path: Path, now: dt.datetime, *, days: int = 10) -> Ca:
    """Return a CA that was made at another time."""
    made = Ca(tmp_path)
    folder.create(
        made.path,
        name="Old",
        intermediate=True,
        key_type="ecdsa",
        days=days,
        now=now,
    )
    return made


def certificates(file: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(file.read_bytes())


def extensions(certificate: x509.Certificate) -> dict[str, tuple[Any, bool]]:
    return {one.oid._name: (one.value, one.critical) for one in certificate.extensions}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def listed(ca: Ca) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ca.do("list", "--json").stdout)[
        "certificates"
    ]
    return found


def contents(path: Path) -> dict[str, bytes]:
    return {
        str(one): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()
    }


# --- init ---------------------------------------------------------------------------


def test_init(ca: Ca) -> None:
    """A root that can issue leaves and nothing else."""
    (root,) = certificates(ca.path / "root.crt")
    assert root.subject == root.issuer
    assert root.subject.rfc4514_string() == "CN=PostgreSQL root CA"
    assert root.not_valid_after_utc - root.not_valid_before_utc == dt.timedelta(
        days=3650, hours=1
    )
    assert root.signature_hash_algorithm is not None
    found = extensions(root)
    assert found["basicConstraints"] == (x509.BasicConstraints(True, 0), True)
    usage, critical = found["keyUsage"]
    assert critical
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (
        True,
        True,
        False,
    )
    assert {"subjectKeyIdentifier", "authorityKeyIdentifier"} <= found.keys()
    assert sorted(one.name for one in ca.path.iterdir()) == [
        ".lock",
        "index.json",
        "root.crt",
        "root.key",
    ]
    assert (mode(ca.path), mode(ca.path / "root.key")) == (0o700, 0o600)


def test_init_with_an_intermediate(tmp_path: Path) -> None:
    """It stands between the root and what it issues, and under it is no other."""
    ca = Ca(tmp_path)
    done = ca.do(
        "init", "--intermediate", "--name", "Ä", "--dn", "C=DE", "--dn", "O=Example"
    )
    (root,) = certificates(ca.path / "root.crt")
    (issuing,) = certificates(ca.path / "issuing.crt")
    assert issuing.subject.rfc4514_string() == "CN=Ä issuing CA,O=Example,C=DE"
    issuing.verify_directly_issued_by(root)
    assert extensions(root)["basicConstraints"][0].path_length == 1
    assert extensions(issuing)["basicConstraints"][0].path_length == 0
    assert issuing.not_valid_after_utc == root.not_valid_after_utc
    assert mode(ca.path / "issuing.key") == 0o600
    assert "Keep root.key somewhere else" in done.stdout


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [
        ("ecdsa", ec.EllipticCurvePrivateKey),
        ("rsa", rsa.RSAPrivateKey),
        ("ed25519", ed25519.Ed25519PrivateKey),
    ],
)
def test_key_types(tmp_path: Path, key_type: str, kind: type) -> None:
    """Of the CA, and of what it issues."""
    ca = Ca(tmp_path)
    done = ca.do("init", "--key-type", key_type)
    assert ("fail in SCRAM" in done.stderr) == (key_type == "ed25519")
    out = ca.client("alice", "--key-type", key_type)
    for file in (ca.path / "root.key", out / "postgresql.key"):
        key = load_pem_private_key(file.read_bytes(), None)
        assert isinstance(key, kind)
        assert getattr(key, "key_size", 256) in {256, 3072}
    (leaf,) = certificates(out / "postgresql.crt")
    # Up to TLS 1.2 some cipher suites encrypt to a key of RSA.
    assert extensions(leaf)["keyUsage"][0].key_encipherment == (key_type == "rsa")


def test_init_needs_an_empty_folder(ca: Ca) -> None:
    """A CA is not written over; nor is anything else."""
    before = contents(ca.path)
    assert "is not empty: index.json is in it" in ca.refuse("init")
    assert contents(ca.path) == before
    (ca.folder / "docs").mkdir(mode=0o755)
    (ca.folder / "docs" / "letter").touch()
    assert "letter is in it" in ca.refuse("init", "--ca", ca.folder / "docs")
    assert mode(ca.folder / "docs") == 0o755


def test_init_in_an_empty_folder(tmp_path: Path) -> None:
    """It may be there, but then it is closed to others."""
    ca = Ca(tmp_path)
    ca.path.mkdir(mode=0o755)
    ca.do("init")
    assert mode(ca.path) == 0o700


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--name", "a" * 60], "the name of the CA has 68 bytes"),
        (["--name", "a\nb"], "printable"),
        (["--dn", "CN=x"], "no part of a name"),
    ],
)
def test_init_refuses(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    ca = Ca(tmp_path)
    assert complaint in ca.refuse("init", *arguments)
    assert not ca.path.exists()


def test_init_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "ca").touch()
    assert "File exists" in Ca(tmp_path).refuse("init")


def test_no_end_of_days(tmp_path: Path) -> None:
    """There is a last day that a certificate can name (RFC 5280, 4.1.2.5)."""
    ca = Ca(tmp_path)
    ca.do("init", "--days", "999999999999")
    ca.client("alice", "--days", "3000000")
    assert [one["not_after"][:10] for one in listed(ca)] == ["9999-12-31"] * 2


# --- issue --------------------------------------------------------------------------


def test_issue_server(two: Ca) -> None:
    """Names, purpose, chain; and lines to paste that name the files."""
    done = two.do("issue", "server", "*.example.com", "db", "127.0.0.1", "::1",
                  "--out", two.folder / "it's")  # fmt: skip
    out = two.folder / "it's"
    leaf, issuing = certificates(out / "server.crt")
    assert [issuing] == certificates(two.path / "issuing.crt")
    assert certificates(out / "root.crt") == certificates(two.path / "root.crt")
    leaf.verify_directly_issued_by(issuing)
    assert leaf.subject.rfc4514_string() == "CN=*.example.com"
    found = extensions(leaf)
    names, critical = found["subjectAltName"]
    assert not critical
    assert names.get_values_for_type(x509.DNSName) == ["*.example.com", "db"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == [
        "127.0.0.1",
        "::1",
    ]
    assert list(found["extendedKeyUsage"][0]) == [SERVER_AUTH]
    assert found["basicConstraints"] == (x509.BasicConstraints(False, None), True)
    assert found["keyUsage"][1]
    assert found["keyUsage"][0].digital_signature
    assert not found["keyUsage"][0].key_encipherment
    assert (mode(out / "server.key"), mode(out / "server.crt")) == (0o600, 0o644)
    key = load_pem_private_key((out / "server.key").read_bytes(), None)
    assert key.public_key() == leaf.public_key()
    quoted = str(out).replace("'", "''")
    assert f"\nssl_cert_file = '{quoted}/server.crt'\n" in done.stdout
    assert f"\nssl_key_file = '{quoted}/server.key'\n" in done.stdout
    assert done.stderr == ""
    # Nothing of the CA's own is with it.
    assert sorted(one.name for one in out.iterdir()) == [
        "root.crt",
        "server.crt",
        "server.key",
    ]


@pytest.mark.parametrize("role", ["alice", "Al ice", "jürgen", "a/../b", "..", "a\nb"])
def test_issue_client(ca: Ca, role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The common name is the role's, byte by byte; the folder stays where it should."""
    here = ca.folder / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    ca.do("issue", "client", role)
    (out,) = here.iterdir()
    (leaf,) = certificates(out / "postgresql.crt")
    (name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == role
    found = extensions(leaf)
    assert list(found["extendedKeyUsage"][0]) == [CLIENT_AUTH]
    assert "subjectAltName" not in found
    assert mode(out / "postgresql.key") == 0o600
    assert listed(ca)[-1]["names"] == [role]


def test_issue_with_a_dn(ca: Ca) -> None:
    """It is printed as `clientname=DN` compares it (TLS-87)."""
    done = ca.do("issue", "client", "alice", "--dn", "O=Ex, Inc.", "--dn", "OU=DBA",
                 "--out", ca.folder / "x")  # fmt: skip
    assert "# subject: CN=alice,OU=DBA,O=Ex\\, Inc.\n" in done.stdout


def test_default_folders(ca: Ca, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ca.folder)
    ca.do("issue", "server", "*.example.com")
    ca.do("issue", "client", ".alice")
    assert (ca.folder / "wildcard.example.com" / "server.crt").exists()
    assert (ca.folder / "%2Ealice" / "postgresql.crt").exists()
    # A role that is called like the folder of the CA.
    assert "is the CA's own folder" in ca.refuse("issue", "client", "ca")


def test_issue_refuses_to_overwrite(ca: Ca) -> None:
    """Unless asked to; and without that nothing is issued either."""
    out = ca.client("alice")
    for name in ("postgresql.key", "postgresql.crt"):
        (out / "postgresql.key").unlink(missing_ok=True)
        (out / "postgresql.crt").unlink(missing_ok=True)
        (out / name).write_text("mine")
        before = contents(ca.folder)
        said = ca.refuse("issue", "client", "alice", "--out", out)
        assert f"{out / name} is there already. --force replaces it" in said
        assert contents(ca.folder) == before
    (out / "postgresql.crt").chmod(0o666)
    (out / "root.crt").write_text("another")
    ca.do("issue", "client", "alice", "--out", out, "--force")
    assert certificates(out / "root.crt") == certificates(ca.path / "root.crt")
    assert mode(out / "postgresql.key") == 0o600


@pytest.mark.parametrize("fails", ["root.crt", "postgresql.key", "postgresql.crt"])
def test_what_cannot_be_written_is_not_issued(
    ca: Ca, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """It is not in the index, and nothing is in the way of the next try."""
    write = files.write

    def full(path: Path, data: bytes, *, mode: int, replace: bool = False) -> None:
        if path.name == fails:
            raise OSError(28, "No space left on device", str(path))
        write(path, data, mode=mode, replace=replace)

    before = contents(ca.folder)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", full)
        said = ca.refuse("issue", "client", "alice", "--out", ca.folder / "alice")
    assert said == f'pgproxy: "{ca.folder}/alice/{fails}": No space left on device\n'
    assert contents(ca.folder) == before
    ca.do("issue", "client", "alice", "--out", ca.folder / "alice")


def test_no_folder_for_the_files(ca: Ca) -> None:
    before = contents(ca.folder)
    said = ca.refuse("issue", "client", "alice", "--out", ca.path / "root.crt")
    assert said == f'pgproxy: "{ca.path}/root.crt": File exists\n'
    assert contents(ca.folder) == before


def test_issue_beside_another(ca: Ca) -> None:
    """The root is the same, and no obstacle."""
    out = ca.server("localhost")
    ca.do("issue", "client", "alice", "--out", out)
    ca.do("issue", "client", "alice", "--out", out, "--force")


def test_another_root_is_an_obstacle(ca: Ca) -> None:
    out = ca.server("localhost")
    (out / "root.crt").write_text("another")
    assert "root.crt is there already" in ca.refuse(
        "issue", "client", "alice", "--out", out
    )


def test_a_renewal_tells_of_the_one_before(ca: Ca) -> None:
    """It is as good as it was, until it is revoked."""
    out = ca.client("alice")
    ca.client("bob")
    serial = listed(ca)[1]["serial"]
    done = ca.do("issue", "client", "alice", "--out", out, "--force")
    assert "another for the same is valid, until 20" in done.stderr
    assert f"serial {serial}" in done.stderr
    assert done.stderr.count("\n") == 1
    for one in listed(ca)[1:]:
        ca.do("revoke", one["serial"])
    assert ca.do("issue", "client", "alice", "--out", out, "--force").stderr == ""


def test_no_leaf_outlives_its_issuer(tmp_path: Path) -> None:
    ca = Ca(tmp_path)
    ca.do("init", "--days", "10")
    done = ca.do("issue", "client", "a", "--days", "11", "--out", ca.folder / "a")
    assert "valid for less than was asked for: until" in done.stderr
    assert ca.do("issue", "client", "b", "--days", "9", "--out", ca.folder / "b"
                 ).stderr == ""  # fmt: skip
    (root,) = certificates(ca.path / "root.crt")
    for name in ("a", "b"):
        (leaf,) = certificates(ca.folder / name / "postgresql.crt")
        assert leaf.not_valid_after_utc <= root.not_valid_after_utc
        assert leaf.not_valid_before_utc >= root.not_valid_before_utc


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["server", "300.1.1.1"], "no IP address"),
        (["server", "a", "b c"], '"b c" is neither a DNS name nor an IP address'),
        (["server", ""], "neither"),
        (["server", "a" * 60 + ".example"], "X.520"),
        (["client", ""], "not empty"),
        (["client", "a\0b"], "no NUL"),
        (["client", "x" * 65], "65 bytes, and a common name has at most 64 (X.520"),
        (["client", "\udcfc"], "not UTF-8"),
        (["client", "a", "--dn", "C=Germany"], "between 1 and 2"),
    ],
)
def test_issue_refuses(ca: Ca, arguments: list[str], complaint: str) -> None:
    """Nothing is issued, written, or left behind."""
    before = contents(ca.folder)
    assert complaint in ca.refuse("issue", *arguments)
    assert contents(ca.folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["issue", "server"],
        ["issue", "client"],
        ["issue", "client", "a", "b"],
        ["issue", "client", "a", "--days", "0"],
        ["issue", "client", "a", "--key-type", "dsa"],
        ["crl", "--days", "-1"],
        ["revoke", "1", "--reason", "spite"],
        ["revoke", "1", "--reason", "certificateHold"],
    ],
)
def test_usage(ca: Ca, arguments: list[str]) -> None:
    assert ca.run(*arguments).exit_code == 2


COMMANDS = [
    ["issue", "server", "localhost", "--out", "out"],
    ["issue", "client", "alice", "--out", "out"],
    ["revoke", "1"],
    ["crl"],
    ["list"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_folder_of_a_ca(tmp_path: Path, arguments: list[str]) -> None:
    """And it is left as it is."""
    (tmp_path / "ca").mkdir()
    for path in ("ca", "none"):
        said = Ca(tmp_path).refuse(*arguments, "--ca", tmp_path / path)
        assert f"{tmp_path / path} is no folder of a CA" in said
        assert "pgproxy certs init" in said
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("index.json", "index.json is damaged: "),
        ("root.crt", "there is no certificate"),
    ],
)
def test_damaged(ca: Ca, arguments: list[str], name: str, complaint: str) -> None:
    (ca.path / name).write_bytes(b"{\xff")
    assert complaint in ca.refuse(*arguments)


def _key_files() -> dict[str, tuple[bytes, str]]:
    key = ec_key()
    pkcs8 = PrivateFormat.PKCS8
    secret = BestAvailableEncryption(b"x")
    other = x25519.X25519PrivateKey.generate()
    return {
        "garbage": (b"garbage", "there is no private key in"),
        "encrypted": (key.private_bytes(Encoding.PEM, pkcs8, secret), "is encrypted"),
        "foreign": (key_pem(key), "is not that of the certificate"),
        "useless": (
            other.private_bytes(Encoding.PEM, pkcs8, NoEncryption()),
            "is of a kind that signs no certificates",
        ),
    }


@pytest.mark.parametrize("what", _key_files())
@pytest.mark.parametrize("arguments", [COMMANDS[0], COMMANDS[3]], ids=" ".join)
def test_unusable_key(ca: Ca, what: str, arguments: list[str]) -> None:
    content, complaint = _key_files()[what]
    (ca.path / "root.key").write_bytes(content)
    before = contents(ca.folder)
    assert complaint in ca.refuse(*arguments)
    assert contents(ca.folder) == before


def test_key_open_to_others(ca: Ca) -> None:
    (ca.path / "root.key").chmod(0o640)
    assert "root.key has group or world access" in ca.refuse(*COMMANDS[0])


def test_key_is_missing(ca: Ca) -> None:
    (ca.path / "root.key").unlink()
    for arguments in (COMMANDS[0], COMMANDS[3]):
        assert re.search('root.key": No such file', ca.refuse(*arguments))


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_key(ca: Ca) -> None:
    (ca.path / "root.key").chmod(0)
    assert "Permission denied" in ca.refuse(*COMMANDS[0])


def test_expired_ca(tmp_path: Path) -> None:
    """It can be looked at, and that is all."""
    now = dt.datetime.now(dt.UTC)
    ca = aged(tmp_path, now - dt.timedelta(days=11))
    for arguments in (COMMANDS[0], COMMANDS[1], COMMANDS[3]):
        said = ca.refuse(*arguments)
        assert f"has expired, on {now - dt.timedelta(days=1):%Y-%m-%d}" in said
    assert {one["state"] for one in listed(ca)} == {"expired"}
    assert {one["days"] for one in listed(ca)} == {-2}  # a day and a moment ago


def test_ca_of_the_future(tmp_path: Path) -> None:
    ca = aged(tmp_path, dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
    assert "Is this machine's clock right?" in ca.refuse(*COMMANDS[0])


# --- revoke, crl --------------------------------------------------------------------


def crls(ca: Ca) -> list[x509.CertificateRevocationList]:
    end = b"-----END X509 CRL-----\n"
    content = (ca.path / "root.crl").read_bytes()
    return [x509.load_pem_x509_crl(one + end) for one in content.split(end) if one]


def test_revoke(two: Ca) -> None:
    """By file, by number in hexadecimal and in decimal, as others print it."""
    roles = ["alice", "bob", "carol", "dave"]
    paths = {role: two.client(role) / "postgresql.crt" for role in roles}
    leaves = {role: certificates(path)[0] for role, path in paths.items()}
    done = two.do("revoke", paths["alice"], "--reason", "keyCompromise")
    assert "is revoked: client alice\n" in done.stdout
    assert "pgproxy certs crl" in done.stdout
    two.do("revoke", f"{leaves['bob'].serial_number:x}")
    two.do("revoke", str(leaves["carol"].serial_number))
    done = two.do("crl")
    issuing, root = crls(two)
    (of_issuing,) = certificates(two.path / "issuing.crt")
    (of_root,) = certificates(two.path / "root.crt")
    for crl, issuer in ((issuing, of_issuing), (root, of_root)):
        assert crl.issuer == issuer.subject
        assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type] # of a CA
        kinds = {one.oid for one in crl.extensions}
        assert kinds == {
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
            ExtensionOID.CRL_NUMBER,
        }
    assert {one.serial_number for one in issuing} == {
        leaves[role].serial_number for role in ("alice", "bob", "carol")
    }
    assert list(root) == []
    alice = issuing.get_revoked_certificate_by_serial_number(
        leaves["alice"].serial_number
    )
    assert alice is not None
    assert [one.value for one in alice.extensions] == [
        x509.CRLReason(x509.ReasonFlags.key_compromise)
    ]
    bob = issuing.get_revoked_certificate_by_serial_number(leaves["bob"].serial_number)
    assert bob is not None
    assert list(bob.extensions) == []
    assert f"ssl_crl_file = '{two.path}/root.crl'" in done.stdout
    states = {one["names"][0]: one["state"] for one in listed(two)}
    assert {role: states[role] for role in roles} == {
        "alice": "revoked",
        "bob": "revoked",
        "carol": "revoked",
        "dave": "valid",
    }


def test_revoke_refuses(ca: Ca) -> None:
    out = ca.client("alice")
    stranger = Authority.root("PostgreSQL root CA").client("alice")
    stranger.write(ca.folder / "x.crt", ca.folder / "x.key")
    refused: list[tuple[str | Path, str]] = [
        ("4711", "is no file, and no serial number of a certificate that"),
        ("", "is no file"),
        ("\0", "is no file"),
        (out / "missing.crt", "is no file"),
        (out / "postgresql.key", "there is no certificate in"),
        (ca.path, "is no file"),
        (ca.folder / "x.crt", "was not issued by the CA in"),
        (ca.path / "root.crt", "is the root itself"),
    ]
    for what, complaint in refused:
        assert complaint in ca.refuse("revoke", what)
    ca.do("revoke", out / "postgresql.crt")
    assert "is already revoked, since 20" in ca.refuse("revoke", out / "postgresql.crt")


def test_revoke_what_the_index_has_forgotten(two: Ca) -> None:
    """An index from a backup may be older than what was issued since."""
    old = (two.path / "index.json").read_bytes()
    issued = [two.client("alice") / "postgresql.crt", two.server("db") / "server.crt"]
    (two.path / "index.json").write_bytes(old)
    for file in issued:
        two.do("revoke", file)
    two.do("crl")
    assert [(one["kind"], one["names"], one["state"]) for one in listed(two)[2:]] == [
        ("client", ["alice"], "revoked"),
        ("server", ["db"], "revoked"),
    ]
    assert len(crls(two)[0]) == 2


def test_revoke_the_intermediate(two: Ca) -> None:
    """It stands in the root's list, and issues no more."""
    (issuing,) = certificates(two.path / "issuing.crt")
    two.do("revoke", two.path / "issuing.crt")
    two.do("crl")
    assert [one.serial_number for one in crls(two)[1]] == [issuing.serial_number]
    assert "the issuing CA in" in two.refuse(*COMMANDS[1])


def test_crl_is_renewed(ca: Ca) -> None:
    """With a number above the last one, and a date of its own."""
    ca.do("crl")
    ca.do("crl", "--days", "3")
    (crl,) = crls(ca)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber)
    assert (number.value.crl_number, number.critical) == (2, False)
    assert crl.next_update_utc is not None
    rest = crl.next_update_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(days=2, hours=23) < rest <= dt.timedelta(days=3)
    assert mode(ca.path / "root.crl") == 0o644


def test_crl_without_the_root_key(two: Ca) -> None:
    """Its list stays, for as long as it will do; the key can be somewhere else."""
    key = (two.path / "root.key").read_bytes()
    (two.path / "root.key").unlink()
    assert "the root's list has to be made" in two.refuse("crl")
    write_private(two.path / "root.key", key)
    two.do("crl", "--days", "100")
    (two.path / "root.key").unlink()
    before = crls(two)
    two.do("revoke", two.client("alice") / "postgresql.crt")
    two.do("crl", "--days", "7")
    after = crls(two)
    assert after[1] == before[1]
    assert (len(before[0]), len(after[0])) == (0, 1)
    # The root would have to say something new.
    two.do("revoke", two.path / "issuing.crt")
    before_refusal = contents(two.path)
    assert "bring back" in two.refuse("crl")
    assert contents(two.path) == before_refusal


def test_expired_list_of_the_root_will_not_do(two: Ca) -> None:
    (root,) = certificates(two.path / "root.crt")
    key = load_pem_private_key((two.path / "root.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    stale = Authority(root, key).crl(current=days(-3, -1))
    (two.path / "root.crl").write_bytes(stale.public_bytes(Encoding.PEM))
    (two.path / "root.key").unlink()
    assert "bring back" in two.refuse("crl")


# --- list ---------------------------------------------------------------------------


def test_list(two: Ca) -> None:
    two.server("db.example.com", "127.0.0.1", "--days", "5")
    two.do("revoke", two.client("alice") / "postgresql.crt")
    two.do("crl")
    lines = two.do("list").stdout.splitlines()
    serials = [one["serial"] for one in listed(two)]
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=5)
    assert lines[0].split() == ["serial", "kind", "name", "expires", "days", "state"]
    assert lines[3].split() == [
        serials[2], "server", "db.example.com", "127.0.0.1", f"{tomorrow:%Y-%m-%d}",
        "4", "valid",
    ]  # fmt: skip
    assert lines[4].split()[-1] == "revoked"
    assert len(lines) == 7
    assert "issuing CA: 1 revoked, next update in 29 days" in lines[5]
    assert "root CA: 0 revoked, next update in 29 days" in lines[6]


def test_list_as_json(two: Ca) -> None:
    out = two.client("alice", "--dn", "O=Example")
    two.do("revoke", out / "postgresql.crt", "--reason", "superseded")
    two.do("crl")
    found = json.loads(two.do("list", "--json").stdout)
    (leaf, _issuing) = certificates(out / "postgresql.crt")
    alice = found["certificates"][2]
    revoked = dt.datetime.fromisoformat(alice.pop("revoked"))
    assert abs(dt.datetime.now(dt.UTC) - revoked) < dt.timedelta(minutes=2)
    serial = f"{leaf.serial_number:X}"
    serial = serial.zfill(len(serial) + len(serial) % 2)
    assert alice == {
        "serial": serial,
        "kind": "client",
        "names": ["alice"],
        "subject": "CN=alice,O=Example",
        "issuer": "intermediate",
        "not_before": leaf.not_valid_before_utc.isoformat(),
        "not_after": leaf.not_valid_after_utc.isoformat(),
        "days": 364,
        "state": "revoked",
        "reason": "superseded",
        "file": str(out / "postgresql.crt"),
    }
    assert [one["issuer"] for one in found["crls"]] == [
        "CN=PostgreSQL issuing CA",
        "CN=PostgreSQL root CA",
    ]
    assert [one["days"] for one in found["crls"]] == [29, 29]
    assert [len(one["revoked"]) for one in found["crls"]] == [1, 0]


def test_list_hides_no_lines(ca: Ca) -> None:
    """The name of a role can have anything in it; the table stays one."""
    ca.client("a\n\x1b[31mb")
    lines = ca.do("list").stdout.splitlines()
    assert len(lines) == 3
    assert "a\\x0a\\x1b[31mb" in lines[2]


def test_list_with_damaged_lists(ca: Ca) -> None:
    (ca.path / "root.crl").write_text("x")
    assert "has something in it that is no list" in ca.refuse("list")


# --- at the same time ---------------------------------------------------------------


def test_concurrent_runs(ca: Ca) -> None:
    """Each is recorded, and no two have a number in common."""
    command = [sys.executable, "-m", "pgproxy", "certs"]
    env = {**os.environ, "PGPROXYCA": str(ca.path)}
    running = [
        subprocess.Popen(
            [*command, "issue", "client", f"r{n}", "--out", str(ca.folder / f"r{n}")],
            cwd=CHECKOUT,
            env=env,
            stdout=subprocess.DEVNULL,
        )
        for n in range(8)
    ]
    assert [one.wait() for one in running] == [0] * 8
    issued = listed(ca)[1:]
    assert sorted(one["names"][0] for one in issued) == [f"r{n}" for n in range(8)]
    assert len({one["serial"] for one in issued}) == 8


def test_concurrent_inits(tmp_path: Path) -> None:
    """One makes it, the others find it."""
    command = [
        sys.executable,
        "-m",
        "pgproxy",
        "certs",
        "init",
        "--ca",
        str(tmp_path / "ca"),
    ]
    running = [
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    assert sorted(one.wait() for one in running) == [0, 1, 1]
    Ca(tmp_path).client("alice")
