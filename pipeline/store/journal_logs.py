"""What a run said, kept in a file of its own: the live lines of its steps and commands, bounded in size and number."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pipeline.noun import noun

STEP_BYTES = 4 << 20
"""Of one step at most, about: the beginning tells what was done; the end of a failure is in the step's error."""
FILES = 100
TOTAL_BYTES = 200 << 20
"""Of all runs."""


@noun
class Line:
    """A line: when it was said (RFC 3339, UTC), by which step (empty: by what several steps share), and its text."""

    at: str
    step: str
    text: str


class RunLog:
    """The log file of one run: a line of time, step and text with tabs between for each line that was said.

    Nothing raises: a log that cannot be written is no reason for a run to fail. `problem` says what went wrong.
    """

    def __init__(self, folder: Path, run: int, step_bytes: int = STEP_BYTES) -> None:
        self.path = folder / f"{run}.log"
        self.problem = ""
        self._step_bytes = step_bytes
        self._written: Counter[str] = Counter()
        self._file: TextIO | None = None

    def write(self, at: float, step: str, text: str) -> None:
        """Appends what was said at a Unix time."""
        if self.problem or self._written[step] > self._step_bytes:
            return
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
        lines = text.splitlines() or [""]
        self._written[step] += len(text) + len(lines) * (len(moment) + len(step))
        if self._written[step] > self._step_bytes:
            lines.append("(what this step said from here on is not kept)")
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write("".join(f"{moment}\t{step}\t{line}\n" for line in lines))
        except OSError as error:
            self.problem = f"cannot write {self.path}: {error.strerror or error}"

    def _open(self) -> TextIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        prune(self.path.parent)
        # A line at a time: what was said before a kill is there afterwards.
        return self.path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._file:
                self._file.close()
        self._file = None

    def written_last(self) -> float:
        """When the file was written last (Unix time in seconds); 0 where there is none."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def lines(self, step: str = "") -> Iterator[Line]:
        """What was said, by one step or by all; nothing where no log is kept."""
        try:
            file = self.path.open(encoding="utf-8", errors="replace", newline="\n")
        except OSError:
            return
        with file:
            for text in file:
                at, _, rest = text.rstrip("\n").partition("\t")
                name, _, said = rest.partition("\t")
                if not step or name == step:
                    yield Line(at, name, said)


def prune(folder: Path, files: int = FILES, total: int = TOTAL_BYTES) -> None:
    """Removes the oldest logs until no more than so many, of so many bytes in all, are left."""
    found = sorted((path for path in folder.glob("*.log") if path.stem.isdecimal()), key=lambda path: -int(path.stem))
    size = 0
    for number, path in enumerate(found):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
            # One more is about to begin.
            if number >= files - 1 or size > total:
                path.unlink()


__all__ = ["Line", "RunLog", "prune"]
