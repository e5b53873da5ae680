"""Which changes of a job bring it to another state: what is noted of a job that runs is a change, too."""

from __future__ import annotations

import threading

from pipeline.serve.model import OPEN, Job


class Moves:
    """Remembers in which state open jobs were last; for several threads."""

    def __init__(self) -> None:
        self._known: dict[int, object] = {}
        self._lock = threading.Lock()

    def is_new(self, job: Job) -> bool:
        """Whether a job that changed is in another state than when this was asked of it last, or is tried again."""
        now = (job.state, job.attempt)
        with self._lock:
            if job.state not in OPEN:
                self._known.pop(job.id, None)
                return True
            before = self._known.get(job.id)
            self._known[job.id] = now
            return before != now


__all__ = ["Moves"]
