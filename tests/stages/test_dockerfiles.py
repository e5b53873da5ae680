"""Dockerfiles as bases: built once, borrowed with their config, built again when something changes."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.bases import dockerfile
from pipeline.digest import digest_of
from pipeline.engine.memory import MemoryEngine
from pipeline.facts import Facts
from pipeline.kinds import Held
from pipeline.recipe import Borrow
from pipeline.run import open_bench
from pipeline.stages.bench import Bench

MANIFEST = """\
version: 1
name: shop
build: {network: host, ca_bundle: ca.pem, engine: none}
bases: {own: {dockerfile: {path: Dockerfile, secrets: {T: "${env:SHOP_SECRET}"}}}}
images: {web: {base: own, command: [x]}}
"""


_NONE = Held()


def saved() -> bytes:
    """A `docker save` archive as Docker 20.10 writes it, with an os-release in its one layer."""
    layer = tar({"etc/os-release": b'ID=debian\nVERSION_ID="12"\n'})
    config = {"config": {"Env": ["A=b"], "User": "7", "Image": "sha256:0"}, "rootfs": {"type": "layers"}}
    config["rootfs"]["diff_ids"] = [digest_of(layer)]  # type: ignore[assignment]
    listing = [{"Config": "c.json", "RepoTags": None, "Layers": ["x/layer.tar"]}]
    members = {"x/layer.tar": layer, "c.json": json.dumps(config).encode()}
    return tar({**members, "manifest.json": json.dumps(listing).encode()})


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def shop(project: Callable[[Mapping[str, str | bytes]], Path]) -> tuple[Bench, MemoryEngine]:
    text = "FROM scratch\nRUN --mount=type=secret,id=ca_bundle x\nCOPY a /\n"
    folder = project({"shop.yaml": MANIFEST, "Dockerfile": text, "a": "1", "ca.pem": "CERT"})
    engine = MemoryEngine()
    engine.saved["Dockerfile"] = saved()
    environ = {**os.environ, "SHOP_SECRET": "hunter22", "https_proxy": "http://proxy:1"}
    bench = open_bench(folder / "shop.yaml", environ, {})
    bench.__dict__["engine"] = engine
    return bench, engine


def resolved(bench: Bench, held: Held = _NONE) -> Any:
    spec = bench.manifest.bases["own"].spec
    request = dockerfile.request(spec, bench.files)
    locked = dockerfile.resolve(spec, request, Facts(), bench.indexes, held)
    return dockerfile.complete(spec, request, locked, Facts(), bench.indexes)


def test_it_is_built_once_and_again_when_its_context_changes(shop: tuple[Bench, MemoryEngine]) -> None:
    bench, engine = shop
    first = resolved(bench)
    assert resolved(bench) == first
    assert len(engine.built) == 1
    (bench.manifest.root / "a").write_text("2")
    resolved(bench)
    assert len(engine.built) == 2


def test_it_is_built_with_what_build_says(shop: tuple[Bench, MemoryEngine]) -> None:
    bench, engine = shop
    resolved(bench)
    (wanted,) = engine.built
    assert wanted.secrets == {"T": "hunter22", "ca_bundle": "CERT"}
    assert wanted.args["https_proxy"] == "http://proxy:1"
    assert wanted.network == "host"


def test_its_config_and_facts_are_taken_over(shop: tuple[Bench, MemoryEngine]) -> None:
    bench, _ = shop
    locked = resolved(bench)
    (recipe,) = dockerfile.recipes(bench.manifest.bases["own"].spec, locked, Facts())
    assert isinstance(recipe, Borrow)
    assert recipe.config == {"Env": ["A=b"], "User": "7"}
    assert dockerfile.facts({}, locked, Facts()).distribution == "debian"


def test_what_the_store_has_lost_is_built_again(shop: tuple[Bench, MemoryEngine]) -> None:
    bench, engine = shop
    locked = resolved(bench)
    bench.store.blobs.path(locked["layers"][0]["blob"]["digest"]).unlink()
    assert resolved(bench) == locked
    assert len(engine.built) == 2
