"""How much anybody may ask of the server: calls a minute, sizes of bodies, and time to send them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

MOST = 10_000
"""Parties that are counted at a time: those that asked least recently are forgotten."""
BODY = 1 << 20
"""Bytes of a request's body."""
FORM = 1 << 14
"""Bytes of what somebody sends who has not signed in."""
HELD = 64 << 20
"""Bytes of all bodies together that are on their way."""
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


class Budget:
    """What all bodies that are on their way may take together; for one event loop."""

    def __init__(self, most: int = HELD) -> None:
        self._left = most

    def take(self, size: int) -> bool:
        """Takes so many bytes, or none of them where they are not left."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        self._left += size


__all__ = ["BODY", "FORM", "HELD", "PATIENCE", "Buckets", "Budget"]
