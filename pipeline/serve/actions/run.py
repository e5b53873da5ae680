"""Action `run`: `pipeline run` at a commit; a lock that it had to write is proposed or committed, as by a rebuild."""

from __future__ import annotations

from dataclasses import replace

from pipeline.errors import OutOfReach, PipelineError
from pipeline.serve import approvals, outcomes
from pipeline.serve.ports import Outcome, Work
from pipeline.serve.proposals import Movement, keep, lock_text, movement, policy_of


def perform(work: Work) -> Outcome:
    """What the command said. One that had ended before the server was killed is not run again, unless it wrote a lock:
    that is gone with the checkout. What was approved does exactly what its plan says, or nothing.
    """
    before = outcomes.read(work.log) if work.job.attempt > 1 else outcomes.Said()
    if before.code is not None and not outcomes.heals(before.error, before.code) and not before.locked:
        return _ended(work, before.code, before)
    words = ["run", str(work.manifest.relative_to(work.checkout)), "--output", "json"]
    if work.job.approved_by:
        plan = approvals.file_of(work.log.parent, work.job.id)
        if not plan.is_file():
            return Outcome("approval", None, {approvals.CHANGED: ["its plan is not kept any more"]})
        words += ["--plan", str(plan)]
    outcomes.begin(work.log, work.job.attempt, work.now())
    committed = lock_text(work.manifest)
    code = work.commands.run(words, work.environment, work.log, work.halted, work.checkout)
    ended = _ended(work, code, outcomes.read(work.log))
    moved = movement(committed, lock_text(work.manifest)) if ended.state == "done" else None
    return _kept(work, ended, committed, moved) if moved else ended


def _ended(work: Work, code: int, said: outcomes.Said) -> Outcome:
    if work.job.approved_by and (lines := approvals.changed(said.error)):
        return Outcome("approval", code, {approvals.CHANGED: lines})
    return outcomes.with_pins(outcomes.outcome(code, said), work.book.live(work.job.manifest))


def _kept(work: Work, ended: Outcome, committed: str, moved: Movement) -> Outcome:
    """With what became of the new lock. What runs is right, and yet the job has failed where nobody gets its lock."""
    try:
        told = keep(work, committed, moved, policy_of(work))
    except OutOfReach:
        raise
    except PipelineError as error:
        text = f"{ended.told['text']}; but its new lock cannot be kept: {error.message}"
        return replace(ended, state="failed", told={**ended.told, "text": text, "remedy": error.remedy})
    text = f"{ended.told['text']}; the lock did not answer the manifest, and is {told['text']}"
    return replace(ended, told={**ended.told, **told, "text": text})


__all__ = ["perform"]
