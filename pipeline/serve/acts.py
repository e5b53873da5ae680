"""What people do by hand: each act is checked, becomes a job or a change, and is written down with who it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pipeline.errors import PipelineError, UsageError
from pipeline.serve.approvals import PLAN
from pipeline.serve.hosts.hooks import Nothing
from pipeline.serve.model import HELD_BACK, Action, Entry, Job, Reason, RepositoryStatus, Tracked
from pipeline.serve.queue import APPROVAL
from pipeline.serve.settings import Repository
from pipeline.serve.web.parts import Parts

T = TypeVar("T")


class Missing(UsageError):
    """There is no such manifest, job, target or repository."""


class NotNow(PipelineError):
    """It cannot be done any more, or not yet: things are otherwise than whoever asks believes."""


def nothing(_done: Any) -> None:
    """For acts that nothing else is to be written with."""


Also = Callable[[Any], None]
"""Called with what an act made, within the same transaction: what it writes is there if and only if the act is."""


class Acts:
    """`who` is the name of a person that may act. Methods raise Missing, NotNow, or UsageError for a wrong word."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    # -- jobs for a manifest ------------------------------------------------------------------------------------

    def run(self, manifest: str, who: str, note: str = "", also: Also = nothing) -> Job:
        return self._add(self._entry(manifest), "run", {}, who, note, also)

    def plan(self, manifest: str, who: str, note: str = "", also: Also = nothing) -> Job:
        """Of what waits for approval and could not be planned, that is planned once more."""
        entry = self._entry(manifest)
        for job in self._parts.queue.open():
            if job.manifest == entry.manifest and job.state == "approval" and not job.told.get(PLAN):
                return self._add(entry, "plan", {APPROVAL: job.id}, who, note, also, job.commit)
        return self._add(entry, "plan", {}, who, note, also)

    def rebuild(
        self, manifest: str, who: str, upgrade: tuple[str, ...] = (), note: str = "", also: Also = nothing
    ) -> Job:
        """Resolves the lock anew, all of it or these bases and layers."""
        asked = {"upgrade": list(upgrade)} if upgrade else {}
        return self._add(self._entry(manifest), "rebuild", asked, who, note, also)

    def rollback(
        self, manifest: str, target: str, revision: str, who: str, note: str = "", also: Also = nothing
    ) -> Job:
        """Puts an earlier release back and pins it; without a revision the one before the live one."""
        entry = self._entry(manifest)
        self._check_target(entry.manifest, target)
        if revision:
            self._check_revision(entry.manifest, target, revision)
        return self._add(entry, "rollback", {"target": target, "revision": revision}, who, note, also)

    def pin(self, manifest: str, target: str, who: str, note: str = "", also: Also = nothing) -> Job:
        """Keeps what is live where it is: runs leave it there until the pin is lifted."""
        entry = self._entry(manifest)
        self._check_target(entry.manifest, target)
        live = [one.revision for one in self._parts.revisions(entry.manifest, target) if "live" in one.marks]
        if not live:
            raise NotNow(f"{target} has no live release that passed its checks", remedy="run it first")
        return self._add(entry, "rollback", {"target": target, "revision": live[0]}, who, note, also)

    def lift(self, manifest: str, target: str, who: str, note: str = "", also: Also = nothing) -> Job:
        """Lifts the pin of a rollback: the next run rolls out what the manifest says."""
        entry = self._entry(manifest)
        self._check_target(entry.manifest, target)
        return self._add(entry, "lift", {"target": target}, who, note, also)

    # -- jobs that are there ------------------------------------------------------------------------------------

    def approve(self, job: int, who: str, also: Also = nothing) -> Job:
        """Lets it begin: with the plan that was shown, so that there has to be one."""

        def change() -> Job:
            told = self._job(job).told
            if not told.get(PLAN):
                why = f"cannot be planned: {told['text']}" if told.get("text") else "is not planned yet"
                raise NotNow(f"job {job} {why}", remedy="plan it again, or reject it" if told else "wait a moment")
            return self._parts.queue.approve(job, who)

        return self._change(job, "approve", who, change, also)

    def reject(self, job: int, who: str, note: str = "", also: Also = nothing) -> Job:
        text = f"rejected by {who}" + (f": {note}" if note else "")
        queue, now = self._parts.queue, self._parts.now()

        def change() -> Job:
            told = {**self._job(job).told, "text": text}
            return queue.change(job, "cancelled", ended=now, told=told)

        return self._change(job, "reject", who, change, also)

    def cancel(self, job: int, who: str, also: Also = nothing) -> Job:
        """Takes it out of the queue, or ends it where it runs: it is then cancelled a moment later."""
        if self._job(job).state != "running":
            return self._change(job, "cancel", who, lambda: self._parts.queue.cancel(job, who), also)

        def halt() -> Job:
            if not self._parts.halt(job):
                raise NotNow(f"job {job} does not run any more", remedy="look at how it ended")
            return self._job(job)

        return self._written(f"cancel job {job}", who, halt, also)

    # -- repositories -------------------------------------------------------------------------------------------

    def accept(self, repository: str, commit: str, who: str, also: Also = nothing) -> RepositoryStatus:
        """Applies a commit though it is held back: this one, and none after it."""
        name = self._repository(repository).name

        def change() -> RepositoryStatus:
            status = self._parts.book.repository(name)
            if status.state not in HELD_BACK:
                raise NotNow(f"{name} is {status.state}: there is nothing to accept", remedy="look at it again")
            if status.seen != commit:
                raise NotNow(f"{name} is at {status.seen[:12]} now, not at {commit[:12]}", remedy="look at that one")
            accepted: RepositoryStatus = replace(status, accepted=commit)
            self._parts.book.put_repository(accepted)
            return accepted

        accepted = self._written(f"accept {commit} of {name}", who, change, also)
        self._parts.pushed(name, Nothing(f"asked by {who}"))
        return accepted

    def refresh(self, repository: str, who: str, also: Also = nothing) -> RepositoryStatus:
        """Has a repository looked at now, not when its turn comes."""
        name = self._repository(repository).name
        status = self._written(f"look at {name}", who, lambda: self._parts.book.repository(name), also)
        self._parts.pushed(name, Nothing(f"asked by {who}"))
        return status

    # -- within -------------------------------------------------------------------------------------------------

    def _add(
        self, entry: Entry, action: Action, asked: dict[str, Any], who: str, note: str, also: Also, commit: str = ""
    ) -> Job:
        reason = Reason("hand", f"by hand: {note}" if note else f"by hand, by {who}", who=who)
        job = Job(0, entry.manifest, action, reason, commit=commit, asked=asked)
        words = " ".join(str(asked[key]) for key in ("target", "revision") if asked.get(key))
        text = f"{action} {entry.manifest.id} {words}".rstrip()
        return self._written(text, who, lambda: self._parts.queue.add(job), also)

    def _change(self, job: int, verb: str, who: str, change: Callable[[], Job], also: Also) -> Job:
        self._job(job)

        def changed() -> Job:
            if verb in ("approve", "reject") and (state := self._job(job).state) != "approval":
                raise NotNow(f"job {job} is {state}: it does not wait for approval", remedy="look at it again")
            try:
                return change()
            except ValueError as error:
                raise NotNow(str(error), remedy="look at it again") from error

        return self._written(f"{verb} job {job}", who, changed, also)

    def _written(self, text: str, who: str, change: Callable[[], T], also: Also) -> T:
        with self._parts.database.transaction():
            made = change()
            number = f" (job {made.id})" if isinstance(made, Job) and "job" not in text else ""
            self._parts.book.audit(self._parts.now(), who, f"{text}{number}")
            also(made)
        return made

    def _entry(self, manifest: str) -> Entry:
        entry = self._parts.book.entry(Tracked.of(manifest))
        if entry is None:
            raise Missing(f"there is no manifest '{manifest}'", remedy="see what is watched")
        if entry.gone:
            raise NotNow(f"{manifest} was deleted by a commit", remedy="put it back by a commit")
        self._repository(entry.manifest.repository)
        return entry

    def _job(self, job: int) -> Job:
        # SQLite's integers have 64 bits.
        found = self._parts.queue.job(job) if 0 < job < 1 << 63 else None
        if found is None:
            raise Missing(f"there is no job {job}", remedy="it may be older than what is kept")
        return found

    def _repository(self, name: str) -> Repository:
        found = self._parts.settings.repositories.get(name)
        if found is None:
            raise Missing(f"no repository '{name}' is watched", remedy="see the server's settings")
        return found

    def _check_target(self, manifest: Tracked, target: str) -> None:
        known = [one.target for one in self._parts.book.live(manifest)]
        if target not in known:
            there = f"it has {', '.join(known)}" if known else "none was seen yet"
            raise Missing(f"{manifest.id} has no target '{target}'", remedy=there)

    def _check_revision(self, manifest: Tracked, target: str, revision: str) -> None:
        there = [one.revision for one in self._parts.revisions(manifest, target)]
        if len([one for one in there if one.startswith(revision)]) != 1:
            remedy = f"there are: {', '.join(there)}" if there else "nothing passed its checks there yet"
            raise NotNow(f"{target} cannot be put back to '{revision}'", remedy=remedy)


__all__ = ["Acts", "Missing", "NotNow"]
