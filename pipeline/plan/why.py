"""Why a step is not a hit: which input changed, from what, to what."""

from __future__ import annotations

from collections.abc import Mapping

MOST = 3


def why(before: Mapping[str, str] | None, now: Mapping[str, str]) -> str:
    """One line for people; "first time" when the step has no past, "result is gone" when nothing changed."""
    if before is None:
        return "first time"
    changes = [
        _change(name, before.get(name), now.get(name))
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    if not changes:
        return "its result is no longer in the store"
    more = f" and {len(changes) - MOST} more" if len(changes) > MOST else ""
    return ", ".join(changes[:MOST]) + more


def _change(name: str, before: str | None, now: str | None) -> str:
    if before is None:
        return f"{name} is new"
    if now is None:
        return f"{name} is gone"
    return f"{name} {before} → {now}"
