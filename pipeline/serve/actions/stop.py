"""Action `stop`: ends the services of a manifest that was deleted, as it was in the last commit that had it."""

from __future__ import annotations

from pipeline.manifest.load import load
from pipeline.serve import outcomes
from pipeline.serve.model import Entry, Tracked
from pipeline.serve.ports import Outcome, Work


def perform(work: Work) -> Outcome:
    """Stopping what does not run is no error. Where all are stopped, the manifest is forgotten. Nothing is stopped that
    a commit has brought back while this waited for its turn, or for another try.
    """
    outcomes.begin(work.log, work.job.attempt, work.now())
    deleted = load(work.manifest, environ=work.environment)
    # It may have moved to another repository, too.
    back = [one for name in work.settings.repositories for one in work.book.entries(name) if not one.gone]
    if found := next((one for one in back if _is_it(one, work.job.manifest, deleted.name)), None):
        return Outcome("done", 0, {"text": f"{deleted.name} is back ({found.manifest.path}): nothing was stopped"})
    targets = deleted.targets
    manifest = str(work.manifest.relative_to(work.checkout))
    for target in targets:
        words = ["stop", manifest, target, "--output", "json"]
        code = work.commands.run(words, work.environment, work.log, work.halted, work.checkout)
        if code:
            return outcomes.outcome(code, outcomes.read(work.log))
    # It may have come back meanwhile.
    if (entry := work.book.entry(work.job.manifest)) and entry.gone:
        work.book.forget_entry(work.job.manifest)
    names = ", ".join(targets)
    return Outcome("done", 0, {"text": f"stopped {names}" if names else "there was nothing to stop"})


def _is_it(one: Entry, manifest: Tracked, name: str) -> bool:
    """Whether a manifest has that name now; of the one that had it, also where its name cannot be told."""
    return one.name == name or (one.manifest == manifest and not one.name)


__all__ = ["perform"]
