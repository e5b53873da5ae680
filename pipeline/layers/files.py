"""Layer kind `files`: the project's own files, by path or glob, with owner and mode; no engine, no network."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.digest import cache_key
from pipeline.errors import ResolveError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Assemble, Json, Piece, Recipe

LOCKED = False

BIG = 16 << 20
"""From this size in bytes a file may have a layer of its own."""

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
    for number, item in enumerate(spec):
        for member in _members(item, files):
            member["item"] = number
            known, leads = members.get(member["path"]), member.pop("leads", False)
            # A folder that only leads to a member changes nothing that an earlier item has made.
            if not ("dir" in member and known and (leads or "dir" not in known)):
                members[member["path"]] = member
    _check(members)
    return [members[path] for path in sorted(members)]


def _check(members: Mapping[str, Mapping[str, Json]]) -> None:
    """Raises ResolveError for what no file system can hold, and for names that mean something else in a layer."""
    for path in members:
        if any(part.startswith(".wh.") for part in path.split("/")):
            raise ResolveError(f"{path!r} would remove a file of the image: .wh. marks that", remedy="rename the file")
        for folder in map(str, PurePosixPath(path).parents):
            if "dir" not in members.get(folder, {"dir": True}):
                raise ResolveError(f"/{folder} would be a file and the folder of /{path}", remedy="change one 'to'")


def needs(_spec: Json, _parent: Facts) -> Mapping[str, str]:
    return {}


def resolve(_spec: Json, request: Json, _parent: Facts, _indexes: Any, _held: Held) -> Json:
    return request


def facts(_spec: Json, _locked: Json, parent: Facts) -> Facts:
    return parent


def recipes(_spec: Json, locked: Json, _parent: Facts) -> Sequence[Recipe]:
    return [tree_recipe(locked)]


def contents(spec: Sequence[Mapping[str, Any]], locked: Json, _parent: Facts) -> list[dict[str, Json]]:
    """Each `from` with its files' number, bytes and hash: of names below `to`, modes, links and contents."""
    rows = []
    for number, item in enumerate(spec):
        top = len(posixpath.normpath(item["to"]).strip("/"))
        own = [member for member in locked if member["item"] == number and "dir" not in member]
        told = [[member["path"][top:], *(member.get(key) for key in ("mode", "digest", "link"))] for member in own]
        size = sum(member.get("size", 0) for member in own)
        rows.append({"from": item["from"], "files": len(own), "bytes": size, "sha256": cache_key(told)})
    return rows


def tree_recipe(members: Sequence[Mapping[str, Json]], group: int = BIG, top: str = "", **settings: Any) -> Assemble:
    """A recipe that packs `members`; where they lie in the project stays out of the key.

    Files from `group` bytes on may have layers of their own, called by their paths below `top`.
    """
    hidden = ("source", "item")
    inputs = [{key: value for key, value in member.items() if key not in hidden} for member in members]
    count = sum("digest" in member for member in members)
    return Assemble(
        packer="tree",
        inputs={"members": inputs},
        sources={member["path"]: member["source"] for member in members if "source" in member},
        pieces=_pieces(inputs, top) if sum(member.get("size", 0) for member in members) >= group else (),
        group=group,
        **{"summary": f"{count} file{'s' * (count != 1)}", **settings},
    )


def _pieces(members: Sequence[Mapping[str, Json]], top: str) -> tuple[Piece, ...]:
    """Each file with the folders that lead there; folders that lead to none together."""
    folders = {member["path"]: member for member in members if "dir" in member}
    made: list[Piece] = []
    used: set[str] = set()
    for member in members:
        if "dir" not in member:
            lead = [path for path in map(str, PurePosixPath(member["path"]).parents) if path in folders][::-1]
            used.update(lead)
            own = [*(folders[path] for path in lead), member]
            made.append(Piece(posixpath.relpath(member["path"], top or "."), member.get("size", 0), {"members": own}))
    if left := [folders[path] for path in folders if path not in used]:
        made.append(Piece("", 0, {"members": left}))
    return tuple(made)


