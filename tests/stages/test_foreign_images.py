"""Resolving an image of a registry moves only the layers that must be read, and each once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from store_images import pack, text

from pipeline.assemble.entry import Entry
from pipeline.facts import Platform, Python
from pipeline.home import Home
from pipeline.manifest.load import load
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.registry import Registries, transfers
from pipeline.registry.memory import MemoryRegistry
from pipeline.stages.bench import Bench
from pipeline.store import Store

MANIFEST = "version: 1\nname: m\nbases: {b: {image: x}}\nimages: {i: {base: b}}\n"
OS = text("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
HEADER = text("usr/local/include/python3.11/patchlevel.h", '#define PY_VERSION "3.11.9"\n')
PYTHON = [
    Entry("usr/local/bin/python3", "symlink", 0o777, link="python3.11"),
    text("usr/local/bin/python3.11", ""),
    HEADER,
]


def status(base_files: str) -> Any:
    packages = {"libc6": "2.36-9", "base-files": base_files}
    paragraphs = (f"Package: {n}\nStatus: install ok installed\nVersion: {v}\n" for n, v in packages.items())
    return text("var/lib/dpkg/status", "\n".join(paragraphs))


def put(store: Store, stack: Sequence[Layer]) -> Descriptor:
    """An image whose config says nothing but the order of its layers."""
    config, data = documents.described(documents.config(Platform(), {}, stack), documents.CONFIG)
    store.blobs.put(data)
    image, data = documents.described(documents.manifest(config, stack, {}), documents.MANIFEST, Platform())
    store.blobs.put(data)
    return image


@dataclass
class Lab:
    """An empty machine, and a registry in memory with the image `base:1`."""

    bench: Bench
    layers: Sequence[Layer]

    def locked(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.bench.indexes.images.registry("registry.example.com/base:1", "", Platform())
        return found

    def fetched(self) -> list[int]:
        """The layers that are in the store now, counted from the lowest."""
        return [n for n, one in enumerate(self.layers) if self.bench.store.blobs.has(one.blob.digest, one.blob.size)]


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., Lab]:
    def make(*layers: Sequence[Any]) -> Lab:
        memory = MemoryRegistry()
        builder = Store(tmp_path / "builder")
        stack = [pack(builder, entries) for entries in layers]
        registries = Registries({"PATH": ""}, transport=memory)
        repository = registries.repository("registry.example.com/base")
        transfers.push(builder, image := put(builder, stack), repository)
        transfers.tag(builder, image, repository, ["1"])
        (tmp_path / "m.yaml").write_text(MANIFEST)
        home = Home(tmp_path / "store", tmp_path / "cache", tmp_path / "state")
        bench = Bench(load(tmp_path / "m.yaml", environ={}), home, {})
        bench.__dict__["registries"] = registries
        return Lab(bench, stack)

    return make


def test_layers_between_are_left_where_they_are(lab: Callable[..., Lab]) -> None:
    one = lab([OS, status("12.4")], [text("opt/a", "a")], [text("opt/b", "b")], [status("12.4"), *PYTHON])
    locked = one.locked()
    assert one.fetched() == [0, 3]
    assert (locked["facts"]["distribution"], locked["facts"]["release"]) == ("debian", "12")
    assert Python(*locked["facts"]["python"]).version == "3.11.9"
    assert {"name": "libc6", "version": "2.36-9"} in locked["packages"]


def test_a_release_that_may_have_changed_in_between_is_looked_for(lab: Callable[..., Lab]) -> None:
    newer = text("etc/os-release", 'ID=debian\nVERSION_ID="13"\n')
    one = lab([OS, status("12.4")], [newer, status("13.1")], [text("opt/b", "b")], [status("13.1"), *PYTHON])
    assert one.locked()["facts"]["release"] == "13"


def test_a_python_that_comes_first_may_lie_at_the_bottom(lab: Callable[..., Lab]) -> None:
    second = [Entry("usr/bin/python3", "symlink", 0o777, link="python3.12"), text("usr/bin/python3.12", "\0003.12.1\0")]
    one = lab([OS, *PYTHON], [text("opt/b", "b")], [status("12.4"), *second])
    assert Python(*one.locked()["facts"]["python"]).version == "3.11.9"
    assert one.fetched() == [0, 1, 2]


def test_each_layer_is_fetched_once(lab: Callable[..., Lab]) -> None:
    one = lab([OS], [status("12.4"), *PYTHON])
    first = one.locked()
    moved = one.bench.registries.client("registry.example.com").tally.requests
    assert one.locked() == first
    assert one.bench.registries.client("registry.example.com").tally.requests == moved + 1
