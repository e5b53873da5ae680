"""Packs wheels as pip would install them (PyPA "Binary distribution format"), with the same bytes on every machine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.assemble.entry import Entry
from pipeline.assemble.wheel_install import Layout, install
from pipeline.assemble.work import Work
from pipeline.layers._requirements import gather
from pipeline.recipe import Assemble


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The members of a layer that installs `inputs["wheels"]` below `inputs["prefix"]`, sorted by path."""
    inputs = recipe.inputs
    layout = Layout(inputs["prefix"], inputs["site"], inputs["python"], inputs["executable"])
    yield from members(installed(unpacked(recipe, work), layout), layout)


def members(files: Mapping[str, Entry], layout: Layout) -> Iterator[Entry]:
    """The files with the folders above them that pip would make, sorted by path."""
    found = dict(files)
    for folder in _folders(found, layout):
        found.setdefault(folder, Entry(folder, "dir", 0o755))
    for path in sorted(found):
        yield found[path]


def unpacked(recipe: Assemble, work: Work) -> dict[str, Path]:
    """The unpacked folder of each of a recipe's wheels, by file name; those of the layers beside it come with them."""
    inputs, files = recipe.inputs, work.indexes.files
    alike = [each for each in work.beside() if "wheels" in each.inputs and _origin(each) == _origin(recipe)]
    wheels = sorted({(file, sha256) for each in (recipe, *alike) for file, sha256 in each.inputs["wheels"]})
    found: dict[str, Path] = work.indexes.pypi.unpacked(
        wheels, gather(recipe.sources, files), python=_minor(recipe), platform=inputs["platform"], files=files
    )
    return {file: found[file] for file, _ in inputs["wheels"]}


def _origin(recipe: Assemble) -> tuple[Any, ...]:
    """Where its wheels are from, and for what."""
    return recipe.sources, _minor(recipe), recipe.inputs["platform"]


def _minor(recipe: Assemble) -> str:
    return ".".join(str(recipe.inputs["python"]).split(".")[:2])


def installed(folders: Mapping[str, Path], layout: Layout) -> dict[str, Entry]:
    """Every file that the wheels bring, by path. Of two wheels with the same file the later in the alphabet wins."""
    found: dict[str, Entry] = {}
    for file in sorted(folders):
        for entry in install(file, folders[file], layout):
            found[entry.path] = entry
    return found


def _folders(found: Mapping[str, Entry], layout: Layout) -> set[str]:
    """The folders that pip would make: below the prefix, and below the folder for packages if that lies elsewhere."""
    prefix, site = layout.prefix.lstrip("/"), layout.site.lstrip("/")
    inside = f"{prefix}/" if prefix else ""
    folders: set[str] = set()
    for path in found:
        folder = posixpath.dirname(path)
        while folder and folder not in folders and (folder.startswith(inside) or (folder + "/").startswith(site + "/")):
            folders.add(folder)
            folder = posixpath.dirname(folder)
    return folders
