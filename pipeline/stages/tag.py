"""Stage: moves an image's tags in the store, once every image of the run has passed its checks."""

from __future__ import annotations

from pipeline.oci.descriptor import Descriptor
from pipeline.plan.model import Plan, Step, TagWork
from pipeline.stages.bench import Bench, Result


def image_of(step: Step, bench: Bench) -> Descriptor:
    """The image that an ended image step made."""
    return Descriptor.from_json(bench.record(step)["image"])


def done(step: Step, _plan: Plan | None, bench: Bench) -> bool:
    assert isinstance(step.work, TagWork)
    record = bench.store.database.record(step.key)
    if record is None:
        return False
    tags, name = bench.store.tags(), f"{bench.manifest.name}/{step.work.image.name}"
    return all((at := tags.get((name, tag))) and at.digest == record["digest"] for tag in step.work.image.tags)


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, TagWork)
    image = image_of(plan.step(step.work.built), bench)
    with bench.store.database.transaction():
        for tag in step.work.image.tags:
            bench.store.move_tag(f"{plan.name}/{step.work.image.name}", tag, image)
    return Result({"digest": image.digest}, title=", ".join(step.work.image.tags))
