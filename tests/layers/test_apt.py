"""The kind `apt`: what is locked, what installs it, further sources with their keys, and what is known then."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.errors import AssembleError, ResolveError
from pipeline.facts import Facts, Platform, Python
from pipeline.kinds import Held
from pipeline.layers import apt as kind
from pipeline.manifest.paths import inside
from pipeline.recipe import Execute
from pipeline.store.files import ProjectFiles

Project = Callable[[Mapping[str, str | bytes]], Path]

BOOKWORM = Facts(
    distribution="debian", release="12", libc="2.36", packages={"apt": "2.6.1", "libc6": "2.36-9", "zlib1g": "1"}
)


def package(name: str, version: str = "1", architecture: str = "amd64") -> dict[str, Any]:
    return {"name": name, "version": version, "architecture": architecture, "sha256": name * 3, "archive": "main"}


class Asked:
    """An index that gives these packages, and keeps what it was asked."""

    def __init__(self, files: ProjectFiles, *packages: Mapping[str, Any]) -> None:
        self.files = files
        self.debian = SimpleNamespace(resolve=self._resolve)
        self.packages = list(packages)
        self.seen: dict[str, Any] = {}

    def _resolve(self, settings: Any, architecture: str, packages: list[str], **options: Any) -> list[Any]:
        self.seen = {"settings": settings, "architecture": architecture, "packages": packages, **options}
        return self.packages


@pytest.fixture
def files(project: Project) -> ProjectFiles:
    folder = project({"key.asc": "-----BEGIN PGP it's a key\n"})
    return ProjectFiles(folder, lambda path: inside(folder, folder, path), None, lambda: 0)


def resolved(
    files: ProjectFiles, spec: Mapping[str, Any], parent: Facts, *packages: Mapping[str, Any], held: Held | None = None
) -> tuple[Any, Asked]:
    index = Asked(files, *packages)
    return kind.resolve(spec, kind.request(spec, files), parent, index, held or Held()), index


def recipe(files: ProjectFiles, spec: Mapping[str, Any], parent: Facts, *packages: Mapping[str, Any]) -> Execute:
    locked, _ = resolved(files, spec, parent, *packages)
    (made,) = kind.recipes(spec, locked, parent)
    assert isinstance(made, Execute)
    return made


VENDOR = {"uris": ["https://example.com/apt/"], "suites": ["stable"], "components": ["main"], "key": "key.asc"}


def test_schema() -> None:
    Draft202012Validator.check_schema(kind.SCHEMA)


def test_settings_that_say_nothing_are_flaws() -> None:
    def places(**spec: Any) -> list[tuple[str | int, ...]]:
        return [place for place, _, _ in kind.flaws({"packages": ["x"], **spec})]

    assert places(locked=False, mirror="http://m", updates=False) == [("mirror",), ("updates",)]
    assert places(mirror="http://m", sources={"a": VENDOR, "b": {"uris": ["x"], "suites": ["./"]}}) == []
    assert places(sources={"a": {"uris": ["x"], "suites": ["stable"]}}) == [("sources", "a")]
    assert places(sources={"a": {**VENDOR, "suites": ["./"]}}) == [("sources", "a", "components")]


def test_packages_are_locked_for_the_suite_and_packages_below(files: ProjectFiles) -> None:
    spec = {"packages": ["zip", "curl:amd64=8.*"], "sources": {"vendor": VENDOR}}
    locked, index = resolved(files, spec, BOOKWORM, package("zip"))
    assert locked["packages"] == [package("zip")]
    assert "example.com" not in str(locked)
    assert index.seen["packages"] == ["zip", "curl=8.*"]
    assert index.seen["installed"] == BOOKWORM.packages and index.seen["upgrade"]
    assert (index.seen["settings"].distribution, index.seen["settings"].suite) == ("debian", "bookworm")
    (extra,) = index.seen["settings"].extra
    assert (extra.label, extra.uris, extra.keyring) == (
        "sources.vendor",
        ("https://example.com/apt/",),
        str(files.path("key.asc")),
    )


def test_what_the_lock_held_is_preferred(files: ProjectFiles) -> None:
    held = Held({"packages": [package("zip", "3.0"), package("curl", "7")]}, frozenset({"curl"}))
    _, index = resolved(files, {"packages": ["zip", "curl"]}, BOOKWORM, held=held)
    assert (index.seen["held"], index.seen["anew"]) == ([package("zip", "3.0")], {"curl"})


def test_exactly_the_locked_packages_are_installed_without_a_network(files: ProjectFiles) -> None:
    spec = {"packages": ["zip"], "mirror": "https://mirror.example/debian"}
    made = recipe(files, spec, BOOKWORM, package("zip", "3.0"), package("unzip", "6", "all"), package("zlib1g", "2"))
    text = made.argv[-1]
    assert made.network == "none" and not made.caches
    assert "apt-get update" not in text and "/run/pipeline/debs/*.deb" in text
    assert "installed unzip 6\ninstalled zip 3.0\ninstalled zlib1g 2" in text
    assert "zip:amd64 unzip zlib1g:amd64" in text
    assert 'automatic=unzip" $automatic"' in text and " manual zip > " in text
    assert "mirror.example" not in str([made.argv, made.inputs])
    assert made.sources["archive"] == {"mirror": "https://mirror.example/debian"}
    assert recipe(files, {**spec, "network": "host"}, BOOKWORM, package("zip")).network == "host"


def test_nothing_is_executed_when_all_is_there(files: ProjectFiles) -> None:
    locked, _ = resolved(files, {"packages": ["zlib1g"]}, BOOKWORM)
    assert kind.recipes({"packages": ["zlib1g"]}, locked, BOOKWORM) == ()


@pytest.mark.parametrize(
    ("spec", "parent", "reason"),
    [
        ({}, Facts(), "packages below are not known"),
        ({}, replace(BOOKWORM, distribution="kali"), "kali has no lock"),
        ({}, replace(BOOKWORM, release=""), "suite of debian without a number is not known"),
        ({}, replace(BOOKWORM, platform=Platform("windows")), "debian has no windows"),
        ({"packages": ["libc6:i386"]}, BOOKWORM, "libc6:i386 is of another architecture"),
        ({"locked": False}, BOOKWORM, "the manifest says so"),
    ],
)
def test_what_cannot_be_locked_is_left_to_apt_and_says_so(
    files: ProjectFiles, spec: dict[str, Any], parent: Facts, reason: str
) -> None:
    spec = {"packages": ["zip", "curl=8.*"], **spec}
    assert kind.needs(spec, parent) == {}
    locked, index = resolved(files, spec, parent)
    assert reason in locked["unlocked"] and not index.seen
    (made,) = kind.recipes(spec, locked, parent)
    assert isinstance(made, Execute)
    assert f"not locked: {locked['unlocked']}" in made.summary
    assert made.caches == ("/var/cache/apt", "/var/lib/apt/lists") and made.network == ""
    assert kind.facts(spec, locked, parent) == parent
    if "locked" not in spec:
        with pytest.raises(AssembleError, match=f"cannot be locked: .*{reason}"):
            kind.needs({**spec, "locked": True}, parent)


def test_a_suite_that_the_image_does_not_tell_can_be_named(files: ProjectFiles) -> None:
    spec = {"packages": ["zip"], "suite": "sid"}
    _, index = resolved(files, spec, replace(BOOKWORM, release=""))
    assert index.seen["settings"].suite == "sid"
    assert kind.needs(spec, BOOKWORM)["suite"] == "sid"


def test_a_change_below_makes_the_lock_stale() -> None:
    changed = replace(BOOKWORM, packages={**BOOKWORM.packages, "libc6": "2.36-10"})
    spec = {"packages": ["zip"]}
    assert kind.needs(spec, BOOKWORM) != kind.needs(spec, changed)


def test_without_a_lock_packages_come_without_what_they_recommend(files: ProjectFiles) -> None:
    def text(**spec: Any) -> str:
        return recipe(files, {"locked": False, **spec}, BOOKWORM).argv[-1]

    script = text(packages=["zip", "curl=8.*"])
    assert "install -y --no-install-recommends 'curl=8.*' zip\n" in script
    assert script.index("update") < script.index("install -y")
    assert "--no-install-recommends" not in text(packages=["zip"], recommends=True)
    assert " update" not in text(packages=["zip"], update=False)


@pytest.mark.parametrize("locked", [True, False])
def test_a_source_comes_with_its_key(files: ProjectFiles, tmp_path: Path, locked: bool) -> None:
    spec = {"packages": ["x"], "sources": {"vendor": VENDOR}, "locked": locked}
    made = recipe(files, spec, BOOKWORM, package("x"))
    assert made.sources["keys"] == {"vendor": "key.asc"}
    assert made.inputs["sources"]["vendor"]["key"] == files.digest("key.asc")[0]
    text, etc = made.argv[-1], tmp_path / "etc"
    (tmp_path / "vendor.asc").write_bytes(files.path("key.asc").read_bytes())
    written = "\n".join(line for line in text[text.index("mkdir -p /etc") :].splitlines()[:9] if "apt-get" not in line)
    written = (
        written.split("mkdir -p /run")[0].replace("/etc/apt", f"{etc}/apt").replace("/run/pipeline/keys", str(tmp_path))
    )
    subprocess.run(["sh", "-ec", written], check=True)
    assert (etc / "apt/keyrings/vendor.asc").read_bytes() == files.path("key.asc").read_bytes()
    assert (etc / "apt/sources.list.d/vendor.sources").read_text() == (
        "Types: deb\nURIs: https://example.com/apt/\nSuites: stable\nComponents: main\n"
        f"Signed-By: {etc}/apt/keyrings/vendor.asc\n"
    )


@pytest.mark.parametrize("locked", [True, False])
def test_the_script_is_one_that_a_shell_understands(files: ProjectFiles, locked: bool) -> None:
    source = {"uris": ["https://example.com"], "suites": ["./"]}
    text = recipe(files, {"packages": ["x"], "sources": {"a": source}, "locked": locked}, BOOKWORM, package("x")).argv[
        -1
    ]
    assert subprocess.run(["sh", "-n", "-c", text], check=False).returncode == 0


def test_another_key_or_archive_makes_the_lock_stale(files: ProjectFiles) -> None:
    def asked(**spec: Any) -> Any:
        return kind.request({"packages": ["x"], **spec}, files)

    assert asked() == asked(mirror="https://other.example")
    assert asked(sources={"v": {**VENDOR, "uris": ["https://other.example"]}}) != asked(sources={"v": VENDOR})
    assert asked(locked=False) != asked()


def test_what_apt_installs_is_known_above(files: ProjectFiles) -> None:
    spec = {"packages": ["python3"]}
    locked, _ = resolved(
        files, spec, BOOKWORM, package("python3", "3.11.2-1"), package("python3.11", "3.11.2-6+deb12u5")
    )
    found = kind.facts(spec, locked, BOOKWORM)
    assert found.python and (found.python.version, found.python.executable) == ("3.11.2", "/usr/bin/python3")
    assert found.packages["python3.11"] == "3.11.2-6+deb12u5" and found.packages["libc6"] == "2.36-9"
    newer, _ = resolved(files, spec, found, package("python3.11", "3.11.4-1"), package("libc6", "2.37-1"))
    moved = kind.facts(spec, newer, found)
    assert moved.python and (moved.python.version, moved.libc) == ("3.11.4", "2.37")


def test_an_interpreter_that_is_there_stays_the_images(files: ProjectFiles) -> None:
    conda = Python("3.12.1", "/opt/conda/bin/python", "/opt/conda", "/opt/conda/lib/python3.12/site-packages")
    below = replace(BOOKWORM, python=conda)
    locked, _ = resolved(files, {"packages": ["python3"]}, below, package("python3.11", "3.11.2-1"))
    assert kind.facts({}, locked, below).python == conda


def test_a_set_that_cannot_be_had_says_how_apt_may_decide(files: ProjectFiles) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ResolveError("no package 'x'", remedy="look again")

    index = SimpleNamespace(files=files, debian=SimpleNamespace(resolve=refuse))
    spec = {"packages": ["x"]}
    with pytest.raises(ResolveError, match=r"look again; .*`locked: false`"):
        kind.resolve(spec, kind.request(spec, files), BOOKWORM, index, Held())


def test_an_image_without_apt_is_told() -> None:
    spec = {"packages": ["x"]}
    kind.needs(spec, Facts())
    kind.needs(spec, Facts(packages={"apt": "2.6"}))
    with pytest.raises(AssembleError, match="essential: true"):
        kind.needs(spec, Facts(packages={"libc6": "2.36"}))
