"""Performs one job: at its commit, by its action, to a state that it keeps; what may pass is tried again later."""

from __future__ import annotations

import contextlib
import errno
import traceback
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.noun import noun
from pipeline.reporters.masks import Masks
from pipeline.serve import approvals
from pipeline.serve.book import Book
from pipeline.serve.environment import environment
from pipeline.serve.model import Job
from pipeline.serve.names import is_twice
from pipeline.serve.outcomes import OUT_OF_REACH
from pipeline.serve.ports import Commands, Git, HostApi, Outcome, Perform, Work
from pipeline.serve.queue import CANCELLING, Queue
from pipeline.serve.requests import FORK
from pipeline.serve.settings import Repository, Settings
from pipeline.store.scratch import cannot_write

WAITS = (30.0, 120.0, 480.0, 1800.0)
"""Seconds until what was out of reach is tried again; after the last one it is given up."""
BUG = 70
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@noun
class Kit:
    """What jobs are performed with. `logs` is the folder of the jobs' logs; `run_of` gives the journal's number of the
    newest run of a job; `stopping` says that the server is to end.
    """

    settings: Settings
    environ: Mapping[str, str]
    queue: Queue
    book: Book
    gits: Mapping[str, Git]
    hosts: Mapping[str, HostApi | None]
    commands: Commands
    logs: Path
    actions: Mapping[str, Perform]
    now: Callable[[], float]
    stopping: Callable[[], bool] = lambda: False
    run_of: Callable[[int], int | None] = lambda _job: None
    waits: tuple[float, ...] = WAITS
    masks: Masks = field(default_factory=Masks)


def perform(kit: Kit, job: Job) -> Job:
    """The job as it is afterwards."""
    return settle(kit, job, outcome_of(kit, job))


def outcome_of(kit: Kit, job: Job) -> Outcome:
    """Does what a job asks for. What goes wrong is an outcome, too."""
    if CANCELLING in job.told:
        return Outcome("cancelled", None, {"text": _cancelled(job)})
    try:
        return _performed(kit, job)
    except PipelineError as error:
        return _failure(error)
    except OSError as error:
        return _failure(cannot_write(error, kit.logs)) if error.errno in _DISK else _bug(kit, job, error)
    except Exception as error:
        return _bug(kit, job, error)


def settle(kit: Kit, job: Job, outcome: Outcome) -> Job:
    """The job as it is afterwards: ended, or waiting again (for its next try; for the next start of the server).
    Raises StoreError where that cannot be written: nothing has changed then, and it may be called again.
    """
    job = kit.queue.job(job.id) or job
    if CANCELLING in job.told and outcome.state != "done":
        outcome = Outcome("cancelled", outcome.exit_code, {**outcome.told, "text": _cancelled(job)})
    elif outcome.state == "cancelled" and kit.stopping():
        return kit.queue.again(job.id)
    elif outcome.state == "cancelled":
        outcome = replace(outcome, state="failed")
    elif outcome.state == "approval":
        return _ask_again(kit, job, outcome)
    elif outcome.heals and (tries := job.told.get("tries", 0)) < len(kit.waits):
        return _again(kit, job, outcome, tries)
    return _end(kit, job, outcome)


def _performed(kit: Kit, job: Job) -> Outcome:
    repository = kit.settings.repositories.get(job.manifest.repository)
    git = kit.gits.get(job.manifest.repository)
    if repository is None or git is None:
        remedy = "put it back into the server's settings"
        raise UsageError(f"no repository '{job.manifest.repository}' is watched any more", remedy=remedy)
    entry = kit.book.entry(job.manifest)
    if entry and is_twice(entry) and job.action not in ("plan", "stop"):
        # It would take the place of the other one's services.
        raise UsageError(f"{job.manifest.path}: {entry.error}")
    job = _at_commit(kit, job, repository)
    # What a fork names as its submodules would be fetched with this server's rights.
    with git.at(job.commit, job.manifest.path, submodules=not job.asked.get(FORK)) as checkout:
        manifest = checkout / job.manifest.path
        if not manifest.is_file():
            fact = f"commit {job.commit[:12]} has no {job.manifest.path}"
            raise UsageError(fact, remedy="was it moved or deleted by a later commit?")
        return kit.actions[job.action](_work(kit, job, repository, git, checkout))


