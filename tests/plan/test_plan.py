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
from pipeline.manifest.model import Checks, Secret, Serve
from pipeline.plan import plan
from pipeline.plan.inputs import recipe_inputs
from pipeline.plan.model import ResolvedImage, Step
from pipeline.plan.steps import steps_of
from pipeline.plan.why import changes, told, why, words
from pipeline.recipe import Assemble, Borrow, Execute, Recipe


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
        "label a 1 → 2"
    )
    assert _why("image scoring", here, image("scoring", one, two, labels={"a": "1"}, env={"X": "2"})) == ("env X 1 → 2")
    assert _why("target here", here, here, {"port": 8890}, {"port": 8891}) == "port 8890 → 8891"
    assert _why("target here", here, here, {}, {"env": {"DEBUG": "1"}}) == "env DEBUG is new"


def test_why_tells_a_files_mode_as_people_write_it() -> None:
    def code(mode: int) -> ResolvedImage:
        member = {"path": "app/a.py", "digest": "sha256:" + "ef" * 32, "size": 1, "mode": mode}
        return image("scoring", layer("code", Assemble("tree", {"members": [member]})))

    assert _why("layer code", code(0o644), code(0o755)) == "app/a.py mode 0644 → 0755"


def test_no_secret_is_among_the_inputs_that_are_kept() -> None:
    scoring = image("scoring", layer("code", CODE))
    whole = manifest(scoring, targets={"here": target("here", "scoring", env={"TOKEN": Secret("hunter2hunter2")})})
    kept = [text for step in steps_of(whole, [scoring]) for text in step.inputs.values()]
    assert "hunter2" not in json.dumps(kept)


def test_why_names_what_changed_from_what_to_what() -> None:
    assert why(None, {"a": "1"}) == "first time"
    assert "older version" in why({}, {"a": "1"})
    assert why({"user": "0"}, {"user": "1000"}) == "user 0 → 1000"
    assert why({"a": "1", "gone": "x"}, {"a": "1", "new": "y"}) == "gone is gone, new is new"
    many = {str(number): "x" for number in range(5)}
    assert why({"a": "x"}, {**many, "a": "x"}) == "0 is new, 1 is new, 2 is new and 2 more"
    assert why({"a": "x"}, {**many, "a": "x"}, most=9).count("is new") == 5


def test_why_tells_packages_by_version_and_steps_by_name() -> None:
    before = {"package numpy": "2.1.0 aaaaaaaaaaaa", "package six": "1.0 bbbbbbbbbbbb", "layer code": "0123456789ab"}
    assert why(before, {**before, "package numpy": "2.2.0 cccccccccccc"}) == "numpy 2.1.0 → 2.2.0"
    assert why(before, {**before, "package six": "1.0 cccccccccccc"}) == "six 1.0 is another file"
    assert why(before, {**before, "package new": "3.0 cccccccccccc"}) == "new 3.0 is new"
    assert why(before, {**before, "layer code": "ba9876543210"}) == "because layer code changes"
    under = {**before, "base slim": "0123456789ab"}
    both = {**before, "layer code": "ba9876543210", "base slim": "ba9876543210", "package six": "2.0 cccccccccccc"}
    assert why(under, both) == "six 1.0 → 2.0, because base slim and layer code change"


def test_why_tells_of_layers_by_the_manifests_names_and_not_part_by_part() -> None:
    parts = {f"layer science/{part}@linux/amd64": "0123456789ab" for part in ("numpy", "small", "bytecode-small")}
    other = dict.fromkeys(parts, "ba9876543210")
    assert why({"env A": "1", **parts}, {"env A": "2", **other}) == (
        "env A 1 → 2, because layer science@linux/amd64 changes"
    )
    assert told(changes(parts, other), 9, parts=True).count("layer science/") == 3
    assert (
        why({"layer code": "0123456789ab"}, {"layer text": "0123456789ab"}) == "layer code is gone, layer text is new"
    )
    one_more = {**parts, "layer science/big@linux/amd64": "0123456789ab"}
    assert why(parts, one_more) == "because layer science@linux/amd64 changes"


def test_what_only_says_that_something_changed_is_told_last() -> None:
    before = {"content": "#aaaaaaaaaaaa", "order": "a b", "package libssl3": "3.0.1"}
    assert why(before, {**before, "content": "#bbbbbbbbbbbb"}) == "content changed"
    assert why(before, {"content": "#b", "order": "b a", "package libssl3": "3.0.2"}) == "libssl3 3.0.1 → 3.0.2"


def test_what_a_conda_layer_tells_of_all_its_packages_is_told_last() -> None:
    before = {"history": "#aaaaaaaaaaaa", "package lib": "1.0 aaaaaaaaaaaa"}
    now = {"history": "#bbbbbbbbbbbb", "package extra": "1.0 aaaaaaaaaaaa", "spec extra": "", **before}
    assert why(before, {**now, "history": "#bbbbbbbbbbbb"}) == "extra 1.0 is new"


