"""A live terminal: finished steps as plain lines above, running steps below with their last words (rich)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.events import Event, RunEnded, RunStarted, StepEnded, StepSaid, StepStarted
from pipeline.reporters import lines
from pipeline.reporters.plain import Plain

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live as RichLive

_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
_STYLES = {"failed": "red", "error": "red", "hit": "dim", "skipped": "dim"}
_RESOLVING = ""
"""The step that words belong to which are said before there are steps, or by what several steps share."""


@dataclass
class _Running:
    kind: str
    name: str
    since: float
    words: str = ""


class Live:
    """Shows a run on the terminal `file`. rich is imported once something takes time: not when there is nothing to do.

    `write` puts a line on the terminal while nothing is running; `err` is where errors go when that is elsewhere.
    """

    def __init__(
        self,
        file: TextIO,
        write: Callable[[str], None],
        err: Callable[[str], None] | None = None,
        *,
        ascii_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._write = write
        self._ascii = ascii_only
        self._clock = clock
        self._plain = Plain(self._line, err or self._error)
        self._steps: dict[str, _Running] = {}
        self._width = lines.NAME
        self._live: RichLive | None = None
        self._closed = False
        self._started = False

    def fit(self, names: Iterable[str]) -> None:
        names = list(names)
        self._width = lines.width(names, self._width)
        self._plain.fit(names)

    def close(self) -> None:
        """Ends the moving part, whatever is still running."""
        self._closed = True
        self._halt()
        self._plain.close()

    def __call__(self, event: Event) -> None:
        if self._closed:
            return
        match event:
            case RunStarted():
                self._started = True
                self._steps.pop(_RESOLVING, None)
                self._plain(event)
            case StepStarted():
                self._plain(event)
                self._steps.pop(_RESOLVING, None)
                self._steps[event.step] = _Running(event.kind, event.name, self._clock())
                self._move()
            case StepSaid():
                self._heard(event)
            case StepEnded():
                self._steps.pop(event.step, None)
                self._plain(event)
            case RunEnded():
                self._halt()
                self._plain(event)
            case _:
                self._steps.pop(_RESOLVING, None)
                self._plain(event)

    def _heard(self, event: StepSaid) -> None:
        self._plain(event)
        if event.step == _RESOLVING and event.step not in self._steps:
            self._steps[_RESOLVING] = _Running("" if self._started else "lock", "", self._clock())
            self._move()
        if running := self._steps.get(event.step):
            running.words = clean(event.text)

    def _move(self) -> None:
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live as RichLive

        console = Console(file=self._file, highlight=False, markup=False, emoji=False)
        self._live = RichLive(
            self, console=console, transient=True, refresh_per_second=10, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def _halt(self) -> None:
        live, self._live = self._live, None
        self._steps.clear()
        if live is not None:
            live.stop()

    def _error(self, text: str) -> None:
        self._line(text, "red")

    def _line(self, text: str, style: str = "") -> None:
        if self._live is None:
            self._write(text)
            return
        from rich.text import Text

        # The outcome stands in the third column, and only there.
        word = text[_third(self._width) :].split("  ")[0].strip()
        text = plain_ascii(text) if self._ascii else text
        self._live.console.print(Text(clean(text), style or _STYLES.get(word, "")), soft_wrap=True)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The running steps, a line each, no more than fit on the screen."""
        from rich.text import Text

        now, room = self._clock(), max(1, console.height - 2)
        running = list(self._steps.values())
        shown = running if len(running) <= room else running[: room - 1]
        for step in shown:
            yield Text(self._running(step, now, options.max_width), no_wrap=True, overflow="crop")
        if len(shown) < len(running):
            yield Text(f"  and {len(running) - len(shown)} more", no_wrap=True, overflow="crop")

    def _running(self, step: _Running, now: float, width: int) -> str:
        frames = "|/-\\" if self._ascii else "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
        elapsed = now - step.since
        head = f"{step.kind:<6} {step.name:<{self._width}} "
        tail = f" {lines.seconds(elapsed)} {frames[int(elapsed * 10) % len(frames)]}"
        body = (head + step.words)[: max(0, width - len(tail) - 1)]
        text = f"{body:<{min(width - len(tail) - 1, 78)}}{tail}"
        return plain_ascii(text) if self._ascii else text


def _third(name_width: int) -> int:
    return 6 + 1 + name_width + 1


def clean(text: str) -> str:
    """`text` without what would move the cursor or colour the screen."""
    return _CONTROL.sub("", text).expandtabs(4)


def plain_ascii(text: str) -> str:
    """The same in ASCII, for terminals that have nothing else."""
    table: Any = {"…": "...", "→": "->", "←": "<-", "·": "-", "–": "-", "—": "-", "×": "x", "’": "'"}
    return text.translate(str.maketrans(table)).encode("ascii", "replace").decode()
