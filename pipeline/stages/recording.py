"""Writes what a run tells into the journal, so that it can be read afterwards, and so that a kill is found out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.engine import owner
from pipeline.errors import Interrupted, PipelineError
from pipeline.events import (
    Event,
    Locked,
    Planned,
    PlannedStep,
    Reporter,
    RunContinued,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepSaid,
    StepStarted,
    StepWaits,
    Warned,
)
from pipeline.home import Home
from pipeline.store import Store
from pipeline.store.journal import RUNNING, Asked, Attempt, Counts, Journal, Run, RunStep

if TYPE_CHECKING:
    from pipeline.plan.model import Plan
    from pipeline.store.journal_logs import RunLog

_PRUNED_EACH = 100
"""Runs that had nothing to do: looking for the oldest takes longer than all else that is written of them."""

_TRIGGERS = {
    "GITHUB_ACTIONS": ("GitHub Actions", "GITHUB_EVENT_NAME"),
    "GITLAB_CI": ("GitLab CI", "CI_PIPELINE_SOURCE"),
    "TF_BUILD": ("Azure Pipelines", "BUILD_REASON"),
    "JENKINS_URL": ("Jenkins", ""),
    "CI": ("CI", ""),
}


def journal_of(store: Store, home: Home) -> Journal:
    return Journal(store.database, home.state / "runs")


def asked(manifest: Path, name: str, command: str, environ: Mapping[str, str]) -> Asked:
    """What this process was started for."""
    uname = os.uname()
    return Asked(str(manifest), name, command, _trigger(environ), uname.nodename, os.getpid(), _process())


def _process() -> str:
    try:
        return owner.own()
    except OSError:
        # No /proc: that it was killed is never found out.
        return ""


def _trigger(environ: Mapping[str, str]) -> str:
    if said := environ.get("PIPELINE_TRIGGER"):
        return said
    for variable, (service, reason) in _TRIGGERS.items():
        if environ.get(variable, "").lower() not in ("", "0", "false", "no"):
            return f"{service}, {environ[reason]}" if environ.get(reason) else service
    return ""


def is_gone(one: Asked) -> bool:
    """Whether the process of a run has ended for sure: on this machine, or before this machine was started anew."""
    own = _process()
    if not one.process or not own or one.host != os.uname().nodename:
        return False
    if one.process.partition("/")[0] != own.partition("/")[0]:
        return True
    return owner.is_gone(one.process)


class Recorder:
    """A reporter that keeps what it hears; to be used as a context around the run.

    A run with nothing to do leaves one row, written at its end. `plan` is to be set once there is one: it knows the
    inputs of steps. The run began `passed` seconds ago. `mask` takes secrets out of errors; events come masked. What
    cannot be written fails no run: it is told as a warning at the end. `sweep` removes what killed runs left.
    """

    def __init__(
        self,
        journal: Journal,
        asked: Asked,
        report: Reporter,
        mask: Callable[[str], str] = str,
        passed: float = 0.0,
        sweep: Callable[[], None] = lambda: None,
    ) -> None:
        self._sweep = sweep
        self.plan: Plan | None = None
        self.id: int | None = None
        self._journal, self._asked, self._report, self._mask = journal, asked, report, mask
        self._started = journal.now() - passed
        self._counts = Counts()
        self._began: dict[str, RunStep] = {}
        self._graph: Sequence[PlannedStep] = ()
        self._continues: int | None = None
        self._log: RunLog | None = None
        self._warned: list[str] = []
        self._tries: dict[str, int] = {}
        self._problem = ""

    # -- the run as a whole -------------------------------------------------------------------------------------

    def __enter__(self) -> Recorder:
        self._safely(self._find_killed)
        return self

    def _find_killed(self) -> None:
        # Whether or not a run without an end is found: this one may be killed between the two, and the next would find
        # none; and a run that was killed before it was noted has left something, too.
        with contextlib.suppress(OSError):
            self._sweep()
        buried = self._journal.bury(is_gone)
        killed = [run for run in buried if run.asked.manifest == self._asked.manifest]
        for run in killed[:1]:
            self._continues = run.id
            passed = max(0.0, self._started - (run.ended or run.started))
            self._report(RunContinued(run.id, passed, run.counts.hits + run.counts.made, run.counts.steps))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        outcome = _outcome(error, self._counts.made)
        text = self._mask(str(error)) if isinstance(error, Exception) else ""
        self._safely(lambda: self._finish(outcome, text))
        problem = self._problem or (self._log.problem if self._log else "")
        if problem and error is None:
            self._report(Warned(f"the journal of this run is not complete: {problem}"))

    def _finish(self, outcome: str, error: str) -> None:
        if self.id is None:
            id_ = self._journal.begin(replace(self._run(), ended=self._journal.now(), outcome=outcome, error=error))
            if id_ % _PRUNED_EACH == 0:
                self._journal.prune()
            return
        self._journal.end(self.id, outcome, self._counts, error)
        if self._log:
            if error:
                self._log.write(self._journal.now(), "", f"{outcome}: {error}")
            self._log.close()

    def _run(self) -> Run:
        return Run(0, self._asked, self._started, None, RUNNING, self._counts, "", self._continues)

    def _begin(self) -> int:
        if self.id is None:
            self._journal.prune()
            self.id = self._journal.begin(self._run())
            self._log = self._journal.log(self.id)
            for text in self._warned:
                self._write("", f"warning: {text}")
        return self.id

    def _safely(self, call: Callable[[], object]) -> None:
        if self._problem:
            return
        try:
            call()
        except PipelineError as error:
            self._problem = error.message

    # -- what it tells ------------------------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        self._safely(lambda: self._heard(event))

    def _heard(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._counts = replace(self._counts, steps=event.steps)
            case Planned():
                self._graph = event.graph
            case StepStarted():
                self._step_started(event)
            case StepEnded():
                self._step_ended(event)
            case StepRetried():
                self._tried(event)
            case StepSaid():
                self._write(event.step, event.text)
            case Warned() if self.id is None:
                # Nothing may be left to do.
                self._warned.append(event.text)
            case Warned():
                self._write("", f"warning: {event.text}")
            case StepWaits():
                self._write(event.step, f"waits for {event.holder}")
            case Locked():
                for text in event.changes:
                    self._write("", f"lock: {text}")
            case RunEnded():
                report = event.report
                counts = {name: getattr(report, name) for name in ("made", "hits", "failed", "skipped", "size")}
                self._counts = replace(self._counts, **counts)

    def _tried(self, event: StepRetried) -> None:
        """Tries of a step, and those of its requests, are counted together."""
        if event.step not in self._began and event.step not in self._tries:
            # What asks indexes is no step of the plan, and begins without a word.
            self._journal.step(self._begin(), self._known(event.step))
        number = self._tries[event.step] = self._tries.get(event.step, 0) + 1
        self._journal.attempt(self._begin(), event.step, Attempt(number, self._journal.now(), event.wait, event.error))
        self._write(event.step, f"attempt {number} failed: {event.error}")

    def _step_started(self, event: StepStarted) -> None:
        id_ = self._begin()
        if not self._began:
            self._journal.planned(id_, self._counts.steps, self._counts.hits)
            assert self._log
            self._log.write_graph([asdict(node) for node in self._graph])
        step = self._began[event.step] = self._known(event.step)
        self._journal.step(id_, step)

    def _step_ended(self, event: StepEnded) -> None:
        began = self._began.get(event.step)
        if event.outcome == "hit" and began is None:
            self._counts = replace(self._counts, hits=self._counts.hits + 1)
            return
        step = replace(
            began or self._known(event.step),
            ended=self._journal.now(),
            outcome=event.outcome,
            title=event.title,
            size=event.size,
            why=event.why,
            error=event.error,
        )
        if event.outcome == "made":
            step = replace(step, output=self._journal.output(step.key))
        self._journal.step(self._begin(), step)
        if event.error:
            self._write(event.step, f"failed: {event.error}")

    def _known(self, id_: str) -> RunStep:
        now = self._journal.now()
        try:
            step = self.plan.step(id_) if self.plan else None
        except KeyError:
            step = None
        return RunStep(id_, now, key=step.key, inputs=step.inputs) if step else RunStep(id_, now)

    def _write(self, step: str, text: str) -> None:
        self._begin()
        assert self._log
        self._log.write(self._journal.now(), step, text)


def _outcome(error: BaseException | None, made: int) -> str:
    if error is None:
        return "done" if made else "nothing to do"
    if isinstance(error, Interrupted):
        return "interrupted"
    if isinstance(error, PipelineError):
        return "failed"
    # Ctrl-C, SIGTERM, or a reader of the output that has gone: nothing was wrong with the run.
    return "bug" if isinstance(error, Exception) else "interrupted"


__all__ = ["Recorder", "asked", "is_gone", "journal_of"]
