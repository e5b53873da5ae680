"""What a job runs, when, and what it needs of its surroundings."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.errors import UsageError
from pipeline.noun import noun

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
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


@noun
class Job:
    """A manifest, by its path from the repository's root (or, for schedulers of one machine, `folder`), and its lock.

    `variables` are those of the environment that the manifest cannot do without. `program` is how the command is called
    on this machine, `requirement` what pip installs elsewhere. Without `schedule`, it runs at commits.
    """

    name: str
    manifest: str
    lock: str
    variables: tuple[str, ...] = ()
    schedule: Cron | None = None
    branch: str = "main"
    requirement: str = "pipeline-images"
    folder: str = ""
    program: str = "pipeline"


def cron(text: str) -> Cron:
    """A schedule from crontab's five fields. Raises UsageError for what none of its readers would take alike."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        remedy = "write minute, hour, day, month and day of the week, as in '0 3 * * 1'"
        raise UsageError(f"'{text}' is no schedule: it has {len(fields)} fields, and not 5", remedy=remedy)
    names = {name: str(number) for number, name in enumerate(DAYS)}
    months = {name: str(number) for number, name in enumerate(_MONTHS, 1)}
    return Cron(*(_field(value, spec, names | months) for value, spec in zip(fields, _FIELDS, strict=True)))


def _field(value: str, spec: tuple[str, int, int], names: dict[str, str]) -> str:
    label, least, most = spec
    plain = re.sub(r"[A-Za-z]+", lambda match: names.get(match[0].lower(), match[0]), value)
    for item in plain.split(","):
        match = _ITEM.fullmatch(item)
        numbers = [int(number) for number in match.groups()[:2] if number] if match else []
        step = int(match[3]) if match and match[3] else 1
        if match is None or step < 1 or any(not least <= n <= most for n in numbers) or numbers != sorted(numbers):
            raise UsageError(f"'{value}' is no {label} of a schedule", remedy=f"from {least} to {most}, '*', or '*/5'")
    return plain
