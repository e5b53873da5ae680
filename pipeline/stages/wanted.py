"""The release that a target is to have: of an image in the store, or of one that was pushed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.errors import StoreError, UsageError
from pipeline.facts import Platform
from pipeline.kinds import find
from pipeline.manifest.model import Image
from pipeline.oci.descriptor import DOCKER_MANIFEST, MANIFEST, Descriptor, Layer
from pipeline.plan.model import LayerWork, Plan, Step, TargetWork
from pipeline.recipe import Assemble
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench, machine_platform
from pipeline.store import Store
from pipeline.store.lookup import Found, choose, documents
from pipeline.targets.model import Mount, Release


def mounts_of(ids: Sequence[str], plan: Plan, bench: Bench) -> tuple[Mount, ...]:
    """What the layers of these steps are to provide, and where."""
    found: dict[str, list[Layer]] = {}
    for id_ in ids:
        step = plan.step(id_)
        assert isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Assemble)
        found.setdefault(step.work.recipe.mount, []).extend(layers_of(step, bench))
    return tuple(Mount(place, tuple(layers)) for place, layers in found.items())


def release_of(
    store: Store,
    image: Image,
    built: Descriptor,
    service: str,
    port: int,
    settings: Any,
    mounts: tuple[Mount, ...] = (),
) -> Release:
    """The release that puts `built` on this machine's `port`."""
    documents = choose(store, Found(image.name, "", built), None, Platform.parse(machine_platform()))
    return Release(
        service=service,
        image=documents.descriptor.digest,
        layers=documents.layers,
        config=documents.config,
        port=port,
        container_port=image.serve.port if image.serve else port,
        settings=settings,
        mounts=mounts,
    )


def remote_release(
    store: Store, work: TargetWork, pushed: Descriptor, where: str, mounts: tuple[Mount, ...] = ()
) -> Release:
    """The release that puts what was pushed as `where` on a target elsewhere, all platforms of it."""
    config = documents(store, pushed)[0].config
    kind, serve = find("targets", work.target.kind), work.image.serve
    # A kind that is another one with other words translates: releases are of that one.
    spec = dict(getattr(kind, "settings", dict)(work.target.spec))
    exposed = (config.get("config") or {}).get("ExposedPorts") or {}
    port = serve.port if serve else next((int(one.partition("/")[0]) for one in exposed), spec.get("port", 0))
    return Release(
        service=work.service,
        image=pushed.digest,
        layers=(),
        config=config,
        port=spec.get("port", port),
        container_port=port,
        settings=spec,
        mounts=mounts,
        reference=where,
    )


def from_record(step: Step, bench: Bench, record: Any) -> Release:
    assert isinstance(step.work, TargetWork)
    spec = dict(step.work.target.spec)
    mounts = tuple(Mount.from_json(mount) for mount in record.get("mounts") or ())
    if step.work.pushed:
        pushed = Descriptor.from_json(record["pushed"])
        return remote_release(bench.store, step.work, pushed, record["reference"], mounts)
    built = Descriptor.from_json(record["image"])
    return release_of(bench.store, step.work.image, built, step.work.service, spec["port"], spec, mounts)


def known_by(step: Step, bench: Bench, record: Any) -> Release:
    """As `from_record`, as far as what is live can be told by it: documents that are gone come out as they were."""
    assert isinstance(step.work, TargetWork)
    try:
        return from_record(step, bench, record)
    except StoreError:
        built, work = Descriptor.from_json(record["image"]), step.work
        if work.pushed or built.media_type not in (MANIFEST, DOCKER_MANIFEST):
            raise
        spec = dict(work.target.spec)
        port = work.image.serve.port if work.image.serve else spec["port"]
        mounts = tuple(Mount.from_json(mount) for mount in record.get("mounts") or ())
        return Release(work.service, built.digest, (), {}, spec["port"], port, spec, mounts)


def pushed_of(work: TargetWork, plan: Plan, bench: Bench) -> dict[str, Any]:
    """What a target elsewhere gets: the image that was pushed, and the models that were."""
    pushed = bench.record(plan.step(work.pushed))
    volumes = {place: bench.record(plan.step(id_))["reference"] for place, id_ in work.volumes.items()}
    mounts = [Mount(place, reference=reference).to_json() for place, reference in volumes.items()]
    return {"pushed": pushed["image"], "reference": pushed["reference"], "mounts": mounts}


def is_pushed(work: TargetWork, plan: Plan) -> bool:
    """Whether all that a target elsewhere gets is in its registry."""
    return bool(work.pushed) and all(plan.verdicts[id_].hit for id_ in (work.pushed, *work.volumes.values()))


def wanted_release(step: Step, plan: Plan, bench: Bench) -> Release:
    """What a run would roll out, of an image that has been pushed. UsageError while it has not."""
    assert isinstance(step.work, TargetWork)
    if not is_pushed(step.work, plan):
        remedy = f"'pipeline run {bench.manifest.path.name} --no-deploy' puts it there"
        raise UsageError(f"the image {step.work.image.name} is not in its registry as it is now", remedy=remedy)
    return from_record(step, bench, pushed_of(step.work, plan, bench))
