"""Looks at a service for who waits for it: a place that refuses to tell ends the wait, one that is away does not."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import UsageError
from pipeline.targets.model import Observation, Target
from pipeline.targets.remote import RemoteTarget

_PATIENCE = 5.0
"""Seconds: what has just come up refuses until it has read its rules, and a new token may be on its way."""


class Looks:
    """Called, it observes. UsageError of a place that has been refusing to tell for some seconds."""

    def __init__(self, target: Target | RemoteTarget, clock: Callable[[], float]) -> None:
        self._target, self._clock = target, clock
        self._refused: float | None = None

    def __call__(self) -> Observation:
        if not isinstance(self._target, RemoteTarget):
            return self._target.observe()
        try:
            seen = self._target.look()
        except UsageError as error:
            now = self._clock()
            self._refused = now if self._refused is None else self._refused
            if now - self._refused < _PATIENCE:
                return Observation("unknown", detail=str(error))
            raise
        self._refused = None
        return seen
