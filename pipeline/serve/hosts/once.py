"""What a host is to have once: the comment of a mark, the pull request of a branch. There already, it is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pipeline.errors import UsageError


def comment(
    there: Iterable[Mapping[str, Any]],
    mark: str,
    change: Callable[[Mapping[str, Any]], object],
    add: Callable[[], object],
) -> None:
    """Changes the first of the comments `there` whose body has the mark, or adds one."""
    found = next((one for one in there if mark in (one.get("body") or "")), None)
    add() if found is None else change(found)


def proposal(find: Callable[[], Any], change: Callable[[Any], object], add: Callable[[], Any]) -> Any:
    """The pull request that is open, brought up to date, or a new one; somebody may open it at this very moment."""
    if found := find():
        change(found)
        return found
    try:
        return add()
    except UsageError:
        if found := find():
            return found
        raise


def withdrawal(find: Callable[[], Any], say: Callable[[Any], object], close: Callable[[Any], object]) -> None:
    """Closes the pull request that is open, if one is, after it was said why. Whoever may not say it may close it."""
    found = find()
    if not found:
        return
    try:
        say(found)
    except UsageError:
        close(found)
        raise
    close(found)


__all__ = ["comment", "proposal", "withdrawal"]
