"""The profiles of docs/howto/harden-tls.md, as sslyze judges them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.scanners.programs import SSLYZE
from tests.support.endpoints import Config, Farm
from tests.support.oracles import PGPROXY
from tests.support.pki import Pki
from tests.test_docs import blocks

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(300)]

INTERMEDIATE, MODERN = (
    text for page, text in blocks("pgproxy.conf") if page == "harden-tls.md"
)

COMPLAINT: Final = re.compile(r"^ +\* (\w+): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hardened(Config):
    """
    A server with lines from the page in its configuration.

    Args:
        lines: They.

    """

    lines: str = ""

    def files(self, pki: Pki) -> Mapping[str, bytes]:
        """Return the lines in a file of their own."""
        return {**super(Hardened, self).files(pki), "page.conf": self.lines.encode()}

    def all_settings(self) -> dict[str, str]:
        """Have that file included, after all else."""
        return {**super(Hardened, self).all_settings(), "include": "page.conf"}


def judge(port: int, profile: str, pki: Pki) -> tuple[bool, dict[str, str]]:
    """Return whether sslyze is content with a server, and its complaints if not."""
    done = SSLYZE.run(
        "--starttls=postgres",
        f"--mozilla_config={profile}",
        # Or it would complain that it does not know who has issued the certificate.
        f"--certinfo_ca_file={pki.root_file}",
        port=port,
    )
    assert f'Mozilla\'s "{profile}" configuration' in done.stdout, done.stdout
    verdict = done.stdout.partition("COMPLIANCE AGAINST")[2]
    return done.returncode == 0, dict(COMPLAINT.findall(verdict))


@pytest.fixture(params=["rsa_farm", "farm"], ids=["RSA", "ECDSA"])
def either(request: pytest.FixtureRequest) -> Farm:
    """Return servers with a certificate of each kind."""
    found: Farm = request.getfixturevalue(request.param)
    return found


def test_intermediate(either: Farm) -> None:
    """TLS-07: the first profile of the page is Mozilla's intermediate."""
    SSLYZE.find()
    server = either.get(PGPROXY, Hardened(lines=INTERMEDIATE))
    assert judge(server.port, "intermediate", either.pki) == (True, {})


def test_modern(farm: Farm) -> None:
    """TLS-08, TLS-11: the second, with an ECDSA certificate, is Mozilla's modern."""
    SSLYZE.find()
    server = farm.get(PGPROXY, Hardened(lines=MODERN))
    assert judge(server.port, "modern", farm.pki) == (True, {})


def test_only_the_ciphers_are_wider(rsa_farm: Farm) -> None:
    """By default there is one complaint, as the page says."""
    SSLYZE.find()
    server = rsa_farm.get(PGPROXY, Config())
    content, complaints = judge(server.port, "intermediate", rsa_farm.pki)
    assert not content
    assert complaints.keys() == {"ciphers"}
