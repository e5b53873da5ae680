"""The queue of jobs: later ones replace those that wait, one runs at a time for a manifest, and a kill loses none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.serve.database import Database
from pipeline.serve.model import Job, Reason, State, Tracked

_COLUMNS = (
    'id, manifest, action, cause, reason, url, who, state, "commit", asked, created, started, ended, attempt, '
    "exit_code, told, replaced_by, approved_by, due"
)
_MOVES: Mapping[str, tuple[str, ...]] = {
    "approval": ("waiting", "cancelled", "replaced"),
    "waiting": ("running", "cancelled", "replaced"),
    "running": ("waiting", "done", "failed", "cancelled", "replaced"),
}

APPROVAL = "approval"
"""In what a plan was `asked`: the number of the job that waits for approval."""
CANCELLING = "cancelling"
"""In what is `told` of a running job: who wants it to end."""
AFTER = "after"
"""In what a run was `asked`: the ids of manifests that had its name before. It begins when none of them runs."""


class Queue:
    """Jobs, kept in the server's database. `now` gives Unix times in seconds; `heard` is told of each job that changed,
    after that was committed.
    """

    def __init__(
        self, database: Database, now: Callable[[], float], heard: Callable[[Job], None] = lambda _job: None
    ) -> None:
        self._database, self._now = database, now
        self.heard = heard

    # -- adding and taking --------------------------------------------------------------------------------------

    def add(self, job: Job) -> Job:
        """The job with its number. Those of the same manifest and action that still wait, for approval or for their
        turn, are replaced by it; of plans only those of the same request, and those for approvals by those for one; of
        rollbacks, lifts and stops none are. One that waits for approval is planned, so that it can be seen what waits.
        What mends drift does not replace what waits for approval.
        """
        with self._database.transaction():
            outdated = self._alike(job)
            after = sorted({id_ for one in (job, *outdated) for id_ in one.asked.get(AFTER, ())})
            asked = {**job.asked, AFTER: after} if after else job.asked
            made = self._insert(replace(job, asked=asked, created=job.created or self._now()))
            for old in outdated:
                self._move(old, "replaced", replaced_by=made.id, ended=self._now())
            self._tell(made)
            if made.state == "approval":
                self.add(replace(made, action="plan", state="waiting", asked={APPROVAL: made.id}))
        return made

    def _alike(self, job: Job) -> list[Job]:
        """Those that wait, and would do what this one does, or undo it."""
        if job.action not in ("run", "plan", "rebuild"):
            return []
        states = "'waiting'" if job.reason.cause == "drift" else "'approval', 'waiting'"
        waiting = self._jobs(f"WHERE state IN ({states}) AND manifest = ? AND id != ?", job.manifest.id, job.id)
        return [one for one in waiting if (one.action, _what_for(one)) == (job.action, _what_for(job))]

    def take(self) -> Job | None:
        """The next job, now running: the oldest that waits, is due, and whose manifest has none under way; one that was
        begun before goes first. A plan changes nothing and may run beside others.
        """
        with self._database.transaction():
            busy = {job.manifest.id for job in self._jobs("WHERE state = 'running'") if job.action != "plan"}
            waiting = self._jobs("WHERE state = 'waiting' AND due <= ? ORDER BY attempt = 0, id", self._now())
            job = next((job for job in waiting if job.action == "plan" or busy.isdisjoint(_held_by(job))), None)
            if job is None:
                return None
            return self._move(job, "running", started=self._now(), attempt=job.attempt + 1)

    def next_due(self) -> float | None:
        """When a job that waits for its time may begin (Unix time in seconds)."""
        query = "SELECT min(due) FROM jobs WHERE state = 'waiting' AND due > ?"
        found = self._database.execute(query, self._now())
        return found[0][0] if found else None

    # -- what comes of them -------------------------------------------------------------------------------------

    def end(self, id_: int, state: State, exit_code: int | None, told: Mapping[str, Any]) -> Job:
        """Notes how a running job ended: done, failed or cancelled. The plan of what waits for approval is told there,
        too.
        """
        with self._database.transaction():
            job = self.change(id_, state, ended=self._now(), exit_code=exit_code, told=dict(told))
            waits = self.job(job.asked.get(APPROVAL, 0)) if job.action == "plan" else None
            if waits and waits.state == "approval":
                # Of an earlier try that failed, nothing is left.
                kept = {name: value for name, value in waits.told.items() if name != "remedy"}
                self.note(waits.id, told={**kept, **told})
        return job

    def again(self, id_: int, due: float = 0.0, told: Mapping[str, Any] | None = None) -> Job:
        """A running job waits again, at least until `due`."""
        more = {} if told is None else {"told": dict(told)}
        return self.change(id_, "waiting", due=due, **more)

    def give_way(self, id_: int, told: Mapping[str, Any]) -> Job | None:
        """Ends a running job as replaced, where one waits that would do the same at a later commit: tried again after
        that, it would go back. None where there is none.
        """
        with self._database.transaction():
            job = self.job(id_)
            later = self._alike(job) if job else []
            if not later:
                return None
            return self.change(id_, "replaced", replaced_by=later[-1].id, ended=self._now(), told=dict(told))

    def resume(self) -> list[Job]:
        """Jobs that ran when the server died wait again, in front. To be called once at the start, when nothing that
        they had started runs any more.
        """
        return [self.again(job.id) for job in self._jobs("WHERE state = 'running' ORDER BY id")]

    def approve(self, id_: int, who: str) -> Job:
        """Lets it begin; it takes the place of what waits to mend drift."""
        with self._database.transaction():
            job = self.change(id_, "waiting", approved_by=who)
            for old in self._alike(job):
                self._move(old, "replaced", replaced_by=id_, ended=self._now())
            return job

    def cancel(self, id_: int, who: str) -> Job:
        """Takes a job that has not begun out of the queue. Of one that runs it is only noted (`told`, CANCELLING):
        whoever performs it ends it, after a restart, too.
        """
        with self._database.transaction():
            job = self.job(id_)
            if job and job.state == "running":
                return self.note(id_, told={**job.told, CANCELLING: who})
            return self.change(id_, "cancelled", ended=self._now(), told={"text": f"cancelled by {who}"})

    def change(self, id_: int, state: State, **values: Any) -> Job:
        """The job in another state. ValueError where it cannot get there from the one that it is in."""
        with self._database.transaction():
            job = self.job(id_)
            if job is None or state not in _MOVES.get(job.state, ()):
                raise ValueError(f"job {id_} is {job.state if job else 'not there'}, and cannot become {state}")
            return self._move(job, state, **values)

    def note(self, id_: int, **values: Any) -> Job:
        """The job with more that is known of it, in the state that it is in. ValueError where there is none."""
        with self._database.transaction():
            job = self.job(id_)
            if job is None:
                raise ValueError(f"there is no job {id_}")
            return self._move(job, job.state, **values)

    def forget(self, before: float) -> list[int]:
        """Forgets what ended before a time (Unix, in seconds): the numbers of those jobs."""
        ended = "state IN ('done', 'failed', 'replaced', 'cancelled') AND ended < ?"
        return [row[0] for row in self._database.execute(f"DELETE FROM jobs WHERE {ended} RETURNING id", before)]

    # -- looking ------------------------------------------------------------------------------------------------

    def job(self, id_: int) -> Job | None:
        return next(iter(self._jobs("WHERE id = ?", id_)), None)

    def since(self, id_: int) -> list[Job]:
        """Those that were added after one, in the order of their numbers."""
        return self._jobs("WHERE id > ? ORDER BY id", id_)

    def of_request(self, repository: str, request: int) -> list[Job]:
        """The plans of a pull request, the newest first."""
        wanted = "manifest >= ? AND manifest < ? AND action = 'plan' AND json_extract(asked, '$.request') = ?"
        return self._jobs(f"WHERE {wanted} ORDER BY id DESC LIMIT 1000", f"{repository}/", f"{repository}0", request)

    def those(self, ids: Sequence[int]) -> list[Job]:
        """Several by their numbers, in one query."""
        return self._jobs("WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id", json.dumps(list(ids)))

    def open(self) -> list[Job]:
        """What waits or runs, in the order of its beginning or its turn."""
        states = "'approval', 'waiting', 'running'"
        return self._jobs(f"WHERE state IN ({states}) ORDER BY state != 'running', attempt = 0, id")

    def jobs(self, most: int, manifest: str = "", before: int | None = None) -> list[Job]:
        """The newest first, of one manifest (its id) or of all; `before` a number, for the next page."""
        limit = before if before is not None else 1 << 62
        of, whose = ("manifest = ? AND", [manifest]) if manifest else ("", [])
        return self._jobs(f"WHERE {of} id < ? ORDER BY id DESC LIMIT ?", *whose, limit, most)

    # -- within -------------------------------------------------------------------------------------------------

    def _jobs(self, where: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._database.execute(f"SELECT {_COLUMNS} FROM jobs {where}", *values)]

    def _clean(self, job: Job) -> Job:
        """Without secrets in what others said."""
        masked = self._database.masked
        reason: Reason = replace(job.reason, text=masked(job.reason.text), url=masked(job.reason.url))
        return replace(job, reason=reason, told=masked(job.told))

    def _insert(self, job: Job) -> Job:
        job = self._clean(job)
        columns = _COLUMNS.removeprefix("id, ")
        places = ", ".join("?" * len(columns.split(",")))
        rows = self._database.execute(f"INSERT INTO jobs ({columns}) VALUES ({places}) RETURNING id", *_row(job))
        return replace(job, id=rows[0][0])

    def _move(self, job: Job, state: State, **values: Any) -> Job:
        moved = self._clean(replace(job, state=state, **values))
        names = [name.strip() for name in _COLUMNS.removeprefix("id, ").split(",")]
        sets = ", ".join(f"{name} = ?" for name in names)
        self._database.execute(f"UPDATE jobs SET {sets} WHERE id = ?", *_row(moved), job.id)
        self._tell(moved)
        return moved

    def _tell(self, job: Job) -> None:
        self._database.after(lambda: self.heard(job))


def _held_by(job: Job) -> Sequence[str]:
    """The manifests (their ids) of which nothing may be under way when it begins."""
    return (job.manifest.id, *job.asked.get(AFTER, ()))


def _what_for(job: Job) -> tuple[Any, bool]:
    """What tells plans apart: the request, and whether somebody is to approve what it says."""
    return job.asked.get("request"), APPROVAL in job.asked


def _row(job: Job) -> Sequence[Any]:
    reason = job.reason
    return (
        *(job.manifest.id, job.action, reason.cause, reason.text, reason.url, reason.who, job.state, job.commit),
        *(json.dumps(dict(job.asked)), job.created, job.started, job.ended, job.attempt, job.exit_code),
        *(json.dumps(dict(job.told)), job.replaced_by, job.approved_by, job.due),
    )


def _job(row: Sequence[Any]) -> Job:
    id_, manifest, action, cause, text, url, who, state, commit, asked, created, started, ended, *rest = row
    attempt, exit_code, told, replaced_by, approved_by, due = rest
    return Job(
        id=id_,
        manifest=Tracked.of(manifest),
        action=action,
        reason=Reason(cause, text, url, who),
        state=state,
        commit=commit,
        asked=json.loads(asked),
        created=created,
        started=started,
        ended=ended,
        attempt=attempt,
        exit_code=exit_code,
        told=json.loads(told),
        replaced_by=replaced_by,
        approved_by=approved_by,
        due=due,
    )


__all__ = ["AFTER", "APPROVAL", "CANCELLING", "Queue"]
