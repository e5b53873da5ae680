"""The duty that forgets jobs and their logs once they are old, and what people did a year ago."""

from __future__ import annotations

import contextlib
from pathlib import Path

from pipeline.serve.database import Database
from pipeline.serve.queue import Queue

DAY = 86400.0
_AUDITED = 365 * DAY
_FACT = "kept"
"""When it was looked last, so that a server that is started often does not look each time."""


class Keeping:
    """`ports.Duty`. `days` is how long ended jobs are kept, `logs` the folder of theirs."""

    name = "keeping"

    def __init__(self, database: Database, queue: Queue, logs: Path, days: float) -> None:
        self._database, self._queue, self._logs, self._days = database, queue, logs, days
        self._last: float = database.fact(_FACT) or 0.0

    def due(self, now: float) -> float | None:
        return now if self._last > now + DAY else self._last + DAY

    def do(self, now: float) -> None:
        self._queue.forget(now - self._days * DAY)
        self._database.execute("DELETE FROM audit WHERE at < ?", now - max(self._days * DAY, _AUDITED))
        self._sweep()
        self._last = now
        self._database.keep(_FACT, now)

    def _sweep(self) -> None:
        """Removes the logs of jobs that are not there any more."""
        known = {str(row[0]) for row in self._database.execute("SELECT id FROM jobs")}
        for path in self._logs.iterdir() if self._logs.is_dir() else ():
            if path.stem.isdigit() and path.stem not in known:
                with contextlib.suppress(OSError):
                    path.unlink()


__all__ = ["Keeping"]
