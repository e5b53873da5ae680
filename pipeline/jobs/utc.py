"""A schedule of a time zone as one in UTC, for hosts that know no other. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pipeline.errors import UsageError
from pipeline.manifest.cron import Cron, numbers


def in_utc(cron: Cron, timezone: str, year: int) -> tuple[Cron, str]:
    """The schedule by the zone's standard time, and a remark on what it was. A zone that has summer time in that year
    is an hour later in it. Raises UsageError where five fields of UTC cannot say the same.
    """
    offsets = _offsets(timezone, year)
    offset = min(offsets)
    remark = f"{cron} of {timezone}" + (", by its standard time" if len(offsets) > 1 else "")
    if not offset:
        return cron, remark
    minutes, carries = _shifted(cron.minute, 60, -offset)
    if len(carries) > 1 and cron.hour != "*":
        raise _cannot(cron, timezone)
    any_day = cron.day == cron.month == cron.weekday == "*"
    if cron.hour == "*":
        if not any_day:
            raise _cannot(cron, timezone)
        return Cron(minutes, "*", "*", "*", "*"), remark
    hours, days = _shifted(cron.hour, 24, min(carries))
    if any_day or days == {0}:
        return cron._replace(minute=minutes, hour=hours), remark
    if len(days) > 1 or cron.day != "*" or cron.month != "*":
        raise _cannot(cron, timezone)
    weekdays = {(day + min(days)) % 7 for day in numbers(cron.weekday, 0, 6 if cron.weekday.startswith("*") else 7)}
    return cron._replace(minute=minutes, hour=hours, weekday=_listed(weekdays)), remark


def _offsets(timezone: str, year: int) -> set[int]:
    """How far the zone is from UTC in a year, in minutes."""
    from zoneinfo import ZoneInfo

    where = UTC if timezone == "UTC" else ZoneInfo(timezone)
    found = (datetime(year, month, 1, 12, tzinfo=where).utcoffset() for month in range(1, 13))
    return {int(one.total_seconds() // 60) for one in found if one is not None}


def _shifted(field: str, size: int, by: int) -> tuple[str, set[int]]:
    """A field whose numbers are below `size`, moved; and by how much of the next larger field each moved with it."""
    if field == "*" and by % size == 0:
        return field, {by // size}
    moved = [divmod(number + by, size) for number in numbers(field, 0, size - 1)]
    return ("*" if len(moved) == size else _listed(rest for _, rest in moved)), {carry for carry, _ in moved}


def _listed(values: Iterable[int]) -> str:
    return ",".join(map(str, sorted(values)))


def _cannot(cron: Cron, timezone: str) -> UsageError:
    fact = f"'{cron}' of {timezone} cannot be said in UTC, which is all that this host knows"
    return UsageError(fact, remedy="give it a schedule of its own, in UTC: --schedule '0 3 * * 1'")


__all__ = ["in_utc"]
