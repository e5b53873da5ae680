"""Action `plan`: what a run at a commit would do and why, and what it moves in the lock. Changes nothing live."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.lock.model import path_of
from pipeline.serve import approvals, outcomes
from pipeline.serve.ports import Outcome, Work
from pipeline.serve.proposals import lock_text, movement
from pipeline.serve.queue import APPROVAL
from pipeline.serve.reconcile import Reconcile
from pipeline.serve.requests import FORK

_LONGEST = 4000
TO_DO = 10
"""The exit code of `pipeline plan --check` where a run would do something."""


def perform(work: Work) -> Outcome:
    """`told` has the plan's lines as "plan", and what a run moves in the lock as "lock"."""
    outcomes.begin(work.log, work.job.attempt, work.now())
    # Of what waits for approval the plan stays, for the run to do just that.
    waits = work.job.asked.get(APPROVAL)
    saved = approvals.file_of(work.log.parent, waits or work.job.id)
    words = ["plan", str(work.manifest.relative_to(work.checkout)), "--check", "--save", str(saved)]
    # To resolve may run a Dockerfile's commands, or a package's own build: not for whoever can open a request.
    words += ["--frozen"] if work.job.asked.get(FORK) else []
    code, out, err = work.commands.ask(words, work.environment, work.checkout)
    with work.log.with_suffix(".err").open("a", encoding="utf-8") as file:
        file.write(err)
    if code not in (0, TO_DO):
        return _all_said(outcomes.outcome(code, _said(work, code, words)), err)
    lines = [line.rstrip() for line in out.splitlines()]
    last = next((line for line in reversed(lines) if line), "nothing to do")
    changes = code == TO_DO
    told = {"text": last, approvals.PLAN: lines, "lock": moved(work, saved), "changes": changes}
    if not waits:
        saved.unlink(missing_ok=True)
    return Outcome("done", 0, told)


def _said(work: Work, code: int, words: list[str]) -> outcomes.Said:
    """What a plan that failed has said; where something was out of reach also whether waiting may help, which only its
    JSON tells.
    """
    said = outcomes.read(work.log)
    if code != outcomes.OUT_OF_REACH:
        return said
    again, out, _ = work.commands.ask([*words, "--output", "json"], work.environment, work.checkout)
    return replace(said, error=outcomes.error_of(out)) if again == code else said


def _all_said(ended: Outcome, err: str) -> Outcome:
    """A plan that failed with all its errors: who reads of it in a pull request has no log."""
    words = "\n".join(line.removeprefix("error: ").rstrip() for line in err.splitlines()).strip()
    if ended.state != "failed" or not words:
        return ended
    return replace(ended, told={**ended.told, "text": words[:_LONGEST]})


def moved(work: Work, plan: Path) -> list[str]:
    """What a run at this commit moves in the lock, by its saved `plan`: against the lock of what was last deployed; of
    a pull request against that of what is applied.
    """
    git, path = work.git, str(path_of(work.manifest).relative_to(work.checkout))
    if work.job.asked.get("request"):
        before = work.book.repository(work.repository.name).applied
    else:
        _, before = Reconcile(work.book, work.queue).last(work.job.manifest)
    try:
        known = before and path in git.files(before, [path.rpartition("/")[0] or "."])
        old = git.text(before, path) if known else ""
        # It has the lock where that is not the one of the commit.
        new = json.loads(plan.read_text(encoding="utf-8"))["lock"]
        found = movement(old, json.dumps(new) if new else lock_text(work.manifest))
    except (PipelineError, OSError, ValueError, KeyError):
        # A lock that cannot be read is what the plan has told of, too; of a commit that is no more nothing is known.
        return []
    return list(found.lines) if found else []


__all__ = ["moved", "perform"]
