"""Builds an image by a registry of Azure: uploads the context, schedules, follows the log, and ends with the digest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.azure.arm import NotThere
from pipeline.azure.runs import ENDED, Request, Run, Runs
from pipeline.azure.storage import Log, put
from pipeline.errors import CommandFailed, Interrupted, OutOfReach, PipelineError
from pipeline.http import Transport
from pipeline.manifest.model import Retry
from pipeline.retry import retrying

T = TypeVar("T")
SHOWN = 15
"""Lines of its log that a failed build shows."""
PAUSES = 0.2, 2.0
"""Seconds between the first two looks at a build, and at last; a build that lasts minutes costs few requests."""
_LAST_LOOKS = 5
"""How often a log that does not say that it is whole is looked at after the build has ended."""


class Memory(Protocol):
    """What outlives this process: the store's database."""

    def memo(self, key: str) -> Any: ...
    def remember(self, key: str, value: Any) -> None: ...


@dataclass
class Builder:
    """Builds of one registry. `again(text, seconds)` tells that something is tried again after a pause."""

    runs: Runs
    transport: Transport
    memory: Memory
    policy: Retry = field(default_factory=Retry)
    pause: Callable[[float], None] = lambda _seconds: None
    again: Callable[[str, float], None] = lambda _text, _seconds: None
    stop: Callable[[], None] = lambda: None

    def build(self, key: str, request: Request, pack: Callable[[], Path], line: Callable[[str], None]) -> str:
        """The digest of the image, empty where the registry does not tell; `pack` makes the context when it is needed.

        One build for one `key`: a run that was scheduled before this process was killed is taken up. CommandFailed
        with the end of the log; OutOfReach; Interrupted, and then the build goes on there.
        """
        id_ = self._under_way(key, request, line) or self._scheduled(key, request, pack, line)
        with self._kept(id_, line):
            run = self._followed(id_, request, line)
        self.memory.remember(_memo(key), None)
        return run.digest

    def _under_way(self, key: str, request: Request, line: Callable[[str], None]) -> str:
        """The run that was scheduled for the key and has not failed; empty for none."""
        if not (id_ := self.memory.memo(_memo(key))):
            return ""
        try:
            run = self._patient(lambda: self.runs.run(id_, request.image))
        except NotThere:
            return ""
        if run.status in ENDED and run.status != "Succeeded":
            return ""
        line(f"Run ID: {id_} of {self.runs.name} is taken up")
        return str(id_)

    def _scheduled(self, key: str, request: Request, pack: Callable[[], Path], line: Callable[[str], None]) -> str:
        context = pack()
        line(f"uploading {_size(context.stat().st_size)} to {self.runs.name}")

        def upload() -> str:
            url, place = self.runs.upload_place()
            put(self.transport, url, context, self.stop)
            return place

        place = self._patient(upload)
        id_ = self._patient(lambda: self.runs.schedule(request, place))
        # At once: whoever is killed from here on finds the run again.
        self.memory.remember(_memo(key), id_)
        line(f"Run ID: {id_} of {self.runs.name} is scheduled")
        return id_

    def _followed(self, id_: str, request: Request, line: Callable[[str], None]) -> Run:
        """The run when it has ended well; its log is told as it comes."""
        log = Log(self.transport, lambda: self.runs.log_place(id_))
        shown: deque[str] = deque(maxlen=SHOWN)
        looks, (wait, longest) = 0, PAUSES
        while True:
            run = self._patient(lambda: self.runs.run(id_, request.image))
            for text in self._read(log):
                if text.strip():
                    shown.append(text)
                    line(text)
            looks += run.status in ENDED
            if run.status in ENDED and (log.complete or looks > _LAST_LOOKS):
                break
            self.pause(wait)
            wait = min(2 * wait, longest)
        if run.status != "Succeeded":
            raise self._failed(run, request, tuple(shown))
        if not any(text.startswith(f"Run ID: {id_} was successful") for text in shown):
            line(f"Run ID: {id_} was successful after {duration(run.seconds)}")
        return run

    def _read(self, log: Log) -> list[str]:
        """What is new in the log; that it cannot be read is no reason to give a build up."""
        try:
            return log.read()
        except Interrupted:
            raise
        except PipelineError:
            return []

    def _failed(self, run: Run, request: Request, shown: tuple[str, ...]) -> CommandFailed:
        after = f" after {duration(run.seconds)}" if run.seconds else ""
        reason = f": {run.reason}" if run.reason else ""
        words = {
            "Timeout": (f"did not end within {duration(request.timeout)}", "give it a longer `build.remote.timeout`"),
            "Canceled": (f"was canceled{after}", "run again"),
            "Error": (f"could not be carried out{reason}", "see the registry's runs in the portal"),
        }
        fact, remedy = words.get(run.status, (f"failed{after}{reason}", "correct the Dockerfile"))
        error = CommandFailed(f"the Dockerfile's build, Run ID: {run.id} of {self.runs.name}, {fact}", remedy=remedy)
        error.log = shown
        return error

    @contextmanager
    def _kept(self, id_: str, line: Callable[[str], None]) -> Iterator[None]:
        """A build that is not followed any more goes on; the next run finds it."""
        try:
            yield
        except Interrupted:
            line(f"Run ID: {id_} goes on at {self.runs.name}; the next run takes it up")
            raise
        except OutOfReach as error:
            error.remedy = f"run again: Run ID: {id_} goes on meanwhile, and is taken up"
            raise

    def _patient(self, call: Callable[[], T]) -> T:
        self.stop()
        return retrying(self.policy, call, lambda _n, seconds, error: self.again(str(error), seconds), self.pause)


def duration(seconds: float) -> str:
    """As the service's own log has it: 12s, 2m56s, 1h2m3s."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _memo(key: str) -> str:
    return f"acr run {key}"


def _size(count: int) -> str:
    from pipeline.manifest.words import size

    return size(count)
