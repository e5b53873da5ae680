"""Base kind `debian`: an image's first layer from Debian or Ubuntu packages, without an engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import dpkg_kind as shared
from pipeline.dpkg import facts_of
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Json, Recipe

LOCKED = True

SCHEMA: dict[str, Any] = {
    "title": "A base of Debian or Ubuntu packages",
    "description": "Resolves packages and what they depend on, and unpacks them without running their scripts.",
    "type": "object",
    "required": ["suite", "packages"],
    "additionalProperties": False,
    "properties": {
        **shared.PROPERTIES,
        "essential": {
            "type": "boolean",
            "default": False,
            "description": "Add the essential packages and apt, so that layers above can run commands and apt.",
        },
    },
}


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """A suite of no known distribution: (its place in the spec, what is wrong, what would be right)."""
    try:
        shared.distribution_of(spec)
    except AssembleError as error:
        yield ("suite",), error.message, error.remedy


def request(spec: Mapping[str, Any], files: Files) -> Json:  # noqa: ARG001
    """What was asked for, but not where from."""
    return shared.request(spec)


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:
    """The architecture. AssembleError for a platform or a suite that there is not."""
    return {"distribution": shared.distribution_of(spec), "architecture": shared.platform_architecture(parent)}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """The packages by version, file name and hash. ResolveError for what cannot be had or trusted; OutOfReach."""
    keyring = str(indexes.files.path(spec["keyring"])) if spec.get("keyring") else ""
    settings = shared.archive_settings(spec, shared.distribution_of(spec), spec["suite"], keyring)
    return shared.resolve(spec, settings, parent, indexes, {}, held)


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    """The platform, with the distribution, its C library, its Python and its packages."""
    return facts_of(shared.versions(locked), locked["distribution"], locked["release"], parent)


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    """The packages' layer, and one of their Python code's bytecode."""
    return shared.recipes(spec, locked, parent, {}, facts(spec, locked, parent).python)
