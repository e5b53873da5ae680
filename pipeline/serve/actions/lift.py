"""Action `lift`: lifts the pin of a target; the next run rolls out what the manifest says."""

from __future__ import annotations

from pipeline.serve.actions.rollback import command
from pipeline.serve.ports import Outcome, Work


def perform(work: Work) -> Outcome:
    target = work.job.asked.get("target", "")
    manifest = str(work.manifest.relative_to(work.checkout))
    return command(work, ["rollback", manifest, *([target] if target else []), "--lift"])


__all__ = ["perform"]
