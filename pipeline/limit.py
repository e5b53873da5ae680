"""How long a step may take: known in all threads that work for it, so that whatever waits for it waits no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from pipeline.errors import TimedOut

P = ParamSpec("P")
T = TypeVar("T")
GRACE = 5.0
"""Seconds that a step has to end by itself when its time is over, before it is left behind."""
SLOWEST = 1 << 10
"""Bytes a second: what comes more slowly, for as long as the time-out of reading, is as good as a stall."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The step that this thread works for, and when it has to be over: seconds of time.monotonic, infinite for never.

    `seconds` is how long it may take in all; `left` is set when nobody waits for it any more.
    """

    step: str
    until: float = float("inf")
    seconds: float = 0.0
    left: threading.Event = field(default_factory=threading.Event)

    def over(self) -> TimedOut:
        took = f"{self.step} did not end within {_words(self.seconds)} and was ended"
        kind = self.step.partition(" ")[0]
        return TimedOut(took, remedy=f"see what it waited for, or give it longer: timeouts: {{steps: {{{kind}: …}}}}")


_NAME = "work for "


class _Current(threading.local):
    """What this thread works for. Not contextvars: importing them costs each run, and nothing here is asynchronous."""

    limit: Limit | None = None


_CURRENT = _Current()


@contextmanager
def _as(limit: Limit | None) -> Iterator[None]:
    before, _CURRENT.limit = _CURRENT.limit, limit
    try:
        yield
    finally:
        _CURRENT.limit = before


def current() -> str:
    """The step that this thread works for; empty for none."""
    limit = _CURRENT.limit
    return limit.step if limit else ""


def left(most: float = float("inf")) -> float:
    """Seconds that this thread may wait for something, `most` at most. Raises TimedOut when the step's time is over."""
    limit = _CURRENT.limit
    if limit is None:
        return most
    rest = limit.until - time.monotonic()
    if rest <= 0 or limit.left.is_set():
        raise limit.over()
    return min(most, rest)


def check() -> None:
    """Raises TimedOut when the step's time is over."""
    left()


def paced(chunks: Iterator[bytes], read: float) -> Iterator[bytes]:
    """The chunks as they come; TimeoutError when nearly nothing came in `read` seconds of waiting for them."""
    waited, got = 0.0, 0
    while True:
        began = time.monotonic()
        if (data := next(chunks, None)) is None:
            return
        waited += time.monotonic() - began
        got += len(data)
        yield data
        if waited > read:
            if got < SLOWEST * read:
                raise TimeoutError
            waited, got = 0.0, 0
        left()


def passed() -> bool:
    """Whether the step's time is over."""
    limit = _CURRENT.limit
    return limit is not None and (time.monotonic() >= limit.until or limit.left.is_set())


def clearing_up() -> AbstractContextManager[None]:
    """For what is to be cleared up when the step's time is over, which takes a time of its own."""
    return _as(None)


def inherited(call: Callable[P, T]) -> Callable[P, T]:
    """`call` for other threads that work for the same step as this one."""
    limit = _CURRENT.limit

    def called(*args: P.args, **options: P.kwargs) -> T:
        with _as(limit):
            return call(*args, **options)

    return called


def within(step: str, seconds: float, call: Callable[[], T], grace: float = GRACE) -> T:
    """`call()`'s value, or what it raises; TimedOut when it has not ended within `seconds` (0: no limit) and `grace`.

    It is called in a thread of its own, which is left behind when it does not end even then.
    """
    limit = Limit(step, time.monotonic() + seconds if seconds else float("inf"), seconds)
    if not seconds:
        with _as(limit):
            return call()
    # Only now: a run that has nothing to do needs none.
    import queue

    ended: queue.SimpleQueue[tuple[list[T], BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        _CURRENT.limit = limit
        try:
            ended.put(([call()], None))
        except BaseException as error:
            ended.put(([], error))

    # A daemon: a step that hangs must not keep the process.
    threading.Thread(target=work, name=f"{_NAME}{step}", daemon=True).start()
    try:
        values, error = ended.get(timeout=seconds + grace)
    except queue.Empty:
        raise limit.over() from None
    finally:
        limit.left.set()
    if error:
        raise error
    return values[0]


def left_behind() -> bool:
    """Whether a step hangs that nobody waits for any more."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())


def _words(seconds: float) -> str:
    if seconds >= 120 and seconds % 60 == 0:
        return f"{seconds / 60:g} min"
    return f"{seconds:g} s"


__all__ = ["GRACE", "check", "clearing_up", "current", "inherited", "left", "left_behind", "paced", "passed", "within"]
