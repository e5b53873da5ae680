"""Gathers what a command is to see of this machine's files: locked packages, and the keys of their archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.dpkg import ArchiveSettings, ExtraArchive, architecture
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.layers._apt import DEBS, KEYS
from pipeline.recipe import Execute
from pipeline.stages.bench import Bench


def provisions(recipe: Execute, parent: Facts, bench: Bench) -> dict[str, Path]:
    """Files of this machine by their paths in the container.

    Packages come from the cache, or are fetched into it, each checked against its hash. ResolveError for one that its
    archive no longer has; OutOfReach.
    """
    if not recipe.sources:
        return {}
    return {**_keys(recipe, bench), **_debs(recipe, parent, bench)}


def _keys(recipe: Execute, bench: Bench) -> dict[str, Path]:
    found = {}
    for name, relative in recipe.sources["keys"].items():
        if bench.files.digest(relative)[0] != recipe.inputs["sources"][name]["key"]:
            raise AssembleError(f"{relative} has changed since the run began", remedy="run again")
        found[f"{KEYS}/{name}.asc"] = bench.files.path(relative)
    return found


def _debs(recipe: Execute, parent: Facts, bench: Bench) -> dict[str, Path]:
    if "archive" not in recipe.sources:
        return {}
    inputs = recipe.inputs
    packages: list[Mapping[str, Any]] = inputs["packages"]
    given: Mapping[str, str] = recipe.sources["archive"]
    extra = tuple(ExtraArchive(name, tuple(uris), ()) for name, uris in recipe.sources["extra"].items())
    settings = ArchiveSettings(
        inputs["distribution"],
        inputs["suite"],
        mirror=given.get("mirror", ""),
        security_mirror=given.get("security_mirror", ""),
        extra=extra,
    )
    paths = bench.indexes.debian.fetch(packages, settings, architecture(parent.platform) or "")
    names = (f"{p['name']}_{p['architecture']}.deb" for p in packages)
    return {f"{DEBS}/{name}": path for name, path in zip(names, paths, strict=True)}
