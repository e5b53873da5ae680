"""The kind `apt`: the script that installs, further sources with their keys, and images without apt."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.layers import apt as kind
from pipeline.manifest.paths import inside
from pipeline.recipe import Execute
from pipeline.store.files import ProjectFiles

Project = Callable[[Mapping[str, str | bytes]], Path]


def script(folder: Path, **spec: Any) -> str:
    files = ProjectFiles(folder, lambda path: inside(folder, folder, path), None, lambda: 0)
    (made,) = kind.recipes(spec, kind.request(spec, files), Facts())
    assert isinstance(made, Execute)
    assert made.caches == ("/var/cache/apt", "/var/lib/apt/lists")
    return made.argv[-1]


def test_packages_are_installed_without_what_they_recommend(project: Project) -> None:
    text = script(project({}), packages=["zip", "curl=8.*"])
    assert "install -y --no-install-recommends 'curl=8.*' zip\n" in text
    assert text.index("update") < text.index("install -y")
    assert "--no-install-recommends" not in script(project({}), packages=["zip"], recommends=True)
    assert " update" not in script(project({}), packages=["zip"], update=False)


def test_a_source_comes_with_its_key(project: Project, tmp_path: Path) -> None:
    folder = project({"key.asc": "-----BEGIN PGP it's a key\n"})
    source = {"uris": ["https://example.com/apt"], "suites": ["stable"], "components": ["main"], "key": "key.asc"}
    text = script(folder, packages=["x"], sources={"example": source})
    etc = tmp_path / "etc"
    written = text[text.index("mkdir -p /etc") : text.index("apt-get")].replace("/etc/apt", f"{etc}/apt")
    subprocess.run(["sh", "-ec", written], check=True)
    assert (etc / "apt/keyrings/example.asc").read_text() == "-----BEGIN PGP it's a key\n"
    assert (etc / "apt/sources.list.d/example.sources").read_text() == (
        "Types: deb\nURIs: https://example.com/apt\nSuites: stable\nComponents: main\n"
        f"Signed-By: {etc}/apt/keyrings/example.asc\n"
    )


def test_the_script_is_one_that_a_shell_understands(project: Project) -> None:
    source = {"uris": ["https://example.com"], "suites": ["./"]}
    text = script(project({}), packages=["x"], sources={"a": source})
    assert subprocess.run(["sh", "-n", "-c", text], check=False).returncode == 0


def test_an_image_without_apt_is_told(project: Project) -> None:
    project({})
    kind.needs({}, Facts())
    kind.needs({}, Facts(packages={"apt": "2.6"}))
    with pytest.raises(AssembleError, match="essential: true"):
        kind.needs({}, Facts(packages={"libc6": "2.36"}))
