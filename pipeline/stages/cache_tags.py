"""Which results are shared with other machines, and the tags of their records in the cache's repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.digest import cache_key
from pipeline.plan.model import Step, comes_when_needed
from pipeline.stages.bench import machine_platform

_SHARED = ("base", "layer", "image", "push", "check")


def is_shared(step: Step) -> bool:
    """Whether others can use what this step makes. Layers of an image from elsewhere are there already."""
    return step.kind in _SHARED and not comes_when_needed(step.work)


def tag_of(step: Step) -> str:
    """The tag of a step's record. That an image is fit was found out on one platform, and holds for that alone."""
    if step.kind == "check":
        return tag("check", cache_key([step.key, machine_platform()]))
    return tag("layer" if step.kind == "base" else step.kind, step.key)


def tag(what: str, key: str) -> str:
    """The tag of a record, the format's version first (distribution-spec, "Pulling manifests": 128 characters)."""
    return f"v1-{what}-{key}"


def images_of(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The image that a record says was made or pushed, as a descriptor."""
    return [record["image"]] if isinstance(record.get("image"), Mapping) else []


def sighting(repository: str, tag: str) -> str:
    """The memo of when a record was seen in a repository last, as Unix time in seconds."""
    return f"cached {repository} {tag}"
