"""What each step that is to be made waits for."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.plan.model import Plan


def waits(plan: Plan, misses: Collection[str]) -> dict[str, tuple[str, ...]]:
    """For each of `misses` those among them that it needs, be it only through steps that are there already.

    A tag may be where it should be while the image is made again: a rollout waits for the image all the same.
    """
    reached: dict[str, frozenset[str]] = {}
    unions: dict[tuple[str, ...], tuple[str, ...]] = {}
    found: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        # Every tag needs the same checks: what thousands of them reach is put together once, and is one tuple.
        if (below := unions.get(step.needs)) is None:
            below = unions[step.needs] = tuple(sorted(frozenset().union(*(reached[need] for need in step.needs))))
        if step.id in misses:
            found[step.id] = below
            reached[step.id] = frozenset((step.id,))
        else:
            reached[step.id] = frozenset(below)
    return found
