"""Base kind `dockerfile`: an image built from a Dockerfile by the container engine, its layers taken as they are."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pipeline.bases._dockerfile import instructions, parents, read
from pipeline.digest import cache_key, digest_of
from pipeline.errors import UsageError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.manifest.model import Secret
from pipeline.oci.image_facts import from_json
from pipeline.recipe import Borrow, Json, Recipe

LOCKED = True

SCHEMA: dict[str, Any] = {
    "title": "A base from a Dockerfile",
    "description": "Builds a Dockerfile with the container engine, again only when it or what it copies has changed.",
    "type": "object",
    "required": ["path"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "format": "project-path", "description": "The Dockerfile."},
        "context": {
            "type": "string",
            "format": "project-path",
            "description": "The folder that it copies from; default: the one it is in. Its .dockerignore applies.",
        },
        "args": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "x-noun": "build argument"},
            "additionalProperties": {"type": ["string", "integer"]},
            "description": "Build arguments, as `docker build --build-arg` has them.",
            "examples": [{"PYTHON_VERSION": "3.11"}],
        },
        "target": {"type": "string", "minLength": 1, "description": "The build stage to take; default: the last one."},
        "secrets": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "x-noun": "secret"},
            "additionalProperties": {"type": "string", "writeOnly": True},
            "description": "For RUN --mount=type=secret,id=NAME, as ${env:NAME} or ${file:PATH}; needs BuildKit.",
        },
    },
}


def request(spec: Mapping[str, Any], files: Files) -> Json:
    """All that determines the image, but for what the images are that it starts from; of secrets only their names."""
    for name, value in (spec.get("args") or {}).items():
        if isinstance(value, Secret):
            raise UsageError(
                f"the build argument {name} holds a secret, which the image's history would show",
                remedy="give it under `secrets`, for RUN --mount=type=secret",
            )
    text = files.text(spec["path"])
    args = {name: str(value) for name, value in sorted((spec.get("args") or {}).items())}
    return {
        "dockerfile": text,
        "context": _context(spec, files) if copies(text) else "",
        "args": args,
        "target": spec.get("target", ""),
        "secrets": sorted(spec.get("secrets") or {}),
    }


def context_of(spec: Mapping[str, Any]) -> str:
    """The context's folder, relative to the manifest."""
    return str(spec.get("context") or posixpath.dirname(spec["path"]) or ".")


def _context(spec: Mapping[str, Any], files: Files) -> str:
    """The hash of every file that the build may copy."""
    return cache_key(context_members(spec, files))


def context_members(spec: Mapping[str, Any], files: Files) -> list[Mapping[str, Any]]:
    """Every file that the build may copy (docs.docker.com, "Build context", ".dockerignore files")."""
    folder, own = context_of(spec), f"{spec['path']}.dockerignore"
    ignore = next((path for path in (own, f"{folder}/.dockerignore") if files.path(path).is_file()), None)
    rules = files.text(ignore).splitlines() if ignore else []
    members = files.tree(folder, rules)
    names = {member["path"] for member in members}
    # A run writes the lock beside a manifest, and what it says of this context with it: it cannot count itself.
    return [member for member in members if not _is_lock(member["path"], names)]


def _is_lock(path: str, names: Collection[str]) -> bool:
    stem, suffix = posixpath.splitext(path)
    return suffix == ".lock" and any(f"{stem}{other}" in names for other in (".yaml", ".yml"))


def copies(text: str) -> bool:
    """Whether a Dockerfile takes anything from its context."""
    for one in instructions(text):
        if one.name in ("COPY", "ADD") and not re.search(r"(?:^|\s)--from=", one.rest.partition(" <<")[0]):
            return True
        if one.name == "RUN" and "type=bind" in one.rest:
            return True
    return False


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    return {}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:
    """What the images are that it starts from. ResolveError for one that neither a registry nor the engine has."""
    known = held.versions("parents")
    locals_ = {one["name"] for one in (held.locked or {}).get("parents", ()) if one.get("engine")}
    found = []
    for name in parents(read(request["dockerfile"], request["args"], parent.platform), request["target"]):
        if name in known:
            found.append(exact(name, known[name], name in locals_))
        else:
            found.append(indexes.dockerfiles.parent(name))
    locked = {"parents": found, "dockerfile": digest_of(request["dockerfile"].encode()), "context": request["context"]}
    built = indexes.dockerfiles.built(spec, request, found, parent.platform)
    return {**locked, "built": built} if built else locked


def exact(name: str, digest: str, in_engine: bool) -> Json:
    """One image that a Dockerfile starts from: by its digest in its registry, or by its ID where only the engine has
    it.
    """
    return {"name": name, "version": digest, **({"engine": True} if in_engine else {})}


def complete(spec: Mapping[str, Any], request: Json, locked: Json, parent: Facts, indexes: Any) -> Json:
    """The image's layers, config and facts: it is built here when it is not in the store, for only the result tells
    what layers on top may rely on.
    """
    return indexes.dockerfiles.image(spec, request, locked["parents"], parent.platform, locked.get("built", ""))


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return from_json(locked["facts"], parent.platform)


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    summary = f"{posixpath.basename(spec['path'])}, {len(locked['layers'])} layers"
    found = facts(spec, locked, parent)
    sources = {"from": "registry", "reference": locked["image"]} if "image" in locked else {}
    return (Borrow(tuple(locked["layers"]), locked["config"], sources, facts=found, summary=summary),)
