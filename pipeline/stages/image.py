"""Stage: puts an image together from its layers: config, image manifest, and an index where there are platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.assemble.layer import Contents
from pipeline.digest import digest_of
from pipeline.errors import AssembleError
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.plan.model import ImageWork, LayerWork, Plan, Step
from pipeline.stages.assemble import layer_of
from pipeline.stages.bench import Bench, Result


def done(step: Step, _plan: Plan | None, bench: Bench) -> bool:
    record = bench.store.database.record(step.key)
    if record is None:
        return False
    blobs = [Descriptor.from_json(record["image"]), *(Descriptor.from_json(blob) for blob in record["blobs"])]
    return all(bench.store.blobs.has(blob.digest, blob.size) for blob in blobs)


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, ImageWork)
    manifests, blobs = [], []
    for platform, ids, config in step.work.stacks:
        layers = [layer_of(plan.step(id_), bench) for id_ in ids]
        _check_libraries(step, plan, bench, ids, layers)
        manifest, parts = _manifest(platform, config, layers, bench)
        manifests.append(manifest)
        blobs += [*parts, *(layer.blob for layer in layers)]
    image = manifests[0]
    if len(manifests) > 1:
        image, data = documents.described(documents.index(manifests), documents.INDEX)
        bench.store.blobs.put(data)
        blobs += manifests
    bench.store.name_image(step.work.image.name, image)
    record = {"image": image.to_json(), "blobs": [blob.to_json() for blob in blobs]}
    return Result(record, title=image.digest)


def _manifest(
    platform: Platform, runtime: Mapping[str, Any], layers: Sequence[Layer], bench: Bench
) -> tuple[Descriptor, list[Descriptor]]:
    config, data = documents.described(documents.config(platform, runtime, layers), documents.CONFIG)
    bench.store.blobs.put(data)
    manifest, data = documents.described(documents.manifest(config, layers, {}), documents.MANIFEST, platform)
    assert bench.store.blobs.put(data) == digest_of(data)
    return manifest, [config]


def _check_libraries(step: Step, plan: Plan, bench: Bench, ids: Sequence[str], layers: Sequence[Layer]) -> None:
    """Raises AssembleError for shared libraries that members need and no layer has, found from the ELF files."""
    known = "libraries " + digest_of(repr([layer.diff_id for layer in layers]).encode())
    if bench.store.database.memo(known):
        return
    from pipeline.oci.libraries import missing

    assert isinstance(step.work, ImageWork)
    contents = [Contents.from_json(bench.store.contents(layer)) for layer in layers]
    lacking = missing(contents, step.work.image.checks.libraries_ignore)
    if not lacking:
        bench.store.database.remember(known, True)
        return
    packages = _packages(plan, bench, ids, sorted({soname for soname, _, _ in lacking}))
    lines = []
    for soname in sorted({soname for soname, _, _ in lacking}):
        path, owner = next((path, owner) for name, path, owner in lacking if name == soname)
        more = sum(name == soname for name, _, _ in lacking) - 1
        where = f"/{path}" + (f" of {owner}" if owner else "") + (f" and {more} more" if more else "")
        lines.append(
            f"{soname}, needed by {where}: "
            + (f"Debian package {packages[soname]}" if soname in packages else "no package found")
        )
    raise AssembleError(
        "shared libraries are missing from the image:\n  " + "\n  ".join(lines),
        remedy="add the packages to the base, or name the library under checks.libraries.ignore",
        place=step.place,
    )


def _packages(plan: Plan, bench: Bench, ids: Sequence[str], sonames: Sequence[str]) -> Mapping[str, str]:
    """Which distribution package has each library; empty when the archive cannot be asked: the error stands without."""
    facts = next(
        (
            w.parent
            for w in (plan.step(id_).work for id_ in reversed(ids))
            if isinstance(w, LayerWork) and w.parent.release
        ),
        None,
    )
    if facts is None:
        return {}
    try:
        found: Mapping[str, str] = bench.indexes.debian.contents(
            facts.distribution, facts.release, facts.platform.architecture, sonames
        )
    except Exception as error:
        bench.say(step_words(ids), f"the archive could not say which package has them: {error}")
        return {}
    return found


def step_words(ids: Sequence[str]) -> str:
    return ids[-1] if ids else ""
