from __future__ import annotations

import io
import subprocess
import sys

import pytest

from pipeline.events import Report, RunEnded, RunStarted, StepEnded, StepSaid, StepStarted
from pipeline.reporters.live import Live, clean, plain_ascii


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def live_on(terminal: Terminal, **settings: object) -> Live:
    return Live(terminal, lambda text: print(text, file=terminal), **settings)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_finished_steps_are_printed_as_plain_lines_and_the_cursor_is_given_back() -> None:
    terminal = Terminal()
    live = live_on(terminal)
    live(RunStarted("shop", 1))
    live(StepStarted("layer a", "layer", "a"))
    live(StepSaid("layer a", "unpacking"))
    live(StepEnded("layer a", "layer", "a", "made", "1 file", 0.2, 100))
    live(RunEnded(Report(0.2, 1, 0, 0, 0, 100)))
    live.close()
    text = terminal.getvalue()
    assert "layer  a         1 file                                0.2 s   100 B" in text
    assert text.endswith("done in 0.2 s: 1 made, 100 B new\n")
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0


def test_finished_and_running_steps_stand_in_the_same_columns() -> None:
    from rich.console import Console

    terminal = Terminal()
    live = live_on(terminal)
    live.fit(name for name in ("science/bytecode", "a"))
    live(StepEnded("layer a", "layer", "a", "made", "1 file", 0.2, 100))
    live(StepStarted("layer b", "layer", "b"))
    live(StepSaid("layer b", "unpacking"))
    screen = Console(file=io.StringIO(), width=80, height=20)
    screen.print(live)
    live.close()
    assert terminal.getvalue().index("1 file") == screen.file.getvalue().index("unpacking")


def test_words_of_no_step_are_not_the_locks_once_steps_run() -> None:
    from rich.console import Console

    live = Live(Terminal(), lambda _text: None, clock=lambda: 0.0)
    shown = []
    for event in (StepSaid("", "resolving"), RunStarted("shop", 1), StepSaid("", "fetching")):
        live(event)
        screen = Console(file=io.StringIO(), width=60, height=20)
        screen.print(live)
        shown.append(screen.file.getvalue().split(" 0.0 s")[0].split())
    live.close()
    assert shown == [["lock", "resolving"], [], ["fetching"]]


def test_the_running_steps_show_their_last_words() -> None:
    from rich.console import Console

    live = Live(Terminal(), lambda _text: None, clock=lambda: 0.0)
    live(StepStarted("layer a", "layer", "a"))
    live(StepSaid("layer a", "unpacking \x1b[31mnumpy\x1b[0m\r"))
    screen = Console(file=io.StringIO(), width=60, height=20)
    screen.print(live)
    live.close()
    shown = screen.file.getvalue()
    assert shown.startswith("layer  a         unpacking numpy ")
    assert "0.0 s" in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_more_running_steps_than_lines_are_counted() -> None:
    from rich.console import Console

    live = Live(Terminal(), lambda _text: None, clock=lambda: 0.0)
    for n in range(9):
        live(StepStarted(f"layer {n}", "layer", str(n)))
    screen = Console(file=io.StringIO(), width=30, height=5)
    screen.print(live)
    live.close()
    assert screen.file.getvalue().splitlines()[2] == "  and 7 more"


def test_nothing_is_shown_after_the_end() -> None:
    terminal = Terminal()
    live = live_on(terminal)
    live(StepStarted("layer a", "layer", "a"))
    live.close()
    before = terminal.getvalue()
    live(StepSaid("layer a", "still here"))
    live(StepEnded("layer a", "layer", "a", "made"))
    assert terminal.getvalue() == before


def test_a_run_with_nothing_to_do_does_not_import_rich() -> None:
    script = """
import sys
from pipeline.events import *
from pipeline.reporters.live import Live
live = Live(sys.stdout, print)
live(RunStarted("shop", 1))
live(StepEnded("layer a", "layer", "a", "hit"))
live(RunEnded(Report(0.1, 0, 1, 0, 0, 0)))
live.close()
print("rich" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "nothing to do in 0.1 s: 1 hit\nFalse\n"


def test_what_would_move_the_cursor_is_taken_out() -> None:
    assert clean("a\x1b[2Jb\x07c\rd\te") == "abcd    e"


def test_ascii_keeps_the_meaning() -> None:
    assert plain_ascii("1.0 → 2.0 … é") == "1.0 -> 2.0 ... ?"
