"""Reporters show a run's events: plain lines, a live terminal, JSON lines. What they show passes the masks first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pipeline.events import Event


class Show(Protocol):
    """A reporter with a beginning and an end."""

    def __call__(self, event: Event) -> None: ...

    def fit(self, names: Iterable[str]) -> None:
        """Makes the columns wide enough for steps of these names."""
        ...

    def close(self) -> None:
        """Gives the terminal back; nothing is shown afterwards."""
        ...
