"""What waits for what, when some of it is there already."""

from __future__ import annotations

from plan_values import project

from pipeline.plan.model import Plan
from pipeline.plan.steps import steps_of
from pipeline.plan.waits import waits


def test_a_rollout_waits_for_its_image_though_the_tag_is_there() -> None:
    plan = Plan("diabetes", steps_of(*project()))
    assert waits(plan, {"layer code", "image scoring", "target here"}) == {
        "layer code": (),
        "image scoring": ("layer code",),
        "target here": ("image scoring",),
    }


def test_what_is_there_is_waited_for_by_nobody() -> None:
    plan = Plan("diabetes", steps_of(*project()))
    assert waits(plan, {"target here"}) == {"target here": ()}
    every = waits(plan, {step.id for step in plan.steps})
    assert all(set(every[step.id]) == set(step.needs) for step in plan.steps)
