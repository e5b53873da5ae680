"""What a plan would change on each target: what is live there now, what would be, and whether the service restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pipeline.digest import short
from pipeline.errors import PipelineError
from pipeline.noun import noun
from pipeline.plan.model import Change, Plan, Step, TargetWork
from pipeline.plan.why import names_step
from pipeline.stages.bench import Bench
from pipeline.targets.model import State
from pipeline.targets.remote import Difference, RemoteTarget

if TYPE_CHECKING:
    from pipeline.targets.model import Target

Does = Literal["nothing", "changes", "starts", "restarts", "may restart"]
"""`changes`: what runs goes on running; `may restart`: whether anything runs cannot be told."""
_DOES: Mapping[State, Does] = {"running": "restarts", "starting": "restarts", "unknown": "may restart"}


@noun
class Effect:
    """What would happen on a target. `state` and `revision` are what is observed now, `live` the image's digest there;
    `image` is the digest wanted, empty while the image is still to be made. `changes` are settings of the service;
    `differences` is what would be otherwise there, field by field, where the target tells.
    """

    target: str
    does: Does
    state: str = ""
    revision: str = ""
    live: str = ""
    image: str = ""
    changes: tuple[Change, ...] = ()
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`restarts on sha256:3f9c…`; the settings that change are among the reasons of its step."""
        if self.does == "nothing":
            return ""
        if not self.image:
            return f"{self.does} on a new image" if self.live else self.does
        return self.does if self.image == self.live else f"{self.does} on sha256:{short(self.image)}…"


def effects(bench: Bench, plan: Plan) -> dict[str, Effect]:
    """By step, for each target of the plan; only those are asked what is live that would change."""
    steps = [step for step in plan.steps if isinstance(step.work, TargetWork)]
    return {step.id: _effect(step, plan, bench) for step in steps}


def _effect(step: Step, plan: Plan, bench: Bench) -> Effect:
    from pipeline.stages.release import target_of

    assert isinstance(step.work, TargetWork)
    if plan.verdicts[step.id].hit:
        return Effect(step.name, "nothing")
    target = target_of(bench, step.work.target)
    live = target.observe()
    does = _DOES.get(live.state, "starts")
    settings = tuple(change for change in plan.verdicts[step.id].changes if not names_step(change))
    image = _pushed(step.work, plan, bench) if step.work.pushed else _image(step.work.built, plan, bench)
    revision, fields = _differences(step, target, plan, bench) if live.state != "unknown" else ("", ())
    if does == "restarts" and live.revision == revision and fields and not any(one.restarts for one in fields):
        does = "changes"
    return Effect(step.name, does, live.state, live.revision, live.image, image, settings, tuple(map(str, fields)))


def _differences(step: Step, target: Target, plan: Plan, bench: Bench) -> tuple[str, Sequence[Difference]]:
    """Of a target elsewhere, with the revision wanted; while the image is still to be made, as if it stayed the one
    that passed last: then with none.
    """
    from pipeline.stages.release import verified
    from pipeline.stages.wanted import is_pushed, wanted_release

    assert isinstance(step.work, TargetWork)
    if not isinstance(target, RemoteTarget):
        return "", ()
    try:
        revision = ""
        if is_pushed(step.work, plan):
            wanted = wanted_release(step, plan, bench)
            revision = wanted.revision
        elif passed := verified(bench, target).get(step.work.service):
            spec = dict(step.work.target.spec)
            wanted = replace(passed, settings=spec, port=spec.get("port", passed.port))
        else:
            return "", ()
        return revision, target.differences(wanted)
    except PipelineError as error:
        # A plan is of use without.
        bench.warn_once(f"what would change on target {step.name} cannot be told: {error}")
        return "", ()


def _pushed(work: TargetWork, plan: Plan, bench: Bench) -> str:
    """The digest of the image in its registry, once it is there."""
    record = bench.store.database.record(plan.step(work.pushed).key) if plan.verdicts[work.pushed].hit else None
    return str(record["image"]["digest"]) if record else ""


def _image(built: str, plan: Plan, bench: Bench) -> str:
    """The digest of the image for this machine, once it is made."""
    if not plan.verdicts[built].hit or (record := bench.store.database.record(plan.step(built).key)) is None:
        return ""
    from pipeline.facts import Platform
    from pipeline.oci.descriptor import Descriptor
    from pipeline.stages.bench import machine_platform
    from pipeline.store.lookup import Found, choose

    found = Found(built, "", Descriptor.from_json(record["image"]))
    try:
        return choose(bench.store, found, None, Platform.parse(machine_platform())).descriptor.digest
    except PipelineError:
        # Its documents are elsewhere, in a shared cache: the index's digest tells as much.
        return str(record["image"]["digest"])
