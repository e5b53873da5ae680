"""What becomes of a look at a manifest's targets: it is kept, and by policy a job mends what is not as it was left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pipeline.serve import drift
from pipeline.serve.book import Book
from pipeline.serve.drift import Left
from pipeline.serve.model import Entry, Job, Live, Reason, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository

_ENDED = ("done", "failed", "cancelled")
_MOST = 50
Before = tuple[int, str]


class Reconcile:
    """Compares what is live with how the server's own jobs have left it."""

    def __init__(self, book: Book, queue: Queue) -> None:
        self._book, self._queue = book, queue

    def left(self, manifest: Tracked) -> Left:
        """What was kept of the last look."""
        return Left(**(self._book.database.fact(_fact(manifest)) or {}))

    def idle(self, manifest: Tracked, blob: str) -> None:
        """It has no targets, as long as it has this hash."""
        self._keep(manifest, replace(self.left(manifest), idle=blob))

    def runs_nothing(self, one: Entry) -> bool:
        """Whether it was seen that a manifest, as it is, has no targets."""
        return bool(one.blob) and self.left(one.manifest).idle == one.blob

    def last(self, manifest: Tracked) -> Before:
        """The last job that may have changed what is live (0: none), and the commit that was last deployed well."""
        jobs = self._queue.jobs(_MOST, manifest.id)
        ended = [job for job in jobs if job.started and job.state in _ENDED]
        commits = (drift.deployed(job) for job in ended)
        numbers = (job.id for job in ended if drift.deploys(job))
        return next(numbers, 0), next((one for one in commits if one), "")

    def settle(
        self,
        repository: Repository,
        manifest: Tracked,
        before: Before,
        found: Sequence[Mapping[str, Any]] | str,
        now: float,
    ) -> bool:
        """Keeps what was found (rows of `pipeline status`, or why there are none), and mends it. `before` is what
        `last` said before it was looked. False where a job came between: what was seen may be of its middle.
        """
        with self._book.database.transaction():
            under_way = [job for job in self._queue.open() if job.manifest == manifest and job.action != "plan"]
            if any(job.state == "running" for job in under_way) or self.last(manifest) != before:
                return False
            if self._book.entry(manifest) is None:
                # A commit has renamed or deleted it meanwhile.
                return True
            left = replace(self.left(manifest), looked=now, idle="")
            if isinstance(found, str):
                self._book.put_live(manifest, drift.unknown(self._book.live(manifest), found, now))
            else:
                live = drift.seen(manifest, found, now)
                # Of the first look after a job, and where nothing was known to run, it is learned how it was left.
                if left.job != before[0] or not left.targets:
                    left = drift.settled(left, *before, live)
                live = drift.compared(left, live)
                self._book.put_live(manifest, live)
                left = self._mended(repository, manifest, left, live, under_way, now)
            self._keep(manifest, left)
        return True

    def _mended(
        self,
        repository: Repository,
        manifest: Tracked,
        left: Left,
        live: Sequence[Live],
        under_way: Sequence[Job],
        now: float,
    ) -> Left:
        """A job where that is wanted, and nothing is on its way that may do the same."""
        wrong = drift.trouble(left, live)
        if not wrong:
            well = all(one.state == "running" for one in live)
            return replace(left, mends=0, mended=0.0) if well else left
        policies = repository.policies
        # What nobody has approved yet may wait for days.
        busy = any(job.state != "approval" for job in under_way)
        if policies.drift != "mend" or busy or not drift.mends_now(left, policies.look, now):
            return left
        text = wrong[0] + (f" (and {len(wrong) - 1} more)" if wrong[1:] else "")
        # What was approved and ran well before, and not what has come since and waits.
        self._queue.add(Job(0, manifest, "run", Reason("drift", f"drift: {text}"), commit=left.commit))
        return replace(left, mends=left.mends + 1, mended=now)

    def _keep(self, manifest: Tracked, left: Left) -> None:
        self._book.database.keep(_fact(manifest), asdict(left))


def _fact(manifest: Tracked) -> str:
    return f"look/{manifest.id}"


__all__ = ["Reconcile"]
