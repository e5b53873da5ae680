"""Calls many things again and again in a few threads: hundreds of repositories need not have a thread each."""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

FEW = 8
"""Threads that are enough while nothing takes long; more are kept while they have work."""
_GRACE = 0.5
"""Seconds that something waits, while nothing ends, before there is one more thread: what hangs holds nothing up."""
_LONG = 10
"""So many times that, whatever ends."""
_LONGEST = 3600.0
_WOKEN = -1.0


class Shifts:
    """`call(name)` does what is due of a name, and gives the seconds until it is to be called again; of one name there
    is one call at a time. Each is called soon after the start.
    """

    def __init__(
        self, names: Iterable[str], call: Callable[[str], float], few: int = FEW, grace: float = _GRACE
    ) -> None:
        self._call, self._few, self._grace = call, few, grace
        lock = threading.Lock()
        self._news, self._work = threading.Condition(lock), threading.Condition(lock)
        self._due: list[tuple[float, str]] = [(0.0, name) for name in sorted(names)]
        self._at = {name: at for at, name in self._due}
        """When each is due: others that `_due` has of a name do not count any more."""
        self._ready: deque[tuple[float, str]] = deque()
        self._woken: set[str] = set()
        self._idle = 0
        self._moved = 0.0
        self._added = 0.0
        """When a call ended last, and a thread was added to more than enough."""
        self._stopping = False
        self._threads: set[threading.Thread] = set()
        self._plan = threading.Thread(target=self._schedule, name="duties", daemon=True)

    @property
    def threads(self) -> int:
        """How many there are now to call in."""
        return len(self._threads)

    def start(self) -> None:
        self._plan.start()

    def wake(self, name: str) -> None:
        """Has one called at once; where it is under way, once more after that."""
        with self._news:
            if name in self._at:
                self._put(name, _WOKEN)
            else:
                self._woken.add(name)
            self._news.notify()

    def stop(self, patience: float) -> None:
        """Calls nothing more, and waits for what is under way, for so many seconds at most."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
            self._work.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    # -- who is due ---------------------------------------------------------------------------------------------

    def _put(self, name: str, at: float) -> None:
        self._at[name] = at
        heapq.heappush(self._due, (at, name))

    def _schedule(self) -> None:
        with self._news:
            while not self._stopping:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    at, name = heapq.heappop(self._due)
                    if self._at.get(name) == at:
                        del self._at[name]
                        # What was woken has news, others only look for some.
                        (self._ready.appendleft if at == _WOKEN else self._ready.append)((now, name))
                        self._work.notify()
                self._staff(now)
                first = self._due[0][0] - now if self._due else _LONGEST
                self._news.wait(min(first, self._grace) if self._ready else first)

    def _staff(self, now: float) -> None:
        """More threads where those that there are do not do."""
        missing = len(self._ready) - self._idle
        more = self._few - len(self._threads)
        if more <= 0 and missing > 0 and self._is_late(now):
            self._added, more = now, 1
        for _ in range(min(missing, more)):
            thread = threading.Thread(target=self._calls, name="duty", daemon=True)
            self._threads.add(thread)
            thread.start()

    def _is_late(self, now: float) -> bool:
        waits = now - min(at for at, _ in self._ready)
        if now - self._added < self._grace or waits < self._grace:
            return False
        return now - self._moved >= self._grace or waits >= _LONG * self._grace

    # -- calling ------------------------------------------------------------------------------------------------

    def _calls(self) -> None:
        while name := self._next():
            left = self._call(name)
            with self._news:
                self._moved = time.monotonic()
                self._put(name, _WOKEN if name in self._woken else self._moved + left)
                self._woken.discard(name)
                # The one that is due first may be another now.
                if self._due[0][1] == name:
                    self._news.notify()

    def _next(self) -> str:
        """The next that is due; "" where this thread is not needed any more."""
        with self._work:
            while not self._stopping and (self._ready or self._idle < self._few):
                if self._ready:
                    return self._ready.popleft()[1]
                self._idle += 1
                self._work.wait()
                self._idle -= 1
            self._threads.discard(threading.current_thread())
            return ""


__all__ = ["FEW", "Shifts"]
