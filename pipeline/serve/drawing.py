"""Where things go in the dashboard's pictures: a run's graph in columns, and bars along a time line. Pure.

The graph is laid out as by Sugiyama and others (1981): columns by the longest way from a start, then within each the
order that crosses the fewest edges, found by moving nodes to the mean place of their neighbours a few times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pipeline.noun import noun
from pipeline.serve.drawing_boxes import Box, joined_boxes
from pipeline.serve.views_model import StepState, StepView

WIDTH, HEIGHT, ACROSS, DOWN = 158, 46, 30, 14
_EDGE = 8
_SWEEPS = 6
MOST = 240
"""With more boxes nothing is drawn."""
FITTING = 1440
"""A picture of at most so many pixels is made smaller to fit a wide window, and its words can still be read."""


@noun
class Edge:
    """A way from what is needed to what needs it, as an SVG path (SVG 2, 9.3); `lit`: what it leads to goes on now."""

    path: str
    state: StepState


@noun
class Drawing:
    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int


def graph(steps: Sequence[StepView]) -> Drawing | None:
    """The picture of a run's steps; None where there are no edges to draw, or too many boxes to look at."""
    joined = joined_boxes(steps)
    needs = {box.id: needed for box, needed in joined}
    if len(joined) > MOST or not any(needs.values()):
        return None
    columns = _ordered(_columns(needs), needs)
    spots = _spots(columns)
    boxes = [_at(box, spots[box.id]) for box, _ in joined]
    known = {box.id: box for box in boxes}
    edges = [_edge(known[need], known[id_]) for id_, needed in needs.items() for need in needed]
    tallest = max(len(column) for column in columns)
    width = len(columns) * (WIDTH + ACROSS) - ACROSS + 2 * _EDGE
    return Drawing(tuple(boxes), tuple(edges), width, tallest * (HEIGHT + DOWN) - DOWN + 2 * _EDGE)


# -- where they go ----------------------------------------------------------------------------------------------------


def _at(box: Box, spot: tuple[int, int]) -> Box:
    x, y = spot
    return replace(box, x=x, y=y)


def _columns(needs: Mapping[str, Iterable[str]]) -> list[list[str]]:
    depth: dict[str, int] = {}
    # What is needed comes before what needs it, but where steps of one entry were joined: then a few rounds more.
    for _ in range(len(needs) + 1):
        before = dict(depth)
        for id_, needed in needs.items():
            depth[id_] = min(len(needs), 1 + max((depth.get(need, 0) for need in needed), default=-1))
        if depth == before:
            break
    _late(depth, needs)
    columns: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for id_, number in depth.items():
        columns[number].append(id_)
    return [column for column in columns if column]


def _late(depth: dict[str, int], needs: Mapping[str, Iterable[str]]) -> None:
    """Moves what others need to the column before theirs: ways stay short, and lead behind no box."""
    users: dict[str, list[int]] = {}
    for id_ in sorted(needs, key=lambda one: -depth[one]):
        if id_ in users:
            depth[id_] = max(depth[id_], min(users[id_]) - 1)
        for need in needs[id_]:
            users.setdefault(need, []).append(depth[id_])


def _ordered(columns: list[list[str]], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Each column in the order of what its nodes lean on, forth and back."""
    users: dict[str, list[str]] = {}
    for id_, needed in needs.items():
        for need in needed:
            users.setdefault(need, []).append(id_)
    for sweep in range(_SWEEPS):
        towards: Mapping[str, Sequence[str]] = users if sweep % 2 else needs
        # As a part of its column: columns differ in height.
        place = {id_: (rank + 0.5) / len(column) for column in columns for rank, id_ in enumerate(column)}
        for column in columns[::-1] if sweep % 2 else columns:
            column.sort(key=lambda id_: _mean([place[one] for one in towards.get(id_, ())], place[id_]))
            place.update({id_: (rank + 0.5) / len(column) for rank, id_ in enumerate(column)})
    return columns


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _spots(columns: Sequence[Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Columns stand beside each other, each in the middle of the height."""
    tallest = max(len(column) for column in columns)
    found = {}
    for across, column in enumerate(columns):
        top = (tallest - len(column)) * (HEIGHT + DOWN) // 2
        for rank, id_ in enumerate(column):
            found[id_] = (_EDGE + across * (WIDTH + ACROSS), _EDGE + top + rank * (HEIGHT + DOWN))
    return found


def _edge(start: Box, end: Box) -> Edge:
    x1 = start.x + (WIDTH if start.kind else WIDTH // 2)
    y1, y2 = start.y + HEIGHT // 2, end.y + HEIGHT // 2
    x2 = end.x + (0 if end.kind else WIDTH // 2)
    middle = (x2 - x1) // 2
    return Edge(f"M{x1} {y1}C{x1 + middle} {y1} {x2 - middle} {y2} {x2} {y2}", end.state)


# -- the time line ----------------------------------------------------------------------------------------------------


@noun
class Bar:
    """A step on the time line: where its bar begins and how long it is, in thousandths of the whole."""

    step: StepView
    x: float
    width: float
    seconds: float


def bars(steps: Iterable[StepView], started: float, now: float) -> tuple[Bar, ...]:
    """Steps that have begun, in that order, along what `stretch` says."""
    begun = sorted((step for step in steps if step.started), key=lambda step: step.started)
    least, whole = stretch(begun, started, now)
    return tuple(_bar(step, least, max(0.001, whole), now) for step in begun)


def stretch(steps: Iterable[StepView], started: float, now: float) -> tuple[float, float]:
    """When the time line begins (Unix time), and its seconds: to `now`, or to when the last step ended."""
    begun = [step for step in steps if step.started]
    least = min((started or begun[0].started, *(step.started for step in begun))) if begun else started
    return least, max(0.0, max((step.ended or now for step in begun), default=least) - least)


def _bar(step: StepView, least: float, whole: float, now: float) -> Bar:
    seconds = step.seconds or max(0.0, (step.ended or now) - step.started)
    x = min(997.0, 1000 * max(0.0, step.started - least) / whole)
    return Bar(step, round(x, 1), round(max(3.0, min(1000 - x, 1000 * seconds / whole)), 1), seconds)


def counted(steps: Iterable[StepView]) -> dict[StepState, int]:
    """How many steps are in each state, points not counted."""
    return dict(Counter(step.state for step in steps if step.kind))


# -- an image's layers ------------------------------------------------------------------------------------------------


def strip(sizes: Sequence[int]) -> list[tuple[float, float]]:
    """(beginning, width) of each in thousandths of the whole; what would be too thin to see is widened a little."""
    whole = sum(sizes) or 1
    widths = [max(4.0, 1000 * size / whole) for size in sizes]
    scale = 1000 / (sum(widths) or 1)
    found, x = [], 0.0
    for width in widths:
        found.append((round(x, 1), round(width * scale, 1)))
        x += width * scale
    return found


__all__ = [
    "FITTING",
    "HEIGHT",
    "MOST",
    "WIDTH",
    "Bar",
    "Box",
    "Drawing",
    "Edge",
    "bars",
    "counted",
    "graph",
    "stretch",
    "strip",
]
