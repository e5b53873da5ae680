"""Runs of the store's journal as pages show them: those that somebody began by hand as well as the server's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.serve.views_model import AttemptView, LogLine, LogPage, RunView, StepState, StepView
from pipeline.serve.views_words import since
from pipeline.store.journal import RUNNING, Run, RunStep
from pipeline.store.journal_logs import RunLog

_STATES = {RUNNING: "running", "made": "made", "hit": "hit", "failed": "failed", "skipped": "skipped"}


def journal_run(run: Run, steps: Iterable[RunStep] = (), graph: Iterable[Mapping[str, Any]] = ()) -> RunView:
    """A run; `graph` are the nodes that were kept of it. Without them there are no edges, and of hits only the number
    is known.
    """
    counts = {name: getattr(run.counts, name) for name in ("steps", "made", "hits", "failed", "skipped")}
    return RunView(
        id=run.id,
        manifest=run.asked.manifest,
        name=run.asked.name,
        outcome="" if run.outcome == RUNNING else run.outcome,
        started=run.started,
        ended=run.ended or 0.0,
        steps=_joined([_step(step) for step in steps], graph, run.outcome),
        command=run.asked.command,
        trigger=run.asked.trigger,
        continues=run.continues or 0,
        counts=counts,
        size=run.counts.size,
        error=run.error,
    )


def _joined(steps: Sequence[StepView], graph: Iterable[Mapping[str, Any]], outcome: str) -> tuple[StepView, ...]:
    """The graph's nodes, with what became of each; what is not in the graph comes first."""
    known = {step.id: step for step in steps}
    # What has not begun in a run that came to its end was there already.
    rest: StepState = "hit" if outcome in ("done", "nothing to do") else "waiting"
    nodes = []
    for node in graph:
        state: StepState = "hit" if node["hit"] else rest
        id_, kind, name, title = (str(node[word]) for word in ("step", "kind", "name", "title"))
        found = known.pop(id_, None) or StepView(id_, kind, name, title, state)
        nodes.append(replace(found, needs=tuple(node["needs"]), title=found.title or title))
    return (*known.values(), *nodes)


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
