"""Plans: which steps there are, what they need, what moves which key, and why a step is a miss."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from plan_values import BASE, CODE, SCIENCE, image, layer, manifest, on, project, target

from pipeline.errors import AssembleError
from pipeline.facts import Facts, Platform
from pipeline.manifest.model import Secret, Serve
from pipeline.plan import plan
from pipeline.plan.model import ResolvedImage, Step
from pipeline.plan.steps import steps_of
from pipeline.plan.why import why
from pipeline.recipe import Assemble


def keys(steps: Iterable[Step]) -> dict[str, str]:
    return {step.id: step.key for step in steps}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {id_ for id_ in before if before[id_] != after.get(id_)}


def test_steps_come_in_an_order_in_which_each_follows_what_it_needs() -> None:
    steps = steps_of(*project())
    assert [step.id for step in steps] == [
        "base slim",
        "layer science",
        "layer code",
        "image scoring",
        "check scoring",
        "tag scoring",
        "target here",
    ]
    seen: set[str] = set()
    for step in steps:
        assert set(step.needs) <= seen
        seen.add(step.id)


def test_a_new_base_moves_no_layer() -> None:
    before = keys(steps_of(*project()))
    whole, (scoring,) = project()
    base = replace(scoring.stack[0], recipes=(replace(BASE, inputs={"packages": []}),))
    after = keys(steps_of(whole, [replace(scoring, stack=(base, *scoring.stack[1:]))]))
    assert moved(before, after) == {"base slim", "image scoring", "check scoring", "tag scoring", "target here"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"env": {"A": "c"}}, {"image scoring", "check scoring", "tag scoring", "target here"}),
        ({"tags": ("v2",)}, {"tag scoring"}),
        ({"user": "0"}, {"image scoring", "check scoring", "tag scoring", "target here"}),
    ],
)
def test_a_setting_moves_what_it_reaches(change: dict[str, Any], expected: set[str]) -> None:
    before = keys(steps_of(*project()))
    whole, (scoring,) = project()
    changed = replace(scoring, image=replace(scoring.image, **change))
    whole = replace(whole, images={"scoring": changed.image})
    assert moved(before, keys(steps_of(whole, [changed]))) == expected


def test_where_inputs_lie_on_this_machine_moves_nothing() -> None:
    whole, (scoring,) = project()
    code = replace(scoring.stack[-1], recipes=(replace(CODE, sources={"app/a.py": "elsewhere/a.py"}),))
    moved_here = replace(scoring, stack=(*scoring.stack[:-1], code))
    assert keys(steps_of(whole, [moved_here])) == keys(steps_of(*project()))


def test_a_layer_that_images_share_is_one_step() -> None:
    science = layer("science", SCIENCE, kind="pip")
    one, two = image("one", science), image("two", science, layer("code", CODE))
    steps = steps_of(manifest(one, two), [one, two])
    assert [step.id for step in steps if step.kind in ("base", "layer")] == ["base slim", "layer science", "layer code"]


def test_a_layer_of_one_name_and_several_contents_becomes_several_steps() -> None:
    other = replace(SCIENCE, inputs={**SCIENCE.inputs, "python": "3.12"})
    third = replace(SCIENCE, inputs={**SCIENCE.inputs, "python": "3.13"})
    images = [
        image("one", layer("science", SCIENCE)),
        image("two", layer("science", other), base="new", recipe=replace(BASE, inputs={"packages": [1]})),
        image("three", layer("science", third), base="new", recipe=replace(BASE, inputs={"packages": [1]})),
    ]
    steps = steps_of(manifest(*images), images)
    layers = [step for step in steps if step.kind == "layer"]
    assert len({step.id for step in layers}) == len({step.key for step in layers}) == 3
    for step in steps:
        if step.kind == "image":
            python = {"one": "3.11", "two": "3.12", "three": "3.13"}[step.name]
            (below,) = [one for one in layers if one.id in step.needs]
            assert below.inputs["python"] == python


def test_platforms_have_steps_of_their_own_and_one_image() -> None:
    _, (scoring,) = project()
    both = [scoring, on(scoring, Platform("linux", "arm64"))]
    steps = steps_of(manifest(scoring), both)
    assert [step.id for step in steps if step.kind == "base"] == ["base slim@linux/amd64", "base slim@linux/arm64"]
    assert len([step for step in steps if step.kind == "image"]) == 1


def test_every_tag_waits_for_every_check() -> None:
    one, two = image("one", layer("code", CODE)), image("two", layer("code", CODE))
    steps = steps_of(manifest(one, two), [one, two])
    for step in steps:
        if step.kind == "tag":
            assert set(step.needs) == {"check one", "check two"}


def test_a_target_of_an_image_that_is_left_out_has_no_step() -> None:
    one, two = image("one", layer("code", CODE)), image("two", layer("code", CODE))
    whole = manifest(one, two, targets={"a": target("a", "one"), "b": target("b", "two")})
    assert [step.id for step in steps_of(whole, [one]) if step.kind == "target"] == ["target a"]


def test_a_service_without_python_is_one_clear_error() -> None:
    scoring = image("scoring", layer("code", CODE), serve=Serve("score.py"))
    bare = [replace(one, facts=Facts(scoring.platform)) for one in scoring.stack]
    with pytest.raises(AssembleError, match="no Python"):
        steps_of(manifest(scoring), [replace(scoring, stack=tuple(bare))])


def test_a_plan_says_hit_or_why_not() -> None:
    whole, images = project()
    made = plan(whole, images, lambda step: step.kind == "base", lambda _id: None)
    assert made.verdicts["base slim"].hit
    assert made.verdicts["image scoring"].why == "first time"
    inputs = {step.id: step.inputs for step in made.steps}
    asked = []

    def last(id_: str) -> dict[str, str]:
        asked.append(id_)
        before = dict(inputs[id_.removeprefix("diabetes ")])
        return {**before, "packer": "0"} if "packer" in before else before

    again = plan(whole, images, lambda _step: False, last)
    assert again.verdicts["layer science"].why.startswith("packer 0 → ")
    assert again.verdicts["tag scoring"].why == "its result is no longer in the store"
    assert "diabetes tag scoring" in asked


def _why(step: str, before: ResolvedImage, now: ResolvedImage, *specs: dict[str, Any]) -> str:
    """Why `step` is a miss after a run of `before`, and `specs` of the target before and now."""
    old, new = specs or ({}, {})
    past = {
        s.id: s.inputs for s in steps_of(manifest(before, targets={"here": target("here", "scoring", **old)}), [before])
    }
    made = plan(
        manifest(now, targets={"here": target("here", "scoring", **new)}),
        [now],
        lambda _step: False,
        lambda id_: past.get(id_.removeprefix("diabetes ")),
    )
    return made.verdicts[step].why


def test_why_names_the_setting_that_changed_and_not_its_neighbours() -> None:
    one, two = layer("code", CODE), layer("science", SCIENCE)
    here = image("scoring", one, two, labels={"a": "1"}, env={"X": "1"})
    assert _why("image scoring", here, image("scoring", two, one, labels={"a": "1"}, env={"X": "1"})) == (
        "order slim code science → slim science code"
    )
    assert _why("image scoring", here, image("scoring", one, two, labels={"a": "2"}, env={"X": "1"})) == (
        "config Labels a 1 → 2"
    )
    assert _why("image scoring", here, image("scoring", one, two, labels={"a": "1"}, env={"X": "2"})) == (
        "config Env X 1 → 2"
    )
    assert _why("target here", here, here, {"port": 8890}, {"port": 8891}) == "port 8890 → 8891"
    assert _why("target here", here, here, {}, {"env": {"DEBUG": "1"}}) == "env DEBUG is new"


def test_why_tells_a_files_mode_as_people_write_it() -> None:
    def code(mode: int) -> ResolvedImage:
        member = {"path": "app/a.py", "digest": "sha256:" + "ef" * 32, "size": 1, "mode": mode}
        return image("scoring", layer("code", Assemble("tree", {"members": [member]})))

    assert _why("layer code", code(0o644), code(0o755)) == ("app/a.py efefefefefef mode 0644 → efefefefefef mode 0755")


def test_no_secret_is_among_the_inputs_that_are_kept() -> None:
    scoring = image("scoring", layer("code", CODE))
    whole = manifest(scoring, targets={"here": target("here", "scoring", env={"TOKEN": Secret("hunter2hunter2")})})
    kept = [text for step in steps_of(whole, [scoring]) for text in step.inputs.values()]
    assert "hunter2" not in json.dumps(kept)


def test_why_names_what_changed_from_what_to_what() -> None:
    assert why(None, {"a": "1"}) == "first time"
    assert why({"numpy": "1.0"}, {"numpy": "2.0"}) == "numpy 1.0 → 2.0"
    assert why({"a": "1", "gone": "x"}, {"a": "1", "new": "y"}) == "gone is gone, new is new"
    many = {str(number): "x" for number in range(5)}
    assert why({}, many) == "0 is new, 1 is new, 2 is new and 2 more"


def test_a_secret_enters_a_key_only_as_a_trace_that_shows_its_change() -> None:
    made, images = project()

    def step_with(text: str) -> Step:
        with_secret = replace(made, targets={"here": target("here", images[0].image.name, env={"TOKEN": Secret(text)})})
        return next(step for step in steps_of(with_secret, images) if step.kind == "target")

    one, other = step_with("hunter2-hunter2"), step_with("rotated-rotated")
    assert one.key != other.key
    assert "hunter2" not in repr(one.inputs)
    assert step_with("hunter2-hunter2").key == one.key
