"""Action `rebuild`: resolves the lock anew and, where it names something else, proposes it, or runs and commits it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import OutOfReach, PipelineError
from pipeline.lock.model import Lock, path_of
from pipeline.lock.upgrade import EVERYTHING
from pipeline.serve import outcomes, proposals
from pipeline.serve.environment import TRIGGER, trigger
from pipeline.serve.ports import Outcome, Work
from pipeline.serve.proposals import Movement, Policy
from pipeline.serve.rebuilds import are_packages, upgraded

_USAGE = 2


def perform(work: Work) -> Outcome:
    """`asked` may have "upgrade", the names to take anew (else everything), and "policy": propose or apply.

    Where anything fails nothing is pushed, and the lock stays as it was.
    """
    outcomes.begin(work.log, work.job.attempt, work.now())
    policy = proposals.policy_of(work, str(work.job.asked.get("policy") or ""))
    old = proposals.lock_text(work.manifest)
    work = _by_packages(work, old)
    locked, names = _locked(work, old)
    if locked.state != "done":
        return locked
    moved = proposals.movement(old, proposals.lock_text(work.manifest))
    if moved is None:
        withdrawn = proposals.withdraw(
            work, f"resolved anew ({work.job.reason.text}), the lock names the same as before"
        )
        text = "nothing new; what was proposed is withdrawn" if withdrawn else "nothing new"
        return Outcome("done", 0, {"text": text, "policy": policy})
    _log(work, {"event": "locked", "path": str(path_of(work.manifest)), "changes": list(moved.lines)})
    ended = _run(work, moved) if policy == "apply" else locked
    if ended.state != "done":
        return replace(ended, told={**ended.told, "lock": list(moved.lines), "moved": moved.words, "policy": policy})
    return _kept(work, ended, old, moved, policy, names)


def _by_packages(work: Work, old: str) -> Work:
    """A rebuild by hand of packages alone has these as its cause: only the lock tells them from bases and layers."""
    from pipeline.lock.text import parse

    job, names = work.job, upgraded(work.job)
    if job.reason.cause != "hand" or not are_packages(names, parse(old, "the lock") if old else Lock()):
        return work
    text = f"packages {', '.join(names)}: {job.reason.text}"
    job = work.queue.note(job.id, reason=replace(job.reason, cause="packages", text=text))
    # The commit is the one that it is done at, which a rebuild does not keep.
    job = replace(job, commit=work.job.commit)
    return replace(work, job=job, environment={**work.environment, TRIGGER: trigger(job)})


def _kept(work: Work, ended: Outcome, old: str, moved: Movement, policy: Policy, names: Sequence[str]) -> Outcome:
    """What a run told stays, and what became of the lock is said behind it."""
    before = f"{ended.told['text']}; " if ended.told.get("text") else ""
    try:
        told = proposals.keep(work, old, moved, policy, names)
    except PipelineError as error:
        if error.transient or isinstance(error, OutOfReach):
            raise
        known = {"lock": list(moved.lines), "moved": moved.words, "policy": policy, "remedy": error.remedy}
        text = f"{before}the new lock cannot be kept: {error.message}"
        return Outcome("failed", error.exit_code, {**ended.told, **known, "text": text})
    return replace(ended, told={**ended.told, **told, "text": f"{before}{told['text']}"})


# -- the commands -----------------------------------------------------------------------------------------------------


def _locked(work: Work, old: str) -> tuple[Outcome, Sequence[str]]:
    """How the resolving ended, and the names it took anew: with those of a proposal that still waits, which the new one
    takes the place of.
    """
    names = upgraded(work.job)
    waits = proposals.standing(work, old)
    if names and waits:
        both = sorted({*names, *waits["upgrade"]}) if waits["upgrade"] else []
        ended = _lock(work, both)
        # Names of the other may be gone from the manifest.
        if ended.exit_code != _USAGE:
            return ended, both
    return _lock(work, names), names


def _lock(work: Work, names: Sequence[str]) -> Outcome:
    """Writes the lock into the checkout."""
    _log(work, {"event": "step-said", "step": "", "text": f"resolving {', '.join(names) or 'everything'} anew"})
    words = ["lock", _manifest(work), "--output", "json"]
    for name in names or (EVERYTHING,):
        words += ["--upgrade", name]
    # What it says is one value, with which nobody should have to fill a log.
    log = work.log.with_name(f"{work.log.stem}-lock.jsonl")
    for path in (log, log.with_suffix(".err")):
        path.unlink(missing_ok=True)
    try:
        code = work.commands.run(words, work.environment, log, work.halted, work.checkout)
        ended = outcomes.outcome(code, outcomes.read(log))
    finally:
        for path in (log, log.with_suffix(".err")):
            path.unlink(missing_ok=True)
    return Outcome("done", 0) if ended.state == "done" else ended


def _run(work: Work, moved: Movement) -> Outcome:
    """Builds, checks and rolls out with the new lock, which is in the checkout."""
    environment = {**work.environment, TRIGGER: f"{work.environment.get(TRIGGER, '')} ({moved.words})"}
    words = ["run", _manifest(work), "--output", "json"]
    code = work.commands.run(words, environment, work.log, work.halted, work.checkout)
    return outcomes.with_pins(outcomes.outcome(code, outcomes.read(work.log)), work.book.live(work.job.manifest))


def _manifest(work: Work) -> str:
    return str(work.manifest.relative_to(work.checkout))


def _log(work: Work, event: Mapping[str, Any]) -> None:
    with work.log.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**event, "at": round(work.now(), 3)}, ensure_ascii=False) + "\n")


__all__ = ["perform"]
