"""A schedule's five fields (crontab(5)), checked, with names as numbers."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.errors import UsageError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", re.ASCII)
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))


class Cron(NamedTuple):
    """A schedule as in crontab(5): five fields, with months and days of the week as numbers."""

    minute: str
    hour: str
    day: str
    month: str
    weekday: str

    def __str__(self) -> str:
        return " ".join(self)

    @property
    def either_day(self) -> bool:
        """Whether a day needs to fit only one of its two fields: neither begins with a star."""
        return not self.day.startswith("*") and not self.weekday.startswith("*")


def cron(text: str) -> Cron:
    """A schedule from crontab's five fields. Raises UsageError for what none of its readers would take alike, and for
    days that no year has.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        remedy = "write minute, hour, day, month and day of the week, as in '0 3 * * 1'"
        count = f"{len(fields)} field{'' if len(fields) == 1 else 's'}"
        raise UsageError(f"'{text}' is no schedule: it has {count}, and not 5", remedy=remedy)
    names = {name: str(number) for number, name in enumerate(DAYS)}
    months = {name: str(number) for number, name in enumerate(_MONTHS, 1)}
    found = Cron(*(_field(value, spec, names | months) for value, spec in zip(fields, _FIELDS, strict=True)))
    if not found.either_day:
        first = min(numbers(found.day, 1, 31))
        if first > (most := max(_LONGEST[month - 1] for month in numbers(found.month, 1, 12))):
            remedy = f"day {first} is not in month {found.month}, which has {most} at most"
            raise UsageError(f"'{text}' is no schedule: it never comes", remedy=remedy)
    return found


def numbers(field: str, least: int, most: int) -> list[int]:
    """All numbers that a field of a Cron means, where those it may have go from `least` to `most`."""
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = (str(least), "", str(most)) if span == "*" else span.partition("-")
        end = int(last) if last else most if step else int(first)
        found |= set(range(int(first), end + 1, int(step or 1)))
    return sorted(found)


def _field(value: str, spec: tuple[str, int, int], names: dict[str, str]) -> str:
    label, least, most = spec
    plain = re.sub(r"[A-Za-z]+", lambda match: names.get(match[0].lower(), match[0]), value)
    for item in plain.split(","):
        match = _ITEM.fullmatch(item)
        ends = [int(number) for number in match.groups()[:2] if number] if match else []
        step = int(match[3]) if match and match[3] else 1
        if match is None or step < 1 or any(not least <= n <= most for n in ends) or ends != sorted(ends):
            raise UsageError(f"'{value}' is no {label} of a schedule", remedy=f"from {least} to {most}, '*', or '*/5'")
    return plain


__all__ = ["DAYS", "Cron", "cron", "numbers"]
