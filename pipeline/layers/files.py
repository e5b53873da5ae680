"""Layer kind `files`: the project's own files, by path or glob, with owner and mode; no engine, no network."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.errors import ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Files
from pipeline.recipe import Assemble, Json, Recipe

LOCKED = False

ALWAYS_IGNORED = ("**/__pycache__", "**/*.pyc", "**/.git", "**/.DS_Store")
"""Left out unless an ignore rule brings them back with `!`: they differ between machines."""

SCHEMA: dict[str, Any] = {
    "title": "Files of the project",
    "description": "Copies files and folders of the project into the image.",
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["from", "to"],
        "additionalProperties": False,
        "properties": {
            "from": {
                "type": "string",
                "format": "project-path",
                "description": "A file, a folder (its content is copied) or a glob, relative to the manifest.",
            },
            "to": {
                "type": "string",
                "pattern": "^/",
                "description": "An absolute path in the image; with a slash at its end, a folder.",
            },
            "owner": {
                "type": ["string", "integer"],
                "pattern": "^[0-9]+(:[0-9]+)?$",
                "minimum": 0,
                "description": "UID or UID:GID of what is copied; default 0:0.",
            },
            "mode": {
                "type": "string",
                "pattern": "^0?[0-7]{3,4}$",
                "description": 'Mode of the files, such as "0644"; default: 0755 for what is executable, else 0644.',
            },
            "ignore": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Rules as in a .dockerignore, after those of the folder's own .dockerignore.",
            },
        },
    },
}


def request(spec: Sequence[Mapping[str, Any]], files: Files) -> Json:
    """Every member, with its place in the image, its digest, and where it comes from."""
    members: dict[str, dict[str, Json]] = {}
    for item in spec:
        for member in _members(item, files):
            members[member["path"]] = member
    return [members[path] for path in sorted(members)]


def needs(_spec: Json, _parent: Facts) -> Mapping[str, str]:
    return {}


def resolve(_spec: Json, request: Json, _parent: Facts, _indexes: Any) -> Json:
    return request


def facts(_spec: Json, _locked: Json, parent: Facts) -> Facts:
    return parent


def recipes(_spec: Json, locked: Json, _parent: Facts) -> Sequence[Recipe]:
    return [tree_recipe(locked)]


def tree_recipe(members: Sequence[Mapping[str, Json]], **settings: Any) -> Assemble:
    """A recipe that packs `members`; where they lie in the project stays out of the key."""
    inputs = [{key: value for key, value in member.items() if key != "source"} for member in members]
    count = sum("digest" in member for member in members)
    return Assemble(
        packer="tree",
        inputs={"members": inputs},
        sources={member["path"]: member["source"] for member in members if "source" in member},
        **{"summary": f"{count} file{'s' * (count != 1)}", **settings},
    )


def _members(item: Mapping[str, Any], files: Files) -> Iterator[dict[str, Json]]:
    uid, _, gid = str(item.get("owner", "0")).partition(":")
    owner = {"uid": int(uid), "gid": int(gid or uid)}
    to = posixpath.normpath(item["to"]).strip("/")
    folders = set()
    for source, rel, found in _found(item, files):
        path = posixpath.normpath(f"{to}/{rel}").lstrip("/") if rel else to
        member = {**found, **owner, "path": path}
        if "digest" in found:
            member["source"] = source
            if mode := item.get("mode"):
                member["mode"] = int(mode, 8)
        folders.update(_folders(path, to) if rel else ())
        yield member
    for folder in sorted(folders):
        yield {"path": folder, "dir": True, **owner}


def _folders(path: str, top: str) -> Iterator[str]:
    """The folders of `path` from `top` on; a top of one name (/etc, /tmp) belongs to the base and is left as it is."""
    for parent in PurePosixPath(path).parents:
        folder = str(parent)
        if folder == "." or len(folder) < len(top) or "/" not in folder:
            return
        yield folder


def _found(item: Mapping[str, Any], files: Files) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    """(source path, path below `to`, facts) of each file that an item names; the path is "" for a file named itself."""
    source: str = item["from"]
    if any(char in source for char in "*?["):
        yield from _globbed(source, files)
    elif files.path(source).is_dir():
        for member in files.tree(source, _rules(item, source, files)):
            yield f"{source.rstrip('/')}/{member['path']}", member["path"], member
    elif files.path(source).is_file():
        name = posixpath.basename(source) if item["to"].endswith("/") else ""
        yield source, name, files.tree(source)[0]
    else:
        raise ResolveError(f"there is no file or folder {source!r}", remedy="paths are relative to the manifest")


def _globbed(pattern: str, files: Files) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    fixed = pattern[: min(pattern.index(char) for char in "*?[" if char in pattern)].rpartition("/")[0] or "."
    top = files.path(fixed)
    rest = pattern[len(fixed) + 1 :] if fixed != "." or pattern.startswith("./") else pattern
    found = [path for path in sorted(top.glob(rest)) if not path.is_dir()]
    if not found:
        raise ResolveError(f"no file matches {pattern!r}", remedy="patterns are relative to the manifest")
    for path in found:
        source = f"{fixed}/{path.relative_to(top).as_posix()}"
        yield source, path.relative_to(top).as_posix(), files.tree(source)[0]


def _rules(item: Mapping[str, Any], source: str, files: Files) -> list[str]:
    rules = list(ALWAYS_IGNORED)
    own = f"{source.rstrip('/')}/.dockerignore"
    if files.path(own).is_file():
        rules += [*files.text(own).splitlines(), ".dockerignore"]
    return rules + list(item.get("ignore", ()))
