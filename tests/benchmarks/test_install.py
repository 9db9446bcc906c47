"""What is missing is installed, or left out and said."""

import os
from pathlib import Path

import pytest

from benchmarks import install, preparing, proxies
from benchmarks.certificates import Certificates
from benchmarks.proxies import PgBouncer, Pgproxy, Place, Stunnel

APT_GET = """\
#!/bin/sh
echo "$* policy: $(cat {policy})" >> {said}
"""


@pytest.fixture
def apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt-get where nothing else is; return where it writes what it was told."""
    said, policy = tmp_path / "said", tmp_path / "policy"
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT_GET.format(said=said, policy=policy))
    program.chmod(0o755)
    monkeypatch.setattr(install, "PATH", str(program.parent))
    monkeypatch.setattr(install, "POLICY", policy)
    return said


def test_root_installs(apt_get: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no service is started; the file that says so does not stay."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    install.install()
    update, installed = (
        line.split(" policy: ")
        for line in apt_get.read_text().split("\nexit 101\n")[:2]
    )
    assert update[0] == "update"
    assert installed[0] == (
        "install -y --no-install-recommends pgbouncer stunnel4 openssl"
    )
    assert installed[1].startswith("#!/bin/sh")
    assert not install.POLICY.exists()


def test_the_policy_of_the_machine_stays(
    apt_get: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    install.POLICY.write_text("mine")
    install.install()
    assert "policy: mine" in apt_get.read_text()
    assert install.POLICY.read_text() == "mine"


def test_who_is_not_root_is_told(
    apt_get: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    install.install()
    assert "pgbouncer stunnel4 openssl" in capsys.readouterr().out
    assert not apt_get.exists()


def test_what_is_missing_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "PATH", str(tmp_path))
    place = Place(0, "127.0.0.1", 5432, Certificates.make(tmp_path))
    ours = Pgproxy(place)
    systems = [ours, PgBouncer(place), Stunnel(place)]
    there, notes = preparing._present(systems)
    assert there == [ours]
    assert notes == [
        "PgBouncer is left out: pgbouncer is not here: apt-get install pgbouncer",
        "stunnel is left out: stunnel is not here: apt-get install stunnel4",
    ]


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library that it runs with, and not the one it was compiled with."""
    said = {
        "stunnel": (
            "Initializing inetd mode configuration\n"
            "stunnel 5.68 on x86_64-pc-linux-gnu platform\n"
            "Compiled with OpenSSL 3.0.9 30 May 2023\n"
            "Running  with OpenSSL 3.0.19 27 Jan 2026\n"
        ),
        "pgbouncer": "PgBouncer 1.18.0\nlibevent 2.1.12\ntls: OpenSSL 3.0.19\n",
    }
    monkeypatch.setattr(proxies, "_program", Path)
    monkeypatch.setattr(proxies, "_said", lambda program, *_: said[program.name])
    place = Place.__new__(Place)
    assert Stunnel(place).version() == "stunnel 5.68, OpenSSL 3.0.19 27 Jan 2026"
    assert PgBouncer(place).version() == "PgBouncer 1.18.0, OpenSSL 3.0.19"
    said["stunnel"] = (
        "stunnel 5.72 on x86_64\nCompiled/running with OpenSSL 3.3.2 3 Sep 2024\n"
    )
    assert Stunnel(place).version() == "stunnel 5.72, OpenSSL 3.3.2 3 Sep 2024"
