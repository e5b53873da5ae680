"""Tells whether an engine still lives, for those that wait for it without a word: a command may be silent for hours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pipeline.engine.ask import NoAnswer, ask, asks_plainly
from pipeline.errors import OutOfReach

PATIENCE = 60.0
"""Seconds for which an engine may be silent."""
EVERY = 5.0
_WAIT = 10.0


class Pulse:
    """Feels an engine's pulse now and then by asking for its version."""

    def __init__(
        self,
        address: str,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
        question: Callable[..., tuple[int, Any]] = ask,
        every: float = EVERY,
    ) -> None:
        self._address, self._patience, self._clock, self._question = address, patience, clock, question
        self._every = every
        self._asked = self._answered = clock()

    def gone(self) -> bool:
        """Whether nothing was heard for too long; asks, where it is time to."""
        if not asks_plainly(self._address) or self._clock() - self._asked < self._every:
            return False
        self._asked = self._clock()
        try:
            self._question(self._address, "/version", min(_WAIT, self._patience))
            self._answered = self._clock()
        except NoAnswer:
            pass
        return self._clock() - self._answered > self._patience

    def error(self) -> OutOfReach:
        fact = f"the container engine at {self._address} does not answer any more"
        return OutOfReach(fact, remedy="see that its service runs, and its log", transient=True)
