"""Performs a plan's steps: each guarded, tried again where that may help, and told of."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.errors import Interrupted, Lost, PipelineError
from pipeline.events import (
    Report,
    Reporter,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepStarted,
    StepWaits,
    entry_of,
)
from pipeline.limit import within
from pipeline.plan.graph import order, planned, shape
from pipeline.plan.model import Plan, Step, StepKind, TagWork, TargetWork
from pipeline.stages.bench import Bench, Result

if TYPE_CHECKING:
    from pipeline.stages.mend import Mender

STAGES: Mapping[StepKind, str] = {
    "base": "assemble",
    "layer": "assemble",
    "image": "image",
    "push": "publish",
    "check": "check",
    "tag": "tag",
    "target": "release",
}
"""The module of `pipeline.stages` that performs each kind of step."""


def stage(kind: StepKind) -> ModuleType:
    return importlib.import_module(f"pipeline.stages.{STAGES[kind]}")


@dataclass
class Runner:
    """One performance of a plan; `go` once."""

    bench: Bench
    plan: Plan
    report: Reporter
    kinds: frozenset[StepKind]
    fail_fast: bool = False
    ended: dict[str, StepEnded] = field(default_factory=dict)
    errors: list[PipelineError] = field(default_factory=list)
    made: set[str] = field(default_factory=set)
    """Keys. Another step of the same key is made with it: both are new, as the plan said."""
    renewed: bool = False
    """Whether something that had been made came out otherwise when it was made again."""
    started: float = field(default_factory=time.monotonic)

    def go(self) -> Report:
        steps = [step for step in self.plan.steps if step.kind in self.kinds]
        misses = [step for step in steps if not self.plan.verdicts[step.id].hit]
        self.report(RunStarted(self.plan.name, len(steps), _several(misses)))
        self.report(planned(self.plan, steps))
        for step in steps:
            if self.plan.verdicts[step.id].hit:
                self.bench.cache.settle(step, self.plan.name)
                self._end(step, "hit", title=self._title(step))
        self._note([step for step in steps if self.plan.verdicts[step.id].hit])
        try:
            if misses:
                self._execute(misses)
            self.bench.cache.finish()
        except (KeyboardInterrupt, SystemExit):
            self.bench.halt.set()
            self._summary()
            raise
        report = self._summary()
        if self.errors:
            raise self._worst()
        return report

    def _note(self, hits: Sequence[Step]) -> None:
        """Steps that are done already, and not what they were last: the next change is one from now."""
        known = self.bench.store.database.last_keys(f"{self.plan.name} ")
        for step in hits:
            if known.get(f"{self.plan.name} {step.id}") != step.key:
                self._note_one(step)
            if step.kind == "image":
                stage("image").name_again(step, self.bench)

    def _note_one(self, step: Step) -> None:
        database = self.bench.store.database
        database.note(step.key, f"{self.plan.name} {step.id}", step.inputs, database.made(step.key))

    def _execute(self, misses: list[Step]) -> None:
        from pipeline.executor.threads import Threads
        from pipeline.plan.waits import in_turns, waits

        by_id = {step.id: step for step in misses}
        order = [by_id[id_] for id_ in self._order() if id_ in by_id]
        Threads().execute(
            [step.id for step in in_turns(order)],
            waits(self.plan, by_id, lambda step: step.kind == "layer" and bool(stage("layer").alone(step))),
            lambda id_: self._perform(by_id[id_]),
            lambda id_: self._end(by_id[id_], "skipped"),
            lambda: self.bench.halt.is_set() or (self.fail_fast and bool(self.errors)),
        )
        if not self.errors:
            self._check_again(self.plan.steps if self.renewed else self._on_remade())
        if self.errors and not self.bench.halt.is_set():
            # What did not begin any more, with `fail_fast`.
            for step in order:
                if step.id not in self.ended:
                    self._end(step, "skipped")

    def _order(self) -> list[str]:
        """The topological order, remembered for this shape of graph: importing networkx costs more than most steps."""
        memo = "order " + shape(self.plan.steps)
        known = self.bench.store.database.memo(memo)
        if known is None:
            known = order(self.plan.steps)
            self.bench.store.database.remember(memo, known)
        return list(known)

    def _perform(self, step: Step) -> bool:
        self.report(StepStarted(step.id, step.kind, step.name))
        began = time.monotonic()
        try:
            result, made = within(step.id, self.bench.manifest.timeouts.of(step.kind), lambda: self._tried(step))
        except PipelineError as error:
            if self.bench.halt.is_set():
                # A program that the step runs got the terminal's Ctrl-C, too: that it ended is no failure.
                return False
            error.place = error.place or step.place
            self.errors.append(error)
            self._end(step, "failed", began, error=str(error))
            return False
        title = result.title or self._title(step)
        self._end(step, "made" if made else "hit", began, title=title, size=result.size if made else 0)
        return True

    def _tried(self, step: Step) -> tuple[Result, bool]:
        from pipeline.retry import retrying

        return retrying(
            self.bench.manifest.retry.of(step.kind),
            lambda: self._mended(step),
            lambda n, wait, error: self.report(StepRetried(step.id, n, wait, str(error))),
            self.bench.pause,
        )

    def _mended(self, step: Step) -> tuple[Result, bool]:
        """As `_guarded`; what turns out to be lost in the store on the way is made again first."""
        if self.renewed and step.kind in ("tag", "target"):
            # What has ended well for an image that is another by now does not count.
            self._check_again(self.plan.step(need) for need in step.needs)
        while True:
            try:
                return self._guarded(step)
            except Lost as lost:
                if not self._mender.mend(step, lost):
                    raise

    def _on_remade(self) -> list[Step]:
        """Targets with nothing to do, as far as that could be told while their images were still to be made again."""
        targets = [step for step in self.plan.steps if step.kind == "target" and self.plan.verdicts[step.id].hit]
        made = {one.step for one in self.ended.values() if one.kind == "image" and one.outcome == "made"}
        return [step for step in targets if isinstance(step.work, TargetWork) and step.work.built in made]

    def _check_again(self, steps: Iterable[Step]) -> None:
        """Does again what was done with an image that came out otherwise since."""
        for step in steps:
            ended = self.ended.get(step.id)
            if ended is None or ended.outcome not in ("hit", "made") or step.kind in ("base", "layer"):
                continue
            if step.kind != "image" or not stage("image").done(step, self.plan, self.bench):
                self._again(step)

    @cached_property
    def _mender(self) -> Mender:
        from pipeline.stages.mend import Mender

        return Mender(self.bench, self.plan, self._again)

    def _again(self, step: Step, why: str = "its image came out otherwise when it was made again") -> None:
        """Does a step again that has ended, unless nothing is left of it to do."""
        began, before = time.monotonic(), self.bench.store.database.record(step.key)
        try:
            result, made = self._mended(step)
        except PipelineError as error:
            error.place = error.place or step.place
            raise
        if made and result.record != before:
            self.renewed = True
        if made:
            self._end(step, "made", began, title=result.title or self._title(step), size=result.size, why=why)

    def _guarded(self, step: Step) -> tuple[Result, bool]:
        """Another process may be at the same step: check, guard, check again, run, commit."""
        self.bench.stop()
        performer: Any = stage(step.kind)
        with self.bench.store.guard(step.key[:32], lambda process: self._waits(step, process)):
            database = self.bench.store.database
            if isinstance(step.work, TagWork):  # which other runs may have moved since this one was planned
                self.bench.sightings.forget(step.work.published)
            if not self._is_of_new_parts(step) and self._is_done(step, performer):
                self.bench.cache.settle(step, self.plan.name)
                self._note_one(step)
                return Result(database.record(step.key) or {}), step.key in self.made
            result = performer.run(step, self.plan, self.bench)
            database.keep(step.key, result.record, f"{self.plan.name} {step.id}", step.inputs)
            self.made.add(step.key)
            self.bench.cache.write(step, result.record)
            return result, True

    def _waits(self, step: Step, process: int) -> None:
        """Says who is at it, unless it is another step of this run that makes the same."""
        if process == os.getpid():
            return
        rows = self.bench.store.database.execute(
            "SELECT id, name FROM runs WHERE ended IS NULL AND pid = ? ORDER BY id DESC LIMIT 1", process
        )
        run = f", run {rows[0][0]} of {rows[0][1]}" if rows else ""
        self.report(StepWaits(step.id, f"process {process}{run}" if process else "another process"))

    def _is_done(self, step: Step, performer: Any) -> bool:
        """Whether it was done meanwhile, here or on another machine."""
        if performer.done(step, self.plan, self.bench):
            return True
        return self.bench.cache.find(step) and bool(performer.done(step, self.plan, self.bench))

    def _is_of_new_parts(self, step: Step) -> bool:
        """An image of layers that were made just now is put together, as the plan said: its key alone may be known."""
        ended = [self.ended.get(need) for need in step.needs] if step.kind == "image" else []
        return any(one is not None and one.outcome == "made" for one in ended)

    def _end(
        self,
        step: Step,
        outcome: Any,
        began: float = 0.0,
        *,
        title: str = "",
        size: int = 0,
        error: str = "",
        why: str = "",
    ) -> None:
        seconds = time.monotonic() - began if began else 0.0
        why = "" if outcome == "hit" else why or self.plan.verdicts[step.id].why
        event = StepEnded(step.id, step.kind, step.name, outcome, title or step.title, seconds, size, why, error)
        self.ended[step.id] = event
        self.report(event)

    def _title(self, step: Step) -> str:
        telling = step.kind in ("image", "push", "target")
        if not telling or not (record := self.bench.store.database.record(step.key)):
            return step.title
        if step.kind == "image":
            return str(record["image"]["digest"])
        return str(record["reference"] if step.kind == "push" else record.get("address") or step.title)

    def _summary(self) -> Report:
        outcomes = [event.outcome for event in self.ended.values()]
        done = [event for event in self.ended.values() if event.outcome in ("hit", "made")]
        report = Report(
            seconds=time.monotonic() - self.started,
            made=outcomes.count("made"),
            hits=outcomes.count("hit"),
            failed=outcomes.count("failed"),
            skipped=outcomes.count("skipped"),
            size=sum(event.size for event in self.ended.values()),
            images={event.name: event.title for event in done if event.kind == "image"},
            services={event.name: event.title for event in done if event.kind == "target"},
            pushed={event.name: self._title(self.plan.step(event.step)) for event in done if event.kind == "push"},
        )
        self.report(RunEnded(report))
        return report

    def _worst(self) -> PipelineError:
        return next((error for error in self.errors if not isinstance(error, Interrupted)), self.errors[0])


def _several(steps: Iterable[Step]) -> dict[str, int]:
    """How many steps there are of each entry that has more than one."""
    counts: dict[str, int] = {}
    for step in steps:
        entry = entry_of(step.kind, step.name)
        counts[entry] = counts.get(entry, 0) + 1
    return {entry: count for entry, count in counts.items() if count > 1}


__all__ = ["STAGES", "Runner", "stage"]
