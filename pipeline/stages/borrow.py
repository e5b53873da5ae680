"""Stage: layers that exist already, of an image from elsewhere: what they hold is told when somebody asks."""

from __future__ import annotations

from typing import Any

from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step, comes_when_needed
from pipeline.recipe import Borrow
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
        if not bench.store.blobs.has(layer.blob.digest, layer.blob.size):
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


def contents(layer: Layer, bench: Bench) -> dict[str, Any]:
    """What a layer holds, read from its blob when that is not known yet."""
    from pipeline.assemble.scan import describe

    if not bench.store.knows(layer):
        describe(bench.store, layer)
    return bench.store.contents(layer)
