"""The plan: pure, made from the manifest, its lock and what is known of earlier results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipeline.manifest.model import Manifest
from pipeline.plan.model import Plan, ResolvedImage, Step, Verdict
from pipeline.plan.steps import steps_of
from pipeline.plan.why import why


def plan(
    manifest: Manifest,
    images: Sequence[ResolvedImage],
    done: Callable[[Step], bool],
    last_inputs: Callable[[str], Mapping[str, str] | None],
    lost: Callable[[Step], str] = lambda _step: "",
    expect: Callable[[Sequence[Step]], None] = lambda _steps: None,
) -> Plan:
    """What a run would do. `done(step)` says whether a step's result is there already; `last_inputs(id)` gives the
    inputs of its last good end; `lost(step)` why the result of inputs that are the same is there no more.
    `expect(steps)` is called first: what they ask of a registry can then be asked at once.
    """
    steps = steps_of(manifest, images)
    expect(steps)
    verdicts: dict[str, Verdict] = {}
    for step in steps:
        # What a step stands on is made first: a miss below is a miss above, whatever the key says.
        if done(step):
            verdicts[step.id] = Verdict(True)
        else:
            before = last_inputs(f"{manifest.name} {step.id}")
            reason = lost(step) if before == step.inputs else ""
            verdicts[step.id] = Verdict(False, reason or why(before, step.inputs))
    return Plan(manifest.name, steps, verdicts)
