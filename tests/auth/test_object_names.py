"""The short names are OpenSSL's."""

import ctypes
import ctypes.util

import pytest

from pgproxy.auth.object_names import COMMON_NAME, SHORT_NAMES


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        ("2.5.4.3", "CN"),
        ("2.5.4.4", "SN"),
        ("2.5.4.5", "serialNumber"),
        ("2.5.4.6", "C"),
        ("2.5.4.7", "L"),
        ("2.5.4.8", "ST"),
        ("2.5.4.9", "street"),
        ("2.5.4.10", "O"),
        ("2.5.4.11", "OU"),
        ("2.5.4.12", "title"),
        ("2.5.4.13", "description"),
        ("2.5.4.15", "businessCategory"),
        ("2.5.4.17", "postalCode"),
        ("2.5.4.41", "name"),
        ("2.5.4.42", "GN"),
        ("2.5.4.43", "initials"),
        ("2.5.4.44", "generationQualifier"),
        ("2.5.4.46", "dnQualifier"),
        ("2.5.4.65", "pseudonym"),
        ("2.5.4.97", "organizationIdentifier"),
        ("0.9.2342.19200300.100.1.1", "UID"),
        ("0.9.2342.19200300.100.1.25", "DC"),
        ("1.2.840.113549.1.9.1", "emailAddress"),
        ("1.2.840.113549.1.9.2", "unstructuredName"),
        ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
        ("1.2.643.100.1", "OGRN"),
        ("2.5.29.17", "subjectAltName"),
    ],
)
def test_short_name(oid: str, name: str) -> None:
    """TLS-87: those that are met."""
    assert SHORT_NAMES[oid] == name


def test_common_name() -> None:
    assert SHORT_NAMES[COMMON_NAME] == "CN"


def test_no_name_is_there_twice() -> None:
    """Two attributes of one name could be taken for each other."""
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES) == 127


def test_openssl_agrees() -> None:
    """All of them, with the library where there is one."""
    path = ctypes.util.find_library("crypto")
    if path is None:
        pytest.skip("no libcrypto on this machine")
    library = ctypes.CDLL(path)
    library.OBJ_nid2sn.restype = ctypes.c_char_p
    theirs = {
        oid: library.OBJ_nid2sn(library.OBJ_txt2nid(oid.encode()))
        for oid in SHORT_NAMES
        if oid != "1.2.643.100.5"  # OGRNIP: since 3.0
    }
    assert theirs == {oid: SHORT_NAMES[oid].encode() for oid in theirs}
