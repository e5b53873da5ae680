"""What a new base image from elsewhere moves: only what truly depends on its content."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plan_values import CODE, image, layer, manifest

from pipeline.layers import pip
from pipeline.plan.steps import steps_of
from pipeline.recipe import Assemble, Borrow, Recipe

WHEELS = {"python": "3.11", "platform": "manylinux_2_36_x86_64"}
LOCKED = {**WHEELS, "wheels": [{"file": "numpy-2.0-cp311-cp311-manylinux_2_17_x86_64.whl", "sha256": "cd" * 32}]}
READS = Assemble("deb", {"packages": []}, needs_root=True)


def keys(base: str, *recipes: Recipe) -> dict[str, str]:
    """The keys on an image whose one layer begins with these digits."""
    borrowed = Borrow(({"diff_id": f"sha256:{base * 32}", "blob": {}},))
    stack = [replace(layer("science", CODE, kind="pip"), recipes=recipes)]
    steps = steps_of(manifest(), [image("scoring", *stack, recipe=borrowed)])  # type: ignore[arg-type]
    return {step.id: step.key for step in steps if step.kind in ("base", "layer")}


def of_pip(**spec: Any) -> list[Recipe]:
    science = layer("science", CODE, kind="pip")
    return list(pip.recipes(spec, LOCKED, science.parent))


def test_wheels_and_their_bytecode_know_nothing_of_the_base() -> None:
    before, after = keys("ab", *of_pip()), keys("cd", *of_pip())
    assert len(before) == 3
    assert {id_ for id_ in before if before[id_] != after[id_]} == {"base slim"}


def test_what_reads_the_files_below_is_made_anew() -> None:
    before, after = keys("ab", READS), keys("cd", READS)
    assert {id_ for id_ in before if before[id_] != after[id_]} == {"base slim", "layer science"}
