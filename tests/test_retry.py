"""Retries: only what may pass, as often as the policy says, and no sooner than the other side asks."""

from __future__ import annotations

import pytest

from pipeline.errors import AssembleError, OutOfReach, PipelineError
from pipeline.manifest.model import Retry
from pipeline.retry import retrying


class Failing:
    """A call that fails as often as it has errors, and then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def passing(text: str = "busy") -> PipelineError:
    return OutOfReach(text, transient=True)


def tried(call: Failing, policy: Retry) -> tuple[str, list[int], list[float]]:
    """The answer, the attempts that were announced, and the seconds waited."""
    announced: list[int] = []
    waits: list[float] = []
    answer = retrying(policy, call, lambda attempt, _seconds, _error: announced.append(attempt), waits.append)
    return answer, announced, waits


def test_what_ends_well_is_called_once() -> None:
    call = Failing()
    assert tried(call, Retry()) == ("answer", [], [])
    assert call.calls == 1


def test_what_may_pass_is_tried_again() -> None:
    call = Failing(passing(), passing())
    answer, announced, waits = tried(call, Retry(attempts=3, wait=1, max_wait=20))
    assert (answer, announced, call.calls) == ("answer", [1, 2], 3)
    assert 1 <= waits[0] <= waits[1] <= 20 * 1.5


def test_no_more_often_than_the_policy_says_and_the_last_error_is_raised() -> None:
    call = Failing(passing("one"), passing("two"), passing("three"))
    with pytest.raises(OutOfReach, match="two"):
        tried(call, Retry(attempts=2))
    assert call.calls == 2


@pytest.mark.parametrize("error", [AssembleError("no such package"), KeyError("a bug")])
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    for earlier in ([], [passing()]):
        call = Failing(*earlier, error)
        with pytest.raises(type(error)):
            tried(call, Retry(attempts=5))
        assert call.calls == len(earlier) + 1


def test_one_attempt_means_one() -> None:
    call = Failing(passing())
    with pytest.raises(OutOfReach):
        tried(call, Retry(attempts=1))
    assert call.calls == 1
