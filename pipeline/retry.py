"""Tries again what failed, where that may help, as the manifest's policy says (tenacity)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline import limit
from pipeline.errors import CheckError, CommandFailed, OutOfReach, PipelineError, RolloutError
from pipeline.http import after, long
from pipeline.manifest.model import Retry

if TYPE_CHECKING:
    import tenacity

T = TypeVar("T")

_FAILURES: dict[str, type[PipelineError]] = {"command": CommandFailed, "check": CheckError, "rollout": RolloutError}


def may_be_tried_again(policy: Retry, error: BaseException) -> bool:
    """Whether trying again may help, by what the error says or by what the policy says of such errors."""
    if not isinstance(error, PipelineError):
        return False
    if error.transient:
        return "passing" in policy.on
    return any(isinstance(error, _FAILURES[name]) for name in policy.on if name in _FAILURES)


def retrying(
    policy: Retry,
    call: Callable[[], T],
    waiting: Callable[[int, float, Exception], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """`call()`'s value; tried up to `policy.attempts` times in all while it raises what may be tried again.

    What `call` has tried again by itself counts (`PipelineError.tries`). `waiting(attempt, seconds, error)` is called
    before each wait; a wait is no shorter than the other side asked for (`OutOfReach.retry_after`).
    """
    begun = clock()
    try:
        return call()
    except PipelineError as error:
        if not may_be_tried_again(policy, error) or _tries(error) >= policy.attempts:
            raise
        first = error
    return _again(policy, call, first, waiting, sleep, lambda: clock() - begun)


def _again(
    policy: Retry,
    call: Callable[[], T],
    first: PipelineError,
    waiting: Callable[[int, float, Exception], None],
    sleep: Callable[[float], None],
    passed: Callable[[], float],
) -> T:
    # Only now: most runs never need it, and its import costs more than many steps.
    import tenacity

    attempts = _Attempts(policy, call, first, passed)
    return tenacity.Retrying(
        sleep=sleep,
        stop=attempts.stop,
        wait=attempts.wait,
        retry=tenacity.retry_if_exception(lambda error: may_be_tried_again(policy, error)),
        before_sleep=lambda state: waiting(attempts.tries, state.upcoming_sleep, _error(state, first)),
        reraise=True,
    )(attempts.attempt)


class _Attempts(Generic[T]):
    """The tries of a call that has failed once, with `first`; `passed` gives the seconds since it was begun."""

    def __init__(self, policy: Retry, call: Callable[[], T], first: PipelineError, passed: Callable[[], float]) -> None:
        self._policy, self._call, self._first, self._passed = policy, call, first, passed
        self._failures = [first]
        self.tries = _tries(first)

    def attempt(self) -> T:
        if self._failures:
            raise self._failures.pop()
        try:
            return self._call()
        except PipelineError as error:
            self.tries = error.tries = self.tries + _tries(error)
            raise

    def wait(self, state: tenacity.RetryCallState) -> float:
        import tenacity

        seconds = tenacity.wait_exponential(self._policy.wait, self._policy.max_wait)(state)
        seconds += tenacity.wait_random(0, self._policy.jitter * seconds)(state)
        error = _error(state, self._first)
        return max(seconds, error.retry_after if isinstance(error, OutOfReach) else 0.0)

    def stop(self, state: tenacity.RetryCallState) -> bool:
        wait, deadline = state.upcoming_sleep, self._policy.deadline
        late = wait >= limit.left() or (bool(deadline) and self._passed() + wait > deadline)
        error = _error(state, self._first)
        if late and isinstance(error, OutOfReach) and error.retry_after:
            asked = f"it asks to wait {long(error.retry_after)}, longer than may be waited"
            error.remedy = f"{asked}: run again {after(error.retry_after, time.time())}"
        return self.tries >= self._policy.attempts or late


def _tries(error: PipelineError) -> int:
    """How many tries an error stands for. What is damaged here is made anew by the whole step, however often a part of
    the step was tried.
    """
    return error.tries if isinstance(error, OutOfReach) else 1


def _error(state: tenacity.RetryCallState, first: PipelineError) -> Exception:
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Exception) else first
