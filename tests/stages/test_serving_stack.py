"""`serve: {stack: azureml}`: the server comes where no layer has it, beside what is there, and keeps its own folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AssembleError
from pipeline.facts import Facts, Platform, Python
from pipeline.kinds import Files
from pipeline.layers import files as kind
from pipeline.lock.model import Lock
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.plan.runtime import runtime
from pipeline.run import open_bench, perform, plan_of
from pipeline.stages.resolve import Resolution, resolve

MANIFEST = """\
version: 1
name: shop
bases: {{slim: {{debian: {{suite: bookworm, packages: [python3]}}}}}}
layers:
  web: {{pip: {{packages: {packages}}}}}
  code: {{files: [{{from: src/, to: /var/azureml-app/}}]}}
images:
  a:
    base: slim
    layers: [web, code]
    serve: {{entry_script: score.py{serve}}}
"""
SCRIPT = "def init(): pass\ndef run(data): return data\n"
PYTHON = [{"name": "python3", "version": "3.11.2-1"}, {"name": "python3.11", "version": "3.11.2-1"}]
SERVER = "azureml-inference-server-http"


@dataclass
class Indexes:
    """Answers with one wheel for each requirement, and remembers what it was told to leave as it is."""

    files: Files
    installed: list[Mapping[str, str]] = field(default_factory=list)

    @property
    def debian(self) -> Any:
        return self

    @property
    def pypi(self) -> Any:
        return self

    def resolve(self, wanted: Any, *_more: Any, **more: Any) -> Any:
        if not hasattr(wanted, "requirements"):
            packages = [*PYTHON, {"name": "libc6", "version": "2.36-9"}]
            each = {"file": "x.deb", "sha256": "ab" * 32, "size": 1, "architecture": "amd64"}
            return [{**each, **package} for package in packages]
        self.installed.append(more["installed"])
        names = [line.partition("~")[0].partition("=")[0] for line in wanted.requirements]
        file = "{}-1.5-py3-none-any.whl"
        return [
            {
                "name": name,
                "version": "1.5",
                "file": file.format(name.replace("-", "_")),
                "sha256": "cd" * 32,
                "size": 1,
            }
            for name in names
        ]


def resolved(folder: Path) -> tuple[Resolution, Indexes]:
    bench = open_bench(folder / "shop.yaml", os.environ, {})
    indexes = Indexes(bench.files)
    bench.__dict__["indexes"] = indexes
    return resolve(bench, Lock()), indexes


@pytest.fixture
def shop(project: Callable[[Mapping[str, str]], Path]) -> Callable[..., Path]:
    def make(packages: str = "[flask]", serve: str = ", stack: azureml", **files: str) -> Path:
        return project({"shop.yaml": MANIFEST.format(packages=packages, serve=serve), "src/score.py": SCRIPT, **files})

    return make


def test_row_39_the_server_is_added_beside_what_the_layers_brought(shop: Callable[..., Path]) -> None:
    found, indexes = resolved(shop())
    assert [item.entry.name for item in found.images[0].stack] == ["slim", "web", "code", "a+stack"]
    assert indexes.installed == [{}, {"flask": "1.5"}]
    assert found.images[0].stack[-1].locked["wheels"][0]["name"] == SERVER


def test_what_the_added_layer_stands_beside_is_part_of_what_the_lock_answers(shop: Callable[..., Path]) -> None:
    asked = [entry.asked for id_, entry in resolved(shop())[0].entries.items() if "+stack" in id_]
    assert asked[0]["installed"] == ["flask==1.5"]


def test_nothing_is_added_where_a_layer_has_the_server(shop: Callable[..., Path]) -> None:
    found, _ = resolved(shop(packages=f"[{SERVER}]"))
    assert [item.entry.name for item in found.images[0].stack] == ["slim", "web", "code"]


def test_nothing_is_added_that_was_not_asked_for(shop: Callable[..., Path]) -> None:
    found, _ = resolved(shop(serve=""))
    assert [item.entry.name for item in found.images[0].stack] == ["slim", "web", "code"]


def test_the_server_starts_with_the_images_own_python_and_its_settings(shop: Callable[..., Path]) -> None:
    settings = ", stack: azureml, workers: 3, scoring_timeout: 1500ms, worker_timeout: 2m, port: 6001"
    found, _ = resolved(shop(serve=settings))
    config = runtime(found.images[0])
    script = "/var/azureml-app/score.py"
    server = ["-m", SERVER.replace("-", "_"), "--entry_script", script, "--port", "6001"]
    assert config["Entrypoint"] == ["/usr/bin/python3", *server]
    assert {"WORKER_COUNT=3", "SCORING_TIMEOUT_MS=1500", "WORKER_TIMEOUT=120"} <= set(config["Env"])


def test_row_04_a_layer_that_writes_into_the_stacks_folder_is_refused(project: Callable[..., Path]) -> None:
    """Whatever its kind: here a plain layer of which the manifest does not tell the files."""
    text = """\
version: 1
name: shop
bases: {root: {layout: {path: base}}}
layers:
  code: {files: [{from: src/, to: /}]}
images: {a: {base: root, layers: [code], serve: {stack: azureml, entry_script: score.py}}}
"""
    folder = project({"shop.yaml": text, "src/var/runit/gunicorn/run": "#!/bin/sh\n", "base/oci-layout": "{}"})
    bench = open_bench(folder / "shop.yaml", os.environ, {})
    entry = bench.manifest.layers["code"]
    recipes = tuple(kind.recipes(entry.spec, kind.request(entry.spec, bench.files), Facts()))
    base = bench.manifest.bases["root"]
    below = [{"from": "base/", "to": "/opt"}]
    bottom = tuple(kind.recipes(below, kind.request(below, bench.files), Facts()))
    python = Facts(Platform(), python=Python("3.11.2"))
    stack = (
        ResolvedEntry("bases", base, "root", None, Facts(), python, bottom),
        ResolvedEntry("layers", entry, "code", None, python, python, recipes),
    )
    image = bench.manifest.images["a"]
    plan = plan_of(bench, Resolution([ResolvedImage(image, Platform(), stack)]))
    with pytest.raises(
        AssembleError, match="layer code: /var/runit is in /var/runit, which is the serving stack's own"
    ):
        perform(bench, plan, lambda _event: None, ("base", "layer", "image"))
