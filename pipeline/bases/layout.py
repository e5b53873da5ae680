"""Base kind `layout`: an image of an OCI image layout in the project, a folder or a tar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.bases import _foreign as shared
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Json, Recipe

LOCKED = False

_PATH = {"format": "project-path", "minLength": 1}
SCHEMA: dict[str, Any] = {
    "title": "An image of an OCI layout",
    "description": "The path of a folder or tar that skopeo, crane, buildah or 'pipeline image export' wrote.",
    "type": ["string", "object"],
    **_PATH,
    "required": ["path"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", **_PATH, "description": "The layout: a folder, or a tar that is not compressed."},
        "name": {"type": "string", "description": "Which of several images: its tag, or its whole name."},
    },
}


def _settings(spec: Any) -> Mapping[str, str]:
    return {"path": spec} if isinstance(spec, str) else spec


def request(spec: Any, files: Files) -> Json:  # noqa: ARG001
    return dict(_settings(spec))


def needs(spec: Any, parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    return {}


def resolve(spec: Any, request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """Its layers, config and facts. ResolveError for what is no layout or not in it, StoreError for damage."""
    asked = _settings(spec)
    return indexes.images.layout(asked["path"], asked.get("name", ""), parent.platform)


def facts(spec: Any, locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return shared.facts(locked, parent)


def contents(spec: Any, locked: Json, parent: Facts) -> list[dict[str, Json]]:
    """Its digest on a platform."""
    return shared.contents(_settings(spec)["path"], locked, parent)


def recipes(spec: Any, locked: Json, parent: Facts) -> Sequence[Recipe]:
    return shared.recipes(locked, {"from": "layout", **_settings(spec)}, parent)
