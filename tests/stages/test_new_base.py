"""A new base under the same layers: stacked without making or moving them, after a look at what they need of it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
sys.path.insert(0, str(Path(__file__).parents[1] / "assemble"))

from sdistmaker import wheel
from store_images import pack, text
from test_elf import elf

from pipeline.assemble.deb_ldcache import encode
from pipeline.assemble.entry import Entry
from pipeline.errors import AssembleError, CheckError, PipelineError
from pipeline.events import Event, StepEnded
from pipeline.facts import Platform
from pipeline.lock.upgrade import Upgrade
from pipeline.oci import image as documents
from pipeline.oci.provided import ABI, CACHE
from pipeline.registry import Registries, transfers
from pipeline.registry.memory import MemoryRegistry
from pipeline.run import open_bench, perform, prepare
from pipeline.stages.locks import read_lock, write_lock
from pipeline.stages.resolve import resolve
from pipeline.store import Store
from pipeline.store.lookup import documents as of_store

HOST, VERSION = "registry.example.com", platform.python_version()
LIBRARIES = "usr/lib/x86_64-linux-gnu"
MANIFEST = """\
version: 1
name: shop
registries: {prod: {address: registry.example.com/ml}}
bases:
  given: {image: {reference: "base:live", registry: prod}, requires: {python: ">=3.8", os: debian}}
layers:
  science: {pip: {packages: [speed], requirements: limits.txt}}
  native: {files: [{from: native/, to: /opt/native/}]}
  weights: {model: {name: m, path: model.bin}}
images:
  web:
    base: given
    layers: [science, native, weights]
    platforms: [linux/amd64]
    command: [x]
    push: {to: prod, tags: [v1]}
"""


def library(soname: str, *needed: str) -> bytes:
    """A shared object for amd64."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (soname, *needed))
    places = [strings.index(name.encode()) for name in (soname, *needed)]
    return elf(64, "<", 62, [(14, places[0]), *((1, place) for place in places[1:])], strings)


def binary(path: str, content: bytes) -> Entry:
    return Entry(path, mode=0o755, source=content, size=len(content))


def packages(**versions: str) -> Entry:
    versions = {"base-files": "12.4", "libc6": "2.36-9", **versions}
    paragraphs = (f"Package: {n}\nStatus: install ok installed\nVersion: {v}\n" for n, v in versions.items())
    return text("var/lib/dpkg/status", "\n".join(paragraphs))


