"""What each step that is to be made waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from pipeline.errors import Location
from pipeline.plan.model import Plan, Step


def waits(
    plan: Plan, misses: Collection[str], alone: Callable[[Step], bool] = lambda _: False
) -> dict[str, tuple[str, ...]]:
    """For each of `misses` those among them that it needs, be it only through steps that are there already.

    A tag may be where it should be while the image is made again: a rollout waits for the image all the same. A step
    that is `alone` can be made without what it needs, and waits for nothing; what stands on it waits for all.
    """
    reached: dict[str, frozenset[str]] = {}
    unions: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        # Every tag needs the same checks: what thousands of them reach is put together once, and is one tuple.
        if (below := unions.get(step.needs)) is None:
            below = unions[step.needs] = tuple(sorted(frozenset().union(*(reached[need] for need in step.needs))))
        if step.id in misses:
            free = bool(below) and alone(step)
            found[step.id] = () if free else below
            reached[step.id] = frozenset((step.id, *below)) if free else frozenset((step.id,))
        else:
            reached[step.id] = frozenset(below)
    return found


def in_turns(steps: Sequence[Step]) -> list[Step]:
    """Steps in an order in which the entries of the manifest take turns: each one's downloads begin early.

    Those of one entry and kind stay in their order.
    """
    seen: Counter[tuple[str, Location]] = Counter()
    turns = []
    for number, step in enumerate(steps):
        entry = (step.kind, step.place)
        turns.append((seen[entry], number, step))
        seen[entry] += 1
    return [step for _, _, step in sorted(turns, key=lambda turn: turn[:2])]
