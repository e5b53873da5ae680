"""What pages and the API ask: manifests, jobs, runs, images and repositories as they are now, each in a few queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.reporters.masks import Masks
from pipeline.serve.approvals import CHANGED
from pipeline.serve.book import Book
from pipeline.serve.model import Job, RepositoryStatus
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository, Settings
from pipeline.serve.views_images import Images
from pipeline.serve.views_journal import journal_run, run_log
from pipeline.serve.views_log import PAGE, page
from pipeline.serve.views_manifests import Manifests
from pipeline.serve.views_model import (
    ImageRow,
    ImageView,
    JobRow,
    JobsPage,
    JobView,
    LogPage,
    ManifestsPage,
    ManifestView,
    RepositoryView,
    RunView,
)
from pipeline.serve.views_run import RunLogs
from pipeline.serve.views_words import repository_words
from pipeline.store.journal import Journal

T = TypeVar("T")
_MAKERS = 500
"""Jobs of a manifest that are looked through for what made its releases."""


class Views:
    """Read models, for several threads. `logs` is the folder of the jobs' logs; `masks` keeps secrets out of these."""

    def __init__(
        self,
        settings: Settings,
        book: Book,
        queue: Queue,
        logs: Path,
        images: Images,
        journal: Journal,
        now: Callable[[], float] = time.time,
        masks: Masks | None = None,
    ) -> None:
        self.settings, self.now, self._masks = settings, now, masks or Masks()
        self._book, self._queue = book, queue
        self._runs, self._images, self._journal = RunLogs(logs), images, journal
        self._manifests = Manifests(book, queue)

    # -- manifests ----------------------------------------------------------------------------------------------

    def manifests(
        self, repository: str = "", find: str = "", state: str = "", skip: int = 0, most: int = 200
    ) -> ManifestsPage:
        """Those of one repository or of all, trouble first, then by their ids; with `find` those whose id, name or
        target's address has this text, with `state` those of one standing.
        """
        return self._manifests.page(repository, find, state, skip, most)

    def manifest(self, id_: str) -> ManifestView | None:
        """All of one manifest, None where there is none of this id."""
        row = self._manifests.row(id_)
        if row is None:
            return None
        images, unread = readable(lambda: self._images.rows(row.name) if row.name else ())
        return ManifestView(row, self.jobs(manifest=id_, most=20), self._repository(row.repository), images, unread)

    # -- jobs and runs ------------------------------------------------------------------------------------------

    def jobs(self, before: int | None = None, most: int = 50, manifest: str = "") -> JobsPage:
        """The newest jobs, of one manifest or of all; `before` is the number that the page before gave."""
        found = self._queue.jobs(most + 1, manifest, before)
        rows = tuple(JobRow.of(job) for job in found[:most])
        return JobsPage(rows, rows[-1].id if len(found) > most else None)

    def open_jobs(self) -> tuple[JobRow, ...]:
        """What runs, then what waits in the order of its turn."""
        return tuple(JobRow.of(job) for job in self._queue.open())

    def job(self, id_: int) -> JobView | None:
        job = self._queue.job(id_)
        return self._job(job) if job else None

    def _job(self, job: Job) -> JobView:
        asked, told = job.asked, job.told
        run: RunView | None = self._masks.value(self._runs.run(job.id, job.state != "running"))
        row = JobRow.of(job)
        return JobView(
            row=row,
            exit_code=job.exit_code,
            target=str(asked.get("target", "")),
            revision=str(asked.get("revision", "")),
            request=int(asked.get("request") or 0),
            plan=_lines(told.get("plan")),
            lock=_lines(told.get("lock")),
            changed=_lines(told.get(CHANGED)),
            link=str(told.get("url", "")),
            run=run,
        )

    def waiting(self) -> tuple[JobView, ...]:
        """What waits for approval, with what it would do; the oldest first."""
        return tuple(self._job(job) for job in self._queue.open() if job.state == "approval")

    def asking(self) -> int:
        """How many jobs wait for approval."""
        return int(self._book.database.execute("SELECT count(*) FROM jobs WHERE state = 'approval'")[0][0])

    def pulse(self) -> Mapping[str, Any]:
        """What changes when anything that is shown does: by name, values to compare with those of another moment."""
        query = self._book.database.execute
        found: dict[str, Any] = {"jobs newest": query("SELECT max(id) FROM jobs")[0][0]}
        for id_, state in query("SELECT id, state FROM jobs WHERE state IN ('approval', 'waiting', 'running')"):
            found[f"job {id_}"] = state
            if state == "running":
                found[f"log {id_}"] = self._runs.length(id_)
        found["live all"] = hash(tuple(query("SELECT manifest, target, facts FROM live")))
        for name, *how in query("SELECT name, state, seen, applied, detail, accepted FROM repositories"):
            found[f"repository {name}"] = hash(tuple(how))
        return found

    def log(self, job: int, step: str = "", offset: int = 0, most: int = PAGE) -> LogPage:
        """Lines of a job's log from a byte offset on, of one step or of all; with an offset of -1 its end."""
        found: LogPage = self._masks.value(page(self._runs.path(job), step, offset, most))
        return found

    def runs(self, most: int = 50, manifest: str = "") -> tuple[RunView, ...]:
        """Runs of the journal without their steps, those by hand, too; the newest first."""
        return tuple(journal_run(run) for run in self._journal.runs(most, manifest))

    def run(self, id_: int) -> RunView | None:
        """A run of the journal with its steps, and its graph as far as that was kept."""
        run = self._journal.run(id_)
        if run is None:
            return None
        found: RunView = self._masks.value(journal_run(run, self._journal.steps(id_), self._journal.log(id_).graph()))
        return found

    def run_log(self, id_: int, step: str = "", most: int = PAGE) -> LogPage:
        """The end of what a run of the journal said."""
        found: LogPage = self._masks.value(run_log(self._journal.log(id_), step, most))
        return found

    def makers(self, manifest: str) -> Mapping[str, JobRow]:
        """By the first digits of an image's digest, the job of a manifest that deployed it first."""
        found = {}
        for job in self._queue.jobs(_MAKERS, manifest):
            if job.state == "done":
                found.update({short(str(one)): JobRow.of(job) for one in job.told.get("images", {}).values()})
        return found

    # -- images -------------------------------------------------------------------------------------------------

    def images(self) -> tuple[ImageRow, ...]:
        return self._images.rows()

    def image(self, reference: str, platform: str = "") -> ImageView | None:
        return self._images.image(reference, platform)

    # -- repositories -------------------------------------------------------------------------------------------

    def repositories(self) -> tuple[RepositoryView, ...]:
        counts = dict(
            self._book.database.execute(
                "SELECT substr(id, 1, instr(id, '/') - 1), count(*) FROM manifests WHERE gone = 0 GROUP BY 1"
            )
        )
        return tuple(
            _repository(one, self._book.repository(name), counts.get(name, 0))
            for name, one in self.settings.repositories.items()
        )

    def _repository(self, name: str) -> RepositoryView | None:
        one = self.settings.repositories.get(name)
        return _repository(one, self._book.repository(name)) if one else None


def readable(read: Callable[[], tuple[T, ...]]) -> tuple[tuple[T, ...], str]:
    """What the store holds, or nothing and why it cannot be read: a page says so in its place."""
    try:
        return read(), ""
    except StoreError as error:
        return (), str(error)


def _repository(one: Repository, status: RepositoryStatus, manifests: int = 0) -> RepositoryView:
    return RepositoryView(
        name=one.name,
        url=one.url,
        branch=one.branch,
        folders=one.folders,
        state=status.state,
        words=repository_words(one, status),
        seen=status.seen,
        applied=status.applied,
        detail=status.detail,
        checked=status.checked,
        changed=status.changed,
        accepted=status.accepted,
        manifests=manifests,
        poll=one.poll,
    )


def _lines(value: Any) -> tuple[str, ...]:
    """Lines, from a text or a list of them."""
    if isinstance(value, str):
        return tuple(value.splitlines())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


__all__ = ["Views", "readable"]
