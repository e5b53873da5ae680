"""Runs of the store's journal as pages show them: those that somebody began by hand as well as the server's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from pipeline.serve.views_model import AttemptView, LogLine, LogPage, RunView, StepView
from pipeline.serve.views_words import since
from pipeline.store.journal import RUNNING, Run, RunStep
from pipeline.store.journal_logs import RunLog

_STATES = {RUNNING: "running", "made": "made", "hit": "hit", "failed": "failed", "skipped": "skipped"}


def journal_run(run: Run, steps: Iterable[RunStep] = ()) -> RunView:
    """A run; the journal knows no edges, and of hits only the number."""
    counts = {name: getattr(run.counts, name) for name in ("steps", "made", "hits", "failed", "skipped")}
    return RunView(
        id=run.id,
        manifest=run.asked.manifest,
        name=run.asked.name,
        outcome="" if run.outcome == RUNNING else run.outcome,
        started=run.started,
        ended=run.ended or 0.0,
        steps=tuple(_step(step) for step in steps),
        command=run.asked.command,
        trigger=run.asked.trigger,
        continues=run.continues or 0,
        counts=counts,
        size=run.counts.size,
        error=run.error,
    )


def _step(step: RunStep) -> StepView:
    kind, _, name = step.step.partition(" ")
    # A step of a run that was interrupted or killed has that run's outcome.
    state: Any = _STATES.get(step.outcome, "stopped")
    return StepView(
        id=step.step,
        kind=kind,
        name=name,
        title=step.title,
        state=state,
        started=step.started,
        ended=step.ended or 0.0,
        seconds=max(0.0, step.ended - step.started) if step.ended else 0.0,
        size=step.size,
        why=step.why,
        error=step.error,
        attempts=tuple(AttemptView(one.attempt, one.ended, one.wait, one.error) for one in step.attempts),
    )


def run_log(log: RunLog, step: str, most: int) -> LogPage:
    """The last lines that a run said, by one step or by all."""
    lines = deque((LogLine(since(line.at), line.step, line.text) for line in log.lines(step)), maxlen=most)
    return LogPage(tuple(lines), 0)


__all__ = ["journal_run", "run_log"]
