"""Stage: moves an image's tags, here and in its registry, once every image of the run has passed its checks."""

from __future__ import annotations

from pipeline.digest import short
from pipeline.errors import PipelineError
from pipeline.oci.descriptor import Descriptor
from pipeline.plan.model import Plan, Step, TagWork
from pipeline.stages.bench import Bench, Result
from pipeline.stages.image import superseded


def image_of(step: Step, bench: Bench) -> Descriptor:
    """The image that an ended image or push step made."""
    return Descriptor.from_json(bench.record(step)["image"])


def done(step: Step, plan: Plan | None, bench: Bench) -> bool:
    """Whether every tag is where it should be, the registry's as the registry says at this moment."""
    assert isinstance(step.work, TagWork)
    record = bench.store.database.record(step.key)
    if record is None or superseded(record["digest"], step.work.built, plan, bench):
        return False
    tags, name = bench.store.tags(), f"{bench.manifest.name}/{step.work.image.name}"
    if not all((at := tags.get((name, tag))) and at.digest == record["digest"] for tag in step.work.image.tags):
        return False
    try:
        return all(bench.sightings.digest(tag) == record["published"] for tag in step.work.published)
    except PipelineError:
        # The run goes on to the step itself, whose error has its place and is tried again.
        return False


def lost(step: Step, bench: Bench) -> str:
    """Which tag of the registry is not where it was put."""
    assert isinstance(step.work, TagWork)
    record = bench.store.database.record(step.key) or {}
    for tag in step.work.published:
        try:
            found = bench.sightings.digest(tag)
        except PipelineError as error:
            return f"the registry does not tell: {error.message}"
        if found != record.get("published"):
            return f"{tag} is {short(found)} now" if found else f"{tag} is gone"
    return ""


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    """The registry's tags first: when one of them cannot be moved, those of the store have not moved either."""
    assert isinstance(step.work, TagWork)
    image = image_of(plan.step(step.work.built), bench)
    title, record = ", ".join(step.work.image.tags), {"digest": image.digest}
    if step.work.published:
        from pipeline.registry import transfers
        from pipeline.stages.publish import seen, tried_enough

        pushed = image_of(plan.step(step.work.pushed), bench)
        where, names = step.work.published[0], [tag.tag for tag in step.work.published]
        # What a killed run has moved already is not moved again: a registry may refuse that, or tell others of it.
        with tried_enough():
            away = [tag.tag for tag in step.work.published if seen(tag, bench) != pushed.digest]
            if away:
                transfers.tag(bench.store, pushed, bench.registries.repository(where), away)
        title = "; ".join(filter(None, (title, f"{where.name}:{', '.join(names)}")))
        record["published"] = pushed.digest
    with bench.store.database.transaction():
        for tag in step.work.image.tags:
            bench.store.move_tag(f"{plan.name}/{step.work.image.name}", tag, image)
    return Result(record, title=title)
