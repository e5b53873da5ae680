"""Action `run`: `pipeline run` at a commit; a lock that it had to write is proposed or committed, as by a rebuild."""

from __future__ import annotations

from pipeline.lock.model import path_of
from pipeline.serve import outcomes
from pipeline.serve.ports import Outcome, Work


def perform(work: Work) -> Outcome:
    """What the command said. One that had ended before the server was killed is not run again, unless it wrote a lock:
    that is gone with the checkout.
    """
    before = outcomes.read(work.log) if work.job.attempt > 1 else outcomes.Said()
    if before.code is not None and before.code != outcomes.OUT_OF_REACH and not before.locked:
        return outcomes.outcome(before.code, before)
    outcomes.begin(work.log, work.job.attempt, work.now())
    lock = path_of(work.manifest)
    committed = lock.read_bytes() if lock.is_file() else b""
    words = ["run", str(work.manifest.relative_to(work.checkout)), "--output", "json"]
    code = work.commands.run(words, work.environment, work.log, work.halted, work.checkout)
    ended = outcomes.outcome(code, outcomes.read(work.log))
    if ended.state != "done" or not lock.is_file() or lock.read_bytes() == committed:
        return ended
    return _settled(work, ended)


def _settled(work: Work, ended: Outcome) -> Outcome:
    from pipeline.serve.actions.rebuild import settle

    return settle(work, ended)


__all__ = ["perform"]
