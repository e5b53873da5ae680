"""Schedules over simulated months: each firing gives one job, whatever is restarted, changed or set back meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.manifest.model import Schedule
from pipeline.serve import rebuilds
from pipeline.serve.book import Book
from pipeline.serve.clocks import Clocks, of_entry, to_entry
from pipeline.serve.cron import delay, next_firing
from pipeline.serve.database import Database
from pipeline.serve.model import Entry, Job, Reason, Tracked
from pipeline.serve.queue import Queue

NIGHTLY = Schedule("0 3 * * *", "Europe/Berlin")
ONE = Tracked("models", "manifests/one.yaml")


def at(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


@dataclass
class Bench:
    """A server's clocks with their database; time stands still unless it is moved."""

    path: Path
    now: float = at("2026-01-10T12:00")
    made: list[Job] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """As after a kill: nothing is known but what is in the database."""
        self.database = Database(self.path)
        self.book = Book(self.database)
        self.queue = Queue(self.database, lambda: self.now)
        self.clocks = Clocks(self.database, self.book, self.queue, {"models"})

    def says(self, schedule: Schedule | None, manifest: Tracked = ONE, **other: object) -> None:
        entry = Entry(manifest, "one", "blob", schedule=to_entry(schedule))
        self.book.put_entry(replace(entry, **other))

    def to(self, when: float) -> None:
        """Time passes, and the duty is called whenever it is due."""
        for _ in range(200_000):
            due = self.clocks.due(self.now)
            if due is not None and due <= self.now:
                self.clocks.do(self.now)
                continue
            if self.now >= when:
                return
            self.now = min(when, max(due or when, self.now))
        raise AssertionError("it is due again and again")

    def jobs(self) -> list[Job]:
        return self.queue.jobs(1000)[::-1]

    def work(self) -> list[Job]:
        """Does all that waits; what was done."""
        done = []
        while job := self.queue.take():
            done.append(self.queue.end(job.id, "done", 0, {}))
        return done

    def days(self) -> list[str]:
        return [
            datetime.fromtimestamp(job.created, ZoneInfo("Europe/Berlin")).strftime("%d %H:%M") for job in self.jobs()
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "serve.db")


def test_a_schedule_gives_a_job_each_time_at_its_own_time(bench: Bench) -> None:
    bench.now = at("2026-03-26T12:00")
    bench.says(NIGHTLY)
    for day in range(27, 32):
        bench.to(at(f"2026-03-{day}T12:00"))
        bench.work()
    assert bench.days() == ["27 03:00", "28 03:00", "29 03:00", "30 03:00", "31 03:00"]
    job = bench.jobs()[-1]
    assert (job.action, job.manifest, job.reason) == (
        "rebuild",
        ONE,
        Reason("schedule", "schedule 0 3 * * * Europe/Berlin"),
    )


def test_what_was_missed_is_caught_up_once_and_says_so(bench: Bench) -> None:
    bench.says(NIGHTLY)
    bench.to(bench.now + 60)
    bench.now = at("2026-01-20T12:00")
    bench.start()
    bench.to(bench.now + 60)
    assert [job.reason.text for job in bench.jobs()] == [
        "schedule 0 3 * * * Europe/Berlin, caught up: it was due 2026-01-11 03:00"
    ]
    bench.work()
    bench.to(at("2026-01-21T12:00"))
    assert len(bench.jobs()) == 2


def test_no_two_at_a_time(bench: Bench) -> None:
    bench.says(Schedule("*/5 * * * *"))
    bench.to(bench.now + 3600)
    (job,) = bench.jobs()
    bench.queue.take()
    bench.to(bench.now + 3600)
    assert [one.id for one in bench.jobs()] == [job.id]
    bench.queue.end(job.id, "done", 0, {})
    bench.to(bench.now + 600)
    assert len(bench.jobs()) == 2


def test_names_and_policy_are_asked_for(bench: Bench) -> None:
    bench.says(Schedule("0 3 * * *", upgrade=("slim", "numpy"), policy="apply"))
    bench.to(bench.now + 86400)
    assert bench.jobs()[0].asked == {"upgrade": ["numpy", "slim"], "policy": "apply"}


def test_a_schedule_that_is_set_begins_after_that(bench: Bench) -> None:
    bench.to(at("2026-01-12T03:00:30", "Europe/Berlin"))
    bench.says(NIGHTLY)
    bench.to(at("2026-01-12T23:00"))
    assert bench.jobs() == []
    bench.to(at("2026-01-13T23:00"))
    assert bench.days() == ["13 03:00"]


def test_a_schedule_that_a_commit_changes_or_removes(bench: Bench) -> None:
    bench.says(NIGHTLY)
    bench.to(at("2026-01-11T12:00"))
    bench.work()
    bench.says(replace(NIGHTLY, cron="0 18 * * *"))
    bench.to(at("2026-01-12T12:00"))
    bench.work()
    bench.says(None)
    bench.to(at("2026-02-12T12:00"))
    assert bench.days() == ["11 03:00", "11 18:00"]
    assert bench.book.ticks() == {}


@pytest.mark.parametrize("other", [{"gone": True}, {"error": "it cannot be read"}])
def test_a_manifest_that_is_gone_or_broken_is_left_alone(bench: Bench, other: dict[str, object]) -> None:
    bench.says(NIGHTLY, **other)
    bench.to(at("2026-01-14T12:00"))
    assert bench.jobs() == []


def test_a_repository_that_is_watched_no_more_is_left_alone(bench: Bench) -> None:
    bench.says(NIGHTLY, Tracked("others", "m.yaml"))
    bench.to(at("2026-01-14T12:00"))
    assert bench.jobs() == []


