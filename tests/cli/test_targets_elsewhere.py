"""Targets elsewhere by the command line: what is told before anything is built, what was left, what a plan says."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

import registry_server
from registry_server import RealRegistry

from pipeline.targets.remote import Difference


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with registry_server.running() as found:
        yield found


@pytest.fixture
def far(shop: Any, registry: RealRegistry) -> Iterator[Any]:
    """A project whose target is a room elsewhere, and the kind's module, as the command line has it."""
    text = (shop.folder / "pipeline.yaml").read_text()
    text = text.replace("    tags: [v1]\n", "    tags: [v1]\n    push: {to: here, repository: shop/far}\n")
    text = text.replace("remembered: {image: web, port: 8890}", "far: {image: web}")
    shop.write("pipeline.yaml", f'{text}registries:\n  here: {{address: "{registry.address}"}}\n')
    import offline_far

    yield offline_far
    offline_far.clear()


def room(name: str) -> tuple[str, str]:
    return "--set", f"targets.here.far.room={name}"


def test_what_is_refused_is_told_before_anything_is_built(shop: Any, far: Any) -> None:
    far.REFUSED.add("one")
    ended = shop("plan")
    assert ended.code == 0
    assert "target here cannot be rolled out as things are: nobody may enter one" in ended.err
    ended = shop("run")
    assert ended.code == 2
    assert "nobody may enter one" in ended.err
    assert "0 hits" in shop("plan").out
    assert shop("run", "--no-deploy").code == 0


def test_what_a_target_left_is_told_until_it_is_gone(shop: Any, far: Any) -> None:
    assert shop("run").code == 0
    said = "warning: target here has left room one, where it is running: empty one; or put the target back"
    assert said in shop("plan", *room("two")).err
    ended = shop("run", *room("two"))
    assert ended.code == 0
    assert said in ended.err
    assert said in shop("run", *room("two")).err
    del far.ROOMS["one"]
    assert "has left" not in shop("run", *room("two")).err
    far.ROOMS["one"] = far.ROOMS["two"]
    assert "has left" not in shop("run", *room("two")).err


def test_a_place_that_cannot_be_asked_is_told_once(shop: Any, far: Any) -> None:
    assert shop("run").code == 0
    far.CLOSED.add("one")
    said = "has left room one, which does not tell whether it still runs"
    assert said in shop("plan", *room("two")).err
    assert said in shop("run", *room("two")).err
    assert said not in shop("run", *room("two")).err


def test_a_plan_says_whether_what_runs_goes_on(shop: Any, far: Any) -> None:
    assert "here starts" in shop("plan").out
    assert shop("run").code == 0
    assert "nothing to do" in shop("plan").out
    far.CHANGED.append(Difference("door", "shut", "open", restarts=False))
    ended = shop("plan")
    assert "here changes" in ended.out
    assert "here: door: shut → open" in ended.out
    far.CHANGED.append(Difference("engine", "old", "new"))
    assert "here restarts" in shop("plan").out
    assert shop("run").code == 0
    far.CLOSED.add("one")
    assert "here may restart" in shop("plan").out


def renamed(shop: Any) -> None:
    text = (shop.folder / "pipeline.yaml").read_text()
    shop.write(
        "pipeline.yaml",
        text.replace("  here:\n    far:", "  there:\n    far:").replace("  here: {far: ", "  there: {far: "),
    )


def test_what_a_target_left_that_has_another_name_now(shop: Any, far: Any) -> None:
    assert shop("run").code == 0
    assert "any more" not in shop("plan").err
    assert "any more" not in shop("run", "--no-deploy").err
    renamed(shop)
    said = "the manifest has no far target here any more, and has left room one, where it is running: empty one"
    other = ("--set", "targets.there.far.room=two")
    assert f"warning: {said}" in shop("plan", *other).err
    assert f"warning: {said}" in shop("run", *other).err
    assert f"warning: {said}" in shop("run", *other).err
    assert said in shop("status", "pipeline.yaml", *other).out
    (left,) = [
        one for one in json.loads(shop("status", "pipeline.yaml", *other, "--output", "json").out) if "left" in one
    ]
    assert (left["target"], left["state"], left["left"]) == ("here", "running", "room one")
    assert list(far.ROOMS) == ["one", "two"], "nothing is torn down"
    del far.ROOMS["one"]
    assert "any more" not in shop("run", *other).err
    assert "any more" not in shop("status", "pipeline.yaml", *other).out


def test_what_was_left_where_nobody_tells_is_told_once_by_a_run(shop: Any, far: Any) -> None:
    assert shop("run").code == 0
    renamed(shop)
    far.CLOSED.add("one")
    other = ("--set", "targets.there.far.room=two")
    said = "any more, and has left room one, which does not tell whether it still runs"
    assert said in shop("plan", *other).err
    assert said in shop("status", "pipeline.yaml", *other).out
    assert said in shop("run", *other).err
    assert said not in shop("run", *other).err
