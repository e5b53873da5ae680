"""The duty that watches the clock for the manifests' schedules: what is due becomes a job, once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any

from pipeline.errors import PipelineError
from pipeline.manifest.model import Schedule
from pipeline.serve import cron, rebuilds
from pipeline.serve.book import Book, Tick
from pipeline.serve.database import Database
from pipeline.serve.model import Reason, Tracked
from pipeline.serve.queue import Queue

EVERY = 60.0
"""Seconds after which it is looked whether a schedule was changed, when nothing says so."""
DAY = 86400.0
"""A clock that was set back by less than this fires nothing twice; by more, it was wrong before."""
_LATE = 120.0
_PREFIX = "schedule "


def said(schedule: Schedule) -> str:
    """A schedule in words: `0 3 * * 1 Europe/Berlin`."""
    return schedule.cron if schedule.timezone == "UTC" else f"{schedule.cron} {schedule.timezone}"


def to_entry(schedule: Schedule | None) -> Mapping[str, Any] | None:
    """As an Entry keeps it."""
    return asdict(schedule) if schedule else None


def of_entry(kept: Mapping[str, Any]) -> Schedule:
    return Schedule(**{**kept, "upgrade": tuple(kept.get("upgrade", ()))})


def step(tick: Tick | None, name: str, schedule: Schedule, key: str, now: float) -> tuple[Tick, bool]:
    """A schedule's clock at this moment, and whether it fires: once, however often it was missed.

    A schedule that is new or was changed begins after now. What fires by no time of its own (days that never come
    again) has an infinite `due`. Raises UsageError for an unknown time zone.
    """
    words = f"{said(schedule)} +{cron.delay(schedule, key):g}"
    if tick is None or tick.said != words:
        fired = tick.fired if tick else 0.0
        # Set anew within its own minute, it must not fire in it again.
        after = max(now, fired) if fired - now < DAY else now
        return Tick(name, words, fired, cron.begins(schedule, key, after)), False
    if tick.due <= now:
        return replace(tick, fired=now, due=cron.begins(schedule, key, now)), True
    return tick, False


def set_right(tick: Tick, schedule: Schedule, key: str, now: float) -> Tick:
    """The clock of a schedule after the machine's was set back: by more than a day, it begins anew. By less, it fires
    in no minute again that it has fired in.
    """
    due = cron.begins(schedule, key, now)
    keeps = tick.due <= due or 0 < tick.fired - now < DAY
    return tick if keeps else replace(tick, due=due)


class Clocks:
    """`ports.Duty`. `repositories` are the names of those that are watched."""

    name = "clocks"

    def __init__(self, database: Database, book: Book, queue: Queue, repositories: Collection[str]) -> None:
        self._database, self._book, self._queue = database, book, queue
        self._repositories = frozenset(repositories)
        self._next = self._first = self._seen = 0.0
        self._known: dict[str, str] = {}

    def due(self, now: float) -> float | None:
        """The first of all clocks; when the machine's was set back, at once."""
        return now if now < self._seen else self._next

    def do(self, now: float) -> None:
        """Raises PipelineError where the clock of one could not be looked at, after all others were."""
        # What a killed process had seen of the time is not known: it may have been set back.
        back = now < self._seen or not self._seen
        self._seen = now
        schedules = self._book.schedules()
        wrong: list[PipelineError] = []
        if back or now >= self._first or schedules != self._known:
            self._first = self._all(schedules, now, back, wrong)
            self._known = {} if wrong else schedules
        self._next = min(now + EVERY, self._first)
        if wrong:
            raise wrong[0]

    def _all(self, schedules: Mapping[str, str], now: float, back: bool, wrong: list[PipelineError]) -> float:
        """When the first of all is due next; what could not be looked at is told in `wrong`."""
        ticks = {name: tick for name, tick in self._book.ticks().items() if name.startswith(_PREFIX)}
        dues = [cron.NEVER]
        for id_, kept in schedules.items():
            if Tracked.of(id_).repository not in self._repositories:
                continue
            tick = ticks.pop(f"{_PREFIX}{id_}", None)
            try:
                dues.append(self._one(Tracked.of(id_), of_entry(json.loads(kept)), tick, now, back))
            except PipelineError as error:
                wrong.append(error)
        for name in ticks:
            self._book.forget_tick(name)
        return min(dues)

    def _one(self, manifest: Tracked, schedule: Schedule, tick: Tick | None, now: float, back: bool) -> float:
        """When this one is due next."""
        before = tick
        if tick and back:
            tick = set_right(tick, schedule, manifest.id, now)
        tick, fires = step(tick, f"{_PREFIX}{manifest.id}", schedule, manifest.id, now)
        if tick != before:
            with self._database.transaction():
                self._book.put_tick(tick)
                if fires and before:
                    reason = Reason("schedule", _reason(schedule, before.due, now))
                    rebuilds.ask(self._queue, manifest, reason, schedule.upgrade, schedule.policy)
        return tick.due


def _reason(schedule: Schedule, due: float, now: float) -> str:
    text = f"schedule {said(schedule)}"
    if now - due < _LATE:
        return text
    from datetime import datetime

    when = datetime.fromtimestamp(due, cron.zone(schedule.timezone))
    return f"{text}, caught up: it was due {when:%Y-%m-%d %H:%M}"


__all__ = ["DAY", "EVERY", "Clocks", "of_entry", "said", "set_right", "step", "to_entry"]
