"""Models that targets elsewhere mount: each an image of its own that holds nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.digest import CacheKey
from pipeline.kinds import mounts
from pipeline.manifest.model import Checks, Entry, Image, Manifest
from pipeline.noun import noun
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.recipe import Assemble


@noun
class Mounted:
    """A layer that an image is given and does not hold."""

    item: ResolvedEntry
    recipe: Assemble
    resolved: ResolvedImage


def places(target: Entry, there: Iterable[str]) -> list[str]:
    """Where a target mounts the models of its image by itself: not where its settings put a volume of the user's."""
    given = target.spec.get("volumes") or {}
    return [place for place in there if place not in given] if mounts(target.kind) else []


class Volumes:
    """Which models are mounted into which image, and those of them that are to be images of their own."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._at_root: dict[int, Assemble | None] = {}

    def of(self, image: str, mounted: Collection[Mounted]) -> Iterator[tuple[str, str, list[tuple[Mounted, Assemble]]]]:
        """For what some target elsewhere mounts: (place, name of the manifest's entry, its layers)."""
        there = [one.recipe.mount for one in mounted]
        targets = [target for target in self._manifest.targets.values() if target.spec["image"] == image]
        wanted = {place for target in targets for place in places(target, there)}
        found: dict[tuple[str, str], list[tuple[Mounted, Assemble]]] = {}
        for one in mounted:
            if one.recipe.mount in wanted and (recipe := self._rooted(one.recipe)):
                found.setdefault((one.recipe.mount, one.item.entry.name), []).append((one, recipe))
        for (place, name), layers in found.items():
            yield place, name, layers

    def _rooted(self, recipe: Assemble) -> Assemble | None:
        """One value for the layer of several images: what it comes to is known by it."""
        if id(recipe) not in self._at_root:
            self._at_root[id(recipe)] = at_root(recipe)
        return self._at_root[id(recipe)]


def at_root(recipe: Assemble) -> Assemble | None:
    """The same files with the mounted folder as their root, for that is what an image volume shows; None for none.

    A path within the image could be named, too (`subPath`), but older runtimes of containers pass over that in silence.
    """
    top = recipe.mount.strip("/") + "/"

    def moved(values: Mapping[str, Any]) -> dict[str, Any]:
        return {path.removeprefix(top): value for path, value in values.items() if path.startswith(top)}

    members = moved({member["path"]: member for member in recipe.inputs["members"]})
    if not members:
        return None
    return replace(
        recipe,
        inputs={**recipe.inputs, "members": [{**member, "path": path} for path, member in members.items()]},
        sources=moved(recipe.sources),
        piece=f"volume/{recipe.piece}".rstrip("/"),
        pieces=(),
        mount="",
    )


def image_of(image: Image, name: str, content: CacheKey) -> Image:
    """What is pushed for the layer `name` of `image`: with a tag that tells its content, so that no registry takes it
    for something left over, and that never moves.
    """
    assert image.push is not None
    return Image(
        f"{image.name}+{name}",
        image.base,
        (name,),
        image.location,
        tags=(),
        # What lies in a model is not run by its image.
        checks=Checks(libraries_ignore=("*",)),
        push=replace(image.push, tags=(f"{name}-{content[:12]}",)),
    )
