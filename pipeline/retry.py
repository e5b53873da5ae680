"""Tries again what failed for a passing reason, as the manifest's policy says (tenacity)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import PipelineError
from pipeline.manifest.model import Retry

T = TypeVar("T")


def retrying(policy: Retry, call: Callable[[], T], waiting: Callable[[int, float, Exception], None]) -> T:
    """`call()`'s value; tried up to `policy.attempts` times while it raises a transient PipelineError.

    `waiting(attempt, seconds, error)` is called before each wait.
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

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=tenacity.wait_exponential_jitter(initial=policy.wait, max=policy.max_wait, jitter=policy.wait / 2),
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, PipelineError) and error.transient),
        before_sleep=announce,
        reraise=True,
    )(attempt)