def test_set_in_its_own_minute_it_does_not_fire_in_it_again(bench: Bench) -> None:
    bench.says(Schedule("0 3 * * *"))
    bench.to(at("2026-01-11T03:00:00"))
    bench.work()
    bench.says(Schedule("0 3 * * *", jitter=0.5))
    bench.says(Schedule("0 3 * * *", upgrade=("slim",)))
    bench.to(at("2026-01-11T12:00"))
    assert len(bench.jobs()) == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_set_back_by_an_hour_fires_nothing_twice(bench: Bench, restarted: bool) -> None:
    bench.says(Schedule("*/10 * * * *"))
    bench.to(at("2026-01-11T03:05"))
    bench.work()
    fired = bench.jobs()[-1].created
    bench.now = at("2026-01-11T02:05")
    if restarted:
        bench.start()
    bench.to(at("2026-01-11T03:09"))
    assert bench.jobs()[-1].created == fired
    bench.to(at("2026-01-11T03:11"))
    assert bench.jobs()[-1].created == at("2026-01-11T03:10")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_was_years_ahead_is_put_right(bench: Bench, restarted: bool) -> None:
    bench.says(NIGHTLY)
    bench.to(bench.now + 60)
    bench.now = at("2036-06-01T12:00")
    bench.says(Schedule("0 4 * * *"), Tracked("models", "set-then.yaml"))
    bench.to(at("2036-06-01T12:05"))
    bench.work()
    bench.now = at("2026-01-11T12:00")
    if restarted:
        bench.start()
    before = len(bench.jobs())
    bench.to(at("2026-01-12T12:00"))
    assert [job.manifest.path for job in bench.jobs()[before:]] == ["manifests/one.yaml", "set-then.yaml"]


def test_a_zone_that_is_not_known_does_not_keep_the_others(bench: Bench) -> None:
    bench.says(replace(NIGHTLY, timezone="Mars/Olympus"), Tracked("models", "a.yaml"))
    bench.says(NIGHTLY, Tracked("models", "b.yaml"))
    with pytest.raises(UsageError, match="Mars/Olympus"):
        bench.clocks.do(bench.now)
    bench.now = at("2026-01-11T12:00")
    with pytest.raises(UsageError, match="Mars/Olympus"):
        bench.clocks.do(bench.now)
    assert [job.manifest.path for job in bench.jobs()] == ["b.yaml"]


def test_an_entry_keeps_a_schedule() -> None:
    schedule = Schedule("0 3 * * 1", "Europe/Berlin", 600.0, ("slim",), "apply")
    assert of_entry(asdict(schedule) | {"upgrade": ["slim"]}) == schedule
    assert to_entry(None) is None


@settings(max_examples=25, deadline=None)
@given(
    minutes=st.sampled_from(["*/30 * * * *", "15 2 * * *", "0 3 * * 1", "45 */6 * * *", "0 0 1 * *"]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    jitter=st.sampled_from([0.0, 600.0, 7200.0]),
    gaps=st.lists(st.tuples(st.floats(0.0, 86400 * 3.0), st.booleans()), min_size=1, max_size=12),
)
def test_months_with_restarts(
    tmp_path_factory: pytest.TempPathFactory,
    minutes: str,
    timezone: str,
    jitter: float,
    gaps: list[tuple[float, bool]],
) -> None:
    """While it is up, each firing gives a job at its time; after it was down, one stands for all that were missed."""
    bench = Bench(tmp_path_factory.mktemp("clocks") / "serve.db", at("2026-03-20T12:00"))
    schedule = Schedule(minutes, timezone, jitter)
    bench.says(schedule)
    bench.to(bench.now + 1)
    later, wanted, last = delay(schedule, ONE.id), [], bench.now
    for gap, down in gaps:
        start, end = bench.now, bench.now + gap
        firings, when = [], last
        while (when := next_firing(minutes, timezone, when - later) + later) <= end:
            firings.append(when)
        if down:
            bench.now = end
            bench.start()
            wanted += [end] if firings else []
        else:
            wanted += firings
        last = end
        step: Callable[[], None] = bench.work
        for when in [*(firings if not down else []), end]:
            bench.to(when)
            step()
        assert start <= bench.now
    assert [job.created for job in bench.jobs()] == wanted


# -- asking for a rebuild ---------------------------------------------------------------------------------------------


def asked(queue: Queue, *names: str, policy: str = "") -> Job | None:
    return rebuilds.ask(queue, ONE, Reason("hand", "by hand"), names, policy)


def test_what_is_asked_for_twice_is_done_once(bench: Bench) -> None:
    assert asked(bench.queue)
    assert asked(bench.queue) is None
    assert asked(bench.queue, "slim") is None


def test_what_waits_for_less_is_replaced_by_one_for_both(bench: Bench) -> None:
    first = asked(bench.queue, "slim")
    second = asked(bench.queue, "numpy")
    assert first and second
    assert second.asked == {"upgrade": ["numpy", "slim"]}
    assert [job.id for job in bench.queue.open()] == [second.id]
    everything = asked(bench.queue)
    assert everything
    assert everything.asked == {}


def test_what_runs_for_less_is_followed_by_another(bench: Bench) -> None:
    asked(bench.queue, "slim")
    bench.queue.take()
    assert asked(bench.queue, "slim") is None
    assert asked(bench.queue, "numpy")


def test_another_manifest_is_another_matter(bench: Bench) -> None:
    asked(bench.queue)
    assert rebuilds.ask(bench.queue, Tracked("models", "two.yaml"), Reason("hand", "by hand"))
