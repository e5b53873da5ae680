"""Stage: layers that exist already, of an image from elsewhere: what they hold is told when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.facts import Facts
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step, comes_when_needed
from pipeline.recipe import Borrow, Execute
from pipeline.stages.assemble import record_of
from pipeline.stages.bench import Bench, Result


def run(step: Step, _plan: Plan, bench: Bench) -> Result:
    """Layers of which it is known where they can be had stay there until their bytes are needed. Raises StoreError for
    any other that is not in the store.
    """
    assert isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Borrow)
    recipe = step.work.recipe
    layers = [Layer.from_json(layer) for layer in recipe.layers]
    if comes_when_needed(step.work):
        _note(recipe, layers, bench)
        return Result(record_of(layers, recipe))
    for layer in layers:
        bench.stop()
        if not bench.store.blobs.has(layer.blob.digest, layer.blob.size) and not bench.cache.lends(layer.blob.digest):
            raise StoreError(f"layer {short(layer.blob.digest)} of {step.name} is not in the store", remedy="run again")
        contents(layer, bench)
    return Result(record_of(layers, recipe))


def _note(recipe: Borrow, layers: list[Layer], bench: Bench) -> None:
    """Where the layers are: the lock may have named them before this machine ever saw them."""
    sources = recipe.sources
    if sources["from"] == "registry":
        from pipeline.stages.foreign import reference_of

        where = reference_of(bench, sources["reference"], sources.get("registry", ""))
        bench.origins.note_registry(layers, where)
    elif sources["from"] == "layout":
        bench.origins.note_layout(layers, bench.files.path(sources["path"]))
    else:
        bench.origins.note_archive(layers, bench.files.path(sources["path"]))


def known_of(steps: Sequence[Step]) -> Facts:
    """What is known of the files below an image's layers, of which `steps` are all; nothing where a command may have
    removed some of them.
    """
    works = [one.work for one in steps if isinstance(one.work, LayerWork)]
    if any(isinstance(work.recipe, Execute) for work in works):
        return Facts()
    lowest = works[0].recipe
    return lowest.facts if isinstance(lowest, Borrow) else works[-1].parent


def from_the_top(layers: Sequence[Layer], bench: Bench) -> Iterator[Sequence[Layer]]:
    """More and more of an image's layers from the uppermost downwards, and at last all: for a question that the lower
    ones need not be read for. What is known already is given together with what lies above it, for it moves nothing.
    """
    for first in reversed(range(len(layers))):
        bench.stop()
        describe(layers[first], bench)
        if not first or not bench.store.knows(layers[first - 1]):
            yield layers[first:]


def describe(layer: Layer, bench: Bench) -> None:
    """Finds out what a layer holds when that is not known yet; a blob fetched for that stays in the store."""
    if not bench.store.knows(layer):
        with bench.store.guard(f"describe-{short(layer.diff_id, 32)}"):
            if not bench.store.knows(layer):
                bench.store.describe(layer)


def contents(layer: Layer, bench: Bench) -> dict[str, Any]:
    """What a layer holds, found out when that is not known yet."""
    describe(layer, bench)
    return bench.store.contents(layer)
