"""Many things called again and again in a few threads: in time, none twice at once, and what hangs holds none up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.serve.shifts import FEW, Shifts

LONG = 3600.0


@contextmanager
def at_work(shifts: Shifts) -> Iterator[None]:
    shifts.start()
    try:
        yield
    finally:
        shifts.stop(30)


def test_hundreds_are_called_in_a_few_threads() -> None:
    names = [f"r{number}" for number in range(300)]
    calls: Counter[str] = Counter()
    most, all_ = [0], threading.Event()

    def call(name: str) -> float:
        calls[name] += 1
        most[0] = max(most[0], shifts.threads)
        if len(calls) == len(names):
            all_.set()
        return LONG

    shifts = Shifts(names, call, grace=LONG)
    with at_work(shifts):
        assert all_.wait(30)
    assert set(calls.values()) == {1} and 1 <= most[0] <= FEW


def test_what_hangs_holds_nothing_else_up() -> None:
    free, called = threading.Event(), threading.Event()

    def call(name: str) -> float:
        if name == "z":
            called.set()
        else:
            free.wait(60)
        return LONG

    shifts = Shifts([*"abcdefgh", "z"], call, few=2, grace=0.01)
    with at_work(shifts):
        assert called.wait(30)
        free.set()


def test_what_is_woken_is_called_at_once_and_never_twice_at_once() -> None:
    begun, go, again = threading.Event(), threading.Event(), threading.Event()
    under_way, calls = [0], [0]

    def call(_name: str) -> float:
        under_way[0] += 1
        assert under_way[0] == 1
        calls[0] += 1
        begun.set()
        go.wait(30)
        under_way[0] -= 1
        if calls[0] > 1:
            again.set()
        return LONG

    shifts = Shifts(["one"], call)
    with at_work(shifts):
        assert begun.wait(30)
        shifts.wake("one")
        assert calls[0] == 1
        go.set()
        assert again.wait(30)
        again.clear()
        shifts.wake("one")
        assert again.wait(30)


def test_it_is_called_again_when_it_said() -> None:
    calls, done = [0], threading.Event()

    def call(_name: str) -> float:
        calls[0] += 1
        if calls[0] == 3:
            done.set()
        return 0.01

    with at_work(Shifts(["one", "two"], call)):
        assert done.wait(30)


def test_threads_that_are_more_than_enough_end() -> None:
    free, reached = threading.Event(), threading.Semaphore(0)

    def call(name: str) -> float:
        if name.startswith("hangs"):
            reached.release()
            free.wait(60)
        return LONG

    shifts = Shifts([f"hangs {number}" for number in range(6)], call, few=2, grace=0.01)
    with at_work(shifts):
        for _ in range(6):
            assert reached.acquire(timeout=30)
        assert shifts.threads >= 6
        free.set()
        while shifts.threads > 2:
            threading.Event().wait(0.01)
