"""Pull requests: each gets a plan of every manifest that it concerns, and one that was closed waits for none.

A manifest that is deleted, or has the name of another, gets a job that has ended already and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pipeline.errors import PipelineError
from pipeline.serve.book import Book
from pipeline.serve.comment import KEY, nothing
from pipeline.serve.database import Database
from pipeline.serve.model import Entry, Job, Reason, Tracked
from pipeline.serve.names import conflicts
from pipeline.serve.ports import Git, HostApi, Request
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Repository
from pipeline.serve.survey import Survey, survey

NAME = "name"
"""In what a plan was `asked`: what the request calls the manifest."""
FORK = "fork"
"""In what a plan was `asked`: that its request is one of another repository."""


def planned(database: Database, repository: str) -> Mapping[str, str]:
    """The open pull requests of a repository (their numbers as texts), and the commit of each that was planned last."""
    return database.fact(_fact(repository)) or {}


def _fact(repository: str) -> str:
    return f"requests.{repository}"


class Requests:
    """Those of one repository into its watched branch. What was planned is kept, and moves with the jobs. `others`
    gives the manifests of the server's other repositories.
    """

    def __init__(
        self,
        repository: Repository,
        git: Git,
        host: HostApi,
        book: Book,
        queue: Queue,
        others: Callable[[], Sequence[Entry]] = tuple,
    ) -> None:
        self._repository, self._git, self._host = repository, git, host
        self._book, self._queue, self._others = book, queue, others

    def look(self, applied: str, now: float, heard: Callable[[], None] = lambda: None) -> None:
        """`applied` is the branch's newest commit that was applied, `now` Unix time in seconds; `heard` is called when
        there is something to tell. Raises PipelineError, after it has looked at all, for the first that could not be
        planned, or where the host does not answer.
        """
        wanted = {str(one.number): one for one in self._host.requests() if self._counts(one)}
        known = planned(self._book.database, self._repository.name)
        for number in known:
            if number not in wanted:
                self._close(int(number))
        wrong: list[PipelineError] = []
        for number, one in wanted.items():
            if known.get(number) != one.commit:
                try:
                    self._plan(one, applied, now)
                    heard()
                except PipelineError as error:
                    wrong.append(error)
        if wrong:
            raise wrong[0]

    def _counts(self, one: Request) -> bool:
        return one.into == self._repository.branch and (self._repository.forks or not one.fork)

    def _plan(self, one: Request, applied: str, now: float) -> None:
        self._git.fetch(one.commit)
        base = self._git.merge_base(applied, one.commit)
        known = self._book.entries(self._repository.name)
        found = survey(self._git, self._repository, base, one.commit, known)
        text = f"pull request {one.number} '{one.title}' by {one.author}"
        reason = Reason("pull-request", text, one.url, one.author)
        changed = set(self._git.changed(base, one.commit))
        # What came to the branch after the request was begun is not deleted by it.
        found = replace(found, gone=tuple(each for each in found.gone if each.manifest.path in changed))
        with self._book.database.transaction():
            jobs = self._jobs(one, reason, found, known, now)
            for job in jobs:
                self._queue.add(job)
            self._cancel(one.number, "a newer commit of its pull request", but=one.commit)
            self._note(one.number, one.commit)
            if not jobs and self._queue.of_request(self._repository.name, one.number):
                self._take_back(one, now)

    def _jobs(self, one: Request, reason: Reason, found: Survey, known: Sequence[Entry], now: float) -> list[Job]:
        """A plan for each manifest that the request changes; of those that it deletes, what becomes of them."""
        after = {each.manifest: each for each in (*known, *found.read)}
        after |= {each.manifest: replace(each, gone=True) for each in found.gone}
        wrong = conflicts([*after.values()], known, self._others())

        def job(each: Entry, name: str = "") -> Job:
            asked = {"request": one.number, **({NAME: name} if name else {}), **({FORK: True} if one.fork else {})}
            return Job(0, each.manifest, "plan", reason, commit=one.commit, asked=asked, created=now)

        def ended(each: Entry, state: Literal["failed", "done"], text: str) -> Job:
            code = 2 if state == "failed" else 0
            return replace(job(each), state=state, told={"text": text}, exit_code=code, ended=now)

        what = "stopped" if self._repository.policies.prune else "left alone (`prune` is not set)"
        names = {each.name for each in found.read}
        return [
            *(job(each, each.name) for each in found.read if each.manifest not in wrong),
            *(ended(each, "failed", wrong[each.manifest]) for each in found.read if each.manifest in wrong),
            *(
                ended(each, "done", f"deleted, and what it runs is {what}")
                for each in found.gone
                if each.name not in names
            ),
        ]

    def _take_back(self, one: Request, now: float) -> None:
        """The comment on a request whose newest commit changes no manifest any more."""
        body = {"repository": self._repository.name, "request": one.number, "key": KEY, "body": nothing(one.commit)}
        self._book.tell("comment", f"{self._repository.name}/{one.number}/{KEY}", body, now)

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
        now = {**planned(self._book.database, self._repository.name), str(number): commit}
        self._book.database.keep(_fact(self._repository.name), {name: at for name, at in now.items() if at})


__all__ = ["FORK", "NAME", "Requests", "planned"]
