"""The error tree. An error states its place, the fact and the remedy; the command line turns it into an exit code.

PipelineError                      3
├── ManifestError                  2   every diagnostic of a manifest at once
├── UsageError                     2   a wrong word on the command line or a wrong setting
├── ResolveError                   3   a name that no index answers, or answers badly
│   └── StaleLock                  3   all that a lock does not answer, where nothing may be resolved
├── StalePlan                      3   a saved plan that does not hold any more
├── AssembleError                  3   a layer or an image that cannot be put together
│   └── CommandFailed              3   a command of a layer or a base that did not end well
├── CheckError                     3   an image that is not fit to serve
├── StoreError                     3   local storage that is damaged or cannot be written
├── TimedOut                       3   a step that took longer than it may
│   └── Lost                       3   what the store held, and has no more as it was
├── OutOfReach                     4   an engine, a registry, a mirror or an index that does not answer
├── RolloutError                   5   a target that did not become healthy (and was rolled back)
└── Interrupted                  130   the user stopped the run
"""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.noun import noun


@noun
class Location:
    """A place in a text file; line and column count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@noun
class Diagnostic:
    """One thing that is wrong in a manifest: where, what, what would be right, and the line itself."""

    location: Location
    message: str
    remedy: str = ""
    source_line: str = ""

    def __str__(self) -> str:
        text = f"{self.location}: {self.message}"
        if self.remedy:
            text += f" ({self.remedy})"
        if self.source_line.strip():
            caret = " " * max(self.location.column - 1, 0) + "^"
            text += f"\n    {self.source_line}\n    {caret}"
        return text


class PipelineError(Exception):
    """Anything that stops a run and is not a bug.

    `place` is the manifest's line that asked for it, where one is known; `transient` says whether trying again may
    help.
    """

    exit_code = 3
    tries: int = 1
    """How often that was tried which this error ended, as far as it was tried again already."""
    log: tuple[str, ...] = ()
    """Lines that tell more, such as the end of a service's output."""

    def __init__(
        self, message: str, *, remedy: str = "", place: Location | None = None, transient: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.place = place
        self.transient = transient

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        text = f"{text} ({self.remedy})" if self.remedy else text
        return "\n    ".join((text, *self.log))


class ManifestError(PipelineError):
    """All that is wrong with a manifest, in the order of its lines."""

    exit_code = 2

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n".join(str(d) for d in diagnostics))
        self.diagnostics = tuple(diagnostics)


class UsageError(PipelineError):
    exit_code = 2


class ResolveError(PipelineError):
    pass


class StaleLock(ResolveError):
    """`log` has a line for each thing that the lock lacks or has otherwise."""

    def __init__(self, message: str, reasons: tuple[str, ...], *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.log = reasons


class StalePlan(PipelineError):
    """`log` has a line for each thing that moved since the plan was made."""

    def __init__(self, message: str, reasons: tuple[str, ...], *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.log = reasons


class AssembleError(PipelineError):
    pass


class CommandFailed(AssembleError):
    """A command that did not end well; `log` is the end of its output."""


class CheckError(PipelineError):
    pass


class StoreError(PipelineError):
    pass


class Lost(StoreError):
    """What is missing, short or altered in the store, and set aside there: `digest` names a blob, or the layer (by its
    diff ID) of which it was known what it holds. Whoever made it can make it again.
    """

    def __init__(self, digest: str, message: str, *, remedy: str = "run the build again") -> None:
        super().__init__(message, remedy=remedy)
        self.digest = digest


class TimedOut(PipelineError):
    pass


class OutOfReach(PipelineError):
    exit_code = 4
    retry_after: float = 0.0
    """Seconds that the other side asked to wait before the next try."""
    silent: bool = False
    """Whether an answer was waited for in vain: each further try takes as long."""
    lasting: bool = False
    """Whether it stays so until somebody changes a setting or a right: nothing heals by waiting."""

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        place: Location | None = None,
        transient: bool = False,
        lasting: bool = False,
    ) -> None:
        super().__init__(message, remedy=remedy, place=place, transient=transient)
        self.lasting = lasting or type(self).lasting


class RolloutError(PipelineError):
    exit_code = 5


class Interrupted(PipelineError):
    exit_code = 130
