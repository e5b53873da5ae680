"""A small resolved project, made by hand: what the plan's tests start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import Location
from pipeline.facts import Facts, Platform, Python
from pipeline.manifest.model import Checks, Entry, Image, Manifest, Retry, Serve
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.recipe import Assemble, Recipe

NOWHERE = Location("m.yaml", 1, 1)
AMD64 = Platform()
FACTS = Facts(AMD64, "debian", "bookworm", "2.36", Python("3.11.2"))

BASE = Assemble(
    "deb", {"packages": [{"name": "python3", "version": "3.11.2", "sha256": "ab" * 32}]}, summary="1 package"
)
SCIENCE = Assemble(
    "wheel", {"wheels": [["numpy-2.0-cp311.whl", "cd" * 32]], "python": "3.11"}, summary="pip, 1 package"
)
CODE = Assemble("tree", {"members": [{"path": "app/a.py", "digest": "sha256:" + "ef" * 32, "size": 1}]})


def layer(name: str, recipe: Recipe, *, section: Any = "layers", kind: str = "files", **spec: Any) -> ResolvedEntry:
    parent = FACTS if section == "layers" else Facts(AMD64)
    return ResolvedEntry(section, Entry(name, kind, spec, NOWHERE), f"{section}.{name}", None, parent, FACTS, (recipe,))


def image(
    name: str, *layers: ResolvedEntry, base: str = "slim", recipe: Assemble = BASE, **settings: Any
) -> ResolvedImage:
    found = Image(name, base, tuple(one.entry.name for one in layers), NOWHERE, **settings)
    return ResolvedImage(found, AMD64, (layer(base, recipe, section="bases", kind="debian"), *layers))


def on(resolved: ResolvedImage, platform: Platform) -> ResolvedImage:
    return replace(resolved, platform=platform)


def manifest(*images: ResolvedImage, targets: Mapping[str, Entry] | None = None) -> Manifest:
    return Manifest(
        path=Path("m.yaml"),
        root=Path(),
        name="diabetes",
        version=1,
        registries={},
        bases={},
        layers={},
        images={one.image.name: one.image for one in images},
        targets=targets or {},
        retry=Retry(),
        secrets=(),
        digest="",
        where=lambda _path: NOWHERE,
    )


def target(name: str, image_name: str, **settings: Any) -> Entry:
    return Entry(name, "local", {"image": image_name, **settings}, NOWHERE)


def project() -> tuple[Manifest, list[ResolvedImage]]:
    """One image with everything: checks, a service, a target."""
    scoring = image(
        "scoring",
        layer("science", SCIENCE, kind="pip"),
        layer("code", CODE),
        serve=Serve("score.py"),
        user="1000",
        env={"A": "b"},
        checks=Checks(imports=("numpy",), score={"request": {"data": [1]}}, size=10**9),
        tags=("v1", "latest"),
    )
    return manifest(scoring, targets={"here": target("here", "scoring", port=8890)}), [scoring]
