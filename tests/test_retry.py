"""Retries: only what may pass, as often as the policy says, and no sooner than the other side asks."""

from __future__ import annotations

import pytest

from pipeline.errors import AssembleError, CheckError, CommandFailed, OutOfReach, PipelineError, RolloutError
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


def test_pauses_grow_by_their_jitter_and_no_more() -> None:
    def waited(jitter: float) -> list[float]:
        call = Failing(*(passing() for _ in range(6)))
        return tried(call, Retry(attempts=9, wait=1, max_wait=8, jitter=jitter))[2]

    assert waited(0.0) == [1, 2, 4, 8, 8, 8]
    assert all(low <= wait <= 2 * low for wait, low in zip(waited(1.0), [1, 2, 4, 8, 8, 8], strict=True))


def test_no_try_begins_after_the_deadline() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    call = Failing(*(passing(str(n)) for n in range(50)))
    policy = Retry(attempts=50, wait=1, max_wait=1, jitter=0.0, deadline=5.5)
    with pytest.raises(OutOfReach, match="5"):
        retrying(policy, call, lambda *_: None, sleep, lambda: now[0])
    assert (call.calls, now) == (6, [5.0])


@pytest.mark.parametrize(
    ("on", "error", "again"),
    [
        (("command",), CommandFailed("exit 1"), True),
        (("check",), CheckError("score"), True),
        (("rollout",), RolloutError("not healthy"), True),
        (("passing", "command"), AssembleError("no such package"), False),
        (("command",), passing(), False),
        (("passing",), CommandFailed("exit 1"), False),
    ],
)
def test_the_policy_says_which_failures_are_tried_again(on: tuple[str, ...], error: PipelineError, again: bool) -> None:
    call = Failing(error)
    if again:
        assert tried(call, Retry(on=on))[0] == "answer"
    else:
        with pytest.raises(type(error)):
            tried(call, Retry(on=on))
        assert call.calls == 1


def test_tries_within_a_try_count() -> None:
    """A request is tried again by itself, and its step then is not tried as often anew."""
    errors = [passing(str(n)) for n in range(20)]
    call = Failing(*errors)
    inner = Retry(attempts=3, wait=0.01)
    for attempts, calls in ((3, 3), (4, 6)):
        call.calls = 0
        with pytest.raises(OutOfReach):
            tried_outside(Retry(attempts=attempts, wait=0.01), inner, call)
        assert call.calls == calls


def tried_outside(outer: Retry, inner: Retry, call: Failing) -> None:
    retrying(outer, lambda: tried(call, inner), lambda *_: None, lambda _seconds: None)
