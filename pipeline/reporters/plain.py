"""Plain lines, for pipes, files and CI: one for each entry as it ends, hits folded, the last worth reading alone."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

from pipeline.events import (
    Event,
    Followed,
    Locked,
    Report,
    RunContinued,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepSaid,
    StepStarted,
    StepWaits,
    Warned,
    entry_of,
)
from pipeline.reporters import lines

_LAST = 5
"""How many of a step's last words are shown when it fails."""


class Plain:
    """Writes lines to `out`, and errors and warnings to `err`.

    The layers of one entry take one line, when the last of them is there. `verbose` shows each, and the steps' own
    words as they come.
    """

    def __init__(
        self,
        out: Callable[[str], None],
        err: Callable[[str], None],
        *,
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._err = err
        self._verbose = verbose
        self._width = lines.NAME
        self._steps = 0
        self._hits: list[StepEnded] = []
        self._said: dict[str, deque[str]] = {}
        self._clock = clock
        self._left: dict[str, int] = {}
        self._began: dict[str, float] = {}
        self._made: dict[str, list[StepEnded]] = {}

    def fit(self, names: Iterable[str]) -> None:
        self._width = lines.width(names, self._width)

    def close(self) -> None:
        self._show_hits()
        for entry in list(self._made):
            self._show_made(entry)

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._steps = event.steps
                self._left = {} if self._verbose else dict(event.entries)
            case RunContinued():
                self._out(lines.continued(event))
            case StepEnded(outcome="made") if self._left.get(entry_of(event.kind, event.name), 0) > 1:
                self._show_hits()
                self._gather(event)
            case StepEnded(outcome="hit"):
                # Held back: when all steps are hits, the last line alone says so.
                self._hits.append(event)
            case StepEnded():
                self._show_hits()
                self._ended(event)
            case StepStarted():
                self._show_hits()
                self._began.setdefault(entry_of(event.kind, event.name), self._clock())
            case StepSaid():
                self._heard(event)
            case StepWaits():
                kind, _, name = event.step.partition(" ")
                self._out(lines.columns(kind, name, f"waits for {event.holder}", self._width))
            case StepRetried(known=True) if not self._verbose:
                pass
            case StepRetried():
                self._err(lines.retried(event, self._width))
            case Locked():
                self._lines(lines.locked(event, self._width))
            case Warned():
                self._err(f"warning: {event.text}")
            case Followed():
                self._out(lines.columns("", "", f"| {event.text}", self._width))
            case RunEnded():
                self._last(event.report)

    def _lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._out(text)

    def _show_hits(self) -> None:
        hits, self._hits = self._hits, []
        self._lines(lines.hits(hits, self._width))

    def _gather(self, event: StepEnded) -> None:
        """Keeps a layer for the line of its entry, which comes with the last of them."""
        entry = entry_of(event.kind, event.name)
        made = self._made.setdefault(entry, [])
        made.append(event)
        if len(made) == self._left[entry]:
            self._show_made(entry)

    def _show_made(self, entry: str) -> None:
        made = self._made.pop(entry)
        seconds = self._clock() - self._began[entry] if entry in self._began else max(one.seconds for one in made)
        self._out(lines.step(made[0], self._width) if len(made) == 1 else lines.together(made, seconds, self._width))

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
        self.close()
        self._out(lines.summary(report, self._steps))
