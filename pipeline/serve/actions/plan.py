"""Action `plan`: what a run at a commit would do and why, and what that commit moves in the lock. Changes nothing."""

from __future__ import annotations

from dataclasses import replace

from pipeline.errors import PipelineError
from pipeline.lock import diff
from pipeline.lock.model import Lock, path_of
from pipeline.lock.text import parse
from pipeline.serve import outcomes
from pipeline.serve.ports import Outcome, Work

_LONGEST = 4000
TO_DO = 10
"""The exit code of `pipeline plan --check` where a run would do something."""


def perform(work: Work) -> Outcome:
    """`told` has the plan's lines as "plan", and those of the lock's diff against what is applied as "lock"."""
    outcomes.begin(work.log, work.job.attempt, work.now())
    words = ["plan", str(work.manifest.relative_to(work.checkout)), "--check"]
    code, out, err = work.commands.ask(words, work.environment, work.checkout)
    with work.log.with_suffix(".err").open("a", encoding="utf-8") as file:
        file.write(err)
    if code not in (0, TO_DO):
        return _all_said(outcomes.outcome(code, outcomes.read(work.log)), err)
    lines = [line.rstrip() for line in out.splitlines()]
    last = next((line for line in reversed(lines) if line), "nothing to do")
    return Outcome("done", 0, {"text": last, "plan": lines, "lock": moved(work), "changes": code == TO_DO})


def _all_said(ended: Outcome, err: str) -> Outcome:
    """A plan that failed with all its errors: who reads of it in a pull request has no log."""
    words = "\n".join(line.removeprefix("error: ").rstrip() for line in err.splitlines()).strip()
    if ended.state != "failed" or not words:
        return ended
    return replace(ended, told={**ended.told, "text": words[:_LONGEST]})


def moved(work: Work) -> list[str]:
    """What the commit's lock has otherwise than the one that is applied."""
    lock = path_of(work.manifest)
    applied = work.book.repository(work.repository.name).applied
    try:
        new = parse(lock.read_text(encoding="utf-8"), str(lock)) if lock.is_file() else Lock()
        old = _applied(work, applied, str(lock.relative_to(work.checkout)))
        return list(diff.changes(old, new))
    except (PipelineError, OSError, UnicodeDecodeError):
        # A lock that cannot be read is what the plan has told of.
        return []


def _applied(work: Work, commit: str, path: str) -> Lock:
    if not commit or path not in work.git.files(commit, [path.rpartition("/")[0] or "."]):
        return Lock()
    return parse(work.git.text(commit, path), path)


__all__ = ["moved", "perform"]