def system(*more: Entry) -> list[Entry]:
    """A lowest layer: what every base has."""
    release = text("etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    return [release, packages(), binary(f"{LIBRARIES}/libc.so.6", library("libc.so.6")), *more]


def python(version: str = VERSION) -> list[Entry]:
    minor = version.rpartition(".")[0]
    return [
        Entry("usr/local/bin/python3", "symlink", 0o777, link=f"python{minor}"),
        text(f"usr/local/bin/python{minor}", ""),
        text(f"usr/local/include/python{minor}/patchlevel.h", f'#define PY_VERSION "{version}"\n'),
    ]


GOMP = binary(f"{LIBRARIES}/libgomp.so.1", library("libgomp.so.1", "libc.so.6"))


class Shop:
    """A project on a base in a registry in memory; `made`, `up` and `fetched` are of the last run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = MemoryRegistry()
        self.builder = Store(folder / "builder")
        self.environ = {**os.environ, "PIPELINE_HOME": str(folder / "home")}
        self.made: set[str] = set()

    def base(self, *layers: Sequence[Entry], path: str = "") -> None:
        """Moves the tag of the base to an image of these layers, and of this PATH."""
        stack = [pack(self.builder, entries) for entries in layers]
        config, data = documents.described(
            documents.config(Platform(), {"Env": [f"PATH={path}"]} if path else {}, stack), documents.CONFIG
        )
        self.builder.blobs.put(data)
        image, data = documents.described(documents.manifest(config, stack, {}), documents.MANIFEST, Platform())
        self.builder.blobs.put(data)
        repository = Registries({"PATH": ""}, transport=self.registry).repository(f"{HOST}/ml/base")
        transfers.push(self.builder, image, repository)
        transfers.tag(self.builder, image, repository, ["live"])

    def run(self, *, upgrade: bool = False, frozen: bool = False) -> None:
        bench = open_bench(self.folder / "project" / "shop.yaml", self.environ, {})
        bench.__dict__["registries"] = Registries({"PATH": ""}, transport=self.registry)
        before, ended = self._blobs(), []
        first = len(self.registry.seen)

        def report(event: Event) -> None:
            if isinstance(event, StepEnded):
                ended.append(event)

        if upgrade:
            lock = read_lock(bench)
            wanted = Upgrade(heads=frozenset({"bases.given"}))
            write_lock(bench, lock, resolve(bench, lock, upgrade=wanted), None)
        perform(bench, prepare(bench, report, frozen=frozen), report)
        self.store = bench.store
        self.made = {event.step for event in ended if event.outcome == "made"}
        self.up = {digest: size for digest, size in self._blobs().items() if digest not in before}
        self.fetched = [seen for seen in self.registry.seen[first:] if seen.startswith("GET") and "/blobs/" in seen]

    def holds(self, path: str) -> bool:
        """Whether a layer of the image, its base aside, has this file."""
        image, _ = self.store.images()["shop/web"]
        (found,) = of_store(self.store, image)
        layers = [layer for layer in found.layers if self.store.knows(layer)]
        return any(path == member[0] for layer in layers for member in self.store.contents(layer)["members"])

    def _blobs(self) -> dict[str, int]:
        """What the image's repository holds, that of the base aside: mounted is not moved."""
        base = self.registry.repositories[HOST, "ml/base"].blobs
        held = self.registry.repositories.get((HOST, "ml/web"))
        return {digest: len(data) for digest, data in held.blobs.items() if digest not in base} if held else {}


@pytest.fixture
def shop(tmp_path: Path, project: Callable[..., Path]) -> Shop:
    project(
        {
            "shop.yaml": MANIFEST,
            "limits.txt": "--no-index\n--find-links dist\n",
            "dist/speed-1.0-py3-none-any.whl": wheel("speed", {"speed/__init__.py": "answer = 42\n"}),
            "native/fast.so": library("fast.so", "libgomp.so.1", "libc.so.6"),
            "model.bin": b"weights" * 100,
        }
    )
    made = Shop(tmp_path)
    made.base(system(GOMP), python())
    made.run()
    return made


ABOVE = {"base given", "image web", "push web", "check web", "tag web"}


def test_a_layer_more_makes_no_layer_and_moves_none(shop: Shop) -> None:
    assert {"layer weights", "layer native"} <= shop.made and any("bytecode" in id_ for id_ in shop.made)
    shop.base(system(GOMP), python(), [text("etc/note", "new")])
    shop.run(upgrade=True)
    assert shop.made == ABOVE
    assert len(shop.up) == 1, "only the image's config is new"
    assert len(shop.fetched) == 2, "the base's config, and its new layer"


def test_an_updated_package_makes_no_layer_and_moves_none(shop: Shop) -> None:
    shop.base(system(GOMP, text("etc/issue", "updated")), python())
    shop.run(upgrade=True)
    assert shop.made == ABOVE
    assert len(shop.up) == 1


def test_a_newer_glibc_makes_no_layer(shop: Shop) -> None:
    shop.base(system(GOMP, packages(libc6="2.41-1")), python())
    shop.run(upgrade=True)
    assert shop.made == ABOVE
    assert "libc=2.36" in (shop.folder / "project" / "shop.lock").read_text()


MINOR = VERSION.rpartition(".")[0]


def test_packages_go_where_a_python_in_usr_local_looks_for_them(shop: Shop) -> None:
    assert shop.holds(f"usr/local/lib/python{MINOR}/site-packages/speed/__init__.py")


def test_packages_go_where_a_conda_base_looks_for_them(shop: Shop) -> None:
    conda = [
        Entry("opt/conda/bin/python", "symlink", 0o777, link=f"python{MINOR}"),
        text(f"opt/conda/bin/python{MINOR}", ""),
        text(f"opt/conda/conda-meta/python-{VERSION}-h1_0_cpython.json", "{}"),
    ]
    shop.base(system(GOMP), conda, path="/opt/conda/bin:/usr/bin:/bin")
    shop.run(upgrade=True)
    assert shop.holds(f"opt/conda/lib/python{MINOR}/site-packages/speed/__init__.py")
    assert any("bytecode" in id_ for id_ in shop.made)


def test_a_base_that_moved_its_python_moves_the_packages(shop: Shop) -> None:
    other = [
        Entry(
            entry.path.replace("usr/local", "usr"),
            entry.type,
            entry.mode,
            link=entry.link,
            source=entry.source,
            size=entry.size,
        )
        for entry in python()
    ]
    shop.base(system(GOMP), other)
    shop.run(upgrade=True)
    assert shop.holds(f"usr/lib/python{MINOR}/site-packages/speed/__init__.py")


def test_the_lock_decides_which_base_it_is(shop: Shop) -> None:
    shop.base(system(GOMP), python(), [text("etc/note", "new")])
    shop.run(frozen=True)
    assert not shop.made and not shop.fetched


def test_a_layer_that_answers_nothing_is_not_read(shop: Shop) -> None:
    shop.environ["PIPELINE_HOME"] = str(shop.folder / "elsewhere")
    shop.base(system(GOMP), [text("opt/large", "x" * 1000)], [packages(libgomp1="12.2"), *python()])
    shop.run(upgrade=True)
    assert len(shop.fetched) == 3, "the config, the uppermost layer, and the lowest for the release"
    shop.environ["PIPELINE_HOME"] = str(shop.folder / "yet another")
    shop.run(frozen=True)
    assert len(shop.fetched) == 0, "Python that compiles is on this machine, and the lock tells of the rest"


def listed() -> Entry:
    """The linker's cache of an image that has libgomp."""
    data = encode([("libgomp.so.1", ABI[64, 62] | 3, f"/{LIBRARIES}/libgomp.so.1")], True)
    return Entry(CACHE, source=data, size=len(data))


def test_the_linkers_cache_answers_for_the_layers_below_it(shop: Shop) -> None:
    shop.base(system(GOMP), [text("opt/large", "x" * 1000)], [packages(), listed(), *python()])
    shop.run(upgrade=True)
    shop.environ["PIPELINE_HOME"] = str(shop.folder / "elsewhere")
    shop.run(frozen=True)
    assert len(shop.fetched) == 1


def refused(shop: Shop, error: type[PipelineError], *layers: Sequence[Entry]) -> str:
    """What is said of such a new base; the image's tag has not moved."""
    held = shop.registry.repositories[HOST, "ml/web"]
    before = dict(held.tags)
    shop.base(*layers)
    with pytest.raises(error) as caught:
        shop.run(upgrade=True)
    assert held.tags == before
    return str(caught.value)


def test_a_base_without_a_library_that_layers_need_is_refused(shop: Shop) -> None:
    said = refused(shop, AssembleError, system(), python())
    assert "libgomp.so.1, needed by /opt/native/fast.so" in said


def test_a_library_that_was_removed_again_is_lacking(shop: Shop) -> None:
    said = refused(shop, AssembleError, system(GOMP), python(), [text(f"{LIBRARIES}/.wh.libgomp.so.1", "")])
    assert "libgomp.so.1" in said


def test_a_library_that_the_linkers_cache_still_names_is_lacking(shop: Shop) -> None:
    gone = text(f"{LIBRARIES}/.wh.libgomp.so.1", "")
    assert "libgomp.so.1" in refused(shop, AssembleError, system(GOMP, listed()), python(), [gone])


def test_a_base_without_what_it_must_hold_is_refused(shop: Shop) -> None:
    other = text("etc/os-release", "ID=fedora\nVERSION_ID=41\n")
    assert "fedora 41" in refused(shop, CheckError, system(GOMP), [other], python())


def test_a_base_with_another_libc_is_refused(shop: Shop) -> None:
    alpine = [text("etc/os-release", "ID=alpine\nVERSION_ID=3.20\n"), text("lib/ld-musl-x86_64.so.1", "")]
    said = refused(shop, AssembleError, alpine, python())
    assert "musl" in said
