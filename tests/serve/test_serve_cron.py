"""When schedules fire, against the rules of Debian's cron written out minute by minute: over years, in many zones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.manifest.cron import Cron, cron, numbers
from pipeline.manifest.model import Schedule
from pipeline.serve.cron import begins, delay, next_firing, zone

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Antarctica/Troll",
    "Pacific/Apia",
)
LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
MINUTE = timedelta(minutes=1)


def at(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


def local(when: float, timezone: str) -> str:
    return datetime.fromtimestamp(when, ZoneInfo(timezone)).isoformat(timespec="minutes")


class Means:
    """Whether a local time is one that the five fields mean."""

    def __init__(self, fields: Cron) -> None:
        self.either = fields.either_day
        self.sets = [set(numbers(field, *limits)) for field, limits in zip(fields, LIMITS, strict=True)]
        self.sets[4] = {day % 7 for day in self.sets[4]}

    def __call__(self, when: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.sets
        by_month, by_week = when.day in days, when.isoweekday() % 7 in weekdays
        day = by_month or by_week if self.either else by_month and by_week
        return when.minute in minutes and when.hour in hours and when.month in months and day


def by_the_book(text: str, timezone: str, start: int, end: int) -> Iterator[float]:
    """The firings of cron(8) in (start, end]: whole minutes, each looked at."""
    means, where = Means(cron(text)), ZoneInfo(timezone)
    minute, hour, *_ = text.split()
    by_wall = not minute.startswith("*") and not hour.startswith("*")
    before = datetime.fromtimestamp(start, where)
    for when in range(start + 60, end + 60, 60):
        now = datetime.fromtimestamp(when, where)
        if not by_wall:
            fires = means(now)
        else:
            left_out, there = before.replace(tzinfo=None, fold=0) + MINUTE, now.replace(tzinfo=None, fold=0)
            # What is left out begins right after it; what comes twice, in the first one.
            fires = (now.fold == 0 or left_out < there) and means(there)
            while left_out < there and not fires:
                fires, left_out = means(left_out), left_out + MINUTE
        if fires:
            yield float(when)
        before = now


def ours(text: str, timezone: str, start: float, end: float) -> Iterator[float]:
    while (start := next_firing(text, timezone, start)) <= end:
        yield start


def changes(timezone: str, year: int) -> list[int]:
    """The hours of a year in which clocks are changed."""
    where, first = ZoneInfo(timezone), int(datetime(year, 1, 1, tzinfo=UTC).timestamp())

    def offset(when: int) -> timedelta | None:
        return datetime.fromtimestamp(when, where).utcoffset()

    return [hour for hour in range(first, first + 366 * 86400, 3600) if offset(hour) != offset(hour + 3600)]


@pytest.mark.parametrize("timezone", ZONES)
@pytest.mark.parametrize(
    "text",
    [
        "30 2 * * *",
        "*/15 * * * *",
        "15,45 2 * * *",
        "0 */2 * * *",
        "30 1-3 * * 0",
        "30 * * * *",
        "0 0 * * *",
        "45 1 * * *",
    ],
)
def test_where_clocks_are_changed(timezone: str, text: str) -> None:
    for change in changes(timezone, 2026):
        start, end = change - 86400, change + 86400
        assert list(ours(text, timezone, start, end)) == list(by_the_book(text, timezone, start, end))


def field(least: int, most: int) -> st.SearchStrategy[str]:
    one = st.integers(least, most).map(str)
    span = st.tuples(st.integers(least, most), st.integers(least, most)).map(lambda ends: f"{min(ends)}-{max(ends)}")
    step = st.integers(1, max(2, most // 2)).map(lambda step: f"*/{step}")
    return st.one_of(
        st.just("*"), one, span, step, st.lists(st.one_of(one, span), min_size=2, max_size=3).map(",".join)
    )


@settings(max_examples=60, deadline=None)
@given(
    text=st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join),
    timezone=st.sampled_from(ZONES),
    day=st.integers(0, 3 * 365),
)
def test_any_schedule_over_years(text: str, timezone: str, day: int) -> None:
    start = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp()) + day * 86400
    end = start + 3 * 86400
    assert list(ours(text, timezone, start, end)) == list(by_the_book(text, timezone, start, end))


def test_what_would_fall_into_the_hour_that_is_left_out_begins_after_it_once() -> None:
    """Berlin, 29 March 2026: 01:59 is followed by 03:00."""
    fired = list(ours("15,30,45 2 * * *", "Europe/Berlin", at("2026-03-28T12:00"), at("2026-03-29T12:00")))
    assert [local(one, "Europe/Berlin") for one in fired] == ["2026-03-29T03:00+02:00"]


def test_what_falls_into_the_hour_that_comes_twice_begins_once() -> None:
    """Berlin, 25 October 2026: 02:59 is followed by 02:00."""
    fired = list(ours("30 2 * * *", "Europe/Berlin", at("2026-10-24T12:00"), at("2026-10-25T12:00")))
    assert [local(one, "Europe/Berlin") for one in fired] == ["2026-10-25T02:30+02:00"]


def test_each_quarter_of_an_hour_goes_on_in_the_hour_that_comes_twice() -> None:
    fired = list(ours("*/15 * * * *", "Europe/Berlin", at("2026-10-25T00:00"), at("2026-10-25T02:00")))
    assert {second - first for first, second in itertools.pairwise(fired)} == {900.0}


def test_the_29th_of_february_waits_for_its_year() -> None:
    assert next_firing("0 3 29 2 *", "UTC", at("2026-01-01T00:00")) == at("2028-02-29T03:00")
    assert next_firing("0 3 29 2 *", "UTC", at("2096-03-01T00:00")) == at("2104-02-29T03:00")


def test_the_delay_is_by_the_name_and_within_the_jitter() -> None:
    schedule = Schedule("0 3 * * *", jitter=600.0)
    delays = {delay(schedule, f"models/{number}.yaml") for number in range(200)}
    assert all(0 <= one < 600 for one in delays)
    assert len(delays) > 100
    assert delay(schedule, "models/a.yaml") == delay(schedule, "models/a.yaml")
    assert delay(Schedule("0 3 * * *"), "models/a.yaml") == 0


def test_it_begins_later_by_its_delay_and_each_time_once() -> None:
    schedule = Schedule("0 3 * * *", "Europe/Berlin", jitter=7200.0)
    later, when, found = delay(schedule, "m"), at("2026-03-27T00:00"), []
    for _ in range(4):
        when = begins(schedule, "m", when)
        found.append(local(when - later, "Europe/Berlin"))
    assert found == [f"2026-03-{day}T03:00+0{2 if day > 28 else 1}:00" for day in (27, 28, 29, 30)]


def test_a_zone_that_this_machine_does_not_know() -> None:
    with pytest.raises(UsageError, match="does not know the time zone 'Mars/Olympus'"):
        zone("Mars/Olympus")
