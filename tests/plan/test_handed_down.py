"""What an image hands down to one that is built on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plan_values import CODE, FACTS, SCIENCE, image, layer

from pipeline.manifest.model import Serve
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.plan.runtime import runtime


def on_top(below: ResolvedImage, *layers: ResolvedEntry, **settings: Any) -> ResolvedImage:
    own = image("top", *layers, base=below.image.name, **settings)
    return replace(own, stack=(*below.stack, *layers), below=below)


def env(resolved: ResolvedImage) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in runtime(resolved)["Env"])


def test_an_image_hands_down_what_the_one_on_top_leaves_open() -> None:
    below = image("server", serve=Serve("score.py"), env={"A": "1", "B": "1"}, user="1000", labels={"a": "1", "b": "1"})
    above = runtime(on_top(below, layer("code", CODE), env={"B": "2"}, labels={"b": "2"}))
    for name in ("Entrypoint", "User", "WorkingDir", "ExposedPorts", "StopSignal"):
        assert above[name] == runtime(below)[name], name
    assert above["Labels"] == {"a": "1", "b": "2"}
    assert {"A=1", "B=2"} <= set(above["Env"])


def test_the_image_on_top_has_the_last_word_on_what_runs() -> None:
    below = image("server", serve=Serve("score.py"))
    assert runtime(on_top(below, command=("sh",)))["Entrypoint"] == ["sh"]


def test_path_names_a_folder_once_and_a_new_layer_wins_over_the_image_below() -> None:
    facts = replace(FACTS, path=("/opt/x/bin",), env={"HOME_OF_X": "/opt/x", "MODE": "x"})
    tool = replace(layer("tool", SCIENCE), facts=facts)
    below = replace(image("below", env={"MODE": "mine"}), stack=(*image("below").stack, tool))
    same = replace(layer("code", CODE), facts=facts)
    assert env(on_top(below, same))["PATH"].split(":").count("/opt/x/bin") == 1
    assert env(on_top(below, same))["MODE"] == "mine"
    newer = replace(layer("tool2", CODE), facts=replace(facts, env={"HOME_OF_X": "/opt/x", "MODE": "y"}))
    assert env(on_top(below, newer))["MODE"] == "y"
