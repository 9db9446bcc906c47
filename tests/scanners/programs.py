"""
The scanners of TLS that speak PostgreSQL: where they are, and what they report.

A report is reduced to `Facts`: each has a name and what was found, in the order of
the report. None of a fact depends on the moment or on the port.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from tests.support import oracles

Facts = Mapping[str, tuple[str, ...]]

DEADLINE: Final = 240
"""Seconds that a scan is given; the longest, that of testssl, takes thirty."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """
    A program, and how to have it look at one server.

    Args:
        name: Of the program.
        executables: What it is called, the first that there is.
        advice: What brings it.
        options: All but the server; ``{report}`` is the file to write.
        read: Makes facts of that file.

    """

    name: str
    executables: tuple[str, ...]
    advice: str
    options: tuple[str, ...]
    read: Callable[[Path], Facts]

    def find(self) -> str:
        """Return where it is; skip the test, or fail it, if it is not there."""
        # sslyze needs another version of a library than we do, so it is never found
        # as a module: only as a program in an environment of its own.
        wanted = os.environ.get(f"PGPROXY_{self.name.upper()}")
        if wanted:
            return wanted
        own = oracles.oracles() / self.name / "bin"
        places: list[str | Path] = [
            *self.executables,
            *(own / one for one in self.executables),
        ]
        found = next(filter(None, (shutil.which(one) for one in places)), None)
        if found is None:
            oracles.absent(f"{self.name} is not installed: {self.advice}")
        return found

    def scan(self, port: int) -> Facts:
        """Look at the server on *port* of 127.0.0.1."""
        with tempfile.TemporaryDirectory(prefix="pgproxy-scan-") as folder:
            report = Path(folder) / "report"
            self.run(*(one.format(report=report) for one in self.options), port=port)
            return self.read(report)

    def run(self, *options: str, port: int) -> subprocess.CompletedProcess[str]:
        """Run it with these *options*, and return what it says."""
        with tempfile.TemporaryDirectory(prefix="pgproxy-scan-") as folder:
            return subprocess.run(
                [self.find(), *options, f"localhost:{port}"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DEADLINE,
                check=False,  # its status is a verdict, and no failure
            )


# --- sslscan ----------------------------------------------------------------------------


def read_sslscan(report: Path) -> Facts:
    """
    Return every element of the report in XML.

    Ciphers and groups stand in the order in which the server prefers them, by version.
    """
    facts: defaultdict[str, list[str]] = defaultdict(list)
    [test] = ET.parse(report).getroot().iter("ssltest")
    for element in test:
        values = dict(element.attrib)
        version = values.pop("sslversion", "")
        match element.tag:
            case "cipher":
                key = values.get("curve") or values.get("dhebits") or "no DHE"
                facts[f"{version} ciphers"].append(f"{values['cipher']} ({key})")
            case "group":
                facts[f"{version} groups"].append(values["name"])
            case "certificates":
                facts["certificates"] += _texts(element)
            case tag:
                facts[tag] += [" ".join([version, *_pairs(values)]).strip()]
    return _frozen(facts)


def _pairs(values: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items()]


def _texts(element: ET.Element) -> Iterator[str]:
    for one in element.iter():
        words = [*_pairs(one.attrib), (one.text or "").strip()]
        yield f"{one.tag}: {' '.join(words)}"


# --- sslyze -----------------------------------------------------------------------------

SSLYZE_CHECKS: Final = (
    *("sslv2", "sslv3", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3", "elliptic_curves"),
    *("certinfo", "ems", "fallback", "compression", "reneg", "resum", "heartbleed"),
    *("openssl_ccs", "robot"),
)

MEANINGLESS: Final = frozenset({"as_pem", "path", "ca_file"})
"""Long, or about this machine; a certificate's digest is there as well."""


def read_sslyze(report: Path) -> Facts:
    """Return every result of the report in JSON, and which checks there were."""
    [found] = json.loads(report.read_text("utf-8"))["server_scan_results"]
    facts: defaultdict[str, list[str]] = defaultdict(list)
    for check, outcome in found["scan_result"].items():
        facts["checks"].append(f"{check}: {outcome['status']}")
        result = outcome["result"] or {}
        if "accepted_cipher_suites" in result:
            _suites(check.removesuffix("_cipher_suites"), result, facts)
        elif check == "elliptic_curves":
            for kind in ("supported_curves", "rejected_curves"):
                facts[kind] += [one["name"] for one in result[kind]]
        else:
            for name, value in _leaves(check, result):
                facts[name].append(value)
    facts["certificate asked for"] = [
        found["connectivity_result"]["client_auth_requirement"]
    ]
    return _frozen(facts)


def _suites(
    version: str, result: Mapping[str, Any], facts: defaultdict[str, list[str]]
) -> None:
    """Note which suites were accepted, with what, and how the others were refused."""
    for one in result["accepted_cipher_suites"]:
        key = one["ephemeral_key"]
        how = "no DHE"
        if key:
            how = f"{key.get('curve_name') or key['type_name']} {key['size']}"
        facts[f"{version} ciphers"].append(f"{one['cipher_suite']['name']} ({how})")
    refused = {one["error_message"] for one in result["rejected_cipher_suites"]}
    facts[f"{version} refusals"] += sorted(refused)


def _leaves(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every value below *value*, with the names on the way to it."""
    match value:
        case dict():
            for key, one in value.items():
                if key not in MEANINGLESS:
                    yield from _leaves(f"{name}.{key}", one)
        case list():
            for one in value:
                yield from _leaves(name, one)
        case _:
            yield name, str(value)


# --- testssl ----------------------------------------------------------------------------


def read_testssl(report: Path) -> Facts:
    """Return every finding of the report in JSON."""
    [found] = json.loads(report.read_text("utf-8"))["scanResult"]
    return {
        f"{section}.{one['id']}": (one["finding"],)
        for section, findings in found.items()
        if isinstance(findings, list)
        for one in findings
    }


def _frozen(facts: Mapping[str, list[str]]) -> Facts:
    return {name: tuple(values) for name, values in facts.items()}


SSLSCAN: Final = Scanner(
    "sslscan",
    ("sslscan",),
    "apt-get install sslscan",
    ("--starttls-psql", "--no-colour", "--xml={report}"),
    read_sslscan,
)
SSLYZE: Final = Scanner(
    "sslyze",
    ("sslyze",),
    "pip install it into an environment of its own, and set PGPROXY_SSLYZE",
    (
        "--starttls=postgres",
        "--mozilla_config=disable",
        "--json_out={report}",
        *(f"--{check}" for check in SSLYZE_CHECKS),
    ),
    read_sslyze,
)
TESTSSL: Final = Scanner(
    "testssl",
    ("testssl", "testssl.sh"),
    "apt-get install testssl.sh",
    (
        *("--starttls", "postgres", "--ip", "127.0.0.1", "--nodns=min"),
        *("--warnings", "off", "--quiet", "--color", "0"),
        # Protocols, order of ciphers, what a ServerHello has, renegotiation.
        *("-p", "-P", "-S", "-R", "--jsonfile-pretty", "{report}"),
    ),
    read_testssl,
)
