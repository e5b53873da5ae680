"""Sources built into wheels: in an engine, once for the same layers below, and packed as other wheels are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sdistmaker import sdist, wheel

from pipeline.engine.memory import MemoryEngine, Scene
from pipeline.errors import AssembleError, ResolveError
from pipeline.facts import Facts, Platform, Python
from pipeline.kinds import Held
from pipeline.layers import files, pip
from pipeline.layers._sources import REQUIREMENTS, WHEELS
from pipeline.oci.descriptor import Descriptor
from pipeline.plan.model import Plan, ResolvedEntry, ResolvedImage
from pipeline.run import open_bench, perform, plan_of
from pipeline.stages.bench import Bench
from pipeline.stages.execute import CommandFailed
from pipeline.stages.resolve import Resolution
from pipeline.store.lookup import documents

MANIFEST = """\
version: 1
name: shop
build: {network: none, ca_bundle: none}
bases: {slim: {debian: {suite: bookworm, packages: []}}}
layers: {speed: {pip: {packages: [speed], requirements: limits.txt, build: true, bytecode: false}}}
images: {web: {base: slim, layers: [speed], command: [x]}}
"""
FACTS = Facts(
    Platform(), "debian", "12", "2.36", Python("3.11.2", "/usr/bin/python3", "/usr/local", "/usr/local/lib/site")
)
MODULE = {"speed/__init__.py": "answer = 42\n"}


class Shop:
    """One image of a base and a pip layer with sources, resolved here and built in an engine in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench: Bench = open_bench(folder / "shop.yaml", os.environ, {})
        self.engine = MemoryEngine(self._pip)
        self.bench.__dict__["engine"] = self.engine
        self.made = {"speed-1.0-py3-none-any.whl": wheel("speed", MODULE)}

    def _pip(self, scene: Scene) -> int:
        """What pip would do: a wheel of what it is told to build."""
        for name, content in self.made.items():
            scene.write(f"{WHEELS.lstrip('/')}/{name}", content)
        scene.write("usr/lib/compiler", b"there for the build alone")
        return 0 if self.made else 1

    def locked(self) -> Any:
        spec = self.bench.manifest.layers["speed"].spec
        return pip.resolve(spec, pip.request(spec, self.bench.files), FACTS, self.bench.indexes, Held())

    def plan(self) -> Plan:
        manifest = self.bench.manifest
        below = [{"from": "base/", "to": "/opt"}]
        base = files.recipes(below, files.request(below, self.bench.files), Facts())
        layer = pip.recipes(manifest.layers["speed"].spec, self.locked(), FACTS)
        stack = (
            ResolvedEntry("bases", manifest.bases["slim"], "slim", None, Facts(), FACTS, tuple(base)),
            ResolvedEntry("layers", manifest.layers["speed"], "speed", None, FACTS, FACTS, tuple(layer)),
        )
        return plan_of(self.bench, Resolution([ResolvedImage(manifest.images["web"], Platform(), stack)]))

    def build(self) -> list[str]:
        """The paths of the uppermost layer."""
        plan = self.plan()
        perform(self.bench, plan, lambda _event: None, ("base", "layer", "image"))
        built = Descriptor.from_json(self.bench.record(plan.step("image web"))["image"])
        layer = documents(self.bench.store, built)[0].layers[-1]
        return [member[0] for member in self.bench.store.contents(layer)["members"]]


@pytest.fixture
def shop(project: Callable[[Mapping[str, str | bytes]], Path]) -> Shop:
    folder = project({"shop.yaml": MANIFEST, "base/a": "1", "limits.txt": "--no-index\n--find-links dist\n"})
    sdist(folder / "dist", "speed", {"setup.py": "raise SystemExit('not on this machine')\n"})
    return Shop(folder)


def test_sources_are_locked_by_file_and_hash(shop: Shop) -> None:
    locked = shop.locked()
    (source,) = locked["sources"]
    assert (source["name"], source["version"], source["file"]) == ("speed", "1.0", "speed-1.0.tar.gz")
    assert len(source["sha256"]) == 64 and locked["wheels"] == []
    assert str(shop.folder) not in repr(locked)


def test_only_the_wheel_reaches_the_image(shop: Shop) -> None:
    members = shop.build()
    assert "usr/local/lib/site/speed/__init__.py" in members
    assert not any("compiler" in path or "pipeline-wheels" in path for path in members)
    (job,) = shop.engine.jobs
    assert job.env["PIP_NO_BINARY"] == "speed"
    assert b"speed==1.0 --hash=sha256:" in job.files[REQUIREMENTS]
    assert any(path.endswith("/speed-1.0.tar.gz") for path in job.files), "a file of this machine, put there"


def test_the_same_source_on_the_same_layers_is_built_once(shop: Shop) -> None:
    shop.build()
    shop.bench.manifest.layers["speed"].spec["prefix"] = "/opt/elsewhere"  # type: ignore[index]
    assert "opt/elsewhere/lib/python3.11/site-packages/speed/__init__.py" in shop.build()
    assert len(shop.engine.jobs) == 1
    (shop.folder / "base/a").write_text("another base")
    shop.build()
    assert len(shop.engine.jobs) == 2


def test_a_build_that_fails_and_one_that_makes_nothing_are_told_apart(shop: Shop) -> None:
    wheels, shop.made = shop.made, {}
    with pytest.raises(CommandFailed, match="exit code 1"):
        shop.build()
    shop.made = {"other-1.0-py3-none-any.whl": wheels.popitem()[1]}
    with pytest.raises(AssembleError, match=r"no wheel of speed-1.0.tar.gz"):
        shop.build()


def test_an_index_with_a_password_is_told_as_a_secret(shop: Shop) -> None:
    (shop.folder / "limits.txt").write_text(
        "--find-links dist\n--no-index\n--extra-index-url https://me:hunter22@h/i\n"
    )
    shop.build()
    (job,) = shop.engine.jobs
    assert "https://me:hunter22@h/i" in job.secrets["pip.conf"]
    assert job.env["PIP_CONFIG_FILE"] == "/run/secrets/pip.conf"
    assert "hunter22" not in repr((job.argv, job.env, dict(job.files)))
    assert "hunter22" not in "".join(step.key + repr(step.inputs) for step in shop.plan().steps)


def test_nothing_is_built_unless_the_layer_says_so(shop: Shop) -> None:
    shop.bench.manifest.layers["speed"].spec["build"] = False  # type: ignore[index]
    with pytest.raises(ResolveError, match=r"speed.*wheel.*build: true"):
        shop.locked()


def test_packages_for_the_build_need_a_build_and_apt() -> None:
    assert list(pip.flaws({"packages": ["a"], "build_packages": ["gcc"]}))
    spec = {"packages": ["a"], "build": True, "build_packages": ["gcc"]}
    assert not list(pip.flaws(spec))
    bare = Facts(Platform(), "debian", "12", "2.36", FACTS.python, {"libc6": "2.36-9"})
    with pytest.raises(AssembleError, match="apt"):
        pip.needs(spec, bare)
    pip.needs(spec, FACTS)