def test_lists_and_sizes_are_told_as_people_write_them() -> None:
    one, two = (
        image("scoring", layer("code", CODE), command=command, checks=Checks(imports=imports, size=size))
        for command, imports, size in (
            (("python3", "-m", "app server"), ("a",), 900_000_000),
            (("python3", "app.py"), ("a", "b"), 1_500_000_001),
        )
    )
    assert _why("image scoring", one, two) == "entrypoint python3 -m 'app server' → python3 app.py"
    assert (
        _why("check scoring", one, two) == "import b is new, size 900 MB → 1500000001 B, because image scoring changes"
    )


def test_of_a_secret_only_its_change_is_told() -> None:
    (change,) = changes({"env TOKEN": "secret 01234567"}, {"env TOKEN": "secret 89abcdef"})
    assert (change.before, change.now) == ("(secret)", "(secret)")
    assert words(change) == "env TOKEN changed"


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (Execute(("sh",), {"commands": ["a", "b"]}), Execute(("sh",), {"commands": ["a", "c"]}), "command b is gone"),
        (Execute(("sh",), {}, env={"A": "1"}), Execute(("sh",), {}, env={"A": "2"}), "env A 1 → 2"),
        (Execute(("sh",), {}, user="0"), Execute(("sh",), {}, user="1"), "user 0 → 1"),
        (Execute(("sh", "-c"), {}), Execute(("bash", "-c"), {}), "content changed"),
        (Execute(("x",), {"packages": ["fuse=1"]}), Execute(("y",), {"packages": ["fuse=2"]}), "fuse 1 → 2"),
        (Assemble("tree", {}), Assemble("tree", {}, compression="none"), "compression zstd → none"),
        (
            Assemble("bytecode", {"packages": ["ab" * 32]}),
            Assemble("bytecode", {"packages": ["cd" * 32]}),
            "numpy 2.1 → 2.2",
        ),
    ],
)
def test_what_moves_the_key_of_a_recipe_is_told(before: Recipe, now: Recipe, expected: str) -> None:
    locked = [{"name": "numpy", "version": v, "sha256": s} for v, s in (("2.1", "ab" * 32), ("2.2", "cd" * 32))]
    assert expected in why(recipe_inputs(before, locked), recipe_inputs(now, locked))


def test_an_image_from_elsewhere_is_told_by_its_packages() -> None:
    def inputs(digest: str, version: str) -> dict[str, str]:
        recipe = Borrow(({"diff_id": f"sha256:{digest * 64}"},))
        return recipe_inputs(
            recipe, {"reference": "python:3.11", "digest": f"sha256:{digest * 64}"}, {"libc6": version}
        )

    assert why(inputs("a", "2.36"), inputs("b", "2.37")) == (
        "libc6 2.36 → 2.37, reference python:3.11@aaaaaaaaaaaa → python:3.11@bbbbbbbbbbbb"
    )


def _lost(layer_recipe: Recipe) -> dict[str, str]:
    """Why each step is a miss, when the result of a layer is gone from a store that has all else."""
    scoring = image("scoring", layer("code", layer_recipe))
    whole = manifest(scoring, targets={"here": target("here", "scoring")})
    known = {step.id: step.inputs for step in steps_of(whole, [scoring])}
    made = plan(
        whole,
        [scoring],
        lambda step: step.id not in ("layer code", "image scoring"),
        lambda id_: known[id_.removeprefix("diabetes ")],
    )
    return {id_: verdict.why for id_, verdict in made.verdicts.items() if not verdict.hit}


def test_what_holds_a_layer_that_is_executed_again_is_a_miss() -> None:
    assert _lost(Execute(("sh",), {})) == {
        "layer code": "its result is no longer in the store",
        "image scoring": "because layer code is made again",
        "check scoring": "because image scoring is made again",
        "tag scoring": "because image scoring is made again",
        "target here": "because image scoring is made again",
    }


def test_what_holds_a_layer_that_comes_out_the_same_stays_a_hit() -> None:
    assert _lost(CODE) == {
        "layer code": "its result is no longer in the store",
        "image scoring": "because layer code is made again",
    }


def test_a_secret_enters_a_key_only_as_a_trace_that_shows_its_change() -> None:
    made, images = project()

    def step_with(text: str) -> Step:
        with_secret = replace(made, targets={"here": target("here", images[0].image.name, env={"TOKEN": Secret(text)})})
        return next(step for step in steps_of(with_secret, images) if step.kind == "target")

    one, other = step_with("hunter2-hunter2"), step_with("rotated-rotated")
    assert one.key != other.key
    assert "hunter2" not in repr(one.inputs)
    assert step_with("hunter2-hunter2").key == one.key
