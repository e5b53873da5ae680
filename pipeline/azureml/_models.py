"""The models of a workspace: NAME/VERSION/files, and beside it what the version is; its files never change."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from pipeline.azureml import _versions
from pipeline.azureml._blobs import Blobs, digest_of_file, share
from pipeline.azureml.exceptions import ModelNotFoundException, UserErrorException, WebserviceException
from pipeline.errors import StoreError
from pipeline.noun import noun
from pipeline.store.scratch import Scratch, writing

_FACTS, _LABELS, _FILES = "model.json", "labels.json", "files"


@noun
class ModelFile:
    """A file of a version; `path` is below the version's folder `files`, `changed` its mtime in nanoseconds."""

    path: str
    sha256: str
    size: int
    changed: int


@noun
class Labels:
    """What may change of a version: what people say about it."""

    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"tags": dict(self.tags), "properties": dict(self.properties), "description": self.description}


@noun
class StoredModel:
    """A version of a model. `top` is the one file or folder that it consists of; `created` seconds since 1970."""

    name: str
    version: int
    top: str
    files: tuple[ModelFile, ...]
    created: float
    framework: str = ""
    framework_version: str = ""
    labels: Labels = field(default_factory=Labels)

    @property
    def id(self) -> str:
        return f"{self.name}:{self.version}"

    @property
    def content(self) -> frozenset[tuple[str, str]]:
        """What makes two versions the same."""
        return frozenset((file.path, file.sha256) for file in self.files)


class Models:
    """Registers, finds and deletes the models below `folder`."""

    def __init__(self, folder: Path, blobs: Blobs, scratch: Scratch) -> None:
        self._folder = folder
        self._blobs = blobs
        self._scratch = scratch

    def register(
        self,
        name: str,
        path: Path,
        labels: Labels,
        *,
        framework: tuple[str, str] = ("", ""),
        children: Sequence[str] = (),
    ) -> StoredModel:
        """A new version of a file or a folder, or of a folder's `children` alone.

        Raises UserErrorException for a path that is not there, is empty, or holds what is no file.
        """
        sources = _sources(path, children)
        staged = self._scratch.path("model")
        with writing(staged):
            staged.mkdir()
            found = [self._take(staged / _FILES, inner, source) for inner, source in sources]
            facts = {
                "name": name,
                "top": _name_of(path),
                "created": time.time(),
                "framework": framework[0],
                "framework_version": framework[1],
                "files": [[file.path, file.sha256, file.size, file.changed] for file in found],
            }
            _versions.write_json(staged / _FACTS, facts, self._scratch)
            _versions.write_json(staged / _LABELS, labels.to_json(), self._scratch)
        number = _versions.publish(staged, self._folder / name)
        return self.get(name, number)

    def _take(self, folder: Path, inner: str, source: Path) -> ModelFile:
        place = folder / inner
        digest = self._blobs.take(source, place)
        seen = place.stat()
        return ModelFile(inner, digest, seen.st_size, seen.st_mtime_ns)

    def find(self, name: str, version: int | None = None) -> StoredModel | None:
        """A version, by default the newest; None where there is none."""
        wanted = [version] if version is not None else reversed(_versions.numbers(self._folder / name))
        return next((found for number in wanted if (found := self._read(name, number))), None)

    def get(self, name: str, version: int | None = None) -> StoredModel:
        """A version, by default the newest. Raises ModelNotFoundException, which names those that there are."""
        if found := self.find(name, version):
            return found
        what = f"{name}:{version}" if version is not None else name
        there = [model.id for model in self.list(name)] or sorted({model.name for model in self.list()})
        remedy = f"there are: {', '.join(there[:10])}" if there else "register one: Model.register, or the command "
        remedy += "" if there else f"'pipeline azureml model register -n {name} -p PATH'"
        raise ModelNotFoundException(f"ModelNotFound: the workspace has no model {what}", remedy=remedy)

    def list(self, name: str = "") -> list[StoredModel]:
        """Every version of one model, or of all, the newest first."""
        names = [name] if name else sorted(os.listdir(self._folder)) if self._folder.is_dir() else []
        found = (self._read(one, n) for one in names for n in _versions.numbers(self._folder / one))
        return sorted((model for model in found if model), key=lambda model: (-model.created, model.name))

    def label(self, model: StoredModel, labels: Labels) -> StoredModel:
        """Says something else about a version."""
        _versions.write_json(self._place(model) / _LABELS, labels.to_json(), self._scratch)
        return replace(model, labels=labels)

    def delete(self, model: StoredModel) -> None:
        """Forgets a version; its number stays taken, so that it never means anything else."""
        place = self._place(model)
        _versions.write_json(place / _FACTS, {"deleted": True}, self._scratch)
        shutil.rmtree(place / _FILES, ignore_errors=True)
        (place / _LABELS).unlink(missing_ok=True)
        self._blobs.release([file.sha256 for file in model.files])

    def checked(self, model: StoredModel) -> Path:
        """The file or folder of a version. Raises StoreError where somebody has changed it meanwhile."""
        root = self._place(model) / _FILES
        for file in model.files:
            path = root / file.path
            try:
                seen = path.stat()
                good = (seen.st_size, seen.st_mtime_ns) == (file.size, file.changed)
                good = good or (seen.st_size == file.size and digest_of_file(path) == file.sha256)
            except OSError:
                good = False
            if not good:
                remedy = f"register the model again, and delete this version: it is below {self._place(model)}"
                raise StoreError(f"model {model.id} was changed after it was registered: {file.path}", remedy=remedy)
        return root / model.top

    def place_into(self, model: StoredModel, folder: Path) -> Path:
        """Puts a version's files into a folder, sharing their bytes; where the model is there."""
        root = self.checked(model).parent
        for file in model.files:
            share(root / file.path, folder / file.path)
        return folder / model.top

    def _place(self, model: StoredModel) -> Path:
        return self._folder / model.name / str(model.version)

    def _read(self, name: str, version: int) -> StoredModel | None:
        folder = self._folder / name / str(version)
        facts = _versions.read_json(folder / _FACTS)
        if facts is None or facts.get("deleted"):
            return None
        labels = _versions.read_json(folder / _LABELS) or {}
        try:
            files = tuple(ModelFile(*file) for file in facts["files"])
            one = (facts["name"], version, facts["top"], files, facts["created"])
            return StoredModel(*one, facts["framework"], facts["framework_version"], Labels(**labels))
        except (KeyError, TypeError) as error:
            raise StoreError(f"{folder / _FACTS} is damaged: {error}", remedy="delete the version's folder") from error


