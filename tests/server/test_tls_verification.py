"""Client certificates that fail: the alert, and what the log is told (TLS-66 to 84)."""

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pgproxy.server.libssl import Door
from pgproxy.server.openssl import crl_issuer_hash
from pgproxy.server.tls import build_context
from pgproxy.session.events import TlsEstablished, TlsFailed
from pgproxy.testing.authority import (
    CLIENT_AUTH,
    SERVER_AUTH,
    Authority,
    Credentials,
    days,
    ec_key,
    rsa_key,
    write_certificates,
    write_crls,
)
from tests.server.conftest import Run
from tests.support import client as tls_client
from tests.support.client import CLEAN
from tests.support.meeting import Seen, meet, try_tls
from tests.support.tls_files import Folder

TLS_1_2 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
TLS_1_3 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)
VERSIONS = pytest.mark.parametrize("versions", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])

OVER = days(-3, -1)
TO_COME = days(1, 3)


@dataclass(frozen=True, slots=True)
class World:
    """
    Who there is.

    Args:
        root: In ssl_ca_file.
        issuing: Vouched for by *root*.
        stranger: In no file.

    """

    root: Authority
    issuing: Authority
    stranger: Authority


@pytest.fixture(scope="module")
def world() -> World:
    root = Authority.root([("O", "pgproxy tests"), ("CN", "client root")])
    return World(
        root,
        root.intermediate("issuing CA"),
        Authority.root("stranger"),
    )


@dataclass(frozen=True, slots=True)
class Case:
    """
    A client and what the server knows of revocations.

    Args:
        client: Its certificate.
        crls: What is in ssl_crl_file; none: no such file is named.

    """

    client: Credentials
    crls: tuple[x509.CertificateRevocationList, ...] = ()


def attempt(
    folder: Folder,
    run: Run[Any],
    world: World,
    case: Case,
    versions: Any = TLS_1_3,
    **settings: object,
) -> tuple[TlsEstablished | TlsFailed, Seen]:
    """Have the client connect to a server that knows *world*'s root."""
    write_certificates(folder.path / "clients.crt", world.root.certificate)
    if case.crls:
        write_crls(folder.path / "clients.crl", *case.crls)
        settings = {"ssl_crl_file": "clients.crl", **settings}
    context = folder.context(**{"ssl_ca_file": "clients.crt", **settings})
    files = folder.client("client", case.client)

    def configure(client: ssl.SSLContext) -> None:
        # Or it would itself refuse to show what is weak.
        client.set_ciphers("DEFAULT:@SECLEVEL=0")
        client.load_cert_chain(*files)

    client = tls_client.context(versions=versions, configure=configure)
    found: tuple[TlsEstablished | TlsFailed, Seen] = run(meet(context, try_tls(client)))
    return found


def self_signed(subject: str) -> Credentials:
    key = ec_key()
    return Authority.root(subject, key=key).issue(subject, key=key)


def without_chain(credentials: Credentials) -> Credentials:
    return Credentials(credentials.certificate, credentials.key)


def with_root(world: World) -> Credentials:
    leaf = world.stranger.client("ana")
    return Credentials(leaf.certificate, leaf.key, (world.stranger.certificate,))


def unknown_extension(world: World) -> Credentials:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\5\0")
    return world.root.issue("ana", extensions=[(extension, True)])


def usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=not ca,
        encipher_only=False,
        decipher_only=False,
    )


def leaf_of_issuing(world: World) -> Credentials:
    return world.issuing.client("ana")


def revoked(world: World) -> Case:
    leaf = world.root.client("ana")
    return Case(leaf, (world.root.crl(leaf.certificate),))


def revoked_without_the_roots_crl(world: World) -> Case:
    leaf = leaf_of_issuing(world)
    return Case(leaf, (world.issuing.crl(leaf.certificate),))


