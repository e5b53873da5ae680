"""Stage: makes an image live on a target, through the gate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from pipeline import reference
from pipeline.errors import OutOfReach, StoreError, UsageError
from pipeline.kinds import find, is_remote
from pipeline.manifest.model import Entry, Image
from pipeline.plan.model import Plan, PushWork, Step, TargetWork
from pipeline.stages import gate
from pipeline.stages.bench import Bench, Result
from pipeline.stages.image import superseded
from pipeline.stages.verified import VerifiedFiles
from pipeline.stages.wanted import from_record, known_by, mounts_of, pushed_of
from pipeline.targets.model import Release, Target
from pipeline.targets.remote import Account, RemoteTarget, Surroundings

if TYPE_CHECKING:
    from pipeline.targets.remote import Verified


def target_of(bench: Bench, entry: Entry) -> Target:
    """The place that a manifest's target entry names."""
    service = service_name(bench, entry)
    kind = find("targets", entry.kind)
    if is_remote(entry.kind):
        return cast(Target, kind.target(service, entry.spec, surroundings(bench, entry)))
    made = kind.target(service, entry.spec, state=bench.home.state, roots=bench.store.roots, environ=bench.environ)
    return cast(Target, made)


def surroundings(bench: Bench, entry: Entry) -> Surroundings:
    """What kinds of targets elsewhere are given."""

    def account(image: str) -> Account | None:
        where = reference.parse(image)
        found = bench.registries.given_credential(where)
        # Who signs in by a token of an hour is no pull secret: clusters have rights of their own then.
        given = found and found.username and found.password.reveal()
        return Account(where.registry, found.username, found.password) if found and given else None

    return Surroundings(
        state=bench.home.state,
        folder=bench.manifest.path.parent,
        environ=bench.environ,
        account=account,
        say=lambda text: bench.say(f"target {entry.name}", text),
        clock=time.time,
        wait=bench.pause,
    )


def service_name(bench: Bench, entry: Entry) -> str:
    return f"{bench.manifest.name}-{entry.name}"


def verified(bench: Bench, target: Target | None = None) -> Verified:
    """What last passed the gate, for each service: kept where the target runs, else on this machine."""
    there = target.verified() if isinstance(target, RemoteTarget) else None
    return there or VerifiedFiles(bench.home.state / "verified")


def _pinned(step: Step, bench: Bench, kept: Verified) -> Release | None:
    """The release that is to stay, whatever the manifest says by now; None for none."""
    assert isinstance(step.work, TargetWork)
    service = step.work.service
    if not (revision := kept.pinned(service)):
        return None
    lift = f"'pipeline rollback {bench.manifest.path.name} {step.name} --lift' lets runs roll out again"
    bench.warn_once(f"target {step.name} is pinned to revision {revision}: {lift}")
    release = next((one for one in kept.history(service) if one.revision == revision), None)
    if release is None:
        raise StoreError(
            f"target {step.name} is pinned to revision {revision}, which is not kept any more", remedy=lift
        )
    return release


def done(step: Step, plan: Plan | None, bench: Bench) -> bool:
    """Whether the release runs and is healthy now; the record under its key only says which image that is.

    A target elsewhere where it is to be rolled out, and cannot be, is told of at once: UsageError, a warning where the
    plan is only looked at.
    """
    try:
        return _is_live(step, plan, bench)
    except StoreError:
        # The image is gone or damaged, and made again first.
        return False
    except OutOfReach as error:
        # A run says at its rollout what is out of reach still.
        bench.warn_once(f"what is live on target {step.name} cannot be told: {error}")
    except UsageError as error:
        if not bench.looks_only:
            error.place = error.place or step.place
            raise
        bench.warn_once(f"target {step.name} cannot be rolled out as things are: {error}")
    return False


def _is_live(step: Step, plan: Plan | None, bench: Bench) -> bool:
    assert isinstance(step.work, TargetWork)
    entry, service = step.work.target, step.work.service
    target = target_of(bench, entry)
    if not isinstance(target, RemoteTarget):
        return _serves(step, plan, bench, target)
    # Only now, as below: what runs on this machine needs none of it.
    from pipeline.stages import places

    scores, image = step.work.image.checks.score is not None, _repository(step.work, plan)
    try:
        live = _serves(step, plan, bench, target)
    except UsageError:
        # It may know more: every right that is missing, not just the first.
        target.check(mounts=step.work.volumes, scores=scores, image=image)
        raise
    if live:
        places.note(bench, entry, service, target)
    places.tell(bench, entry, service, target)
    if not live:
        target.check(mounts=step.work.volumes, scores=scores, image=image)
    return live


