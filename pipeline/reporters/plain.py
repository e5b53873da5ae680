"""Plain lines, for pipes, files and CI: one for each step as it ends, hits folded, the last worth reading alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pipeline.events import (
    Event,
    Locked,
    Report,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepSaid,
    StepStarted,
    Warned,
)
from pipeline.reporters import lines

_LAST = 5
"""How many of a step's last words are shown when it fails."""


class Plain:
    """Writes lines to `out`, and errors and warnings to `err`. `verbose` shows the steps' own words as they come."""

    def __init__(self, out: Callable[[str], None], err: Callable[[str], None], *, verbose: bool = False) -> None:
        self._out = out
        self._err = err
        self._verbose = verbose
        self._width = lines.NAME
        self._steps = 0
        self._hits: list[StepEnded] = []
        self._said: dict[str, deque[str]] = {}

    def fit(self, names: Iterable[str]) -> None:
        self._width = lines.width(names, self._width)

    def close(self) -> None:
        self._show_hits()

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._steps = event.steps
            case StepEnded(outcome="hit"):
                # Held back: when all steps are hits, the last line alone says so.
                self._hits.append(event)
            case StepEnded():
                self._show_hits()
                self._ended(event)
            case StepStarted():
                self._show_hits()
            case StepSaid():
                self._heard(event)
            case StepRetried():
                self._err(lines.retried(event, self._width))
            case Locked():
                self._lines(lines.locked(event, self._width))
            case Warned():
                self._err(f"warning: {event.text}")
            case RunEnded():
                self._last(event.report)

    def _lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._out(text)

    def _show_hits(self) -> None:
        hits, self._hits = self._hits, []
        self._lines(lines.hits(hits, self._width))

    def _ended(self, event: StepEnded) -> None:
        self._out(lines.step(event, self._width))
        if event.outcome != "failed":
            return
        for text in event.error.splitlines():
            self._err(f"    {text}".rstrip())
        said = [text for text in self._said.get(event.step, ()) if text not in event.error]
        if said and not self._verbose:
            self._err("    its last words:")
            for text in said:
                self._err(f"      {text}")

    def _heard(self, event: StepSaid) -> None:
        self._said.setdefault(event.step, deque(maxlen=_LAST)).append(event.text)
        if self._verbose:
            kind, _, name = event.step.partition(" ")
            self._out(lines.columns(kind, name, f"| {event.text}", self._width))

    def _last(self, report: Report) -> None:
        if not report.made and report.hits == self._steps:
            self._hits = [hit for hit in self._hits if hit.kind == "target"]
        self._show_hits()
        self._out(lines.summary(report, self._steps))
