"""Packs wheels as pip would install them (PyPA "Binary distribution format"), with the same bytes on every machine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.assemble.entry import Entry
from pipeline.assemble.frame import Frame, Framed, frame_key
from pipeline.assemble.wheel_install import Layout, install
from pipeline.assemble.work import Work
from pipeline.digest import CacheKey
from pipeline.layers._requirements import gather
from pipeline.recipe import Assemble

# Inputs that do not tell how one wheel is packed.
_OTHERS = {"wheels", "platform"}


def frames(recipe: Assemble, work: Work) -> Framed:
    """A layer that installs `inputs["wheels"]` below `inputs["prefix"]`: a frame for each wheel, by file name.

    Of two wheels with the same file the later in the alphabet wins.
    """
    inputs = recipe.inputs
    layout, wheels = (
        Layout(inputs["prefix"], inputs["site"], inputs["python"], inputs["executable"]),
        Wheels(recipe, work),
    )

    def entries(file: str) -> list[Entry]:
        return sorted(install(file, wheels.folder(file), layout), key=lambda entry: entry.path)

    made = tuple(Frame(wheel_key(recipe, wheel), partial(entries, wheel[0])) for wheel in wheels.own)
    return Framed(made, lambda paths: (Entry(path, "dir", 0o755) for path in sorted(_folders(paths, layout))))


def members(files: Mapping[str, Entry], layout: Layout) -> Iterator[Entry]:
    """The files with the folders above them that pip would make, sorted by path."""
    found = dict(files)
    for folder in _folders(found, layout):
        found.setdefault(folder, Entry(folder, "dir", 0o755))
    for path in sorted(found):
        yield found[path]


def wheel_key(recipe: Assemble, wheel: Sequence[str]) -> CacheKey:
    """The key of one wheel's frame: the wheel (file name, sha256), and where and for what the recipe installs it."""
    return frame_key(
        recipe.packer, [*wheel, {key: value for key, value in recipe.inputs.items() if key not in _OTHERS}]
    )


class Wheels:
    """The unpacked folders of a recipe's wheels. With the first come all that the layers beside it will need, too."""

    def __init__(self, recipe: Assemble, work: Work) -> None:
        self.own: list[tuple[str, str]] = sorted((file, sha256) for file, sha256 in recipe.inputs["wheels"])
        self._recipe = recipe
        self._work = work
        self._found: dict[str, Path] = {}

    def folder(self, file: str) -> Path:
        """Where the wheel of this name is unpacked, as it is."""
        if file not in self._found:
            mine = [wheel for wheel in self.own if wheel[0] == file]
            self._found |= self._fetched(mine, () if self._found else self._lacking())
        return self._found[file]

    def _lacking(self) -> list[list[tuple[str, str]]]:
        """Wheels of this layer and of those beside it of which there is no frame yet, in groups.

        First the many small ones, that are soon there; then each that has a layer of its own.
        """
        alike = [one for one in self._work.beside() if "wheels" in one.inputs and _origin(one) == _origin(self._recipe)]
        small: set[tuple[str, str]] = set()
        large: set[tuple[str, str]] = set()
        for one in (self._recipe, *alike):
            wheels = [(file, sha256) for file, sha256 in one.inputs["wheels"]]
            lacking = (wheel for wheel in wheels if not self._work.packed(wheel_key(one, wheel)))
            (small if len(wheels) > 1 else large).update(lacking)
        return [group for group in (sorted(small), *([wheel] for wheel in sorted(large))) if group]

    def _fetched(
        self, wheels: Sequence[tuple[str, str]], others: Sequence[Sequence[tuple[str, str]]]
    ) -> Mapping[str, Path]:
        recipe, indexes = self._recipe, self._work.indexes
        found: Mapping[str, Path] = indexes.pypi.unpacked(
            wheels,
            gather(recipe.sources, indexes.files),
            python=_minor(recipe),
            platform=recipe.inputs["platform"],
            files=indexes.files,
            others=others,
        )
        return found


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


def _folders(found: Iterable[str], layout: Layout) -> set[str]:
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