def _at_commit(kit: Kit, job: Job, repository: Repository) -> Job:
    """The job with a commit: the newest that was applied, where it names none. A rebuild takes that anew each time."""
    if job.commit:
        return job
    status = kit.book.repository(repository.name)
    commit = status.applied
    if not commit:
        raise UsageError(
            f"no commit of {repository.name} was applied yet", remedy=status.detail or "wait for the first"
        )
    return replace(job, commit=commit) if job.action == "rebuild" else kit.queue.note(job.id, commit=commit)


def _work(kit: Kit, job: Job, repository: Repository, git: Git, checkout: Path) -> Work:
    def halted() -> bool:
        now = kit.queue.job(job.id)
        return kit.stopping() or now is None or CANCELLING in now.told

    return Work(
        job=job,
        settings=kit.settings,
        repository=repository,
        entry=kit.book.entry(job.manifest),
        checkout=checkout,
        manifest=checkout / job.manifest.path,
        environment=environment(kit.environ, repository, job),
        log=kit.logs / f"{job.id}.jsonl",
        commands=kit.commands,
        git=git,
        host=kit.hosts.get(repository.name),
        book=kit.book,
        queue=kit.queue,
        now=kit.now,
        halted=halted,
    )


def _failure(error: PipelineError) -> Outcome:
    told: dict[str, Any] = {"text": f"{error.place}: {error.message}" if error.place else error.message}
    if error.remedy:
        told["remedy"] = error.remedy
    heals = error.transient or (isinstance(error, OutOfReach) and not error.lasting)
    return Outcome("failed", OUT_OF_REACH if error.transient else error.exit_code, told, heals)


def _bug(kit: Kit, job: Job, error: Exception) -> Outcome:
    """The traceback is for us, and stays in a file."""
    file = kit.logs / f"{job.id}.err"
    with contextlib.suppress(OSError), file.open("a", encoding="utf-8", errors="backslashreplace") as out:
        out.write(kit.masks.text("".join(traceback.format_exception(error))))
    text = f"bug: {type(error).__name__}; please report; details are in {file.name} of the jobs' logs"
    return Outcome("failed", BUG, {"text": text})


def _again(kit: Kit, job: Job, outcome: Outcome, tries: int) -> Job:
    wait, text = kit.waits[tries], outcome.told.get("text", "out of reach")
    told = {**job.told, **outcome.told, "tries": tries + 1}
    with kit.book.database.transaction():
        entry = kit.book.entry(job.manifest)
        if job.action in ("run", "rebuild") and (entry is None or entry.gone):
            deleted = f"{text}; a commit has deleted its manifest meanwhile, so it is not tried again"
            return _end(kit, job, replace(outcome, state="cancelled", told={**outcome.told, "text": deleted}))
        if given := kit.queue.give_way(job.id, told):
            return given
        return kit.queue.again(job.id, kit.now() + wait, {**told, "text": f"{text}; tried again in {wait:.0f} s"})


def _ask_again(kit: Kit, job: Job, outcome: Outcome) -> Job:
    entry = kit.book.entry(job.manifest)
    if entry is None or entry.gone:
        deleted = "what was approved does not hold any more, and a commit has deleted its manifest meanwhile"
        return _end(kit, job, Outcome("cancelled", outcome.exit_code, {**outcome.told, "text": deleted}))
    told = kit.masks.value(dict(outcome.told))
    return approvals.ask_again(kit.book.database, kit.queue, job, told, kit.now())


def _end(kit: Kit, job: Job, outcome: Outcome) -> Job:
    told = {name: value for name, value in job.told.items() if name in ("tries",)} | dict(outcome.told)
    number = kit.run_of(job.id)
    more = {"run": number} if number is not None and job.action != "plan" else {}
    return kit.queue.end(job.id, outcome.state, outcome.exit_code, kit.masks.value({**told, **more}))


def _cancelled(job: Job) -> str:
    who = job.told.get(CANCELLING)
    return f"cancelled by {who} while it ran" if who else "cancelled while it ran"


__all__ = ["WAITS", "Kit", "outcome_of", "perform", "settle"]
