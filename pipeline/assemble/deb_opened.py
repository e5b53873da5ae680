"""A recipe's .debs in their order, each opened only where nothing was noted of it, or for the bytes of its files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.assemble.deb_archive import Deb, open_ahead, open_deb, read_fields, replaces
from pipeline.assemble.deb_notes import Notes, note
from pipeline.assemble.frame import frame_key
from pipeline.assemble.work import Work
from pipeline.digest import CacheKey
from pipeline.dpkg import ArchiveSettings
from pipeline.recipe import Assemble

Json = Mapping[str, Any]
EARLY = 32 << 20
"""Bytes of packages (compressed) that are held in memory unpacked because they came before their turn."""


@dataclass
class Package:
    """A locked package: its .deb's file name and hash, what was noted of it, and its files' bytes on demand."""

    file: str
    sha256: str
    notes: Notes
    again: Callable[[], Deb]
    deb: Deb | None = None

    def data(self) -> IO[bytes]:
        """The tar of its files, uncompressed; whoever asks closes it."""
        deb, self.deb = self.deb or self.again(), None
        return deb.data


class _Early:
    """Packages that are opened and noted as soon as they are fetched, while others are still on their way."""

    def __init__(self, work: Work) -> None:
        self.found: dict[str, tuple[Deb, Notes]] = {}
        self._work = work
        self._guard = threading.Lock()
        self._room = EARLY

    def arrived(self, package: Json, path: Path) -> None:
        with self._guard:
            self._room -= package["size"]
            if self._room < 0:
                return
        deb = open_deb(path, _file(package), self._work.scratch)
        notes = note(deb)
        self._work.remember(_key(package), notes.to_json())
        self.found[package["name"]] = deb, notes


def opened(recipe: Assemble, work: Work) -> Iterator[Package]:
    """The packages of a recipe in their order; what nothing is noted of is fetched, and opened a few ahead.

    Raises ResolveError, OutOfReach, and AssembleError for a package that is refused.
    """
    packages: Sequence[Json] = sorted(recipe.inputs["packages"], key=lambda package: str(package["name"]))
    known = {each["name"]: notes for each in packages if (notes := work.recall(_key(each)))}
    lacking = [each for each in packages if each["name"] not in known]
    early = _Early(work)
    fetched = _fetched(lacking, recipe, work, early.arrived)
    files = {each["name"]: path for each, path in zip(lacking, fetched, strict=True) if each["name"] not in early.found}
    noted = {name: Notes.from_json(value) for name, value in known.items()}
    noted |= {name: notes for name, (_, notes) in early.found.items()}
    fields = {name: notes.deb.fields for name, notes in noted.items()}
    fields |= {each["name"]: read_fields(files[each["name"]], _file(each)) for each in lacking if each["name"] in files}
    order = _ordered([each["name"] for each in packages], fields)
    by_name = {each["name"]: each for each in packages}
    ahead = open_ahead([(_file(by_name[name]), files[name]) for name in order if name in files], work.scratch)
    for name in order:
        package = by_name[name]
        deb = next(ahead) if name in files else early.found.pop(name, (None,))[0]
        notes = note(deb) if deb and name in files else noted[name]
        if name in files:
            work.remember(_key(package), notes.to_json())
        yield Package(_file(package), package.get("sha256", ""), notes, _again(package, recipe, work), deb)


def _key(package: Json) -> CacheKey | None:
    return frame_key("deb notes", [package["sha256"], _file(package)]) if package.get("sha256") else None


def _file(package: Json) -> str:
    return str(package["file"]).rpartition("/")[2]


def _again(package: Json, recipe: Assemble, work: Work) -> Callable[[], Deb]:
    return lambda: open_deb(_fetched([package], recipe, work)[0], _file(package), work.scratch)


def _fetched(
    packages: Sequence[Json],
    recipe: Assemble,
    work: Work,
    arrived: Callable[[Json, Path], None] = lambda _package, _path: None,
) -> list[Path]:
    if not packages:
        return []
    inputs, sources = recipe.inputs, recipe.sources
    settings = ArchiveSettings(
        inputs["distribution"],
        inputs["suite"],
        mirror=sources.get("mirror", ""),
        security_mirror=sources.get("security_mirror", ""),
    )
    found: list[Path] = work.indexes.debian.fetch(packages, settings, inputs["architecture"], arrived)
    return found


def _ordered(names: Sequence[str], fields: Mapping[str, Mapping[str, str]]) -> list[str]:
    """By name, but a package that replaces files of another goes before it: the first to bring a file keeps it."""
    after = {name: replaces(fields[name]) & set(names) for name in names}
    done: dict[str, None] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in done or name in trail:
            return
        for other in names:
            if name in after[other]:
                visit(other, (*trail, name))
        done[name] = None

    for name in names:
        visit(name, ())
    return list(done)
