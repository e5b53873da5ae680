"""Base kind `image`: an image of a registry. A tag becomes a digest in the lock; layers are fetched when needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bases import _foreign as shared
from pipeline.errors import ResolveError, UsageError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Json, Recipe
from pipeline.reference import hostless

LOCKED = True

_REFERENCE = {"minLength": 1, "pattern": r"^\S+$", "x-hint": "as in registry.example.com/ml/base:1 or python:3.11-slim"}
SCHEMA: dict[str, Any] = {
    "title": "An image of a registry",
    "description": "A reference, as docker pull has it; or a mapping, for one below the address of a registry.",
    "type": ["string", "object"],
    **_REFERENCE,
    "examples": ["python:3.11-slim"],
    "required": ["reference"],
    "additionalProperties": False,
    "properties": {
        "reference": {
            "type": "string",
            **_REFERENCE,
            "description": "The image; a tag is resolved to its digest for each platform, in the lock.",
        },
        "registry": {
            "type": "string",
            "description": "The name of a registry of the manifest: `reference` is then a path below its address.",
        },
    },
}


def _settings(spec: Any) -> Mapping[str, str]:
    return {"reference": spec} if isinstance(spec, str) else spec


def accelerator(spec: Any) -> str:
    """What the image is known to need of a machine, such as cuda; empty for what is not known, or needs nothing."""
    from pipeline.bases import _catalogue

    try:
        known = _catalogue.find(_settings(spec)["reference"])
    except UsageError:
        return ""
    return known.accelerator if known and known.accelerator != _catalogue.NONE else ""


def request(spec: Any, files: Files) -> Json:  # noqa: ARG001
    """What was asked for: a registry by its name here, for its address may differ between machines."""
    return dict(_settings(spec))


def needs(spec: Any, parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    return {}


def resolve(spec: Any, request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """Its digest for the platform, its layers, config and facts; the `held` digest of the same tag, while it is there.

    ResolveError for what is not there; OutOfReach.
    """
    asked = _settings(spec)
    name, registry = asked["reference"], asked.get("registry", "")
    found = _same(name, registry, parent, indexes, held) or indexes.images.registry(name, registry, parent.platform)
    return {**found, "reference": hostless(name)}


def _same(name: str, registry: str, parent: Facts, indexes: Any, held: Held) -> Json:
    """What the lock has of the same tag: packages of an image move with the image alone. None for what is not there,
    or is for another platform.
    """
    locked = held.locked if isinstance(held.locked, Mapping) else {}
    if "@" in name or locked.get("reference") != hostless(name) or not locked.get("digest"):
        return None
    try:
        found = indexes.images.registry(f"{name}@{locked['digest']}", registry, parent.platform)
    except ResolveError as error:
        if error.transient:
            raise
        return None
    if held.upgrade:
        names = ", ".join(sorted(held.upgrade))
        indexes.warn(f"{hostless(name)} stays, and {names} in it: only upgrading the base itself takes a newer image")
    return found


def facts(spec: Any, locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return shared.facts(locked, parent)


def recipes(spec: Any, locked: Json, parent: Facts) -> Sequence[Recipe]:
    return shared.recipes(locked, {"from": "registry", **_settings(spec)}, parent)
