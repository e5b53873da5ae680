"""How much anybody may ask of the server: calls a minute, sizes of bodies, and time to send them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000
"""Parties that are counted at a time: those that asked least recently are forgotten."""
BODY = 1 << 20
"""Bytes of a request's body."""
PATIENCE = 30.0
"""Seconds that a client has to send a body."""


class Buckets:
    """A token bucket for each party: it holds `a_minute` calls, and fills up again in a minute. For all threads."""

    def __init__(self, a_minute: float, now: Callable[[], float], most: int = MOST) -> None:
        self._size, self._now, self._most = a_minute, now, most
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, party: str) -> float:
        """Takes one call; 0, or the seconds to wait where there is none left."""
        with self._lock:
            now, rate = self._now(), self._size / 60
            left, at = self._held.get(party, (self._size, now))
            left = min(self._size, left + max(0.0, now - at) * rate)
            wait = 0.0 if left >= 1 else (1 - left) / rate
            self._held[party] = (left if wait else left - 1, now)
            self._held.move_to_end(party)
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        return wait

    def wait(self, party: str) -> float:
        """The seconds to wait before a call could be taken, without taking one."""
        with self._lock:
            now, rate = self._now(), self._size / 60
            left, at = self._held.get(party, (self._size, now))
            left = min(self._size, left + max(0.0, now - at) * rate)
        return 0.0 if left >= 1 else (1 - left) / rate


__all__ = ["BODY", "PATIENCE", "Buckets"]
