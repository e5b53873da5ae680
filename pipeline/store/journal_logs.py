"""What a run said, kept in a file of its own: the live lines of its steps and commands, bounded in size and number.

Beside it is the graph of its steps, for those who want to see it later.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

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
        self.graph_path = folder / f"{run}.graph"
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

    def write_graph(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the nodes of the run's graph, as the event `planned` has them."""
        try:
            self.graph_path.parent.mkdir(parents=True, exist_ok=True)
            prune(self.graph_path.parent)
            self.graph_path.write_text(json.dumps(nodes), encoding="utf-8")
        except OSError as error:
            self.problem = f"cannot write {self.graph_path}: {error.strerror or error}"

    def graph(self) -> list[dict[str, Any]]:
        """The nodes of the run's graph; none where it is not kept."""
        try:
            found = json.loads(self.graph_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [node for node in found if isinstance(node, dict)] if isinstance(found, list) else []

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


def prune(folder: Path, runs: int = FILES, total: int = TOTAL_BYTES) -> None:
    """Removes what is kept of the oldest runs until no more than so many, of so many bytes in all, are left."""
    kept: dict[int, list[Path]] = {}
    for path in folder.glob("*.*"):
        if path.suffix in (".log", ".graph") and path.stem.isdecimal():
            kept.setdefault(int(path.stem), []).append(path)
    size = 0
    for number, run in enumerate(sorted(kept, reverse=True)):
        for path in kept[run]:
            with contextlib.suppress(OSError):
                size += path.stat().st_size
        # One more is about to begin.
        if number >= runs - 1 or size > total:
            for path in kept[run]:
                with contextlib.suppress(OSError):
                    path.unlink()


__all__ = ["Line", "RunLog", "prune"]
