"""The plan: pure, made from the manifest, its lock and what is known of earlier results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from pipeline.manifest.model import Manifest
from pipeline.plan.model import ImageWork, LayerWork, Plan, ResolvedImage, Step, Verdict, executes
from pipeline.plan.steps import steps_of
from pipeline.plan.why import changes, listed, why


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
    again: set[str] = set()
    for step in steps:
        if redone := _redone(step, again):
            again.add(step.id)
            verdicts[step.id] = Verdict(
                False, f"because {listed(redone)} {'is' if len(redone) == 1 else 'are'} made again"
            )
        elif done(step):
            verdicts[step.id] = Verdict(True)
        else:
            before = last_inputs(f"{manifest.name} {step.id}")
            verdicts[step.id] = _miss(step, before, lost, verdicts)
            if before == step.inputs and executes(step.work):
                again.add(step.id)
    return Plan(manifest.name, steps, verdicts)


def _miss(
    step: Step, before: Mapping[str, str] | None, lost: Callable[[Step], str], below: Mapping[str, Verdict]
) -> Verdict:
    if before != step.inputs:
        return Verdict(False, why(before, step.inputs), changes(before, step.inputs) if before else ())
    if step.kind == "image" and (misses := [need for need in step.needs if not below[need].hit]):
        return Verdict(False, f"because {listed(misses)} {'is' if len(misses) == 1 else 'are'} made again")
    return Verdict(False, lost(step) or why(before, step.inputs))


def _redone(step: Step, again: Collection[str]) -> list[str]:
    """What a step's result holds that is executed again: its key is the same, and yet it may come out different."""
    if not again or isinstance(step.work, LayerWork):
        return []
    parts = step.needs if isinstance(step.work, ImageWork) else (step.work.built,)
    return [part for part in parts if part in again]
