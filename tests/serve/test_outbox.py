"""Notes are delivered: tried again with growing waits, in order, each place by itself, and few at a time to people."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import pytest
from newsroom import BY_CLOCK, COMMIT, PROD, STAGING, MemoryHost, Newsroom

from pipeline.errors import OutOfReach, UsageError
from pipeline.serve.messages import Message
from pipeline.serve.model import RepositoryStatus, Tracked
from pipeline.serve.outbox import Outbox


@pytest.fixture
def room(tmp_path: Path) -> Newsroom:
    found = Newsroom(tmp_path)
    found.entry()
    return found


def away(wait: float = 0.0, *, silent: bool = False) -> OutOfReach:
    error = OutOfReach("the host does not answer", transient=True)
    error.retry_after, error.silent = wait, silent
    return error


def post(room: Newsroom, title: str, subject: str = "a") -> None:
    message = Message("done", subject, title, at=room.at)
    room.book.tell("message", f"team/{title}/{subject}", {"channel": "team", **message.data}, room.at)


def mark(room: Newsroom, context: str, repository: str = "models") -> None:
    body = {"repository": repository, "commit": COMMIT, "state": "success", "context": context, "text": "", "url": ""}
    room.book.tell("status", f"{repository}/{COMMIT}/{context}", body, room.at)


def test_waits_grow_and_a_note_is_given_up_after_a_day(room: Newsroom) -> None:
    mark(room, "pipeline/prod")
    tries: list[float] = []
    begin = room.at

    def fails(*_: Any) -> None:
        tries.append(room.at - begin)
        raise away()

    room.host.status = fails  # type: ignore[method-assign]
    room.until(2 * 86400)
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert max(waits) <= 960
    assert waits[-1] >= 900
    assert 80_000 < tries[-1] <= 86_400
    assert len(tries) < 120
    assert room.notes() == []
    assert room.said == [f"not told (status models/{COMMIT}/pipeline/prod): the host does not answer"]
    counts = room.outbox.counts()
    assert (counts["status", "given up"], counts["status", "failed"]) == (1, len(tries) - 1)


def test_what_is_refused_is_given_up_at_once(room: Newsroom) -> None:
    room.host.errors = [UsageError("No commit found", remedy="see there")]
    mark(room, "pipeline/a")
    mark(room, "pipeline/b")
    room.step()
    assert [status[2] for status in room.host.statuses] == ["pipeline/b"]
    assert room.notes() == []
    assert room.outbox.counts() == {("status", "given up"): 1, ("status", "delivered"): 1}
    assert "No commit found" in room.said[0]


def test_a_place_that_asks_to_wait_is_left_alone_so_long(room: Newsroom) -> None:
    room.host.errors = [away(wait=300.0)]
    for number in range(4):
        mark(room, f"pipeline/{number}")
    room.step()
    assert room.host.asked == 1
    room.until(298)
    assert room.host.asked == 1
    room.until(5)
    assert len(room.host.statuses) == 4


def test_a_place_that_hangs_is_asked_once_and_not_for_each_note(room: Newsroom) -> None:
    room.host.errors = [away(silent=True)] * 3
    for number in range(50):
        mark(room, f"pipeline/{number}")
    room.step()
    assert room.host.asked == 1
    room.until(60)
    assert len(room.host.statuses) == 50
    assert room.host.asked < 60


def test_one_note_that_fails_does_not_keep_the_others(room: Newsroom) -> None:
    mark(room, "pipeline/bad")
    mark(room, "pipeline/good")
    room.host.errors = [away()]
    room.step()
    assert [status[2] for status in room.host.statuses] == ["pipeline/good"]
    room.step()
    assert [status[2] for status in room.host.statuses] == ["pipeline/good", "pipeline/bad"]


def test_messages_about_one_thing_keep_their_order(room: Newsroom) -> None:
    room.channel.errors = [away(), away()]
    post(room, "a failed")
    post(room, "a is well again")
    post(room, "b failed", subject="b")
    room.step()
    assert room.channel.titles == []
    room.until(30)
    assert room.channel.titles.index("a failed") < room.channel.titles.index("a is well again")
    assert len(room.channel.titles) == 3


def test_a_later_status_takes_the_place_of_one_that_waits(room: Newsroom) -> None:
    room.host.errors = [away()] * 2
    job = room.add()
    room.step()
    room.queue.take()
    room.queue.end(job.id, "done", 0, {"text": "done"})
    room.until(60)
    assert [status[1] for status in room.host.statuses] == ["success"]


def test_what_is_well_again_before_it_could_be_told_is_not_told_as_failed(room: Newsroom) -> None:
    room.channel.errors = [away()] * 3
    for state in ("failed", "done", "failed", "done"):
        room.ran(state, "no such package")
        room.step()
    room.until(60)
    assert room.channel.titles == ["prod is well again"]


def test_what_was_delivered_but_not_noted_is_delivered_once_more_by_the_same_number(room: Newsroom) -> None:
    post(room, "a failed")
    killed = room.book.told

    def kill(*_: object) -> None:
        raise SystemExit("killed")

    room.book.told = kill  # type: ignore[method-assign, assignment]
    with pytest.raises(SystemExit):
        room.step()
    room.book.told = killed  # type: ignore[method-assign]
    room.start()
    room.step()
    assert room.channel.titles == ["a failed", "a failed"]
    assert len({told.delivery for told in room.channel.got}) == 1
    assert room.notes() == []


def test_a_bug_loses_no_note(room: Newsroom) -> None:
    room.channel.errors = [ZeroDivisionError("oops")]
    post(room, "a failed")
    room.step()
    assert "ZeroDivisionError" in room.said[0]
    room.until(10)
    assert room.channel.titles == ["a failed"]


def test_a_repository_and_a_channel_that_are_gone_from_the_settings(room: Newsroom) -> None:
    mark(room, "pipeline/prod", repository="plain")
    mark(room, "pipeline/prod", repository="forgotten")
    message = Message("done", "a", "a is done")
    room.book.tell("message", "x", {"channel": "forgotten", **message.data}, room.at)
    room.step()
    assert room.notes() == []
    assert len(room.said) == 3


def test_with_nothing_to_tell_it_looks_each_minute(room: Newsroom) -> None:
    room.step()
    assert room.outbox.due(room.at) == room.at + 60
    # A clock that was set back must not keep it from looking for long.
    assert room.outbox.due(room.at - 7200) == room.at - 7200


# -- people -----------------------------------------------------------------------------------------------------------


def test_people_get_few_messages_and_then_the_rest_as_one(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, folds=True)
    for number in range(40):
        post(room, f"{number} failed", subject=str(number))
        room.step(2)
    room.until(600)
    titles = room.channel.titles
    assert titles[:5] == [f"{number} failed" for number in range(5)]
    assert len(titles) < 10
    told = sum(message.message.count for message in room.channel.got)
    assert told == 40
    assert room.notes() == []
    assert room.channel.got[-1].message.url == "https://serve.example.com"


def test_programs_get_each_message(room: Newsroom) -> None:
    for number in range(40):
        post(room, f"{number} failed", subject=str(number))
    room.step()
    assert len(room.channel.titles) == 40


def test_a_bundle_that_fails_is_tried_again_as_a_whole(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, folds=True)
    for number in range(10):
        post(room, f"{number} failed", subject=str(number))
    room.channel.errors = [away()]
    room.step()
    room.until(300)
    assert [told.message.count for told in room.channel.got] == [10]


def test_a_night_of_failing_schedules_is_no_storm(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, folds=True)
    for hour in range(12):
        for number in range(100):
            manifest = Tracked("models", f"manifests/{number}.yaml")
            room.ran("failed", "mirror out of reach", manifest=manifest, action="rebuild", reason=BY_CLOCK)
        room.until(3600)
        assert len(room.channel.got) == 1, hour
    assert room.channel.titles == ["100 messages: 100 failed"]


# -- threads ----------------------------------------------------------------------------------------------------------


def test_a_host_that_hangs_does_not_keep_the_others(room: Newsroom) -> None:
    hangs, free, told = threading.Event(), threading.Event(), threading.Event()

    class Hanging(MemoryHost):
        def status(self, *values: Any) -> None:
            hangs.set()
            assert free.wait(30)
            super().status(*values)

    class Quick(MemoryHost):
        def status(self, *values: Any) -> None:
            super().status(*values)
            told.set()

    slow, quick = Hanging(), Quick()
    outbox = Outbox(room.news, room.book, {"slow": slow, "quick": quick}, {}, lambda: room.at)  # type: ignore[dict-item]
    mark(room, "pipeline/a", "slow")
    outbox.do(room.at)
    assert hangs.wait(30)
    mark(room, "pipeline/b", "quick")
    outbox.do(room.at)
    assert told.wait(30)
    assert not outbox.settle(0.0)
    # It is under way: it is not begun once more.
    outbox.do(room.at + 5)
    free.set()
    assert outbox.settle(30)
    assert len(slow.statuses) == 1
    assert room.notes() == []


def test_all_kinds_of_notes_are_counted(room: Newsroom) -> None:
    room.ran("done", "3 made", manifest=PROD)
    room.ran("done", "3 made", manifest=STAGING, action="plan", asked={"request": 3})
    room.book.put_repository(RepositoryStatus("models", "gone"))
    room.step()
    assert room.outbox.counts() == {
        ("status", "delivered"): 2,
        ("comment", "delivered"): 1,
        ("message", "delivered"): 2,
    }
