"""Stage: makes an image live on a target, through the gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from pipeline.errors import StoreError
from pipeline.facts import Platform
from pipeline.kinds import find
from pipeline.manifest.model import Entry, Image
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.plan.model import LayerWork, Plan, Step, TargetWork
from pipeline.recipe import Assemble
from pipeline.stages import gate
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench, Result, machine_platform
from pipeline.stages.image import superseded
from pipeline.store import Store
from pipeline.store.lookup import Found, choose
from pipeline.targets.model import Mount, Release, Target


def target_of(bench: Bench, entry: Entry) -> Target:
    """The place that a manifest's target entry names."""
    service = service_name(bench, entry)
    kind = find("targets", entry.kind)
    made = kind.target(service, entry.spec, state=bench.home.state, roots=bench.store.roots, environ=bench.environ)
    return cast(Target, made)


def service_name(bench: Bench, entry: Entry) -> str:
    return f"{bench.manifest.name}-{entry.name}"


def verified(bench: Bench) -> gate.VerifiedFiles:
    """What last passed the gate, for each service."""
    return gate.VerifiedFiles(bench.home.state / "verified")


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


def _wanted(step: Step, bench: Bench, record: Any) -> Release:
    assert isinstance(step.work, TargetWork)
    spec = dict(step.work.target.spec)
    built = Descriptor.from_json(record["image"])
    mounts = tuple(Mount.from_json(mount) for mount in record.get("mounts") or ())
    name = service_name(bench, step.work.target)
    return release_of(bench.store, step.work.image, built, name, spec["port"], spec, mounts)


def done(step: Step, plan: Plan | None, bench: Bench) -> bool:
    """Whether the release runs and is healthy now; the record under its key only says which image that is."""
    record = bench.store.database.record(step.key)
    assert isinstance(step.work, TargetWork)
    if record is None or superseded(record["image"]["digest"], step.work.built, plan, bench):
        return False
    try:
        wanted = _wanted(step, bench, record)
    except StoreError:
        # The image is gone, or damaged: it is made again first.
        return False
    return gate.is_live(target_of(bench, step.work.target), wanted, verified(bench))


def lost(step: Step, bench: Bench) -> str:
    """What is live in place of what was rolled out."""
    assert isinstance(step.work, TargetWork)
    seen = target_of(bench, step.work.target).observe()
    if seen.state == "absent":
        return "nothing runs there"
    if seen.state != "running":
        return f"the service is {seen.state}" + (f": {seen.detail}" if seen.detail else "")
    passed = verified(bench).get(service_name(bench, step.work.target))
    other = passed is None or passed.revision != seen.revision
    return f"revision {seen.revision} is live, which passed no checks here" if other else "another revision is live"


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, TargetWork)
    image = bench.record(plan.step(step.work.built))["image"]
    mounts = [mount.to_json() for mount in mounts_of(step.work.mounts, plan, bench)]
    wanted = _wanted(step, bench, {"image": image, "mounts": mounts})
    outcome = gate.release(
        target_of(bench, step.work.target),
        wanted,
        verified=verified(bench),
        deadline=(step.work.target.spec.get("health") or {}).get("deadline", gate.DEADLINE),
        score=step.work.image.checks.score,
    )
    address = outcome.observation.address
    where = f" {outcome.observation.detail}" if outcome.observation.detail else ""
    scored = f", scored in {outcome.score.milliseconds:.0f} ms" if outcome.score else ""
    # Which revisions a service had is known by its records: the last ones stay when the store is cleared.
    record = {"image": image, "address": address, "mounts": mounts, "service": wanted.service}
    return Result(record, title=f"{address}  healthy{where}{scored}")
