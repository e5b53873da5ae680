"""Models that a target provides: in no image, and in the key of what runs them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plan_values import CODE, NOWHERE, image, layer, manifest, target

from pipeline.manifest.model import Checks, Push, Registry, Serve
from pipeline.plan.model import CheckWork, ImageWork, LayerWork, PushWork, Step, TargetWork
from pipeline.plan.steps import steps_of
from pipeline.recipe import Assemble, Execute

PLACE = "/var/azureml-app/azureml-models/m/1"


def steps(content: str, place: str = PLACE, **far: Any) -> dict[str, Step]:
    """The steps of an image with a model below its code and a command above it."""
    member = {"path": f"{PLACE[1:]}/m", "digest": f"sha256:{content * 64}", "size": 1}
    weights = layer("weights", replace(CODE, inputs={"members": [member]}, mount=place), kind="model")
    entry = replace(weights.entry, spec={"name": "m", "path": "m"})
    weights = replace(weights, entry=entry)
    tool = layer("tool", Execute(("true",), {}), kind="run")
    pushed = Push("prod", "ml/scoring", ("v1",)) if far else None
    wanted = image(
        "scoring", weights, tool, layer("code", CODE), serve=Serve("s.py"), checks=Checks(score={}), push=pushed
    )
    targets = {"here": target("here", "scoring", port=1)}
    if far:
        targets["far"] = replace(target("far", "scoring"), kind="kubernetes", spec={"image": "scoring", **far["spec"]})
    whole = replace(manifest(wanted, targets=targets), registries={"prod": Registry("prod", "registry.example.com")})
    assert whole.targets["here"].location is NOWHERE
    return {step.id: step for step in steps_of(whole, [wanted])}


def test_a_new_model_changes_no_image_and_is_checked_before_it_goes_live() -> None:
    before, after = steps("a"), steps("b")
    assert {id_ for id_ in before if before[id_].key != after[id_].key} == {
        "layer weights",
        "check scoring",
        "target here",
    }
    assert {"layer weights", "check scoring"} <= set(after["target here"].needs)
    assert after["target here"].inputs["layer weights"] == after["layer weights"].key[:12]


def test_the_image_and_commands_are_without_it_and_what_runs_has_it() -> None:
    made = {id_: step.work for id_, step in steps("a").items()}
    whole, check, here = made["image scoring"], made["check scoring"], made["target here"]
    assert isinstance(whole, ImageWork) and isinstance(check, CheckWork) and isinstance(here, TargetWork)
    assert whole.stacks[0][1] == ("base slim", "layer tool", "layer code")
    assert f"AZUREML_MODEL_DIR={PLACE}" in whole.stacks[0][2]["Env"]
    assert check.mounts == here.mounts == ("layer weights",)
    assert steps("a")["layer tool"].needs == ("base slim",)


def test_a_model_in_the_image_is_made_by_the_same_step() -> None:
    assert steps("a", place="")["layer weights"].key == steps("a")["layer weights"].key
    assert steps("a", place="")["image scoring"].key != steps("a")["image scoring"].key


def test_a_target_elsewhere_gets_the_model_as_an_image_of_its_own() -> None:
    before, after = steps("a", spec={"port": 1}), steps("b", spec={"port": 1})
    far, push, made = (after[id_].work for id_ in ("target far", "push scoring+weights", "layer weights/volume"))
    assert isinstance(far, TargetWork) and isinstance(push, PushWork) and isinstance(made, LayerWork)
    assert far.volumes == {PLACE: "push scoring+weights"}
    assert far.mounts == ()
    assert {"push scoring+weights", "tag scoring+weights", "check scoring"} <= set(after["target far"].needs)
    assert str(push.where) == "registry.example.com/ml/scoring"
    assert isinstance(made.recipe, Assemble)
    assert [member["path"] for member in made.recipe.inputs["members"]] == ["m"]
    # No tag moves before it is there, and a new model leaves the image and its push as they are.
    assert "push scoring+weights" in after["tag scoring"].needs
    same = {id_ for id_ in before if before[id_].key == after[id_].key}
    assert {"image scoring", "push scoring", "tag scoring"} <= same
    assert before["target far"].key != after["target far"].key
    tags = [step["push scoring+weights"].work.tags for step in (before, after)]  # type: ignore[union-attr]
    assert tags[0] != tags[1]


def test_a_volume_that_the_settings_put_there_takes_its_place() -> None:
    made = steps("a", spec={"volumes": {PLACE: {"claim": "models"}}})
    assert not [id_ for id_ in made if "weights/volume" in id_ or "+" in id_]
    far = made["target far"].work
    assert isinstance(far, TargetWork)
    assert far.volumes == {}
