"""Tries again what failed for a passing reason, as the manifest's policy says (tenacity)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import OutOfReach, PipelineError
from pipeline.manifest.model import Retry

T = TypeVar("T")


def retrying(
    policy: Retry,
    call: Callable[[], T],
    waiting: Callable[[int, float, Exception], None],
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """`call()`'s value; tried up to `policy.attempts` times while it raises a transient PipelineError.

    `waiting(attempt, seconds, error)` is called before each wait; a wait is no shorter than the other side asked for
    (`OutOfReach.retry_after`).
    """
    try:
        return call()
    except PipelineError as error:
        if not error.transient or policy.attempts <= 1:
            raise
        first = error
    # Only now: most runs never need it, and its import costs more than many steps.
    import tenacity

    def announce(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        waiting(state.attempt_number, seconds, error if isinstance(error, Exception) else first)

    failures = iter([first])

    def attempt() -> T:
        for error in failures:
            raise error
        return call()

    backoff = tenacity.wait_exponential(policy.wait, policy.max_wait) + tenacity.wait_random(0, policy.wait / 2)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return max(backoff(state), error.retry_after if isinstance(error, OutOfReach) else 0.0)

    return tenacity.Retrying(
        sleep=sleep,
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=wait,
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, PipelineError) and error.transient),
        before_sleep=announce,
        reraise=True,
    )(attempt)
