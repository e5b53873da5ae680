"""Calls the server's duties when they are due, or woken: step by step, or in threads."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from pipeline.errors import PipelineError
from pipeline.serve.metrics import Health
from pipeline.serve.ports import Duty
from pipeline.serve.shifts import Shifts

_PAUSES = (1.0, 60.0)
"""Seconds after a duty that failed until it is called again: the first, and the longest."""
_LONGEST = 300.0
_BUG = 70


@dataclass(slots=True, eq=False)
class _Turn:
    """A duty, how it is, and when it may be called again after a failure."""

    duty: Duty
    health: Health
    woken: threading.Event = field(default_factory=threading.Event)
    failures: int = 0
    held: float = 0.0


class Rota:
    """All duties. A failure is the health of its duty, and `failed` is told of it (name, traceback or words)."""

    def __init__(
        self, duties: Iterable[Duty], now: Callable[[], float], failed: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._turns = {duty.name: _Turn(duty, Health(duty.name, True)) for duty in duties}
        self._now, self._failed = now, failed
        self._shifts: Shifts | None = None

    def health(self) -> list[Health]:
        return [turn.health for turn in self._turns.values()]

    def wake(self, name: str) -> None:
        """Has a duty called at once; one that does not exist needs nothing."""
        if turn := self._turns.get(name):
            turn.held = 0.0
            turn.woken.set()
            if self._shifts:
                self._shifts.wake(name)

    def tick(self, now: float, but: Collection[str] = ()) -> int:
        """Calls each duty (`but` these) that is due or was woken, once, one after another; how many."""
        return sum(self._step(turn, now) for name, turn in self._turns.items() if name not in but)

    def call(self, name: str, now: float) -> Health:
        """Calls one duty now, whether it is due or not; how it is then."""
        turn = self._turns[name]
        turn.woken.set()
        self._step(turn, now)
        return turn.health

    def next(self, now: float) -> float:
        """Seconds until something is due, as far as is known."""
        return min((self._left(turn, now) for turn in self._turns.values()), default=_LONGEST)

    def _step(self, turn: _Turn, now: float) -> bool:
        if not turn.woken.is_set() and self._left(turn, now) > 0:
            return False
        turn.woken.clear()
        try:
            turn.duty.do(now)
            turn.failures, turn.held = 0, 0.0
            turn.health = Health(turn.duty.name, True, now)
        except Exception as error:
            turn.failures += 1
            turn.held = now + min(_PAUSES[0] * 2 ** (turn.failures - 1), _PAUSES[1])
            self._unwell(turn, now, error)
        return True

    def _unwell(self, turn: _Turn, now: float, error: Exception) -> None:
        """Notes what a duty failed by, and tells of it; to be called where that is handled."""
        bug = not isinstance(error, PipelineError)
        told = f"bug: {type(error).__name__}: {error}" if bug else str(error)
        code = error.exit_code if isinstance(error, PipelineError) else _BUG
        turn.health = Health(turn.duty.name, False, now, told, code)
        self._failed(turn.duty.name, traceback.format_exc() if bug else told)

    def _left(self, turn: _Turn, now: float) -> float:
        due = turn.duty.due(now)
        return _LONGEST if due is None else min(_LONGEST, max(due, turn.held) - now)

    # -- threads ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """From now on each is called when it is due, or woken."""
        self._shifts = Shifts(self._turns, self._due)
        self._shifts.start()

    def _due(self, name: str) -> float:
        """Calls a duty where it is due or was woken; the seconds until it may be so again."""
        turn = self._turns[name]
        try:
            if self._step(turn, self._now()) and turn.woken.is_set():
                return 0.0
            # What is always due gets a breath.
            return max(self._left(turn, self._now()), 0.01)
        except Exception as error:
            self._unwell(turn, self._now(), error)
            return _PAUSES[1]

    def stop(self, patience: float) -> None:
        """Lets what is under way end, for so many seconds at most."""
        if self._shifts:
            self._shifts.stop(patience)


__all__ = ["Rota"]