def _name_of(path: Path) -> str:
    return Path(os.path.abspath(path)).name or "model"  # noqa: PTH100 - a link keeps the name it was given


def _sources(path: Path, children: Sequence[str]) -> list[tuple[str, Path]]:
    """(path below the version's folder, file) of all that belongs to a model."""
    top = _name_of(path)
    if not path.exists():
        raise UserErrorException(f"the model's path {str(path)!r} is not there", remedy="give a file or a folder")
    if not path.is_dir():
        return [(top, _file(path))]
    starts = [path / child for child in children] or [path]
    for start in starts:
        if not start.exists():
            raise WebserviceException(f"the model's folder {str(path)!r} has no '{start.relative_to(path)}'")
    found = {source: None for start in starts for source in _below(start)}
    if not found:
        raise UserErrorException(f"the model's folder {str(path)!r} holds no file", remedy="give one that does")
    return [(f"{top}/{source.relative_to(path).as_posix()}", source) for source in sorted(found)]


def _below(start: Path) -> Iterator[Path]:
    if not start.is_dir():
        yield _file(start)
        return
    for entry in sorted(start.iterdir()):
        if entry.is_symlink() and entry.is_dir():
            remedy = "put the folder itself there: a link may lead back to where it is"
            raise UserErrorException(f"the model holds a link to a folder: {str(entry)!r}", remedy=remedy)
        yield from _below(entry)


def _file(path: Path) -> Path:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserErrorException(f"the model's file {str(path)!r} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise UserErrorException(f"{str(path)!r} is neither a file nor a folder", remedy="leave it out of the model")
    if not os.access(path, os.R_OK):
        raise UserErrorException(f"the model's file {str(path)!r} may not be read", remedy="check its permissions")
    return path
