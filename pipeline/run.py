"""From a manifest to its plan, and from a plan to its report."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StaleLock
from pipeline.events import (
    Followed,
    Report,
    Reporter,
    StepRetried,
    StepSaid,
    Warned,
)
from pipeline.home import Home
from pipeline.manifest.load import load
from pipeline.plan import plan as make_plan
from pipeline.plan.model import Plan, PushWork, Step, StepKind
from pipeline.runner import STAGES, Runner, stage
from pipeline.stages.bench import Bench
from pipeline.stages.locks import anew, read_lock, write_lock
from pipeline.stages.resolve import Resolution, resolve

if TYPE_CHECKING:
    from pipeline.stages.saved import Saved


def open_bench(
    path: Path, environ: Mapping[str, str], sets: Mapping[str, str], report: Reporter | None = None
) -> Bench:
    """Loads a manifest and opens the store beside it."""
    from pipeline.store import Store

    home = Home.of(environ)
    store = Store(home.store, mend=True)
    manifest = load(
        path,
        environ=environ,
        sets=sets,
        schema_known=lambda key: store.database.memo(f"manifest {key}") is not None,
        remember=lambda key: store.database.remember(f"manifest {key}", True),
    )
    bench = Bench(manifest, home, environ)
    bench.adopt(store)
    if report:
        bench.say = lambda step, text: report(StepSaid(step, text))
        bench.warn = lambda text: report(Warned(text))
        bench.follow = lambda text: report(Followed(text))
        bench.retried = lambda step, text, seconds, known: report(StepRetried(step, 0, seconds, text, known))
    if store.database.mended:
        bench.warn(store.database.mended)
    if not all(entry.address for entry in manifest.registries.values()):
        from pipeline.stages.workspaces import addressed

        bench.manifest = addressed(manifest, environ, store.database, time.time, bench.warn)
    return bench


def prepare(
    bench: Bench,
    report: Reporter | None = None,
    *,
    frozen: bool = False,
    only: Iterable[str] | None = None,
    upgrade: Sequence[str] = (),
    write: bool = True,
    kinds: Collection[StepKind] = tuple(STAGES),
) -> Plan:
    """Resolves what the lock does not answer and what `upgrade` names, writes the lock, and plans. Steps not of `kinds`
    are not looked at: whether an image is in its registry takes a request.

    From now on the store is not cleared, until the plan was performed.
    """
    started = time.monotonic()
    with _claimed(bench):
        lock = read_lock(bench)
        found = resolve(bench, lock, frozen=frozen, upgrade=anew(bench, lock, upgrade), only=only)
        if write:
            write_lock(bench, lock, found, report, time.monotonic() - started)
        return plan_of(bench, found, kinds)


@contextmanager
def _claimed(bench: Bench) -> Iterator[None]:
    """What is found in the store stays there; when the block fails nobody will perform a plan."""
    bench.claim.begin()
    try:
        yield
    except BaseException:
        bench.claim.end()
        raise


def prepare_saved(bench: Bench, report: Reporter | None, saved: Saved) -> Plan:
    """The plan of now, when it is the one that was saved or less is left to do; else StalePlan says what moved."""
    from pipeline.stages.saved import moved, moved_before, stale

    with _claimed(bench):
        lock = read_lock(bench)
        if reasons := moved_before(saved, bench, lock):
            raise stale(saved, reasons)
        wanted = lock if saved.lock is None else saved.lock
        try:
            resolution = resolve(bench, wanted, frozen=True, only=saved.asked.images or None)
        except StaleLock as error:
            raise stale(saved, error.log) from error
        plan = plan_of(bench, resolution)
        if reasons := moved(saved, bench, plan):
            raise stale(saved, reasons)
        write_lock(bench, lock, resolution, report)
        return plan


def plan_of(bench: Bench, resolution: Resolution, kinds: Collection[StepKind] = tuple(STAGES)) -> Plan:
    known: list[Plan] = []

    def done(step: Step) -> bool:
        return step.kind in kinds and bool(stage(step.kind).done(step, known[0], bench))

    def lost(step: Step) -> str:
        why: Callable[[Step, Bench], str] | None = getattr(stage(step.kind), "lost", None)
        return why(step, bench) if why and step.kind in kinds else ""

    def expect(steps: Sequence[Step]) -> None:
        known.append(Plan(bench.manifest.name, tuple(steps)))
        if tags := [tag for step in steps if isinstance(step.work, PushWork) for tag in step.work.tags]:
            bench.sightings.expect(tags)
        bench.cache.expect([step for step in steps if step.kind in kinds])

    made = make_plan(bench.manifest, resolution.images, done, bench.store.database.last_inputs, lost, expect)
    if "target" in kinds:
        _tell_orphans(bench)
    return bench.cache.told(made)


def _tell_orphans(bench: Bench) -> None:
    """Imports what targets elsewhere need only where there have been any."""
    from pipeline.stages.rolled import rolled

    if rolled(bench):
        from pipeline.stages.places import tell_orphans

        tell_orphans(bench)


def perform(
    bench: Bench,
    plan: Plan,
    report: Reporter,
    kinds: Iterable[StepKind] = tuple(STAGES),
    *,
    fail_fast: bool = False,
) -> Report:
    """Performs a plan's steps of the given kinds. Raises the first step's error after all that could run has run; with
    `fail_fast` after what was under way then has ended.
    """
    with _claimed(bench):
        _count_on(bench, plan)
        ended = Runner(bench, plan, report, frozenset(kinds), fail_fast).go()
    bench.claim.end()
    return ended


def _count_on(bench: Bench, plan: Plan) -> None:
    """Tells whoever clears the store meanwhile, or later, what is needed."""
    from pipeline.store import projects

    images = {step.name for step in plan.steps if step.kind == "image"}
    database = bench.store.database
    if images.issuperset(bench.manifest.images) and not database.read_only:
        ids = [step.id for step in plan.steps]
        projects.note(database, plan.name, bench.manifest.path, ids, time.time())
    if not all(verdict.hit for verdict in plan.verdicts.values()):
        bench.claim.count_on(step.key for step in plan.steps)


__all__ = ["open_bench", "perform", "plan_of", "prepare"]
