"""What a plan would move: bytes to download and to upload, for each step and in all, as far as that is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.noun import noun
from pipeline.oci.descriptor import NOT_READ_BY_ALL, Layer
from pipeline.plan.model import CheckWork, ImageWork, LayerWork, Plan, PushWork, ResolvedImage, Step, TargetWork
from pipeline.recipe import Assemble, Borrow
from pipeline.stages.bench import Bench

if TYPE_CHECKING:
    from pipeline.indexes.held import Held
    from pipeline.registry.repository import Repository

_PARALLEL = 8
_PACKED = 0.35
"""Part of their size that files take in a compressed layer, about: a rule of thumb, for what was never packed here."""


Packages = Mapping[str, Mapping[str, Any]]
"""Locked packages by their hashes."""


@noun
class Amount:
    """Bytes; `exact` is whether they are known, else they are an estimate."""

    size: int = 0
    exact: bool = True

    def plus(self, other: Amount) -> Amount:
        return Amount(self.size + other.size, self.exact and other.exact)

    def __str__(self) -> str:
        from pipeline.manifest.words import size

        return f"{'' if self.exact else '~'}{size(self.size)}"


@noun
class Forecast:
    """By step: what it downloads, and what it uploads. `notes` say what could not be found out."""

    download: Mapping[str, Amount] = field(default_factory=dict)
    upload: Mapping[str, Amount] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def total(amounts: Iterable[Amount]) -> Amount:
    """All of them together."""
    found = Amount()
    for amount in amounts:
        found = found.plus(amount)
    return found


def forecast(bench: Bench, plan: Plan, images: Sequence[ResolvedImage]) -> Forecast:
    """Looks into the caches and the store, and asks the registries that something is to be pushed to.

    A registry that does not answer is told in `notes`.
    """
    from pipeline.indexes.held import Held

    misses = [step for step in plan.steps if not plan.verdicts[step.id].hit]
    if not misses:
        return Forecast()
    # An entry that many images stand on is one value.
    locked = {id(item.locked): item.locked for image in images for item in image.stack}
    packages = {sha256: package for each in locked.values() for sha256, package in hashed(each)}
    download = _downloads(misses, plan, packages, bench, Held(bench.home.cache, bench.environ))
    upload, notes = _uploads(misses, plan, packages, bench)
    return Forecast(download, upload, notes)


# -- down ---------------------------------------------------------------------------------------------------------


def _downloads(misses: Sequence[Step], plan: Plan, packages: Packages, bench: Bench, held: Held) -> dict[str, Amount]:
    counted: set[str] = set()
    found: dict[str, Amount] = {}
    run_here = _run_here(plan)
    for step in misses:
        if isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Assemble):
            wanted = [sha for sha in _texts(step.work.recipe.inputs) if sha in packages and sha not in counted]
            counted.update(wanted)
            sizes = [packages[sha].get("size") for sha in wanted if not held.has(packages[sha])]
            found[step.id] = Amount(sum(size or 0 for size in sizes), all(sizes))
        elif isinstance(step.work, ImageWork):
            for id_ in step.needs:
                needed = _borrowed(plan.step(id_), step, run_here, bench, counted)
                found[id_] = found.get(id_, Amount()).plus(needed)
        elif _runs(step):
            found[step.id] = _lent(step, plan, bench, counted)
    return {id_: amount for id_, amount in found.items() if amount.size}


def hashed(locked: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every package of a lock's answer by its hash, whatever the kind."""
    if isinstance(locked, Mapping):
        if isinstance(sha256 := locked.get("sha256"), str):
            yield sha256, locked
        locked = list(locked.values())
    if isinstance(locked, list | tuple):
        for value in locked:
            yield from hashed(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts(part)


def _borrowed(below: Step, image: Step, run_here: Collection[str], bench: Bench, counted: set[str]) -> Amount:
    """Layers of an image from elsewhere: all that are lacking where the image is run here; else those that nobody has
    read yet, and of these perhaps only a part.
    """
    if not isinstance(below.work, LayerWork) or not isinstance(below.work.recipe, Borrow):
        return Amount()
    layers = [Layer.from_json(layer) for layer in below.work.recipe.layers]
    lacking = [la for la in layers if la.blob.digest not in counted and not bench.store.blobs.has(la.blob.digest)]
    runs = image.id in run_here
    unread = lacking if runs else [layer for layer in lacking if not bench.store.knows(layer)]
    counted.update(layer.blob.digest for layer in unread)
    return Amount(sum(layer.blob.size for layer in unread), runs or not unread)


def _lent(runs: Step, plan: Plan, bench: Bench, counted: set[str]) -> Amount:
    """Layers that a shared cache has, and this machine has to have to run their image."""
    assert isinstance(runs.work, CheckWork | TargetWork)
    below = [plan.step(id_) for id_ in plan.step(runs.work.built).needs]
    made = [la for one in below for la in _made(one, plan, bench) if not bench.store.blobs.has(la.blob.digest)]
    lacking = {layer.blob.digest: layer.blob.size for layer in made if layer.blob.digest not in counted}
    counted.update(lacking)
    return Amount(sum(lacking.values()))


def _run_here(plan: Plan) -> set[str]:
    """The steps of the images that a check or a target of the plan runs on this machine."""
    runs = [step.work for step in plan.steps if not plan.verdicts[step.id].hit and _runs(step)]
    return {work.built for work in runs if isinstance(work, CheckWork | TargetWork)}


def _runs(step: Step) -> bool:
    """Whether a step runs its image here."""
    work = step.work
    if isinstance(work, CheckWork):
        return bool(work.image.serve or work.image.checks.imports)
    return isinstance(work, TargetWork) and not work.pushed


# -- up -----------------------------------------------------------------------------------------------------------


def _uploads(
    misses: Sequence[Step], plan: Plan, packages: Packages, bench: Bench
) -> tuple[dict[str, Amount], tuple[str, ...]]:
    pushes = [step for step in misses if isinstance(step.work, PushWork)]
    found: dict[str, Amount] = {}
    notes: dict[str, None] = {}
    sent: set[tuple[str, str]] = set()
    for step in pushes:
        try:
            found[step.id] = _upload(step, plan, packages, bench, sent)
        except PipelineError as error:
            notes[f"uploads are not known: {error.message}"] = None
    return found, tuple(notes)


def _upload(push: Step, plan: Plan, packages: Packages, bench: Bench, sent: set[tuple[str, str]]) -> Amount:
    """The blobs that the registry lacks: asked for each that is known, estimated for each that is to be made."""
    assert isinstance(push.work, PushWork)
    image = plan.step(push.work.built)
    known, amount = [], Amount()
    for id_ in image.needs:
        below = plan.step(id_)
        if layers := _made(below, plan, bench):
            known += [_sent(layer, push.work.compression, bench) for layer in layers]
        elif (push.work.where.registry, below.key) not in sent:
            sent.add((push.work.where.registry, below.key))
            fresh = {sha: each for sha, each in packages.items() if (push.work.where.registry, sha) not in sent}
            amount = amount.plus(_estimate(below, plan, fresh, bench))
            # Bytecode names the packages that it is of, and is much smaller.
            sent.update((push.work.where.registry, sha) for sha in _texts(_inputs(below)) if sha in fresh)
    registry = push.work.where.registry
    lacking = [
        (layer, exact)
        for layer, exact in known
        if (registry, layer.blob.digest) not in sent and not _is_mounted(layer, registry, bench)
    ]
    repository = bench.registries.repository(push.work.where)
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="look") as pool:
        there = list(pool.map(lambda each: _is_there(each[0].blob.digest, repository, bench), lacking))
    for (layer, exact), is_there in zip(lacking, there, strict=True):
        if not is_there:
            sent.add((registry, layer.blob.digest))
            amount = amount.plus(Amount(layer.blob.size, exact))
    return amount


