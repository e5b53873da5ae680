"""When a schedule fires: the fields of crontab(5) in a time zone, by the rules of Debian's cron. Pure.

Where clocks are changed (cron(8), "Daylight Saving Time and other time changes"): a schedule whose minute and hour are
both without a star goes by the wall clock: what would fall into the hour that is left out begins right after it, and
what falls into the hour that comes twice begins in the first one only. All others go by the time that passes.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.manifest.model import Schedule

if TYPE_CHECKING:
    from cronsim import CronSim

NEVER = math.inf


def delay(schedule: Schedule, key: str) -> float:
    """How much later than its fields say it begins, in whole seconds: by `key`, evenly within its jitter."""
    share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / (1 << 64)
    return float(math.floor(share * schedule.jitter))


def begins(schedule: Schedule, key: str, after: float) -> float:
    """The first time later than `after` that it begins, with its delay (Unix time in seconds). UsageError where this
    machine does not know the time zone.
    """
    later = delay(schedule, key)
    return next_firing(schedule.cron, schedule.timezone, after - later) + later


def next_firing(cron: str, timezone: str, after: float) -> float:
    """The first time later than `after` that these fields mean (Unix time in seconds); NEVER for none in 50 years."""
    minute, hour, *_ = cron.split()
    by_wall = not minute.startswith("*") and not hour.startswith("*")
    return (_by_wall if by_wall else _by_time)(cron, zone(timezone), after)


def _cronsim() -> type[CronSim]:
    try:
        from cronsim import CronSim
    except ModuleNotFoundError as error:
        fact = "schedules need a library that is not installed (cronsim)"
        raise UsageError(fact, remedy="pip install 'pipeline-images[serve]'") from error
    return CronSim


def _by_wall(cron: str, where: tzinfo, after: float) -> float:
    simulated = _cronsim()
    for moment in simulated(cron, datetime.fromtimestamp(math.floor(after), where)):
        # Times that are left out all stand for the one after them, and a time that comes twice for the first.
        if (at := moment.timestamp()) > after:
            return at
    return NEVER


def _by_time(cron: str, where: tzinfo, after: float) -> float:
    """From one change of the clocks to the next: between them, local time is as even as any."""
    simulated = _cronsim()
    after = begin = float(math.floor(after))
    while True:
        offset = _offset(where, begin)
        moment = next(simulated(cron, datetime.fromtimestamp(after + offset, UTC)), None)
        if moment is None:
            return NEVER
        at = moment.timestamp() - offset
        change = _change(where, begin, at)
        if change is None:
            return at
        after, begin = change - 1, change


def _offset(where: tzinfo, at: float) -> float:
    found = datetime.fromtimestamp(at, where).utcoffset()
    return found.total_seconds() if found else 0.0


def _change(where: tzinfo, begin: float, end: float) -> float | None:
    """The first second up to `end` at which local time differs from UTC otherwise than at `begin`."""
    offset, day = _offset(where, begin), begin
    while _offset(where, min(day, end)) == offset:
        if day >= end:
            return None
        day += 86400
    low, high = max(begin, day - 86400), min(day, end)
    while high - low > 1:
        middle = math.floor((low + high) / 2)
        low, high = (middle, high) if _offset(where, middle) == offset else (low, middle)
    return high


def zone(name: str) -> tzinfo:
    """A time zone by its IANA name. Raises UsageError."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        remedy = "install its data (Debian: tzdata), or correct the schedule"
        raise UsageError(f"this machine does not know the time zone '{name}'", remedy=remedy) from error


__all__ = ["NEVER", "begins", "delay", "next_firing", "zone"]
