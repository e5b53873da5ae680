"""Runs steps in threads of this process, each as soon as all it needs has ended well."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence


class Threads:
    """An executor: `workers` steps at a time."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or max(2, min(8, os.cpu_count() or 2))

    def execute(
        self,
        order: Sequence[str],
        needs: Mapping[str, Sequence[str]],
        perform: Callable[[str], bool],
        skip: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> None:
        """Performs every id in `order`. `perform(id)` says whether it ended well; what stands on a failure is skipped.

        A KeyboardInterrupt in the waiting thread passes through; `stopped()` keeps further steps from starting.
        """
        waiting = {id_: set(needs[id_]) & set(order) for id_ in order}
        ended: queue.SimpleQueue[tuple[str, bool | BaseException]] = queue.SimpleQueue()
        running = 0
        ready = [id_ for id_ in order if not waiting[id_]]
        for id_ in ready:
            del waiting[id_]
        while ready or running:
            while ready and running < self._workers and not stopped():
                self._start(ready.pop(0), perform, ended)
                running += 1
            if not running:
                return
            id_, outcome = ended.get()
            running -= 1
            if isinstance(outcome, BaseException):
                raise outcome
            self._settle(id_, outcome, waiting, ready, skip)

    @staticmethod
    def _start(
        id_: str, perform: Callable[[str], bool], ended: queue.SimpleQueue[tuple[str, bool | BaseException]]
    ) -> None:
        def work() -> None:
            try:
                ended.put((id_, perform(id_)))
            except BaseException as error:
                ended.put((id_, error))

        # Daemons: a second Ctrl-C must be able to leave at once.
        threading.Thread(target=work, name=id_, daemon=True).start()

    @staticmethod
    def _settle(
        id_: str, good: bool, waiting: dict[str, set[str]], ready: list[str], skip: Callable[[str], None]
    ) -> None:
        if good:
            for other in list(waiting):
                waiting[other].discard(id_)
                if not waiting[other]:
                    del waiting[other]
                    ready.append(other)
            return
        lost = [id_]
        while lost:
            gone = lost.pop()
            for other in [other for other, needed in waiting.items() if gone in needed]:
                del waiting[other]
                skip(other)
                lost.append(other)