def _repository(work: TargetWork, plan: Plan | None) -> str:
    """Where its image is pushed to; empty where that is not known."""
    push = plan.step(work.pushed).work if plan and work.pushed else None
    return str(push.where) if isinstance(push, PushWork) else ""


def _serves(step: Step, plan: Plan | None, bench: Bench, target: Target) -> bool:
    """Whether what is wanted, or pinned, is live and healthy."""
    assert isinstance(step.work, TargetWork)
    kept = verified(bench, target)
    if pinned := _pinned(step, bench, kept):
        return gate.is_live(target, pinned, kept)
    record = bench.store.database.record(step.key)
    if record is None or superseded(record["image"]["digest"], step.work.built, plan, bench):
        return False
    return gate.is_live(target, known_by(step, bench, record), kept)


def lost(step: Step, bench: Bench) -> str:
    """What is live in place of what was rolled out."""
    from pipeline.stages.drift import drift, told

    assert isinstance(step.work, TargetWork)
    target = target_of(bench, step.work.target)
    seen = target.observe()
    if seen.state == "absent":
        return "nothing runs there"
    if seen.state == "unknown":
        return f"the target does not tell: {seen.detail}"
    passed = verified(bench, target).get(step.work.service)
    if passed is not None and passed.revision == seen.revision and (drifted := drift(target, passed)):
        return f"it was changed: {told(drifted)}"
    if seen.state != "running":
        return f"the service is {seen.state}" + (f": {seen.detail}" if seen.detail else "")
    if passed is None or passed.revision != seen.revision:
        return f"revision {seen.revision} is live, which passed no checks here"
    return "another revision is live"


def going_to(step: Step, plan: Plan, bench: Bench) -> str:
    """The revision that `run` would roll out; empty while what it is made of is not there."""
    try:
        return from_record(step, bench, _record(step, plan, bench)).revision
    except StoreError:
        return ""


def _record(step: Step, plan: Plan, bench: Bench) -> dict[str, Any]:
    """What a target gets, as its record keeps it."""
    assert isinstance(step.work, TargetWork)
    image = bench.record(plan.step(step.work.built))["image"]
    if step.work.pushed:
        return {"image": image, **pushed_of(step.work, plan, bench)}
    mounts = [mount.to_json() for mount in mounts_of(step.work.mounts, plan, bench)]
    return {"image": image, "mounts": mounts}


def run(step: Step, plan: Plan, bench: Bench) -> Result:
    assert isinstance(step.work, TargetWork)
    record = _record(step, plan, bench)
    target = target_of(bench, step.work.target)
    kept = verified(bench, target)
    wanted = _pinned(step, bench, kept) or from_record(step, bench, record)
    outcome = roll_out(bench, step.work.target, target, wanted, kept, step.work.image)
    if isinstance(target, RemoteTarget):
        from pipeline.stages import places

        places.note(bench, step.work.target, wanted.service, target)
    address = outcome.observation.address
    where = f" {outcome.observation.detail}" if outcome.observation.detail else ""
    scored = f", scored in {outcome.score.milliseconds:.0f} ms" if outcome.score else ""
    # Which revisions a service had is known by its records: the last ones stay when the store is cleared.
    return Result({**record, "address": address, "service": wanted.service}, title=f"{address}  healthy{where}{scored}")


def roll_out(
    bench: Bench, entry: Entry, target: Target, wanted: Release, kept: Verified, image: Image, back: bool = False
) -> gate.Outcome:
    """Passes a release through the gate, within the time that the target gives it; `back` for an earlier one."""
    health = entry.spec.get("health") or {}
    deadline = health.get("deadline", getattr(find("targets", entry.kind), "DEADLINE", gate.DEADLINE))
    wait = bench.pause if is_remote(entry.kind) else time.sleep
    score = image.checks.score
    return gate.release(target, wanted, verified=kept, deadline=deadline, score=score, back=back, wait=wait)


def put_back(bench: Bench, entry: Entry, target: Target, chosen: Release, kept: Verified) -> gate.Outcome:
    """Rolls an earlier release out as a whole, and pins it: what it replaces goes to the end of the history."""
    before = kept.get(chosen.service)
    image = bench.manifest.images[entry.spec["image"]]
    outcome = roll_out(bench, entry, target, chosen, kept, image, back=True)
    kept.pin(chosen.service, chosen.revision)
    if before and before.revision != chosen.revision:
        kept.demote(chosen.service, before.revision)
    return outcome
