"""Stage: puts an image together from its layers: config, image manifest, and an index where there are platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.facts import Platform
from pipeline.oci import budget
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.plan.model import ImageWork, LayerWork, Plan, Step, comes_when_needed
from pipeline.recipe import Borrow
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench, Result


def done(step: Step, _plan: Plan | None, bench: Bench) -> bool:
    record = bench.store.database.record(step.key)
    if record is None:
        return False
    blobs = [Descriptor.from_json(record["image"]), *(Descriptor.from_json(blob) for blob in record["blobs"])]
    return all(bench.store.blobs.has(blob.digest, blob.size) or bench.cache.lends(blob.digest) for blob in blobs)


def name_again(step: Step, bench: Bench) -> None:
    """Names an image that is there already, where its name was forgotten or lost."""
    name = f"{bench.manifest.name}/{step.name}"
    if not bench.store.is_named(name):
        bench.store.name_image(name, Descriptor.from_json(bench.record(step)["image"]))


def superseded(digest: str, built: str, plan: Plan | None, bench: Bench) -> bool:
    """Whether the image step `built` made another image since than the one of this digest.

    A command that is executed again may make another image of the same key: what was done with the former one does not
    count.
    """
    record = bench.store.database.record(plan.step(built).key) if plan and digest else None
    return record is not None and record["image"]["digest"] != digest


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    # Only now: a run with nothing to do must not import it.
    from pipeline.stages import libraries

    assert isinstance(step.work, ImageWork)
    manifests, blobs = [], []
    for platform, ids, config in step.work.stacks:
        # Read once: fifty images on a new base have a thousand layers.
        stack = {id_: layers_of(plan.step(id_), bench) for id_ in ids}
        layers = [layer for id_ in ids for layer in stack[id_]]
        _fits(step, plan, bench, stack)
        libraries.check(step, plan, bench, platform, ids)
        if step.work.image.serve and step.work.image.serve.stack:
            from pipeline.stages import stack as serving

            serving.check(step, plan, bench, ids)
        if step.work.requires or step.work.image.requires:
            from pipeline.stages import requires

            requires.check(step, plan, bench, ids)
        manifest, parts = _manifest(platform, config, layers, bench)
        manifests.append(manifest)
        lasting = [id_ for id_ in ids if not comes_when_needed(plan.step(id_).work)]
        blobs += [*parts, *(layer.blob for id_ in lasting for layer in stack[id_])]
    image = manifests[0]
    if len(manifests) > 1:
        image, data = documents.described(documents.index(manifests), documents.INDEX)
        bench.store.blobs.put(data)
        blobs += manifests
    bench.store.name_image(f"{plan.name}/{step.work.image.name}", image)
    record = {"image": image.to_json(), "blobs": [blob.to_json() for blob in blobs]}
    return Result(record, title=image.digest)


def _fits(step: Step, plan: Plan, bench: Bench, stack: Mapping[str, Sequence[Layer]]) -> None:
    made, borrowed = {}, 0
    for id_, layers in stack.items():
        one = plan.step(id_)
        if isinstance(one.work, LayerWork) and isinstance(one.work.recipe, Borrow):
            borrowed += len(layers)
        else:
            made[one.name] = [layer.blob.size for layer in layers]
    budget.check(step.name, made, borrowed, bench.manifest.build.layers)


def _manifest(
    platform: Platform, runtime: Mapping[str, Any], layers: Sequence[Layer], bench: Bench
) -> tuple[Descriptor, list[Descriptor]]:
    config, data = documents.described(documents.config(platform, runtime, layers), documents.CONFIG)
    bench.store.blobs.put(data)
    manifest, data = documents.described(documents.manifest(config, layers, {}), documents.MANIFEST, platform)
    bench.store.blobs.put(data)
    return manifest, [config]
