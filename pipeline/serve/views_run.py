"""A run as its job's log tells it: the lines of `--output json`, read as they come, into a graph with times."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.serve.views_model import AttemptView, RunView, StepView

_SAID = b'{"event": "step-said"'
"""The bulk of a log, and nothing of a graph: only the last words of a step are looked at."""
_KEPT = 64


class RunLogs:
    """The runs of jobs, below a folder of `ID.jsonl`: what was read is kept in memory, so that a page which asks again
    and again reads only what is new. For several threads.
    """

    def __init__(self, folder: Path, kept: int = _KEPT) -> None:
        self.folder, self._kept = folder, kept
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Told] = OrderedDict()

    def path(self, job: int) -> Path:
        return self.folder / f"{job}.jsonl"

    def length(self, job: int) -> int:
        """Bytes of a job's log; 0 where there is none."""
        try:
            return self.path(job).stat().st_size
        except OSError:
            return 0

    def run(self, job: int, over: bool) -> RunView | None:
        """The run of a job as far as it came, None where none began. `over`: what was under way is so no more."""
        with self._lock:
            told = self._known.pop(job, None) or _Told(self.path(job))
            self._known[job] = told
            while len(self._known) > self._kept:
                self._known.popitem(last=False)
            told.read()
            return told.view(job, over)


class _Told:
    """What a log has told so far."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._begin()

    def _begin(self) -> None:
        """Anew: each attempt of a job begins with a run of its own."""
        self._run: RunView | None = None
        self._steps: dict[str, StepView] = {}
        self._ended = False

    def read(self) -> None:
        for line in self._lines():
            value = _parsed(line)
            if isinstance(value, dict) and isinstance(value.get("event"), str):
                self._take(value["event"], value)

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                if file.seek(0, 2) < self._offset:
                    self._offset = 0
                    self._begin()
                file.seek(self._offset)
                last: dict[bytes, bytes] = {}
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._offset += len(line)
                    if line.startswith(_SAID):
                        last[line[:120].partition(b'"text"')[0]] = line
                    else:
                        yield from last.values()
                        last.clear()
                        yield line
                yield from last.values()
        except OSError:
            return

    # -- events -------------------------------------------------------------------------------------------------

    def _take(self, name: str, event: Mapping[str, Any]) -> None:
        at = float(event.get("at") or 0.0)
        if name == "attempt":
            self._begin()
        elif name == "run-started":
            self._started(event, at)
        elif name == "error":
            self._failed(event, at)
        elif name == "planned":
            self._planned(event)
        elif name in ("step-started", "step-said", "step-waits", "step-retried", "step-ended"):
            self._step(name, event, at)
        elif name in ("run-continued", "locked", "warning", "run-ended"):
            self._about_the_run(name, event, at)

    def _started(self, event: Mapping[str, Any], at: float) -> None:
        before = self._run if self._run and not self._ended and not self._run.steps else None
        self._steps, self._ended = {}, False
        told = before or RunView(0, "", "", "", at, 0.0, ())
        self._run = replace(told, name=str(event.get("manifest", "")), started=told.started or at)

    def _known_run(self, at: float) -> RunView:
        if self._run is None or self._ended:
            self._steps, self._ended = {}, False
            self._run = RunView(0, "", "", "", at, 0.0, ())
        return self._run

    def _failed(self, event: Mapping[str, Any], at: float) -> None:
        run = self._run or self._known_run(at)
        place = event.get("place") or {}
        where = f"{place.get('file', '')}:{place.get('line', '')}" if place else ""
        words = str(event.get("message") or event.get("error") or "")
        self._run = replace(
            run,
            outcome="failed",
            error=words,
            remedy=str(event.get("remedy") or ""),
            place=where,
            ended=at or run.ended,
        )
        self._ended = True

    def _planned(self, event: Mapping[str, Any]) -> None:
        for one in event.get("graph", ()):
            state: Any = "hit" if one["hit"] else "waiting"
            needs = tuple(one["needs"])
            self._steps[one["step"]] = StepView(
                one["step"], one["kind"], one["name"], one["title"], state, why=one["why"], needs=needs
            )

    def _step(self, name: str, event: Mapping[str, Any], at: float) -> None:
        id_ = str(event.get("step", ""))
        if not id_:
            return
        self._known_run(at)
        kind, _, rest = id_.partition(" ")
        step = self._steps.get(id_) or StepView(id_, kind, rest, "", "waiting")
        self._steps[id_] = _changed(step, name, event, at)

    def _about_the_run(self, name: str, event: Mapping[str, Any], at: float) -> None:
        run = self._known_run(at)
        if name == "run-continued":
            run = replace(run, continues=int(event.get("run", 0)))
        elif name == "locked":
            run = replace(run, locked=tuple(map(str, event.get("changes", ()))))
        elif name == "warning":
            run = replace(run, warnings=(*run.warnings, str(event.get("text", "")))[-20:])
        elif name == "run-ended":
            steps = sum(bool(step.kind) for step in self._steps.values())
            run = _ended(run, event.get("report", {}), steps, at)
            self._ended = True
        self._run = run

    # -- what came of it ----------------------------------------------------------------------------------------

    def view(self, job: int, over: bool) -> RunView | None:
        if self._run is None:
            return None
        steps = tuple(_stopped(step) if over else step for step in self._steps.values())
        outcome = self._run.outcome or ("stopped" if over and not self._run.ended else "")
        return replace(self._run, steps=steps, job=job, outcome=outcome)


def _changed(step: StepView, name: str, event: Mapping[str, Any], at: float) -> StepView:
    if name == "step-started":
        return replace(step, state="running", started=at, ended=0.0, error="")
    if name == "step-said":
        lines = str(event.get("text", "")).strip().splitlines()
        return replace(step, said=lines[-1][:200] if lines else step.said)
    if name == "step-waits":
        return replace(step, said=f"waits for {event.get('holder', '')}")
    if name == "step-retried":
        number, wait = int(event.get("attempt", 0)), float(event.get("wait", 0.0))
        one = AttemptView(number, at, wait, str(event.get("error", "")))
        return replace(step, attempts=(*step.attempts, one)[-20:])
    return _step_ended(step, event, at)


def _step_ended(step: StepView, event: Mapping[str, Any], at: float) -> StepView:
    seconds = float(event.get("seconds", 0.0))
    return replace(
        step,
        state=event.get("outcome", "made"),
        title=str(event.get("title") or step.title),
        started=step.started or (at - seconds if seconds else 0.0),
        ended=at,
        seconds=seconds,
        size=int(event.get("size", 0)),
        why=str(event.get("why") or step.why),
        error=str(event.get("error", "")),
        said="",
    )


def _stopped(step: StepView) -> StepView:
    return replace(step, state="stopped") if step.state == "running" else step


def _ended(run: RunView, report: Mapping[str, Any], steps: int, at: float) -> RunView:
    counts = {name: int(report.get(name, 0)) for name in ("made", "hits", "failed", "skipped")}
    outcome = "failed" if counts["failed"] else "done" if counts["made"] else "nothing to do"
    # More steps than have ended: it was interrupted.
    outcome = "stopped" if sum(counts.values()) < steps else outcome
    maps: dict[str, Any] = {name: dict(report.get(name) or {}) for name in ("images", "services")}
    return replace(
        run, outcome=run.outcome or outcome, ended=at, counts=counts, size=int(report.get("size", 0)), **maps
    )


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        # What a program wrote besides: it is in the log, and nothing of the graph.
        return None


__all__ = ["RunLogs"]
