"""What waits for what, when some of it is there already."""

from __future__ import annotations

from dataclasses import replace

from plan_values import project

from pipeline.errors import Location
from pipeline.plan.model import Plan
from pipeline.plan.steps import steps_of
from pipeline.plan.waits import in_turns, waits


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


def test_what_can_be_made_alone_waits_for_nothing_and_what_stands_on_it_for_all() -> None:
    plan = Plan("diabetes", steps_of(*project()))
    every = {step.id for step in plan.steps}
    needing = next(step for step in plan.steps if step.kind == "image")
    found = waits(plan, every, lambda step: step is needing)
    assert found[needing.id] == ()
    above = next(step for step in plan.steps if needing.id in step.needs)
    assert set(found[above.id]) >= {needing.id, *needing.needs}


def test_entries_take_turns_and_keep_their_own_order() -> None:
    first, *_ = (step for step in steps_of(*project()) if step.kind == "layer")
    other = replace(first, place=Location("other.yaml", 7))
    parts = [replace(first, id=f"part {number}") for number in range(3)]
    assert [step.id for step in in_turns([*parts, other])] == ["part 0", other.id, "part 1", "part 2"]
