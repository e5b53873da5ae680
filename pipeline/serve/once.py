"""One pass of all that a server does: repositories, clocks, the queue, and what is to be told. `pipeline sync`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from pipeline.noun import noun
from pipeline.serve.core import Core
from pipeline.serve.metrics import Health
from pipeline.serve.model import Job, Reason, RepositoryState, RepositoryStatus
from pipeline.serve.outbox import Outbox
from pipeline.serve.watch import duty_name

OUT_OF_REACH = 4
TOLD = 60.0
"""Seconds that hosts and receivers of messages have to take what is to be told; the rest waits for the next pass."""
_PAUSE = 1.0
_FAILURES = 10
_RECENT = 20
"""Jobs of a manifest among which its newest run is looked for."""
_WORST = (70, 5, 3, 2, OUT_OF_REACH)
"""Exit codes, the worst first."""
_STATES: dict[RepositoryState, int] = {
    "unreachable": OUT_OF_REACH,
    "diverged": 3,
    "unsigned": 3,
    "held": 3,
    "broken": 3,
    "gone": 2,
}


@noun
class Pass:
    """What came of it: the repositories that were looked at, what went wrong beside them, the jobs that ended, in that
    order, those that are still to be done, runs that `failed` before and were not asked for again, and how many notes
    could not be delivered yet.
    """

    repositories: tuple[RepositoryStatus, ...]
    troubles: tuple[Health, ...]
    ended: tuple[Job, ...]
    left: tuple[Job, ...]
    failed: tuple[Job, ...] = ()
    untold: int = 0

    @property
    def exit_code(self) -> int:
        """The worst of all; 4 where a repository, or what a job needs, is out of reach."""
        codes = {_STATES.get(one.state, 0) for one in self.repositories}
        codes |= {code_of(job) for job in (*self.ended, *self.failed)}
        codes |= {OUT_OF_REACH for job in self.left if job.state == "waiting" and job.due}
        codes |= {one.exit_code for one in self.troubles}
        return next((code for code in _WORST if code in codes), 3 if codes - {0} else 0)


def code_of(job: Job) -> int:
    """What a job that ended means for the exit code."""
    return (job.exit_code or 3) if job.state == "failed" else 0


def run_once(
    core: Core, names: Collection[str], told: Callable[[Job], None] = lambda _job: None, retry: bool = False
) -> Pass:
    """`told` is called for each job that ends, by one thread at a time. What waits from before is done, too; with
    `retry` also what failed when it was run last.
    """
    ended: dict[int, Job] = {}
    news, lock = threading.Event(), threading.Lock()

    def heard(job: Job) -> None:
        with lock:
            if job.state in ("done", "failed", "cancelled") and job.id not in ended:
                ended[job.id] = job
                told(job)
        news.set()

    core.listeners.append(heard)
    troubles = _look(core, names)
    for job in _failed(core, names) if retry else ():
        core.queue.add(Job(0, job.manifest, "run", Reason("hand", f"another try: job {job.id} had failed")))
    core.workers.start()
    while _at_work(core):
        news.wait(_PAUSE)
        news.clear()
    # What a rebuild found may have made a proposal obsolete.
    core.rota.call(core.withdrawals.name, core.now())
    core.rota.call(Outbox.name, core.now())
    core.outbox.settle(TOLD)
    statuses = tuple(core.book.repository(name) for name in names)
    untold = len(core.book.notes(float("inf")))
    failed = tuple(job for job in _failed(core, names) if job.id not in ended)
    return Pass(statuses, troubles, tuple(ended.values()), tuple(core.queue.open()), failed, untold)


def _failed(core: Core, names: Collection[str]) -> list[Job]:
    """The newest run of each manifest, where it failed: what that manifest wants is not live."""
    found = []
    for one in (one for name in names for one in core.book.entries(name) if not one.gone):
        newest = next((job for job in core.queue.jobs(_RECENT, one.manifest.id) if job.action == "run"), None)
        found += [newest] if newest and newest.state == "failed" else []
    return found


def _look(core: Core, names: Collection[str]) -> tuple[Health, ...]:
    """Has the repositories and all clocks looked at; what went wrong beside how the repositories are."""
    checked = [core.rota.call(duty_name(name), core.now()) for name in names]
    watches = {duty_name(name) for name in core.settings.repositories}
    core.rota.tick(core.now(), watches)
    now = core.now()
    for duty in (core.bases, core.looks):
        failed = 0
        # Of these, each call does a part, and what is wrong with one need not be with the others.
        while failed < _FAILURES and (due := duty.due(now)) is not None and due <= now:
            failed += not core.rota.call(duty.name, now).ok
    others = [one for one in core.rota.health() if one.name not in watches]
    return tuple(one for one in (*checked, *others) if not one.ok)


def _at_work(core: Core) -> bool:
    query = "SELECT 1 FROM jobs WHERE state = 'running' OR (state = 'waiting' AND due <= ?) LIMIT 1"
    return bool(core.database.execute(query, core.now()))


__all__ = ["Pass", "code_of", "run_once"]
