"""What a command talks to: the environment, the two output streams, the masks. The parser fills it, commands use it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.errors import PipelineError, UsageError
from pipeline.home import Home

if TYPE_CHECKING:
    from pipeline.reporters.masks import Masks


class ReaderGone(BaseException):
    """Nobody reads standard output any more (`| head`). No Exception: nothing on the way may take it for a fault."""


class OutputError(BaseException):
    """Standard output cannot be written, for want of space for example."""


@dataclass
class Shell:
    """One call of the command line. `json`: facts are wanted as JSON; `shown`: errors that were told already;
    `program`: how the user calls this one.
    """

    environ: Mapping[str, str]
    out: TextIO
    err: TextIO
    clock: Callable[[], float] = time.monotonic
    cwd: Path = Path()
    json: bool = False
    verbose: bool = False
    home_option: str = ""
    program: str = "pipeline"
    shown: set[str] = field(default_factory=set)
    told_interruption: bool = False
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.started or self.clock()

    @cached_property
    def masks(self) -> Masks:
        from pipeline.reporters.masks import Masks

        return Masks()

    @property
    def home(self) -> Home:
        """Where everything is kept; raises UsageError when the environment names no place that can be."""
        try:
            return Home.of(self.environ)
        except (OSError, RuntimeError) as error:
            folder = self.environ.get("PIPELINE_HOME") or self.environ.get("HOME")
            raise UsageError(f"nothing can be kept in '{folder}': {error}", remedy="set PIPELINE_HOME") from error

    @property
    def ascii_only(self) -> bool:
        """Whether the output's encoding has no more than ASCII (or some other small set)."""
        return not (getattr(self.out, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")

    @property
    def in_ci(self) -> bool:
        """Whether a CI service runs this, as they all tell it."""
        return self.environ.get("CI", "").lower() not in ("", "0", "false", "no")

    @property
    def live(self) -> bool:
        """Whether progress may move on the screen."""
        return self.out.isatty() and not self.in_ci and self.environ.get("TERM", "") not in ("", "dumb")

    def line(self, text: str = "") -> None:
        """A line on standard output."""
        self._write(self.out, text)

    def bytes(self, data: bytes) -> None:
        """Bytes on standard output, as they are."""
        try:
            self.out.buffer.write(data)
            self.out.buffer.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            raise OutputError(error.strerror or str(error)) from error

    def error_line(self, text: str) -> None:
        """A line on standard error; what cannot be written there is lost."""
        try:
            self._write(self.err, text)
        except (ReaderGone, OutputError):
            return

    def value(self, value: Any) -> None:
        """A fact as one JSON value."""
        masked = self.masks.value(value)
        self._write(self.out, json.dumps(masked, indent=2, ensure_ascii=self.ascii_only, default=str), masked=True)

    def _write(self, stream: TextIO, text: str, *, masked: bool = False) -> None:
        # The masks cost an import, and there are none before a manifest was read.
        if not masked and "masks" in self.__dict__:
            text = self.masks.text(text)
        if self.ascii_only:
            from pipeline.reporters.live import plain_ascii

            text = plain_ascii(text)
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError as error:
            raise ReaderGone from error
        except OSError as error:
            raise OutputError(error.strerror or str(error)) from error


def error_json(error: PipelineError) -> dict[str, Any]:
    """An error as a JSON object."""
    from pipeline.errors import ManifestError

    value: dict[str, Any] = {
        "event": "error",
        "error": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "place": _place(error.place),
        "exit_code": error.exit_code,
    }
    if getattr(error, "lasting", False):
        value["lasting"] = True
    elif error.transient:
        value["transient"] = True
    if log := getattr(error, "log", ()):
        value["log"] = list(log)
    if isinstance(error, ManifestError):
        value["diagnostics"] = [
            {**_place(d.location), "message": d.message, "remedy": d.remedy} for d in error.diagnostics
        ]
    return value


def _place(location: Any) -> dict[str, Any]:
    return {"file": location.file, "line": location.line, "column": location.column} if location else {}
