"""Stage: puts an image into its registry by digest; its tags there are moved by the stage `tag`, after all checks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.digest import short
from pipeline.errors import PipelineError, StoreError
from pipeline.manifest.words import size
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.plan.model import Plan, PushWork, Step
from pipeline.reference import Reference
from pipeline.stages.bench import Bench, Result
from pipeline.stages.image import superseded
from pipeline.store.lookup import documents


def done(step: Step, plan: Plan | None, bench: Bench) -> bool:
    """Whether the registry has the image now: it does when one of its tags says so, else it is asked for the digest."""
    record = bench.store.database.record(step.key)
    assert isinstance(step.work, PushWork)
    if record is None or superseded(record.get("built", ""), step.work.built, plan, bench):
        return False
    digest = record["image"]["digest"]
    try:
        if any(bench.sightings.digest(tag) == digest for tag in step.work.tags):
            return True
        return bench.registries.repository(step.work.where).has_manifest(digest)
    except PipelineError:
        # The run goes on to the push itself, whose error has its place and is tried again.
        return False


def lost(step: Step, bench: Bench) -> str:
    assert isinstance(step.work, PushWork)
    try:
        bench.sightings.digest(step.work.tags[0])
    except PipelineError as error:
        return f"the registry does not tell: {error.message}"
    return f"{step.work.where} has the image no more"


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    """Raises OutOfReach for a registry that does not answer or refuses the credentials."""
    from pipeline.registry import transfers

    assert isinstance(step.work, PushWork)
    image = built = Descriptor.from_json(bench.record(plan.step(step.work.built))["image"])
    if step.work.compression != "zstd":
        from pipeline.store.recompress import gzipped

        # Who reads an image of a registry reads what it is made from, and may move none of it.
        kept = (
            bench.origins.repositories(_layers(image, bench), cached=False) if step.work.compression == "auto" else ()
        )
        bench.say(step.id, "compressing its layers by gzip")
        image = gzipped(bench.store, image, bench.stop, kept, bench.cache)
    layers = _layers(image, bench)
    bench.say(step.id, f"sending it to {step.work.where}")
    bench.sightings.forget()
    with tried_enough():
        moved = transfers.push(
            bench.store,
            image,
            bench.registries.repository(step.work.where),
            origins=bench.origins.repositories(layers),
            like=[tag.tag for tag in step.work.tags],
            seen=[digest for tag in step.work.tags if (digest := seen(tag, bench))],
            progress=lambda _count: bench.stop(),
        )
    reference = step.work.where.at(digest=image.digest)
    there = max(0, _size(image, layers, bench) - moved.moved)
    shown = f"{step.work.where}@sha256:{short(image.digest)}…"
    record = {"image": image.to_json(), "reference": str(reference), "built": built.digest}
    return Result(record, title=f"{shown}  {size(moved.moved)} moved, {size(there)} there")


def seen(tag: Reference, bench: Bench) -> str:
    """What a tag is now: most of a new image is in the one before it, whose tag is still there. Raises what will not
    pass, after as many tries as there may be: whatever is asked next would only try as often once more.
    """
    try:
        return bench.sightings.digest(tag)
    except PipelineError as error:
        if error.transient:
            raise
        # Who may write need not be allowed to read: what is wrong, the push itself will tell.
        return ""


@contextmanager
def tried_enough() -> Iterator[None]:
    """The client tries again by itself, and goes on where a transfer broke off: the step is not to do so as well, but
    for a blob that was damaged in the store and can be packed anew.
    """
    try:
        yield
    except StoreError:
        raise
    except PipelineError as error:
        error.transient = False
        raise


def _size(image: Descriptor, layers: Sequence[Layer], bench: Bench) -> int:
    """The bytes of an image's configs and layers, each counted once."""
    configs = [part.config_blob for part in documents(bench.store, image)]
    blobs = [*configs, *(layer.blob for layer in layers)]
    return sum({blob.digest: blob.size for blob in blobs}.values())


def _layers(image: Descriptor, bench: Bench) -> list[Layer]:
    return [layer for part in documents(bench.store, image) for layer in part.layers]
