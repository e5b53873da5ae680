"""Where things go in the dashboard's pictures: no two boxes in one place, ways lead forward, bars add up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.serve.drawing import HEIGHT, MOST, WIDTH, bars, counted, graph, strip
from pipeline.serve.drawing_layers import blocks
from pipeline.serve.views_model import StepView
from pipeline.serve.views_model_images import LayerView


def step(id_: str, *needs: str, state: str = "made", started: float = 0.0, ended: float = 0.0) -> StepView:
    kind, _, name = id_.partition(" ")
    return StepView(id_, kind, name, "", state, started, ended, max(0.0, ended - started), needs=needs)  # type: ignore[arg-type]


CHAIN = [
    step("base slim"),
    step("layer a", "base slim"),
    step("layer b"),
    step("image web", "base slim", "layer a", "layer b"),
    step("target here", "image web", state="waiting"),
]


def test_steps_stand_in_columns_after_what_they_need() -> None:
    picture = graph(CHAIN)
    assert picture
    x = {box.id: box.x for box in picture.boxes}
    assert x["base slim"] < x["layer a"] == x["layer b"] < x["image web"] < x["target here"]
    assert len(picture.edges) == 5
    assert {box.y + HEIGHT <= picture.height for box in picture.boxes} == {True}


def test_entries_that_only_their_names_tell_apart_are_one_box_when_there_are_many() -> None:
    layers = [step(f"layer l{n}", "base slim", state="waiting" if n == 27 else "made") for n in range(28)]
    images = [step(f"image i{n}", *(one.id for one in layers[n::2])) for n in range(2)]
    picture = graph([step("base slim"), *layers, *images])
    assert picture
    boxes = {box.id: (box.name, box.state, box.done, box.count) for box in picture.boxes}
    assert boxes == {
        "base slim": ("slim", "made", 1, 1),
        "layer l0": ("l0 … l26", "made", 14, 14),
        "layer l1": ("l1 … l27", "running", 13, 14),
        "image i0": ("i0", "made", 1, 1),
        "image i1": ("i1", "made", 1, 1),
    }
    assert len(picture.edges) == 4


def test_steps_of_one_entry_are_one_box_when_there_are_many() -> None:
    parts = [step(f"layer science/{n}", "base slim", state="made" if n < 30 else "running") for n in range(40)]
    picture = graph([step("base slim"), *parts, step("image web", *(one.id for one in parts))])
    assert picture
    (box,) = [box for box in picture.boxes if box.kind == "layer"]
    assert (box.name, box.count, box.done, box.state) == ("science", 40, 30, "running")
    assert len(picture.edges) == 2


def test_a_failure_shows_through_what_is_joined_and_what_goes_on_is_not_waiting() -> None:
    parts = [step(f"layer a/{n}", state="made") for n in range(20)]
    rest = [step("layer a/x", state="waiting"), step("image web", "layer a/x")]
    busy = graph([*parts, *rest])
    bad = graph([*parts, *rest, step("layer a/y", state="failed")])
    assert busy
    assert bad
    assert [box.state for box in busy.boxes if box.kind == "layer"] == ["running"]
    assert [box.state for box in bad.boxes if box.kind == "layer"] == ["failed"]


def test_there_is_no_picture_without_edges_or_of_too_much() -> None:
    assert graph([]) is None
    assert graph([step("layer a"), step("layer b")]) is None
    pairs = [(step(f"layer l{n}", "base slim"), step(f"image i{n}", f"layer l{n}")) for n in range(MOST // 2)]
    assert graph([step("base slim"), *(one for pair in pairs for one in pair)]) is None


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=2, max_size=12))
def test_boxes_never_cover_each_other_and_ways_lead_to_the_right(shape: list[list[int]]) -> None:
    steps = [step(f"layer s{n}", *{f"layer s{need % n}" for need in needs if n}) for n, needs in enumerate(shape)]
    picture = graph(steps)
    if picture is None:
        assert not any(one.needs for one in steps)
        return
    spots = [(box.x, box.y) for box in picture.boxes]
    assert all(
        abs(a[0] - b[0]) >= WIDTH or abs(a[1] - b[1]) >= HEIGHT for n, a in enumerate(spots) for b in spots[n + 1 :]
    )
    x = {box.id: box.x for box in picture.boxes}
    assert all(x[need] + WIDTH < x[one.id] for one in steps for need in one.needs)


def test_bars_begin_and_end_as_their_steps_did() -> None:
    steps = [step("b", started=105.0, ended=110.0), step("a", started=100.0, ended=105.0), step("not begun")]
    found = bars(steps, 100.0, 110.0)
    assert [(bar.step.id, bar.x, bar.width) for bar in found] == [("a", 0.0, 500.0), ("b", 500.0, 500.0)]


def test_a_step_that_goes_on_reaches_to_now_and_a_short_one_is_seen() -> None:
    steps = [step("a", started=100.0, ended=100.001), step("b", state="running", started=100.0)]
    short, running = bars(steps, 100.0, 200.0)
    assert short.width == 3.0
    assert (running.width, running.seconds) == (1000.0, 100.0)


def test_a_clock_that_was_set_back_draws_nothing_outside() -> None:
    for bar in bars([step("a", started=500.0, ended=100.0), step("b", started=100.0, ended=120.0)], 300.0, 120.0):
        assert 0 <= bar.x <= 1000
        assert 0 < bar.x + bar.width <= 1000


def test_points_between_crowds_are_not_counted() -> None:
    assert counted([*CHAIN, StepView("every layer", "", "every layer", "", "waiting")]) == {"made": 4, "waiting": 1}


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_layers_fill_the_strip_and_each_is_seen(sizes: list[int]) -> None:
    pieces = strip(sizes)
    assert abs(sum(width for _, width in pieces) - 1000) < len(sizes)
    assert all(width > 1 for _, width in pieces)
    assert all(a[0] <= b[0] for a, b in pairwise(pieces))


def _layer(number: int, words: str, size: int, **more: Any) -> LayerView:
    return LayerView(number, words, f"sha256:{number}", "", "", size, **more)


def test_layers_of_one_entry_are_one_block_and_fill_it() -> None:
    layers = [
        _layer(1, "base slim, debian bookworm", 40_000_000),
        _layer(2, "layer science/scipy@linux/amd64, pip, scipy", 30_000_000, shared=("other",)),
        _layer(3, "layer science/small, pip, 4 packages", 10_000_000),
        _layer(4, "layer code, 2 files", 10),
    ]
    found = blocks(layers)
    assert [(block.name, block.size) for block in found] == [
        ("base slim", 40_000_000),
        ("layer science", 40_000_000),
        ("layer code", 10),
    ]
    assert [piece.name for piece in found[1].pieces] == ["scipy", "small"]
    assert sum(piece.width for piece in found[1].pieces) == pytest.approx(100, abs=0.1)
    assert found[1].pieces[1].x == pytest.approx(found[1].pieces[0].width, abs=0.1)
    assert found[-1].x + found[-1].width == pytest.approx(100, abs=0.1)
    assert found[0].pieces[0].room > 40 and found[2].pieces[0].room < 1


def test_layers_that_came_from_elsewhere_are_of_the_base() -> None:
    layers = [_layer(1, "RUN /bin/sh -c apt-get update", 5), _layer(2, "", 0), _layer(3, "layer web, 1 file", 5)]
    assert [(block.name, len(block.pieces)) for block in blocks(layers)] == [("base", 2), ("layer web", 1)]
    assert blocks([]) == ()