def _members(item: Mapping[str, Any], files: Files) -> Iterator[dict[str, Json]]:
    uid, _, gid = str(item.get("owner", "0")).partition(":")
    owner = {"uid": int(uid), "gid": int(gid or uid)}
    to = posixpath.normpath(item["to"]).strip("/")
    folders = {to} if item["to"].endswith("/") and not _is_the_bases(to) else set()
    for source, rel, found in _found(item, files):
        path = posixpath.normpath(f"{to}/{rel}").lstrip("/") if rel else to
        if not path:
            raise ResolveError(f"{source!r} cannot take the place of the image's root", remedy="name a folder in 'to'")
        member = {**found, **owner, "path": path}
        if "digest" in found:
            member["source"] = source
            if mode := item.get("mode"):
                member["mode"] = int(mode, 8)
        folders |= folders_above(path)
        yield member
    for folder in sorted(folders | folders_above(to)):
        # A folder that was asked for has the item's owner; what leads there is root's.
        asked = folder == to or folder.startswith(f"{to}/") or not to
        yield {"path": folder, "dir": True, "leads": not asked, **(owner if asked else {"uid": 0, "gid": 0})}


_BASES = re.compile(
    r"|bin|boot|dev|etc|home|lib|lib32|lib64|libx32|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var"
    r"|etc/(ssl/private|sudoers\.d)|usr/[^/]*|usr/local/(bin|etc|games|include|lib|man|sbin|share|src)"
    r"|var/(backups|cache|lib|local|lock|log|mail|opt|run|spool|tmp)"
)
"""Folders that belong to the base, with owners, modes and links of its own (Filesystem Hierarchy Standard 3.0)."""


def _is_the_bases(folder: str) -> bool:
    return bool(_BASES.fullmatch(folder))


def folders_above(path: str) -> set[str]:
    """The folders that lead to `path`, without the base's own.

    A layer has to name them: older engines (Docker 20.10) make those that it leaves out for root alone.
    """
    above = {str(folder) for folder in PurePosixPath(path).parents}
    return {folder for folder in above if folder != "." and not _is_the_bases(folder)}


def _found(item: Mapping[str, Any], files: Files) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    """(source path, path below `to`, facts) of each file that an item names; the path is "" for a file named itself."""
    source: str = item["from"]
    if any(char in source for char in "*?["):
        yield from _globbed(item, source, files)
    elif files.path(source).is_dir():
        for member in files.tree(source, _rules(item, source, files)):
            yield f"{source.rstrip('/')}/{member['path']}", member["path"], member
    elif files.path(source).is_file():
        name = posixpath.basename(source) if item["to"].endswith("/") else ""
        yield source, name, files.tree(source)[0]
    else:
        raise ResolveError(f"there is no file or folder {source!r}", remedy="paths are relative to the manifest")


def _globbed(item: Mapping[str, Any], pattern: str, files: Files) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
    fixed = pattern[: min(pattern.index(char) for char in "*?[" if char in pattern)].rpartition("/")[0] or "."
    top = files.path(fixed)
    rest = pattern[len(fixed) + 1 :] if fixed != "." or pattern.startswith("./") else pattern
    # pathlib takes a last ** for folders alone; here it is for all that they hold.
    rest += "/*" if rest.endswith("**") else ""
    found = [path.relative_to(top).as_posix() for path in sorted(top.glob(rest)) if not path.is_dir()]
    found = files.kept(found, _rules(item, fixed, files))
    if not found:
        raise ResolveError(f"no file matches {pattern!r}", remedy="patterns are relative to the manifest")
    for path in found:
        source = posixpath.normpath(f"{fixed}/{path}")
        yield source, path, files.tree(source)[0]


def _rules(item: Mapping[str, Any], source: str, files: Files) -> list[str]:
    rules = list(ALWAYS_IGNORED)
    own = f"{source.rstrip('/')}/.dockerignore"
    if files.path(own).is_file():
        rules += [*files.text(own).splitlines(), ".dockerignore"]
    return rules + list(item.get("ignore", ()))
