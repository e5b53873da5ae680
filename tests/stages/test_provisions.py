"""What a command sees of this machine's files: packages by hash, and keys that are still what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.errors import AssembleError
from pipeline.facts import Facts, Platform
from pipeline.manifest.paths import inside
from pipeline.recipe import Execute
from pipeline.stages.bench import Bench
from pipeline.stages.provisions import provisions
from pipeline.store.files import ProjectFiles

PACKAGE = {"name": "zip", "architecture": "amd64", "sha256": "1"}


@pytest.fixture
def bench(project: Callable[[Mapping[str, str | bytes]], Path]) -> Bench:
    folder = project({"vendor.asc": "key"})
    seen: list[Any] = []

    def fetch(packages: Any, settings: Any, architecture: str) -> list[Path]:
        seen.append((settings, architecture))
        return [folder / f"{package['sha256']}.deb" for package in packages]

    debian = SimpleNamespace(fetch=fetch, seen=seen)
    files = ProjectFiles(folder, lambda path: inside(folder, folder, path), None, lambda: 0)
    return cast(Bench, SimpleNamespace(files=files, indexes=SimpleNamespace(debian=debian)))


def recipe(bench: Bench, key: str = "") -> Execute:
    key = key or bench.files.digest("vendor.asc")[0]
    inputs = {"distribution": "debian", "suite": "bookworm", "packages": [PACKAGE], "sources": {"vendor": {"key": key}}}
    sources = {"archive": {"mirror": "http://m"}, "extra": {"vendor": ["http://v"]}, "keys": {"vendor": "vendor.asc"}}
    return Execute(("sh",), inputs, sources=sources)


def test_packages_come_from_where_the_manifest_says(bench: Bench) -> None:
    found = provisions(recipe(bench), Facts(Platform(architecture="arm64")), bench)
    assert [path.name for path in found.values()] == ["vendor.asc", "1.deb"]
    assert list(found) == ["/run/pipeline/keys/vendor.asc", "/run/pipeline/debs/zip_amd64.deb"]
    ((settings, architecture),) = cast(Any, bench.indexes.debian).seen
    assert (settings.suite, settings.mirror, architecture) == ("bookworm", "http://m", "arm64")
    assert [(extra.label, extra.uris) for extra in settings.extra] == [("sources.vendor", ("http://v",))]


def test_a_command_without_sources_gets_nothing(bench: Bench) -> None:
    assert provisions(Execute(("sh",), {}), Facts(), bench) == {}


def test_a_key_that_changed_meanwhile_is_refused(bench: Bench) -> None:
    with pytest.raises(AssembleError, match=r"vendor\.asc has changed since the run began"):
        provisions(recipe(bench, "another"), Facts(), bench)
