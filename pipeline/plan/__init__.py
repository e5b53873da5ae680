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
) -> Plan:
    """What a run would do. `done(step)` says whether a step's result is there already; `last_inputs(id)` gives the
    inputs of its last good end.
    """
    steps = steps_of(manifest, images)
    verdicts: dict[str, Verdict] = {}
    for step in steps:
        # What a step stands on is made first: a miss below is a miss above, whatever the key says.
        if done(step):
            verdicts[step.id] = Verdict(True)
        else:
            verdicts[step.id] = Verdict(False, why(last_inputs(f"{manifest.name} {step.id}"), step.inputs))
    return Plan(manifest.name, steps, verdicts)
