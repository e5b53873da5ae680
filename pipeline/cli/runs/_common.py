"""What the runs commands share: the journal, which run is meant, and words for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.store.journal import Journal, Run

ID_HELP = "ID: a run's number, as 'pipeline runs' shows it; when left out, the newest run"


def journal(shell: Shell) -> Journal:
    """The journal of this home; runs whose process is gone are marked as killed first."""
    from pipeline.stages.recording import is_gone, journal_of
    from pipeline.store import Store

    found = journal_of(Store(shell.home.store), shell.home)
    found.bury(is_gone)
    return found


def chosen(found: Journal, id_: int | None) -> Run:
    """The run of this number, or the newest. Raises UsageError for none."""
    if id_ is None:
        if newest := found.runs(1):
            return newest[0]
        raise UsageError("there was no run yet", remedy="'pipeline run' makes one")
    run = found.run(id_)
    if run is None:
        raise UsageError(f"there is no run {id_}", remedy="'pipeline runs' lists those that are kept")
    return run


def as_json(run: Run) -> dict[str, Any]:
    """A run as JSON: times in seconds since 1970."""
    one, counts = run.asked, run.counts
    return {
        "id": run.id,
        "manifest": one.manifest,
        "name": one.name,
        "command": one.command,
        "trigger": one.trigger,
        "outcome": run.outcome,
        "started": run.started,
        "ended": run.ended,
        "continues": run.continues,
        "host": one.host,
        "pid": one.pid,
        **{name: getattr(counts, name) for name in ("steps", "hits", "made", "failed", "skipped", "size")},
        "error": run.error,
    }


def when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def took(started: float, ended: float | None) -> str:
    """How long something took, or has taken up to now."""
    from pipeline.reporters.lines import seconds

    # The clock may have been set back meanwhile.
    return seconds(max(0.0, (time.time() if ended is None else ended) - started))
