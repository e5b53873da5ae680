"""Action `rollback`: puts an earlier release of a target back, and pins it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import OutOfReach, UsageError
from pipeline.serve import outcomes
from pipeline.serve.ports import Commands, Outcome, Work


def perform(work: Work) -> Outcome:
    """`asked` has the "target", and the "revision": without one the release before the live one is chosen, and noted
    before anything is done, so that after a kill it is not the one before that.
    """
    target, revision = work.job.asked.get("target", ""), work.job.asked.get("revision", "")
    if not revision:
        found = revisions(work.commands, work.environment, work.checkout, work.job.manifest.path, target)
        revision = _earlier(found, target)
        asked = {**work.job.asked, "revision": revision}
        work.queue.note(work.job.id, asked=asked)
        work = replace(work, job=replace(work.job, asked=asked))
    return command(work, ["rollback", _manifest(work), *_named(target), "--to", revision])


def command(work: Work, words: list[str]) -> Outcome:
    """Runs a command that says one JSON value."""
    outcomes.begin(work.log, work.job.attempt, work.now())
    code = work.commands.run([*words, "--output", "json"], work.environment, work.log, work.halted, work.checkout)
    return outcomes.outcome(code, outcomes.read(work.log))


def revisions(
    commands: Commands, environment: Mapping[str, str], checkout: Path, manifest: str, target: str
) -> list[dict[str, Any]]:
    """What there is to go back to: {"revision", "image", "marks"}, the newest first. Raises UsageError, OutOfReach."""
    words = ["rollback", manifest, *_named(target), "--list", "--output", "json"]
    code, out, err = commands.ask(words, environment, checkout)
    try:
        found = json.loads(out)
    except ValueError:
        found = None
    if code or not isinstance(found, list):
        lines = [line for line in err.splitlines() if line.strip()]
        said = lines[0].removeprefix("error: ") if lines else f"the command ended with exit code {code}"
        kind = OutOfReach if outcomes.heals(outcomes.error_of(out), code) else UsageError
        raise kind(said, remedy="\n".join(line.strip() for line in lines[1:]))
    return found


def _earlier(found: list[dict[str, Any]], target: str) -> str:
    for one in found:
        if "live" not in one["marks"]:
            return str(one["revision"])
    raise UsageError(f"{target} has no earlier release to go back to", remedy="there is none that passed its checks")


def _manifest(work: Work) -> str:
    return str(work.manifest.relative_to(work.checkout))


def _named(target: str) -> list[str]:
    return [target] if target else []


__all__ = ["command", "perform", "revisions"]
