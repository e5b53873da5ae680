"""The executor: order by need, as parallel as may be, and what stands on a failure is skipped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import pytest

from pipeline.executor.threads import Threads

DIAMOND: Mapping[str, Sequence[str]] = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}


def executed(
    needs: Mapping[str, Sequence[str]],
    perform: Callable[[str], bool] = lambda _id: True,
    workers: int = 4,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[list[str], list[str]]:
    """What was performed, in the order of its ends, and what was skipped."""
    done: list[str] = []
    skipped: list[str] = []

    def work(id_: str) -> bool:
        good = perform(id_)
        done.append(id_)
        return good

    Threads(workers).execute(list(needs), needs, work, skipped.append, stopped)
    return done, skipped


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_everything_runs_once_after_what_it_needs(workers: int) -> None:
    done, skipped = executed(DIAMOND, workers=workers)
    assert sorted(done) == sorted(DIAMOND)
    assert skipped == []
    for id_, needs in DIAMOND.items():
        assert all(done.index(need) < done.index(id_) for need in needs)


def test_independent_steps_run_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=30)

    def meet(id_: str) -> bool:
        if id_ in ("b", "c"):
            together.wait()
        return True

    assert len(executed(DIAMOND, meet, workers=2)[0]) == len(DIAMOND)


def test_no_more_steps_at_once_than_workers() -> None:
    running, most, lock = 0, 0, threading.Lock()
    all_busy = threading.Barrier(3, timeout=30)

    def count(_id: str) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        all_busy.wait()
        with lock:
            running -= 1
        return True

    executed({str(number): () for number in range(12)}, count, workers=3)
    assert most == 3


def test_what_stands_on_a_failure_is_skipped_and_the_rest_runs() -> None:
    done, skipped = executed(DIAMOND, lambda id_: id_ != "b")
    assert sorted(done) == ["a", "b", "c", "e"]
    assert skipped == ["d"]
    done, skipped = executed({"a": (), "b": ("a",), "c": ("b",), "d": ("b", "a")}, lambda _id: False)
    assert (done, sorted(skipped)) == (["a"], ["b", "c", "d"])


def test_a_bug_in_a_step_comes_through() -> None:
    def broken(_id: str) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        executed({"a": ()}, broken)


def test_no_step_starts_once_stopped() -> None:
    started: list[str] = []

    def begin(id_: str) -> bool:
        started.append(id_)
        return True

    executed(DIAMOND, begin, workers=1, stopped=lambda: len(started) >= 2)
    assert len(started) == 2


def test_needs_that_are_not_part_of_the_run_are_not_waited_for() -> None:
    assert executed({"b": ("hit already",)})[0] == ["b"]


def test_nothing_to_do_is_done_at_once() -> None:
    assert executed({}) == ([], [])


def test_a_crowd_that_waits_for_a_crowd_is_skipped_once() -> None:
    checks = [f"check {number}" for number in range(20)]
    needs: dict[str, Sequence[str]] = dict.fromkeys(checks, ())
    needs |= {f"tag {number}": tuple(checks) for number in range(20)}
    needs["target"] = ("tag 3", "check 7")
    done, skipped = executed(needs)
    assert sorted(done[:20]) == sorted(checks)
    assert (len(done), skipped) == (41, [])
    done, skipped = executed(needs, lambda id_: id_ not in ("check 7", "check 9"))
    assert sorted(done) == sorted(checks)
    assert sorted(skipped) == sorted(set(needs) - set(checks))
