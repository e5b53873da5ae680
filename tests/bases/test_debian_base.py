"""The base kind `debian`."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.bases import debian
from pipeline.dpkg import ArchiveSettings
from pipeline.errors import AssembleError
from pipeline.facts import Facts, Platform
from pipeline.kinds import Held
from pipeline.recipe import Assemble

PACKAGES = {"libc6": "2.36-9+deb12u14", "python3": "3.11.2-1+b1", "python3.11": "3.11.2-6+deb12u9", "zlib1g": "1:1.2-1"}
LOCKED = {
    "distribution": "debian",
    "suite": "bookworm",
    "release": "12",
    "packages": [{"name": n, "version": v, "sha256": n.ljust(64, "0")} for n, v in PACKAGES.items()],
}
SPEC: dict[str, Any] = {"suite": "bookworm", "packages": ["python3"]}


class Asked:
    """Remembers what the archives were asked for."""

    def __init__(self) -> None:
        self.files = SimpleNamespace(path=lambda relative: Path("/project") / relative)
        self.debian = self

    def resolve(self, settings: ArchiveSettings, architecture: str, packages: list[str], **options: Any) -> list[Any]:
        self.settings, self.architecture, self.packages, self.options = settings, architecture, packages, options
        return []


@pytest.mark.parametrize(
    ("spec", "valid"),
    [
        (SPEC, True),
        ({"suite": "noble", "packages": ["python3=3.12.3-0ubuntu2"], "essential": True, "recommends": True}, True),
        ({"packages": ["a"]}, False),
        ({"suite": "bookworm", "packages": ["Not A Name"]}, False),
        ({"suite": "bookworm", "packages": ["aa"], "mirror": "ftp://x"}, False),
        ({"suite": "bookworm", "packages": ["aa"], "other": 1}, False),
    ],
)
def test_schema(spec: dict[str, Any], valid: bool) -> None:
    Draft202012Validator.check_schema(debian.SCHEMA)
    assert Draft202012Validator(debian.SCHEMA).is_valid(spec) is valid


def test_where_packages_come_from_is_not_part_of_the_request() -> None:
    elsewhere = {**SPEC, "mirror": "http://m.example/debian", "keyring": "k.gpg"}
    assert debian.request(SPEC, None) == debian.request(elsewhere, None)  # type: ignore[arg-type]
    assert debian.request(SPEC, None) != debian.request({**SPEC, "security": False}, None)  # type: ignore[arg-type]


def test_resolve_asks_the_archives_of_the_suite() -> None:
    asked = Asked()
    spec = {**SPEC, "suite": "noble", "keyring": "keys/u.gpg", "security": False}
    locked = debian.resolve(spec, None, Facts(Platform("linux", "arm", "v7")), asked, Held())
    assert asked.settings.distribution == "ubuntu" and asked.settings.components == ("main", "universe")
    assert asked.settings.keyring == "/project/keys/u.gpg" and not asked.settings.security
    assert (asked.architecture, asked.packages, asked.options["installed"]) == ("armhf", ["python3"], {})
    assert locked == {"distribution": "ubuntu", "suite": "noble", "release": "24.04", "packages": []}


def test_unknown_suites_and_platforms_are_told() -> None:
    with pytest.raises(AssembleError, match="did you mean bookworm"):
        debian.needs({"suite": "bookwrom"}, Facts())
    assert debian.needs({"suite": "own", "distribution": "debian"}, Facts())["distribution"] == "debian"
    with pytest.raises(AssembleError, match="no packages for windows/amd64"):
        debian.needs(SPEC, Facts(Platform("windows")))


def test_facts() -> None:
    facts = debian.facts(SPEC, LOCKED, Facts(Platform("linux", "arm64")))
    assert (facts.distribution, facts.release, facts.libc) == ("debian", "12", "2.36")
    assert facts.packages == PACKAGES and facts.platform.architecture == "arm64"
    assert facts.python and (facts.python.version, facts.python.minor) == ("3.11.2", "3.11")
    assert facts.python.executable == "/usr/bin/python3"
    assert facts.python.site == "/usr/local/lib/python3.11/dist-packages"


def test_an_interpreter_without_the_default_name() -> None:
    locked = {**LOCKED, "packages": [p for p in LOCKED["packages"] if p["name"] != "python3"]}  # type: ignore[index]
    python = debian.facts(SPEC, locked, Facts()).python
    assert python and python.executable == "/usr/bin/python3.11"


def test_recipes_are_the_packages_and_their_bytecode() -> None:
    packages, bytecode = debian.recipes({**SPEC, "mirror": "http://m.example"}, LOCKED, Facts())
    assert isinstance(packages, Assemble) and isinstance(bytecode, Assemble)
    assert packages.packer == "deb" and packages.inputs["architecture"] == "amd64" and not packages.needs_root
    assert packages.sources == {"mirror": "http://m.example"} and "m.example" not in str(packages.inputs)
    assert bytecode.packer == "bytecode" and bytecode.needs_root and bytecode.part == "bytecode"
    assert bytecode.inputs["python"] == "3.11.2"
    assert bytecode.inputs["trees"] == ["usr/lib/python3.11", "usr/lib/python3"]


def test_without_python_there_is_no_bytecode() -> None:
    locked = {**LOCKED, "packages": [{"name": "bash", "version": "5", "sha256": "0" * 64}]}
    (only,) = debian.recipes(SPEC, locked, Facts())
    assert only.summary == "debian bookworm, 1 package"
