"""Which boxes the picture of a run has: few enough to be looked at, each of a step, an entry or a crowd. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from pipeline.events import entry_of
from pipeline.noun import noun
from pipeline.serve.views_model import StepState, StepView

_SINGLE, _CROWD = 12, 8
"""With more steps than the first, those of one entry are one box; of more boxes than the second that need the same and
are needed by the same, one is made."""
_WORST: tuple[StepState, ...] = ("failed", "stopped", "running", "waiting", "skipped", "made", "hit")


@noun
class Box:
    """A node: `done` of its `count` steps. Of kind "" it is a point between crowds. `x`, `y` are of its upper left
    corner, in pixels. `words`: what its step said last, or whom a crowd consists of.
    """

    id: str
    kind: str
    name: str
    state: StepState
    x: int = 0
    y: int = 0
    count: int = 1
    done: int = 0
    words: str = ""


Joined = list[tuple[Box, tuple[str, ...]]]
"""Boxes, each with those that it needs."""


def joined_boxes(steps: Sequence[StepView]) -> Joined:
    """The boxes of a run's steps, what is needed first as far as its steps are."""
    single = len(steps) <= _SINGLE
    whose = {step.id: step.id if single or not step.kind else entry_of(step.kind, step.name) for step in steps}
    members: dict[str, list[StepView]] = {}
    for step in steps:
        members.setdefault(whose[step.id], []).append(step)
    found = []
    for id_, own in members.items():
        needs = dict.fromkeys(whose[need] for step in own for need in step.needs if need in whose)
        found.append((_box(id_, own), tuple(need for need in needs if need != id_)))
    return _crowded(found)


def _box(id_: str, own: Sequence[StepView]) -> Box:
    first = own[0]
    done = sum(step.state in ("made", "hit") for step in own)
    name = id_.partition(" ")[2] if first.kind else first.name
    words = first.said if len(own) == 1 else ""
    return Box(id_, first.kind, name, _state(step.state for step in own), count=len(own), done=done, words=words)


def _state(of: Iterable[StepState]) -> StepState:
    """The worst; what is done in part goes on."""
    states = set(of)
    worst = next(one for one in _WORST if one in states)
    return "running" if worst == "waiting" and "made" in states else worst


def _crowded(joined: Joined) -> Joined:
    """Boxes that nothing but their names tells apart, as one where there are many of them."""
    users: dict[str, set[str]] = {}
    for box, needs in joined:
        for need in needs:
            users.setdefault(need, set()).add(box.id)
    groups: dict[object, list[Box]] = {}
    for box, needs in joined:
        if box.kind:
            groups.setdefault((box.kind, frozenset(needs), frozenset(users.get(box.id, ()))), []).append(box)
    crowds = [group for group in groups.values() if len(group) > _CROWD]
    whose = {box.id: group[0].id for group in crowds for box in group}
    made = {group[0].id: _crowd(group) for group in crowds}
    return [
        (made.get(box.id, box), tuple(dict.fromkeys(whose.get(need, need) for need in needs)))
        for box, needs in joined
        if whose.get(box.id, box.id) == box.id
    ]


def _crowd(group: Sequence[Box]) -> Box:
    return replace(
        group[0],
        name=f"{group[0].name} … {group[-1].name}",
        state=_state(box.state for box in group),
        count=sum(box.count for box in group),
        done=sum(box.done for box in group),
        words=", ".join(box.name for box in group),
    )


__all__ = ["Box", "Joined", "joined_boxes"]
