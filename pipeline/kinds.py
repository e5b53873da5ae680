"""Finds the modules that implement base, layer and target kinds: the project's own by file, others by entry point."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast

from pipeline.facts import Facts
from pipeline.noun import noun
from pipeline.recipe import Json, Recipe

Section = Literal["bases", "layers", "targets"]


class Files(Protocol):
    """The project's files, as kinds see them. Every path is relative to the manifest and stays in the project."""

    def path(self, relative: str) -> Path: ...
    def text(self, relative: str) -> str: ...
    def digest(self, relative: str) -> tuple[str, int]:
        """The digest and size in bytes of a file, from the stat index when it has not changed."""
        ...

    def tree(self, relative: str, ignore: Sequence[str] = ()) -> list[Mapping[str, Json]]:
        """Files and links below a folder (or the one file), sorted: {path, mode, size, digest} or {path, link}."""
        ...

    def kept(self, paths: Sequence[str], ignore: Sequence[str]) -> list[str]:
        """Those of `paths` that rules as in a .dockerignore leave in."""
        ...


@noun
class Held:
    """What the lock says of an entry so far, for `resolve` to prefer: only what was asked for anew is to move.

    `locked` is the entry's last answer, perhaps to another request or for other needs (another libc); None when there
    is none, or when all of it is to be taken anew. `upgrade` are the packages that the user wants anew, by their names
    in `locked`; `changed` those that are themselves asked for otherwise than before, by their plain names (PEP 503).
    """

    locked: Json = None
    upgrade: frozenset[str] = field(default_factory=frozenset)
    changed: frozenset[str] = field(default_factory=frozenset)

    def packages(self, *lists: str) -> list[Mapping[str, Any]]:
        """The packages to keep where they fit, of the lists that `locked` has under these keys."""
        locked = self.locked if isinstance(self.locked, Mapping) else {}
        found = [item for key in lists for item in locked.get(key) or () if isinstance(item, Mapping)]
        return [item for item in found if "name" in item and "version" in item and not self._is_anew(item["name"])]

    def versions(self, *lists: str) -> dict[str, str]:
        """`packages`, name → version."""
        return {str(package["name"]): str(package["version"]) for package in self.packages(*lists)}

    def _is_anew(self, name: str) -> bool:
        return name in self.upgrade or re.sub(r"[-_.]+", "-", name).lower() in self.changed


class BuildKind(Protocol):
    """A base or layer kind.

    SCHEMA: JSON Schema of the entry's settings. LOCKED: whether `resolve`'s answer belongs in the lock file (names that
    move) or is read afresh on each run (the project's own files).

    A kind that reads the project's own files has also `contents(spec, locked, parent)`: what the lock says of them, a
    flat mapping for each file or folder that begins with its name, as in {"from": "src/", "files": 3, "bytes": 120,
    "sha256": …}.
    """

    SCHEMA: Mapping[str, Any]
    LOCKED: bool

    def request(self, spec: Mapping[str, Any], files: Files) -> Json:
        """All that was asked for, requirement files' text included; a lock entry is fresh while this is unchanged."""
        ...

    def needs(self, spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:
        """What `resolve` relies on in the layers below, as short texts; raises AssembleError for what they lack."""
        ...

    def resolve(self, spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:
        """The locked inputs (JSON types): file names, versions and hashes, never hosts or machine paths.

        What `held` has stays as it is, as far as it fits what is asked for now; what keeps a package of `held.upgrade`
        from its newest version is said to the user.
        """
        ...

    # Where the lock cannot say all (what a Dockerfile's build gives differs each time), a kind has a function more,
    # complete(spec, request, locked, parent, indexes): what it gives stands for `locked` in the two that follow.

    def facts(self, spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:
        """What layers above may rely on, once this one is there."""
        ...

    def recipes(self, spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
        """The OCI layers this entry makes, lowest first. Pure."""
        ...


def builtin(section: Section) -> list[str]:
    """The names of the project's own kinds: one module each, named as the kind."""
    package = importlib.import_module(f"pipeline.{section}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_"))


@functools.cache
def names(section: Section) -> tuple[str, ...]:
    """Every kind that can be used in a section; looked for once, for that takes as long as all else in a manifest."""
    from importlib.metadata import entry_points

    return tuple(sorted({*builtin(section), *(e.name for e in entry_points(group=f"pipeline.{section}"))}))


@functools.cache
def find(section: Section, name: str) -> ModuleType:
    """The module of a kind; KeyError when there is none."""
    module = f"pipeline.{section}.{name}"
    if not name.startswith("_") and name.isidentifier() and importlib.util.find_spec(module):
        return importlib.import_module(module)
    from importlib.metadata import entry_points

    for entry in entry_points(group=f"pipeline.{section}"):
        if entry.name == name:
            return cast(ModuleType, entry.load())
    raise KeyError(name)


def is_remote(name: str) -> bool:
    """Whether a target kind runs services elsewhere, from images that were pushed; no for a kind that is not there."""
    try:
        return bool(getattr(find("targets", name), "REMOTE", False))
    except KeyError:
        return False


def mounts(name: str) -> bool:
    """Whether a target kind elsewhere mounts what an image does not hold, as an image of its own."""
    return is_remote(name) and bool(getattr(find("targets", name), "MOUNTS", False))


def build_kind(section: Section, name: str) -> BuildKind:
    """A base or layer kind by name."""
    return cast(BuildKind, find(section, name))
