"""What a CA remembers."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgproxy.certs.errors import CertsError
from pgproxy.certs.index import Entry, Index, Kind, serial_text
from pgproxy.testing.authority import Authority

NOW = dt.datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
ROOT = Authority.root("root")
ALICE = Entry(
    serial="0A10",
    kind=Kind.CLIENT,
    names=("alice",),
    subject="CN=alice",
    issuer=Kind.ROOT,
    not_before="2030-01-01T00:00:00+00:00",
    not_after="2030-01-03T00:00:00+00:00",
    file="/a",
)
INDEX = Index(intermediate=False, issued=(ALICE,))


def test_entry_of_a_certificate() -> None:
    """The subject is printed as PostgreSQL compares it: backwards (TLS-87)."""
    certificate = ROOT.client([("O", "Ex, Inc."), ("CN", "jürgen")]).certificate
    entry = Entry.of(certificate, Kind.CLIENT, Kind.ROOT, names=["jürgen"], file="f")
    assert entry.subject == r"CN=j\C3\BCrgen,O=Ex\, Inc."
    assert entry.serial_number == certificate.serial_number
    assert entry.end == certificate.not_valid_after_utc
    assert dt.datetime.fromisoformat(entry.not_before) < entry.end
    assert (entry.names, entry.file, entry.revoked) == (("jürgen",), "f", None)


@pytest.mark.parametrize("text", ["0A10", "a10", "0a:10", "0x0A10", "2576", "00002576"])
def test_find(text: str) -> None:
    """In hexadecimal or decimal, as other programs print it."""
    assert INDEX.find(text) is ALICE


@pytest.mark.parametrize("text", ["", "a", "0A11", "alice", "²", "-2576", "9" * 5000])
def test_find_nothing(text: str) -> None:
    with pytest.raises(CertsError, match="no serial number of a certificate that"):
        INDEX.find(text)


@given(st.integers(min_value=0, max_value=2**159))
def test_serial_numbers(number: int) -> None:
    """Whatever it is, it is found again, in either notation."""
    index = replace(INDEX, issued=(replace(ALICE, serial=serial_text(number)),))
    assert index.find(serial_text(number)).serial_number == number
    assert index.find(str(number)).serial_number == number
    assert len(serial_text(number)) % 2 == 0


def test_revoke() -> None:
    """Once; and never the root."""
    bob = replace(ALICE, serial="0B")
    index = INDEX.add(bob).revoke(ALICE, NOW, "superseded")
    revoked = index.find("0A10")
    assert (revoked.revoked, revoked.reason) == (
        "2030-01-02T03:04:05+00:00",
        "superseded",
    )
    assert index.issued[1] is bob
    with pytest.raises(CertsError, match="already revoked, since 2030-01-02"):
        index.revoke(revoked, NOW, "superseded")
    root = replace(ALICE, kind=Kind.ROOT)
    with pytest.raises(CertsError, match="is the root itself"):
        INDEX.add(root).revoke(root, NOW, "superseded")


def test_states() -> None:
    later = NOW + dt.timedelta(days=1)
    assert [ALICE.state(NOW), ALICE.state(later)] == ["valid", "expired"]
    revoked = replace(ALICE, revoked="2030-01-02T00:00:00+00:00")
    assert {revoked.state(NOW), revoked.state(later)} == {"revoked"}


@given(st.text(), st.sampled_from(Kind), st.none() | st.text(), st.integers(0, 9))
def test_there_and_back(
    text: str, kind: Kind, revoked: str | None, number: int
) -> None:
    """What is written is read."""
    entry = replace(
        ALICE, names=(text, "x"), kind=kind, issuer=kind, file=text, revoked=revoked
    )
    index = Index(intermediate=True, crl_number=number, issued=(entry,))
    assert Index.from_json(index.to_json()) == index
    assert index.issuing is Kind.INTERMEDIATE
    assert INDEX.issuing is Kind.ROOT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{}",
        '{"version": 2}',
        '{"version": 1}',
        '{"version": 1, "issued": [1], "intermediate": true, "crl_number": 1}',
        INDEX.to_json().replace("client", "baker"),
        INDEX.to_json().replace("subject", "object"),
    ],
)
def test_what_is_no_index(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Index.from_json(text)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner)
       | st.dictionaries(st.sampled_from(["version", "issued", "kind"]), inner)))  # fmt: skip
def test_any_json(value: object) -> None:
    """It is an index, or it is said to be none."""
    with pytest.raises(ValueError, match=r"."):
        Index.from_json(json.dumps(value))
