"""Stage: makes one OCI layer by its recipe, in this process."""

from __future__ import annotations

import importlib
from pathlib import Path

from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step
from pipeline.recipe import Assemble
from pipeline.stages.bench import Bench, Result


def layer_of(step: Step, bench: Bench) -> Layer:
    """The layer that an ended step made."""
    return Layer.from_json(bench.record(step)["layer"])


def done(step: Step, _plan: Plan | None, bench: Bench) -> bool:
    record = bench.store.database.record(step.key)
    return record is not None and bench.store.has_layer(Layer.from_json(record["layer"]))


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, LayerWork)
    recipe = step.work.recipe
    if not isinstance(recipe, Assemble):
        raise AssembleError(
            f"{step.name} executes commands, which needs a container engine, and none is in reach",
            remedy="install Docker or Podman, or use a kind that is assembled",
            place=step.place,
        )
    from pipeline.assemble import layer as layers

    packer = importlib.import_module(f"pipeline.assemble.{recipe.packer}")

    def roots() -> list[Path]:
        return [bench.store.roots.layer(layer_of(plan.step(below), bench)) for below in step.needs]

    with bench.store.scratch() as scratch:
        work = Work(
            project=bench.manifest.path.parent,
            indexes=bench.indexes,
            scratch=scratch,
            parent=step.work.parent,
            roots=roots,
            say=lambda text: bench.say(step.id, text),
        )
        made, contents = layers.write(packer.entries(recipe, work), bench.store.blobs, recipe.compression, bench.stop)
    layer = Layer(
        made.blob, made.diff_id, created_by=f"pipeline: {step.kind} {step.name}, {recipe.summary}".rstrip(", ")
    )
    bench.store.put_contents(layer, contents.to_json())
    return Result({"layer": layer.to_json()}, size=layer.blob.size)
