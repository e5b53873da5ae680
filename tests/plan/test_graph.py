"""The graph: order, and its pictures."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from plan_values import CODE, image, layer, manifest, project

from pipeline.plan import plan
from pipeline.plan.graph import mermaid, order, shape, svg, text
from pipeline.plan.model import Plan
from pipeline.plan.steps import steps_of


@pytest.fixture
def made() -> Plan:
    whole, images = project()
    return plan(whole, images, lambda step: step.kind == "base", lambda _id: None)


def test_order_is_topological_and_stable(made: Plan) -> None:
    found = order(made.steps)
    assert found == order(made.steps)
    assert sorted(found) == sorted(step.id for step in made.steps)
    for step in made.steps:
        assert all(found.index(need) < found.index(step.id) for need in step.needs)


def test_a_cycle_is_named() -> None:
    first, second, *rest = steps_of(*project())
    steps = [replace(first, needs=(second.id,)), replace(second, needs=(first.id,)), *rest]
    with pytest.raises(ValueError, match=r"cycle: .*base slim"):
        order(steps)


def test_the_shape_is_that_of_nodes_and_edges_alone() -> None:
    steps = steps_of(*project())
    assert shape(steps) == shape([replace(step, title="other") for step in steps])
    assert shape(steps) != shape(steps[1:])


def test_text_has_a_line_for_each_step(made: Plan) -> None:
    lines = text(made).splitlines()
    assert len(lines) == len(made.steps)
    assert lines[0].split() == ["base", "slim", "hit"]
    assert lines[-1].endswith("← tag scoring")


def test_mermaid_has_every_node_and_edge(made: Plan) -> None:
    drawn = mermaid(made)
    assert drawn.startswith("flowchart LR\n")
    assert drawn.count(" --> ") == sum(len(step.needs) for step in made.steps)
    assert 's0["base slim"]:::hit' in drawn
    assert drawn.count(":::miss") == len(made.steps) - 1


def test_svg_is_well_formed_and_escapes(made: Plan) -> None:
    step = replace(made.steps[0], id='base <&">', needs=())
    odd = Plan("x", (step,), {step.id: made.verdicts["image scoring"]})
    for one in (made, odd, Plan("empty", (), {})):
        root = ElementTree.fromstring(svg(one))
        assert len(root.findall(".//{*}rect")) == len(one.steps)
        assert len(root.findall("{*}path")) == sum(len(step.needs) for step in one.steps)


def test_many_tags_that_wait_for_many_checks_are_joined_by_one_point() -> None:
    images = [image(f"i{number}", layer("code", CODE)) for number in range(20)]
    whole = plan(manifest(*images), images, lambda _step: False, lambda _id: None)
    tags = [step for step in whole.steps if step.kind == "tag"]
    assert all(len(step.needs) == 20 for step in tags)
    assert len({id(step.needs) for step in tags}) == 1
    # Layers and base 2, and for each image its two layers, itself, its check, and its tag.
    assert mermaid(whole).count(" --> ") == 20 * 2 + 20 + 20 + 20
    assert '(["every check"])' in mermaid(whole)
    assert text(whole).splitlines()[-1].endswith("← every check")
    found = order(whole.steps)
    assert sorted(found) == sorted(step.id for step in whole.steps)
    assert max(found.index(f"check i{n}") for n in range(20)) < min(found.index(f"tag i{n}") for n in range(20))
    assert len(ElementTree.fromstring(svg(whole)).findall(".//{*}line")) == 1
