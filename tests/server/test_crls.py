"""Which files have revocation lists, and when they have changed: TLS-06, TLS-81."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.server import openssl
from pgproxy.server.crls import (
    LiveCrls,
    crl_files,
    fingerprint,
    read_crl_file,
    read_hashed_crl_file,
)
from pgproxy.server.openssl import check_dh_params, crl_issuer_hash
from pgproxy.testing.authority import Authority, write_certificates, write_crls

CA = Authority.root("the CA of the lists")
CRL = CA.crl()
DER = CRL.public_bytes(Encoding.DER)


def names(directory: Path) -> list[str]:
    return [path.name for path in crl_files(directory)]


def test_names_count_from_zero(tmp_path: Path) -> None:
    """As OpenSSL looks for them: a gap ends it, and another name is none."""
    for name in (
        *("0123abcd.r0", "0123abcd.r1", "0123abcd.r3", "fedcba98.r1", "00000000.r0"),
        *("0123ABCD.r0", "0123abcd.0", "0123abcd.r0.bak", "README", "xx123abcd.r2"),
    ):
        (tmp_path / name).touch()
    assert names(tmp_path) == ["00000000.r0", "0123abcd.r0", "0123abcd.r1"]


def test_no_directory(tmp_path: Path) -> None:
    """TLS-45: that is no mistake."""
    assert names(tmp_path / "none") == []
    (tmp_path / "file").touch()
    assert names(tmp_path / "file") == []
    assert fingerprint(tmp_path / "none") == ()


def test_only_the_lists(tmp_path: Path) -> None:
    """TLS-46: what else stands in the file is left there."""
    file = tmp_path / "crl.pem"
    write_certificates(file, CA.certificate)
    text = file.read_bytes()
    write_crls(file, CRL, Authority.root("other").crl())
    file.write_bytes(b"prose\n" + text + file.read_bytes() + b"more prose")
    assert read_crl_file(file)[0] == DER
    assert len(read_crl_file(file)) == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no certificate or crl found"),
        (b"-----BEGIN X509 CRL-----", "no certificate or crl found"),
        (
            b"-----BEGIN X509 CRL-----\nAAA\n-----END X509 CRL-----",
            "bad base64 decode",
        ),
    ],
)
def test_no_list(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "crl.pem"
    file.write_bytes(content)
    with pytest.raises(OSError) as error:
        read_crl_file(file)
    assert error.value.strerror == problem


def test_named_after_its_issuer(tmp_path: Path) -> None:
    """Or OpenSSL would never find it: this is said, with the name."""
    value = crl_issuer_hash(DER)
    right = tmp_path / f"{value:08x}.r0"
    write_crls(right, CRL)
    assert read_hashed_crl_file(right) == [DER]
    wrong = right.rename(tmp_path / "0123abcd.r0")
    with pytest.raises(OSError) as error:
        read_hashed_crl_file(wrong)
    assert f"{value:08x}" in str(error.value.strerror)


def test_without_a_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be told is not guessed."""
    monkeypatch.setattr(openssl, "lib", None)
    assert crl_issuer_hash(DER) is None
    assert check_dh_params(b"") == (False, None)
    write_crls(tmp_path / "0123abcd.r0", CRL)
    assert read_hashed_crl_file(tmp_path / "0123abcd.r0") == [DER]


def test_what_is_no_list_has_no_issuer() -> None:
    assert crl_issuer_hash(b"garbage") is None


def test_fingerprint(tmp_path: Path) -> None:
    """Every way of changing a list shows; nothing else does."""
    seen = [fingerprint(tmp_path)]
    file = tmp_path / "0123abcd.r0"
    file.write_bytes(b"one")
    seen.append(fingerprint(tmp_path))
    file.write_bytes(b"three")
    seen.append(fingerprint(tmp_path))
    (tmp_path / "new").write_bytes(b"seven")
    assert fingerprint(tmp_path) == seen[-1]
    (tmp_path / "new").rename(file)
    seen.append(fingerprint(tmp_path))
    file.rename(tmp_path / "0123abcd.r1")
    assert fingerprint(tmp_path) == seen[0]
    assert len(set(seen)) == 4


def test_a_directory_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails closed: no lists, and a problem to tell; once, as nothing changes."""

    def refuse(_self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert fingerprint(tmp_path) == fingerprint(tmp_path) != ()
    live = LiveCrls((DER,), tmp_path)
    assert live.read() == ([DER], ["could not read the directory: Permission denied"])
