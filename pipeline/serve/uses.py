"""What a manifest says to the server without being run: its name, its schedule, and the project's files it uses."""

from __future__ import annotations

import contextlib
import functools
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import kinds
from pipeline.errors import ManifestError, ResolveError
from pipeline.kinds import Section
from pipeline.lock.model import path_of
from pipeline.manifest import interpolate, paths, schedule, schema, source
from pipeline.manifest.model import Path_
from pipeline.manifest.shapes import Schema
from pipeline.manifest.walk import fitting, transform
from pipeline.noun import noun
from pipeline.serve.clocks import to_entry
from pipeline.serve.model import Entry, Tracked

_UNKNOWN = "\0"
_DEEP = 40
_FOLDERS = ("find_links", "channels")
"""Settings of pip and conda that name folders of the project, or addresses and names: what is none is never changed."""
_MARK = re.compile(r"^(images:|version:\s*1\s*(#.*)?$)", re.MULTILINE)


@noun
class Snapshot:
    """A commit's files: the target of each symbolic link by its path, and any file's text, None where there is none."""

    links: Mapping[str, str]
    read: Callable[[str], str | None]


def is_manifest(path: str, text: str) -> bool:
    """Whether a YAML file is to be one: it says `images:` or `version: 1`, as no other file does that may lie beside
    manifests (a conda environment; of Kubernetes' those with `images:` say `apiVersion:`, too).
    """
    if not path.endswith((".yaml", ".yml")):
        return False
    try:
        root = source.parse_value(text, path).root.value
    except ManifestError:
        return bool(_MARK.search(text)) and "\napiVersion:" not in f"\n{text}"
    if not isinstance(root, dict) or "apiVersion" in root:
        return False
    return "images" in root or ("version" in root and root["version"].value == 1)


def entry(manifest: Tracked, blob: str, commit: str, snapshot: Snapshot, environ: Mapping[str, str]) -> Entry:
    """A manifest as a commit has it. Variables that `environ` lacks are no error here: what is wrong, a run tells in
    full; `error` says why it could not even be read.
    """
    real, passed = follow(manifest.path, snapshot.links)
    own = {*passed, real, _lock_of(manifest.path)}
    text = snapshot.read(real)
    try:
        if text is None:
            raise ResolveError(f"{manifest.path}: there is no such file", remedy="does a link lead nowhere?")
        document = source.parse(text, manifest.path)
    except (ManifestError, ResolveError) as error:
        return Entry(manifest, "", blob, tuple(sorted(own - {manifest.path})), error=str(error), commit=commit)
    data, files = interpolate.guessed(document, environ, _UNKNOWN)
    found = {*own}
    for path in (*files, *_of_schema(data)):
        found.update(places(manifest.path, path, snapshot.links))
    _ask_kinds(data, _Reader(manifest.path, snapshot, found))
    name = data.get("name")
    return Entry(
        manifest,
        name if isinstance(name, str) and _UNKNOWN not in name else "",
        blob,
        _outermost(found - {manifest.path}),
        _schedule(data),
        commit=commit,
    )


def _outermost(found: set[str]) -> tuple[str, ...]:
    """The paths without those below others."""
    if "." in found:
        return (".",)
    below = {path for path in found if any(str(above) in found for above in PurePosixPath(path).parents)}
    return tuple(sorted(found - below))


def places(manifest: str, relative: str, links: Mapping[str, str]) -> list[str]:
    """Where in the repository a path of a manifest is: itself, and the links that lead there. Of a pattern, and of what
    is not known to its end, the folder before it. None for what is outside.
    """
    known = relative.partition(_UNKNOWN)[0]
    if known != relative:
        known = posixpath.dirname(known) or "."
    if not known or known.startswith("/"):
        return []
    path = posixpath.normpath(posixpath.join(posixpath.dirname(manifest), paths.fixed_part(known)))
    if path == ".." or path.startswith("../"):
        return []
    real, passed = follow(path, links)
    return [real, *passed]


def follow(path: str, links: Mapping[str, str]) -> tuple[str, list[str]]:
    """Where a path really leads in the repository, and the links on the way; as far as it stays in there."""
    passed: list[str] = []
    for _ in range(_DEEP):
        parts = path.split("/")
        step = next((n for n in range(1, len(parts) + 1) if "/".join(parts[:n]) in links), 0)
        if not step:
            break
        link = "/".join(parts[:step])
        passed.append(link)
        target = posixpath.normpath(posixpath.join(posixpath.dirname(link), links[link], *parts[step:]))
        if target.startswith(("..", "/")):
            break
        path = target
    return path, passed


def _lock_of(manifest: str) -> str:
    return path_of(Path(manifest)).as_posix()


def _schedule(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the manifest says of it, where that is right."""
    if any(True for _ in schedule.flaws(data)):
        return None
    try:
        return to_entry(schedule.schedule(data.get("schedule")))
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _of_schema(data: Any) -> list[str]:
    """The values that the schema calls paths of the project."""
    found: list[str] = []

    def visit(value: Any, path: Path_, flat: Sequence[Mapping[str, Any]]) -> Any:
        if isinstance(value, str):
            marked = any(one.get("format") == "project-path" for one in fitting(flat, value))
            if marked or (any(part in _FOLDERS for part in path) and "://" not in value):
                found.append(value)
        return value

    transform(data, _schema(), visit)
    return found


@functools.cache
def _schema() -> Schema:
    return schema.compose({section: schema.every(section) for section in schema.SECTIONS})


class _Reader:
    """`kinds.Files` of a commit, which notes what is asked for; folders seem to be empty."""

    def __init__(self, manifest: str, snapshot: Snapshot, noted: set[str]) -> None:
        self._manifest, self._snapshot, self._noted = manifest, snapshot, noted

    def path(self, relative: str) -> Path:
        self._noted.update(places(self._manifest, relative, self._snapshot.links))
        return Path("/nonexistent") / relative

    def text(self, relative: str) -> str:
        self.path(relative)
        place = posixpath.normpath(posixpath.join(posixpath.dirname(self._manifest), relative))
        text = self._snapshot.read(follow(place, self._snapshot.links)[0])
        if text is None:
            raise ResolveError(f"there is no {relative}", remedy="paths are relative to the manifest")
        return text

    def digest(self, relative: str) -> tuple[str, int]:
        self.path(relative)
        return "", 0

    def tree(self, relative: str, ignore: Sequence[str] = ()) -> list[Mapping[str, Any]]:  # noqa: ARG002
        self.path(relative)
        return []

    def kept(self, paths: Sequence[str], ignore: Sequence[str]) -> list[str]:  # noqa: ARG002
        return list(paths)


def _ask_kinds(data: Mapping[str, Any], reader: _Reader) -> None:
    """Lets each base and layer ask for what it reads beside what its settings name, such as included requirements."""
    sections: tuple[Section, ...] = ("bases", "layers")
    for section in sections:
        entries = data.get(section)
        for spec in entries.values() if isinstance(entries, dict) else ():
            for name in spec if isinstance(spec, dict) else ():
                # What is wrong with the settings, or with the files, is not told here.
                with contextlib.suppress(Exception):
                    kinds.build_kind(section, name).request(_filled(spec[name]), reader)


def _filled(value: Any) -> Any:
    """The settings with something plain in place of what is not known, so that the rest of them is looked at."""
    if isinstance(value, dict):
        return {key: _filled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item) for item in value]
    return value.replace(_UNKNOWN, "0") if isinstance(value, str) else value


__all__ = ["Snapshot", "entry", "follow", "is_manifest", "places"]
