"""Layer kind `model`: a model's files under Azure ML's path, uncompressed, big files in layers of their own."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.layers.files import ALWAYS_IGNORED, folders_above, tree_recipe
from pipeline.recipe import Json, Recipe

LOCKED = False

BIG = 64 << 20
"""From this size in bytes a file may have a layer of its own, so that changing one moves only that one."""

MODELS = "/var/azureml-app/azureml-models"
"""Where Azure ML puts models in an image."""

SCHEMA: dict[str, Any] = {
    "title": "A model",
    "description": "Puts a model under /var/azureml-app/azureml-models/NAME/VERSION; AZUREML_MODEL_DIR points there.",
    "type": "object",
    "required": ["name", "path"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "description": "The model's name."},
        "version": {"type": "integer", "minimum": 1, "default": 1, "description": "The model's version."},
        "path": {
            "type": "string",
            "format": "project-path",
            "description": "A file, or a folder; with a slash at its end, the folder's content without its name.",
        },
        "mount": {
            "type": "boolean",
            "default": False,
            "description": "Leave it out of the image: a target provides it, read-only, at the same place.",
        },
    },
}


def place(spec: Mapping[str, Any]) -> str:
    """The model's folder in the image: what AZUREML_MODEL_DIR is set to."""
    return f"{MODELS}/{spec['name']}/{spec.get('version', 1)}"


def request(spec: Mapping[str, Any], files: Files) -> Json:
    source: str = spec["path"]
    path = files.path(source)
    if not path.exists():
        raise ResolveError(
            f"the model {spec['name']} is not there: no file or folder {source!r}",
            remedy="paths are relative to the manifest",
        )
    found = list(_found(source, path, files))
    if not any("digest" in member for _, _, member in found):
        raise ResolveError(
            f"the model {spec['name']} is empty: {source!r} holds no file", remedy="put the model's files there"
        )
    top, owner = place(spec).strip("/"), {"uid": 0, "gid": 0}
    members: dict[str, dict[str, Json]] = {}
    for where, rel, member in found:
        at = posixpath.join(top, rel)
        members |= {folder: {"path": folder, "dir": True, **owner} for folder in folders_above(at)}
        members[at] = {**member, **owner, "path": at, **({"source": where} if "digest" in member else {})}
    return [members[at] for at in sorted(members)]


def _found(source: str, path: Path, files: Files) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    """(source path, path below the model's folder, facts) of each file of a model."""
    # The name is the one that was written, not that of what a link leads to.
    name = posixpath.basename(posixpath.normpath(source))
    name = path.name if name in (".", "..") else name
    if not path.is_dir():
        yield source, name, files.tree(source)[0]
        return
    for member in files.tree(source, ALWAYS_IGNORED):
        inner = member["path"] if source.endswith("/") else f"{name}/{member['path']}"
        yield f"{source.rstrip('/')}/{member['path']}", inner, member


def needs(_spec: Json, _parent: Facts) -> Mapping[str, str]:
    return {}


def resolve(_spec: Json, request: Json, _parent: Facts, _indexes: Any, _held: Held) -> Json:
    return request


def facts(_spec: Json, _locked: Json, parent: Facts) -> Facts:
    return parent


def contents(spec: Mapping[str, Any], locked: Json, _parent: Facts) -> list[dict[str, Json]]:
    """Each file below the model's folder, with its bytes and hash."""
    top = place(spec).strip("/")
    rows = []
    for member in locked:
        row = {"file": posixpath.relpath(member["path"], top)}
        if "digest" in member:
            rows.append({**row, "bytes": member["size"], "sha256": member["digest"].removeprefix("sha256:")})
        elif "link" in member:
            rows.append({**row, "link": member["link"]})
    return rows


def recipes(spec: Mapping[str, Any], locked: Json, _parent: Facts) -> Sequence[Recipe]:
    title = f"model {spec['name']}:{spec.get('version', 1)}"
    mount, top = place(spec) if spec.get("mount") else "", place(spec).strip("/")
    title += ", mounted" if mount else ""
    return [tree_recipe(locked, BIG, top, compression="none", summary=title, mount=mount)]