# Cause: alert, depth, OpenSSL's words (of either age).
Told = tuple[int, int, set[str]]
FAILURES: list[tuple[str, Callable[[World], Case], Told]] = [
    ("TLS-71 revoked", revoked, (44, 0, {"certificate revoked"})),
    (
        "TLS-80 the leaf comes first",
        revoked_without_the_roots_crl,
        (44, 0, {"certificate revoked"}),
    ),
    (
        "TLS-72 no CRL for the leaf's issuer",
        lambda w: Case(leaf_of_issuing(w), (w.root.crl(),)),
        (48, 0, {"unable to get certificate CRL"}),
    ),
    (
        "TLS-72 no CRL for the root",
        lambda w: Case(leaf_of_issuing(w), (w.issuing.crl(),)),
        (48, 1, {"unable to get certificate CRL"}),
    ),
    (
        "TLS-71 the issuing CA is revoked",
        lambda w: Case(
            leaf_of_issuing(w), (w.root.crl(w.issuing.certificate), w.issuing.crl())
        ),
        (44, 1, {"certificate revoked"}),
    ),
    (
        "TLS-73 expired",
        lambda w: Case(w.root.client("ana", validity=OVER)),
        (45, 0, {"certificate has expired"}),
    ),
    (
        "TLS-73 not yet valid",
        lambda w: Case(w.root.client("ana", validity=TO_COME)),
        (42, 0, {"certificate is not yet valid"}),
    ),
    (
        "TLS-73b CRL expired",
        lambda w: Case(w.root.client("ana"), (w.root.crl(current=OVER),)),
        (45, 0, {"CRL has expired"}),
    ),
    (
        "TLS-73b CRL not yet valid",
        lambda w: Case(w.root.client("ana"), (w.root.crl(current=TO_COME),)),
        (42, 0, {"CRL is not yet valid"}),
    ),
    (
        "TLS-74 unknown issuer",
        lambda w: Case(w.stranger.client("ana")),
        (48, 0, {"unable to get local issuer certificate"}),
    ),
    (
        "TLS-74 the issuing CA is not sent",
        lambda w: Case(without_chain(leaf_of_issuing(w))),
        (48, 0, {"unable to get local issuer certificate"}),
    ),
    (
        "TLS-84 the issuer of the issuing CA is unknown",
        lambda w: Case(w.stranger.intermediate("stranger's CA").client("ana")),
        (48, 1, {"unable to get local issuer certificate"}),
    ),
    (
        "TLS-75 self-signed",
        lambda _w: Case(self_signed("ana")),
        (48, 0, {"self-signed certificate", "self signed certificate"}),
    ),
    (
        "TLS-76 self-signed in the chain",
        lambda w: Case(with_root(w)),
        (
            48,
            1,
            {
                "self-signed certificate in certificate chain",
                "self signed certificate in certificate chain",
            },
        ),
    ),
    (
        "TLS-77 for servers",
        lambda w: Case(w.root.issue("ana", purposes=[SERVER_AUTH])),
        (43, 0, {"unsuitable certificate purpose", "unsupported certificate purpose"}),
    ),
    (
        "TLS-68 not for signing",
        lambda w: Case(w.root.issue("ana", extensions=[(usage(ca=False), True)])),
        (43, 0, {"unsuitable certificate purpose", "unsupported certificate purpose"}),
    ),
    (
        "TLS-78 unknown critical extension",
        lambda w: Case(unknown_extension(w)),
        (46, 0, {"unhandled critical extension"}),
    ),
    (
        "TLS-79 weak key",
        lambda w: Case(w.root.client("ana", key=rsa_key(1024))),
        (42, 0, {"EE certificate key too weak"}),
    ),
]


@VERSIONS
@pytest.mark.parametrize(
    ("make", "told"),
    [pytest.param(make, told, id=name) for name, make, told in FAILURES],
)
def test_failure(
    folder: Folder,
    run: Run[Any],
    world: World,
    versions: Any,
    make: Callable[[World], Case],
    told: Told,
) -> None:
    """The alert that the cause has, and a DETAIL that names the certificate."""
    alert, depth, reasons = told
    case = make(world)
    event, seen = attempt(folder, run, world, case, versions)
    assert isinstance(event, TlsFailed), event
    assert event.reason == "certificate verify failed"
    assert event.detail is not None
    first, second = event.detail.split("\n")
    assert first in {
        f"Client certificate verification failed at depth {depth}: {reason}."
        for reason in reasons
    }
    chain = (case.client.certificate, *case.client.chain)
    assert second == (
        f'Failed certificate data (unverified): subject "{slashes(chain[depth])}", '
        f"serial number {chain[depth].serial_number}, "
        f'issuer "{slashes(chain[depth], issuer=True)}".'
    )
    assert seen.end.alerts == (alert,)


def slashes(certificate: x509.Certificate, *, issuer: bool = False) -> str:
    name = certificate.issuer if issuer else certificate.subject
    return "".join(
        f"/{attribute.rfc4514_attribute_name}={attribute.value!s}" for attribute in name
    )


