"""Stage: sees to it that layers which exist already are in the store, and that it is known what they hold."""

from __future__ import annotations

from pipeline.assemble.scan import describe
from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step
from pipeline.recipe import Borrow
from pipeline.stages.assemble import record_of
from pipeline.stages.bench import Bench, Result


def run(step: Step, _plan: Plan, bench: Bench) -> Result:
    """Raises StoreError for a layer whose blob is not there."""
    assert isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Borrow)
    recipe = step.work.recipe
    layers = [Layer.from_json(layer) for layer in recipe.layers]
    for layer in layers:
        bench.stop()
        if not bench.store.blobs.has(layer.blob.digest, layer.blob.size):
            raise StoreError(f"layer {short(layer.blob.digest)} of {step.name} is not in the store", remedy="run again")
        describe(bench.store, layer)
    return Result(record_of(layers, recipe), size=0)
