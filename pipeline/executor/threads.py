"""Runs steps in threads of this process, each as soon as all it needs has ended well."""

from __future__ import annotations

import heapq
import os
import queue
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence


class Threads:
    """An executor: `workers` steps at a time."""

    def __init__(self, workers: int | None = None) -> None:
        # Two more than processors: some wait for the network.
        self._workers = workers or min(8, 2 + (os.cpu_count() or 2))

    def execute(
        self,
        order: Sequence[str],
        needs: Mapping[str, Sequence[str]],
        perform: Callable[[str], bool],
        skip: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> None:
        """Performs every id in `order`: of those that can begin, the first. `perform(id)` says whether it ended well;
        what stands on a failure is skipped.

        A KeyboardInterrupt in the waiting thread passes through; `stopped()` keeps further steps from starting.
        """
        waiting = _Waiting(order, needs)
        crew = _Crew(perform)
        rank = {id_: number for number, id_ in enumerate(order)}
        ready = [(rank[id_], id_) for id_ in waiting.free]
        running = 0
        try:
            while ready or running:
                while ready and running < self._workers and not stopped():
                    crew.start(heapq.heappop(ready)[1], spare=crew.size - running)
                    running += 1
                if not running:
                    return
                id_, outcome = crew.ended.get()
                running -= 1
                if isinstance(outcome, BaseException):
                    raise outcome
                if outcome:
                    for freed in waiting.ended(id_):
                        heapq.heappush(ready, (rank[freed], freed))
                else:
                    for lost in waiting.failed(id_):
                        skip(lost)
        finally:
            crew.leave()


class _Waiting:
    """Who waits for what. Steps that need the same wait as one, or a thousand tags that wait for a thousand checks
    would take a million steps of ours.
    """

    def __init__(self, order: Sequence[str], needs: Mapping[str, Sequence[str]]) -> None:
        inside = set(order)
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for id_ in order:
            groups[tuple(needs[id_])].append(id_)
        self._members = list(groups.values())
        self._left: list[int] = []
        self._for: dict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(groups):
            wanted = inside.intersection(group)
            self._left.append(len(wanted))
            for need in wanted:
                self._for[need].append(number)
        first = {id_ for left, members in zip(self._left, self._members, strict=True) if not left for id_ in members}
        self.free = [id_ for id_ in order if id_ in first]
        """What needs nothing of all this."""

    def ended(self, id_: str) -> Iterator[str]:
        """What can begin, now that this has ended well."""
        for number in self._for[id_]:
            self._left[number] -= 1
            if not self._left[number]:
                yield from self._members[number]

    def failed(self, id_: str) -> Iterator[str]:
        """What cannot begin any more, directly or at one remove."""
        lost = [id_]
        while lost:
            for number in self._for[lost.pop()]:
                # A failure never counts down: these cannot become free, and they are told of once.
                members, self._members[number] = self._members[number], []
                yield from members
                lost += members


class _Crew:
    """Threads that perform what they are given; `ended` tells of each end, or of the bug that was met."""

    def __init__(self, perform: Callable[[str], bool]) -> None:
        self._perform = perform
        self._given: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.ended: queue.SimpleQueue[tuple[str, bool | BaseException]] = queue.SimpleQueue()
        self.size = 0

    def start(self, id_: str, spare: int) -> None:
        """Gives a step to whoever is free; with none to `spare`, to a new thread."""
        if spare <= 0:
            self.size += 1
            # Daemons: a second Ctrl-C must be able to leave at once.
            threading.Thread(target=self._work, name=f"step {self.size}", daemon=True).start()
        self._given.put(id_)

    def leave(self) -> None:
        for _ in range(self.size):
            self._given.put(None)

    def _work(self) -> None:
        while (id_ := self._given.get()) is not None:
            try:
                self.ended.put((id_, self._perform(id_)))
            except BaseException as error:
                self.ended.put((id_, error))