SUCCESSES: list[tuple[str, Callable[[World], Case]]] = [
    ("a root's", lambda w: Case(w.root.client("ana"))),
    ("an intermediate's", lambda w: Case(leaf_of_issuing(w))),
    (
        "TLS-05 with all CRLs, in one file",
        lambda w: Case(leaf_of_issuing(w), (w.root.crl(), w.issuing.crl())),
    ),
    (
        "somebody else is revoked",
        lambda w: Case(
            w.root.client("ana"), (w.root.crl(w.root.client("eve").certificate),)
        ),
    ),
    ("TLS-68 no purpose", lambda w: Case(w.root.issue("ana"))),
    (
        "TLS-68 two purposes",
        lambda w: Case(w.root.issue("ana", purposes=[SERVER_AUTH, CLIENT_AUTH])),
    ),
    (
        "TLS-68 a CA as a client",
        lambda w: Case(
            w.root.issue(
                "ana",
                extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
            )
        ),
    ),
    ("TLS-67 no name is looked at", lambda w: Case(w.root.client([("O", "x")]))),
]


@VERSIONS
@pytest.mark.parametrize(
    "make", [pytest.param(make, id=name) for name, make in SUCCESSES]
)
def test_success(
    folder: Folder,
    run: Run[Any],
    world: World,
    versions: Any,
    make: Callable[[World], Case],
) -> None:
    """TLS-67, TLS-68: what OpenSSL lets through."""
    event, seen = attempt(folder, run, world, make(world), versions)
    assert isinstance(event, TlsEstablished), event
    assert event.certificate is not None
    assert seen.end == CLEAN


def test_partial_chain(folder: Folder, run: Run[Any], world: World) -> None:
    """TLS-67: an intermediate alone vouches for nobody; the root has to be known."""
    write_certificates(folder.path / "issuing.crt", world.issuing.certificate)
    case = Case(leaf_of_issuing(world))
    event, _seen = attempt(folder, run, world, case, ssl_ca_file="issuing.crt")
    assert isinstance(event, TlsFailed)
    assert event.detail is not None
    assert event.detail.startswith(
        "Client certificate verification failed at depth 1: "
        "unable to get issuer certificate.\n"
    )


def test_listed_self_signed(folder: Folder, run: Run[Any], world: World) -> None:
    """TLS-79: a self-signed certificate that is itself listed is accepted."""
    ana = self_signed("ana")
    write_certificates(folder.path / "ana-alone.crt", ana.certificate)
    event, _seen = attempt(folder, run, world, Case(ana), ssl_ca_file="ana-alone.crt")
    assert isinstance(event, TlsEstablished)


def test_crl_file_is_no_ca_file(folder: Folder, run: Run[Any], world: World) -> None:
    """TLS-46: a certificate in a CRL file does not become one more CA."""
    leaf = world.stranger.client("ana")
    write_crls(folder.path / "clients.crl", world.stranger.crl(), world.root.crl())
    with (folder.path / "clients.crl").open("ab") as file:
        write_certificates(folder.path / "stranger.crt", world.stranger.certificate)
        file.write((folder.path / "stranger.crt").read_bytes())
    event, seen = attempt(folder, run, world, Case(leaf), ssl_crl_file="clients.crl")
    assert isinstance(event, TlsFailed)
    assert seen.end.alerts == (48,)


@pytest.mark.parametrize(
    ("names", "alerts"),
    [
        (["{}.r0"], (44,)),
        (["{}.r0", "{}.r1"], (44,)),
        # OpenSSL counts from 0, and what openssl rehash did not name it never finds.
        (["{}.r1"], (48,)),
        (["clients.crl"], (48,)),
        ([], (48,)),
    ],
)
def test_crl_directory(
    folder: Folder, run: Run[Any], world: World, names: Iterable[str], alerts: Any
) -> None:
    """TLS-06, TLS-45: without any CRL, every certificate fails."""
    case = revoked(world)
    crls = folder.path / "crls"
    crls.mkdir()
    for crl in case.crls:
        for name in names:
            write_crls(crls / name.format(issuer_hash(crl)), crl)
    only_folder = Case(case.client)
    event, seen = attempt(folder, run, world, only_folder, ssl_crl_dir="crls")
    assert isinstance(event, TlsFailed)
    assert seen.end.alerts == alerts


def issuer_hash(crl: x509.CertificateRevocationList) -> str:
    """Return what openssl rehash names a list, but for the number."""
    found = crl_issuer_hash(crl.public_bytes(Encoding.DER))
    assert found is not None
    return f"{found:08x}"


