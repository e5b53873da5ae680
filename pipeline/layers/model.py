"""Layer kind `model`: a model's files under Azure ML's path, uncompressed, big files in layers of their own."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Files
from pipeline.layers.files import ALWAYS_IGNORED, tree_recipe
from pipeline.recipe import Json, Recipe

LOCKED = False

BIG = 64 << 20
"""From this size in bytes a file has a layer of its own, so that changing one moves only that one."""

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
    top = place(spec).strip("/")
    if path.is_dir():
        inner = "" if source.endswith("/") else path.name + "/"
        found = [
            (f"{source.rstrip('/')}/{m['path']}", inner + m["path"], m) for m in files.tree(source, ALWAYS_IGNORED)
        ]
    else:
        found = [(source, path.name, files.tree(source)[0])]
    if not any("digest" in member for _, _, member in found):
        raise ResolveError(f"the model {spec['name']} is empty: {source!r} holds no file")
    members = [
        {
            **member,
            "path": posixpath.join(top, rel),
            "uid": 0,
            "gid": 0,
            **({"source": where} if "digest" in member else {}),
        }
        for where, rel, member in found
    ]
    return sorted(members, key=lambda member: str(member["path"]))


def needs(_spec: Json, _parent: Facts) -> Mapping[str, str]:
    return {}


def resolve(_spec: Json, request: Json, _parent: Facts, _indexes: Any) -> Json:
    return request


def facts(_spec: Json, _locked: Json, parent: Facts) -> Facts:
    return parent


def recipes(spec: Mapping[str, Any], locked: Json, _parent: Facts) -> Sequence[Recipe]:
    big = [member for member in locked if member.get("size", 0) >= BIG]
    small = [member for member in locked if member.get("size", 0) < BIG]
    made: list[Recipe] = []
    if small:
        title = f"model {spec['name']}:{spec.get('version', 1)}"
        made.append(tree_recipe(small, compression="none", summary=title))
    top = place(spec).strip("/")
    for member in big:
        name = posixpath.relpath(member["path"], top)
        made.append(tree_recipe([member], compression="none", part=name, summary=f"weights {name}"))
    return made
