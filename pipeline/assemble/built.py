"""Packs wheels that were built from sources, as pip would install them, with their bytecode in the same layer."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline.assemble import bytecode
from pipeline.assemble.entry import Entry
from pipeline.assemble.wheel import installed, members
from pipeline.assemble.wheel_install import Layout
from pipeline.assemble.work import Work
from pipeline.recipe import Assemble


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The members of a layer that installs what was built of `inputs["sources"]`, sorted by path."""
    inputs = recipe.inputs
    minor = ".".join(inputs["python"].split(".")[:2])
    layout = Layout(inputs["prefix"], inputs["site"], minor, inputs["executable"])
    folders = {name: _unpacked(path, work.scratch / f"wheel-{name}") for name, path in work.built().items()}
    found = installed(folders, layout)
    if inputs["bytecode"] and (sources := list(bytecode.sources_of(found, inputs["site"]))):
        compiler = bytecode.Compiler(inputs["python"], work)
        found |= {each.path: each for each in compiler.compiled(sources)}
    yield from members(found, layout)


def _unpacked(wheel: Path, folder: Path) -> Path:
    """The wheel's files, with the modes that it gives them: programs among its scripts stay programs."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = Path(archive.extract(member, folder))
            if (mode := member.external_attr >> 16 & 0o777) and not member.is_dir():
                path.chmod(mode | 0o600)
    return folder
