"""What an approval is worth: the plan that was shown is kept, and what has changed since waits for a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.serve.database import Database
from pipeline.serve.model import Job
from pipeline.serve.queue import Queue

CHANGED = "changed"
"""In what is told of a job that waits for approval: lines, why what was approved before does not hold any more."""
PLAN = "plan"
"""In what is told of one that was planned: the plan's lines."""
STALE = "StalePlan"
"""The error of `pipeline run --plan` where the plan does not hold any more (pipeline.errors)."""


def file_of(logs: Path, job: int) -> Path:
    """Where the plan of what waits for approval is kept (stages.saved), beside the jobs' logs: it goes as they do."""
    return logs / f"{job}.plan"


def changed(error: Mapping[str, Any]) -> list[str]:
    """What has moved since a plan was made, by the error of a run that refused it; nothing where it did not."""
    if error.get("error") != STALE:
        return []
    return [str(line) for line in error.get("log") or (error.get("message", "it does not hold any more"),)]


def ask_again(database: Database, queue: Queue, job: Job, told: Mapping[str, Any], now: float) -> Job:
    """A job that was approved and not done, for things changed since, waits for approval as a new one, which is planned
    anew; the job is replaced by that, or by a later commit's that waits already. `told` has the lines as CHANGED.
    """
    with database.transaction():
        text = f"approved by {job.approved_by}, and not done, for since then: {'; '.join(told[CHANGED])}"
        told = {**told, "text": text}
        if given := queue.give_way(job.id, told):
            return given
        fresh = Job(0, job.manifest, "run", job.reason, "approval", job.commit, job.asked)
        made = queue.add(replace(fresh, told={CHANGED: list(told[CHANGED])}))
        return queue.change(job.id, "replaced", replaced_by=made.id, ended=now, told=told)


__all__ = ["CHANGED", "PLAN", "STALE", "ask_again", "changed", "file_of"]
