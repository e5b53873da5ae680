"""What kinds find wrong with entries that fit their schema: a suite of no distribution, a malformed requirement."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline import kinds
from pipeline.kinds import Section
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_


def kind_flaws(data: Mapping[str, Any], broken: Collection[Path_]) -> Iterator[Finding]:
    """Asks each entry's kind, where it has `flaws(spec)`: (place in the spec, what is wrong, what would be right).

    Entries at `broken` places do not fit their schema, and are left out.
    """
    sections: tuple[Section, ...] = ("bases", "layers", "targets")
    for section in sections:
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            if (section, name) in broken or not isinstance(entry, dict):
                continue
            for kind, spec in entry.items():
                flaws = getattr(_module(section, kind), "flaws", None)
                for place, message, remedy in flaws(spec) if flaws else ():
                    yield Finding((section, name, kind, *place), message, remedy)


def accelerator_flaws(data: Mapping[str, Any], broken: Collection[Path_]) -> Iterator[Finding]:
    """Images whose base is known to need what their target has not: a kind of target says what it has, by
    `accelerators(spec)`; a kind of base what it needs, by `accelerator(spec)`.
    """
    targets, images = data.get("targets"), data.get("images")
    for name, entry in targets.items() if isinstance(targets, dict) and isinstance(images, dict) else ():
        if ("targets", name) in broken or not isinstance(entry, dict):
            continue
        for kind, spec in entry.items():
            has = getattr(_module("targets", kind), "accelerators", None)
            base = _base_of(data, spec.get("image")) if has and isinstance(spec, dict) else ""
            needed = _needed(data, base) if base and ("bases", base) not in broken else ""
            if has and needed and needed not in has(spec):
                message = f"the image stands on base {base}, which needs {needed}, and this target gives none"
                remedy = "give the target one (`gpus`), or take a base for the processor: 'pipeline bases'"
                yield Finding(("targets", name, kind, "image"), message, remedy)


def _base_of(data: Mapping[str, Any], image: object) -> str:
    """The base that an image stands on, through the images between; empty where that leads nowhere."""
    images, bases, seen = data["images"], data.get("bases"), set()
    while isinstance(image, str) and image in images and image not in seen:
        seen.add(image)
        image = images[image].get("base") if isinstance(images[image], dict) else None
    return image if isinstance(image, str) and isinstance(bases, dict) and image in bases else ""


def _needed(data: Mapping[str, Any], base: str) -> str:
    entry = data["bases"][base]
    for kind, spec in entry.items() if isinstance(entry, dict) else ():
        if needs := getattr(_module("bases", kind), "accelerator", None):
            return str(needs(spec))
    return ""


def _module(section: Section, kind: str) -> object:
    """The kind's module; None for what stands beside a kind, such as `requires`."""
    try:
        return kinds.find(section, kind)
    except KeyError:
        return None