def _made(step: Step, plan: Plan, bench: Bench) -> list[Layer]:
    """The layers of a step, where they are known: it is a hit, or an image from elsewhere."""
    if isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Borrow):
        return [Layer.from_json(layer) for layer in step.work.recipe.layers]
    record = bench.store.database.record(step.key) if plan.verdicts[step.id].hit else None
    return [Layer.from_json(layer) for layer in record["layers"]] if record else []


def _sent(layer: Layer, compression: str, bench: Bench) -> tuple[Layer, bool]:
    """A layer as it is pushed, and whether its size is certain: it is not for one that is still to be packed again."""
    if compression == "zstd" or layer.blob.media_type not in NOT_READ_BY_ALL:
        return layer, True
    from pipeline.store.recompress import packed

    again = packed(bench.store, layer)
    return (again, True) if again else (layer, False)


def _is_there(digest: str, repository: Repository, bench: Bench) -> bool:
    """In the repository, or in another of the registry that was seen to have it, from where it costs nothing."""
    from pipeline.registry.recall import Recall

    if repository.has_blob(digest):
        return True
    names = Recall(bench.store.database, repository.client.registry).holders(digest)
    try:
        return any(
            bench.registries.repository(f"{repository.client.registry}/{name}").has_blob(digest) for name in names
        )
    except PipelineError:
        # Who may not read that repository cannot mount from it.
        return False


def _is_mounted(layer: Layer, registry: str, bench: Bench) -> bool:
    """Whether the same registry has it in another repository, from where it costs nothing."""
    return bench.origins.place(layer.blob.digest).startswith(f"{registry}/")


def _estimate(step: Step, plan: Plan, packages: Packages, bench: Bench) -> Amount:
    """As large as it was last time, else as its packages and files make it."""
    lineage = bench.store.database.lineage(f"{plan.name} {step.id}")
    record = bench.store.database.record(lineage.last.key) if lineage else None
    if record and record.get("layers"):
        return Amount(sum(int(layer["blob"]["size"]) for layer in record["layers"]), False)
    if not isinstance(step.work, LayerWork) or not isinstance(step.work.recipe, Assemble):
        return Amount(0, False)
    recipe = step.work.recipe
    if known := [int(packages[sha256].get("size") or 0) for sha256 in _texts(recipe.inputs) if sha256 in packages]:
        return Amount(sum(known), False)
    return Amount(int(sum(_sizes(recipe.inputs)) * (1.0 if recipe.compression == "none" else _PACKED)), False)


def _inputs(step: Step) -> Any:
    recipe = step.work.recipe if isinstance(step.work, LayerWork) else None
    return recipe.inputs if isinstance(recipe, Assemble) else ()


def _sizes(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        if isinstance(size := value.get("size"), int):
            yield size
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _sizes(part)
