"""Pull requests: each gets a plan of every manifest that it concerns, and one that was closed waits for none."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import PipelineError
from pipeline.serve.book import Book
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.ports import Git, HostApi, Request
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository
from pipeline.serve.survey import survey


class Requests:
    """Those of one repository into its watched branch. What was planned is kept, and moves with the jobs."""

    def __init__(self, repository: Repository, git: Git, host: HostApi, book: Book, queue: Queue) -> None:
        self._repository, self._git, self._host = repository, git, host
        self._book, self._queue = book, queue
        self._fact = f"requests.{repository.name}"

    def look(self, applied: str) -> None:
        """`applied` is the branch's newest commit that was applied. Raises PipelineError, after it has looked at all,
        for the first that could not be planned, or where the host does not answer.
        """
        wanted = {str(one.number): one for one in self._host.requests() if self._counts(one)}
        planned: Mapping[str, str] = self._book.database.fact(self._fact) or {}
        for number in planned:
            if number not in wanted:
                self._close(int(number))
        wrong: list[PipelineError] = []
        for number, one in wanted.items():
            if planned.get(number) != one.commit:
                try:
                    self._plan(one, applied)
                except PipelineError as error:
                    wrong.append(error)
        if wrong:
            raise wrong[0]

    def _counts(self, one: Request) -> bool:
        return one.into == self._repository.branch and (self._repository.forks or not one.fork)

    def _plan(self, one: Request, applied: str) -> None:
        self._git.fetch(one.commit)
        base = self._git.merge_base(applied, one.commit)
        known = self._book.entries(self._repository.name)
        found = survey(self._git, self._repository, base, one.commit, known)
        text = f"pull request {one.number} '{one.title}' by {one.author}"
        reason = Reason("pull-request", text, one.url, one.author)
        with self._book.database.transaction():
            for each in found.read:
                asked = {"request": one.number}
                self._queue.add(Job(0, each.manifest, "plan", reason, commit=one.commit, asked=asked))
            self._cancel(one.number, "a newer commit of its pull request", but=one.commit)
            self._note(one.number, one.commit)

    def _close(self, number: int) -> None:
        with self._book.database.transaction():
            self._cancel(number, "the end of its pull request")
            self._note(number, "")

    def _cancel(self, number: int, who: str, but: str = "") -> None:
        for job in self._queue.open():
            if self._is_plan(job.manifest, job.action, job.asked, number) and job.commit != but:
                self._queue.cancel(job.id, who)

    def _is_plan(self, manifest: Tracked, action: str, asked: Mapping[str, object], number: int) -> bool:
        return manifest.repository == self._repository.name and action == "plan" and asked.get("request") == number

    def _note(self, number: int, commit: str) -> None:
        planned = {**(self._book.database.fact(self._fact) or {}), str(number): commit}
        self._book.database.keep(self._fact, {name: at for name, at in planned.items() if at})


__all__ = ["Requests"]
