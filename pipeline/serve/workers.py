"""Takes jobs from the queue and has them performed: one by one, or several at a time in threads."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace

from pipeline.errors import PipelineError
from pipeline.serve.model import Job
from pipeline.serve.performing import Kit, outcome_of, settle
from pipeline.serve.ports import Outcome
from pipeline.serve.queue import CANCELLING

_LONGEST = 60.0


class Workers:
    """At most `count` jobs at a time. `failed` is told where the queue cannot be used."""

    def __init__(self, kit: Kit, count: int, failed: Callable[[str, str], None] = lambda *_: None) -> None:
        self._stopping = threading.Event()
        self._kit: Kit = replace(kit, stopping=self._stopping.is_set)
        self._count, self._failed = count, failed
        self._more = threading.Condition()
        self._news = 0
        self._unwritten: list[tuple[Job, Outcome]] = []
        self._threads: list[threading.Thread] = []

    def one(self) -> Job | None:
        """Performs the next job; None where there is none to begin now."""
        while kept := self._kept():
            self._settle(*kept)
        job = self._kit.queue.take()
        return self._settle(job, outcome_of(self._kit, job)) if job else None

    def _kept(self) -> tuple[Job, Outcome] | None:
        # Another worker may take the last one meanwhile.
        with contextlib.suppress(IndexError):
            return self._unwritten.pop()
        return None

    def _settle(self, job: Job, outcome: Outcome) -> Job:
        try:
            return settle(self._kit, job, outcome)
        except PipelineError:
            # How it ended is kept until it can be written: it is not to be done again.
            self._unwritten.append((job, outcome))
            raise

    def halt(self, id_: int, who: str = "") -> bool:
        """Has a running job end as cancelled, soon; False where it does not run."""
        job = self._kit.queue.job(id_)
        if job is None or job.state != "running":
            return False
        if CANCELLING not in job.told:
            self._kit.queue.cancel(id_, who)
        return True

    # -- threads ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        for number in range(self._count):
            thread = threading.Thread(target=self._work, name=f"worker {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """There may be something to do."""
        with self._more:
            self._news += 1
            self._more.notify_all()

    def _work(self) -> None:
        while not self._stopping.is_set():
            news = self._news
            try:
                if self.one():
                    # A job of the same manifest may have waited for this one's end.
                    self.wake()
                    continue
                due = self._kit.queue.next_due()
            except Exception as error:
                # A worker that ends would leave jobs waiting for ever.
                self._failed("queue", str(error) if isinstance(error, PipelineError) else traceback.format_exc())
                due = None
            left = _LONGEST if due is None else min(_LONGEST, max(0.05, due - self._kit.now()))
            with self._more:
                self._more.wait_for(lambda seen=news: self._news != seen or self._stopping.is_set(), left)  # type: ignore[misc]

    def stop(self, patience: float) -> None:
        """Ends what runs in order; these jobs wait again, for the next start. Returns when they do, or after so many
        seconds.
        """
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(patience)


__all__ = ["Workers"]