def test_crl_directory_is_live(folder: Folder, run: Run[Any], world: World) -> None:
    """TLS-81: added, replaced, broken, removed: the next handshake knows it."""
    ana = world.root.client("ana")
    write_certificates(folder.path / "clients.crt", world.root.certificate)
    crls = folder.path / "crls"
    crls.mkdir()
    client = tls_client.context(certificate=folder.client("ana", ana))
    settings = folder.settings(ssl_ca_file="clients.crt", ssl_crl_dir="crls")
    tls = build_context(settings, folder.path)
    nobody = world.root.crl()
    place = crls / f"{issuer_hash(nobody)}.r0"

    def outcome() -> tuple[str, str | None]:
        report = tls.refresh()
        event, _seen = run(meet(tls.context, try_tls(client)))
        how = "in" if isinstance(event, TlsEstablished) else event.detail or ""
        reason = how.split("\n", maxsplit=1)[0].rpartition(": ")[2]
        return reason, None if report is None else report.detail

    assert outcome() == ("unable to get certificate CRL.", None)
    write_crls(place, nobody)
    assert outcome() == ("in", None)
    write_crls(place, world.root.crl(ana.certificate))
    assert outcome() == ("certificate revoked.", None)
    place.write_text("not a list")
    problem = f'could not load "{place.name}": no certificate or crl found'
    assert outcome() == ("unable to get certificate CRL.", problem)
    # It is told once, and looked at again when it changes.
    assert outcome() == ("unable to get certificate CRL.", None)
    write_crls(place, nobody)
    assert outcome() == ("in", None)
    place.rename(crls / "aside")
    assert outcome() == ("unable to get certificate CRL.", None)


def test_crl_file_counts_beside_the_directory(
    folder: Folder, run: Run[Any], world: World
) -> None:
    """A list of the file is not lost when the directory changes."""
    ana = world.root.client("ana")
    write_certificates(folder.path / "clients.crt", world.root.certificate)
    write_crls(folder.path / "clients.crl", world.root.crl())
    crls = folder.path / "crls"
    crls.mkdir()
    tls = build_context(
        folder.settings(
            ssl_ca_file="clients.crt", ssl_crl_file="clients.crl", ssl_crl_dir="crls"
        ),
        folder.path,
    )
    other = world.stranger.crl()
    write_crls(crls / f"{issuer_hash(other)}.r0", other)
    assert tls.refresh() is None
    client = tls_client.context(certificate=folder.client("ana", ana))
    event, _seen = run(meet(tls.context, try_tls(client)))
    assert isinstance(event, TlsEstablished)


def test_crls_do_not_concern_the_rest(
    folder: Folder, run: Run[Any], world: World
) -> None:
    """TLS-80: a client without a certificate is not affected."""
    write_certificates(folder.path / "clients.crt", world.root.certificate)
    (folder.path / "crls").mkdir()
    context = folder.context(ssl_ca_file="clients.crt", ssl_crl_dir="crls")
    event, _seen = run(meet(context, try_tls(tls_client.context())))
    assert isinstance(event, TlsEstablished)


def test_long_and_foreign_names(folder: Folder, run: Run[Any], world: World) -> None:
    r"""TLS-83: the last 71 bytes, ``...`` in front; what is not ASCII is ``\xNN``."""
    long = world.stranger.client([("CN", "x" * 60), ("OU", "y" * 20)])
    event, _seen = attempt(folder, run, world, Case(long))
    assert isinstance(event, TlsFailed)
    assert event.detail is not None
    assert f'subject "...{"x" * 44}/OU={"y" * 20}"' in event.detail
    foreign = world.stranger.client("Ö\n")
    event, _seen = attempt(folder, run, world, Case(foreign))
    assert isinstance(event, TlsFailed)
    assert event.detail is not None
    assert r'subject "/CN=\xc3\x96\0A"' in event.detail


def test_each_failure_is_told_once(
    folder: Folder, run: Run[Any], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one handshake was about is not told of the next."""
    attempt(folder, run, world, Case(world.stranger.client("ana")))
    # A context that does not note failures has none to tell.
    monkeypatch.setattr(Door, "trust", lambda _door, _ca_file: None)
    case = Case(world.root.client("eve", validity=OVER))
    event, _seen = attempt(folder, run, world, case)
    assert event == TlsFailed("certificate verify failed")
