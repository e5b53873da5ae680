"""Stage: makes the OCI layers of one recipe: packed in this process, executed in an engine, or there already."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.oci.descriptor import Layer
from pipeline.plan.model import LayerWork, Plan, Step, comes_when_needed
from pipeline.recipe import Assemble, Borrow, Recipe
from pipeline.stages.bench import Bench, Result

if TYPE_CHECKING:
    from pipeline.assemble.layer import Contents
    from pipeline.assemble.work import Work


def layers_of(step: Step, bench: Bench) -> list[Layer]:
    """The layers that an ended step made, lowest first.

    Their history is told in this manifest's words: another one, which names the same layer otherwise, may have made it.
    """
    made = [Layer.from_json(layer) for layer in bench.record(step)["layers"]]
    if not isinstance(step.work, LayerWork) or isinstance(step.work.recipe, Borrow):
        return made
    return [replace(layer, created_by=step.work.words) for layer in made]


def record_of(layers: Sequence[Layer], recipe: Recipe) -> dict[str, Any]:
    """What is kept of a step that made these layers: them, and the config that images on top inherit."""
    config = dict(recipe.config) if isinstance(recipe, Borrow) else {}
    return {"layers": [layer.to_json() for layer in layers], "config": config}


def done(step: Step, _plan: Plan | None, bench: Bench) -> bool:
    record = bench.store.database.record(step.key)
    if record is None or "layers" not in record:
        return False
    return comes_when_needed(step.work) or all(
        bench.store.has_layer(layer) or bench.cache.lends(layer.blob.digest)
        for layer in map(Layer.from_json, record["layers"])
    )


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, LayerWork)
    if not isinstance(step.work.recipe, Assemble):
        name = "borrow" if isinstance(step.work.recipe, Borrow) else "execute"
        made: Result = importlib.import_module(f"pipeline.stages.{name}").run(step, plan, bench)
        return made
    return _assemble(step, step.work.recipe, plan, bench)


def alone(step: Step) -> bool:
    """Whether it can be made before the layers are that it stands on."""
    work = step.work
    if not isinstance(work, LayerWork) or not isinstance(work.recipe, Assemble) or work.recipe.root_decides:
        return False
    can = getattr(importlib.import_module(f"pipeline.assemble.{work.recipe.packer}"), "alone", None)
    return bool(can and can(work.recipe, work.parent))


def _built(step: Step, recipe: Assemble, plan: Plan, bench: Bench) -> Mapping[str, Path]:
    from pipeline.stages import wheels

    return wheels.built(step, recipe, plan, bench)


def _beside(step: Step, plan: Plan) -> list[Assemble]:
    """What a run packs of the same entry of the manifest."""
    hits = {id_ for id_, verdict in plan.verdicts.items() if verdict.hit}
    works = (one.work for one in plan.steps if one.place == step.place and one.id not in hits)
    return [work.recipe for work in works if isinstance(work, LayerWork) and isinstance(work.recipe, Assemble)]


def _packed(recipe: Assemble, work: Work, bench: Bench) -> tuple[Layer, Contents]:
    """The layer in the store, and what it holds."""
    packer = importlib.import_module(f"pipeline.assemble.{recipe.packer}")
    if hasattr(packer, "frames"):
        from pipeline.assemble import frame_layer

        return frame_layer.write(packer.frames(recipe, work), bench.store.blobs, bench.frames, bench.stop)
    from pipeline.assemble import layer

    return layer.write(packer.entries(recipe, work), bench.store.blobs, recipe.compression, bench.stop)


def _assemble(step: Step, recipe: Assemble, plan: Plan, bench: Bench) -> Result:
    from pipeline.assemble.work import Work

    assert isinstance(step.work, LayerWork)

    def roots(steps: Sequence[Step], fetch: bool = True) -> list[Path]:
        found = [layer for one in steps for layer in layers_of(one, bench)]
        wanted = [layer for layer in found if fetch or bench.store.blobs.has(layer.blob.digest, layer.blob.size)]
        return [bench.store.roots.layer(layer) for layer in wanted]

    below = [plan.step(id_) for id_ in step.needs]

    def files(wanted: Callable[[str], bool]) -> list[Path]:
        found = [layer for one in below for layer in layers_of(one, bench)]
        return [bench.store.roots.files(layer, wanted, scratch) for layer in found]

    with bench.store.scratch() as scratch:
        work = Work(
            project=bench.manifest.path.parent,
            indexes=bench.indexes,
            scratch=scratch,
            parent=step.work.parent,
            roots=lambda: roots(below),
            say=lambda text: bench.say(step.id, text),
            built=lambda: _built(step, recipe, plan, bench),
            here=lambda: roots([one for one in below if bench.store.database.record(one.key)], fetch=False),
            files=files,
            own=lambda: roots([one for one in below if one.place == step.place]),
            beside=lambda: _beside(step, plan),
            packed=lambda key: bench.frames.has(key),
            recall=lambda key: bench.frames.recall(key),
            remember=lambda key, value: bench.frames.remember(key, value),
            compilers=lambda: bench.compilers,
        )
        made, contents = _packed(recipe, work, bench)
    if not contents.members:
        return Result({**record_of([], recipe), "linked": False})
    bench.store.put_contents(made, contents.to_json())
    linked = bool(contents.elf) or any(member[1] in ("symlink", "hardlink") for member in contents.members)
    return Result({**record_of([made], recipe), "linked": linked}, size=made.blob.size)
