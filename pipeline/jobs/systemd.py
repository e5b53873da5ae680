"""A service and its timer (systemd.service(5), systemd.timer(5), systemd.time(7)): a rebuild by the clock."""

from __future__ import annotations

import re

from pipeline.jobs.crontab import NIGHTLY
from pipeline.jobs.model import Job
from pipeline.manifest.cron import DAYS, Cron, numbers

FILE = "-"


def text(job: Job) -> str:
    """Both units, each below a line that names its file."""
    name = f"pipeline-{job.name}"
    environment = f"EnvironmentFile=%h/.config/pipeline/{job.name}.env\n" if job.variables else ""
    zone = f" {job.timezone}" if job.timezone else ""
    calendars = "".join(f"OnCalendar={line}{zone}\n" for line in calendar(job.schedule or NIGHTLY))
    # Always the same delay (systemd 247): without, each firing would have another.
    delay = f"RandomizedDelaySec={job.jitter:g}\nFixedRandomDelay=true\n" if job.jitter else ""
    rebuild = " ".join(_word(word) for word in job.rebuild)
    return (
        f"# ~/.config/systemd/user/{name}.service\n"
        f"[Unit]\nDescription=Rebuild {job.name} on what is new below\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={_plain(job.folder)}\n{environment}"
        f"ExecStart={_word(job.program)} {rebuild} {_word(job.manifest)}\n\n"
        f"# ~/.config/systemd/user/{name}.timer: systemctl --user enable --now {name}.timer\n"
        f"[Unit]\nDescription=When to rebuild {job.name}\n\n"
        f"[Timer]\n{calendars}{delay}Persistent=true\n\n"
        f"[Install]\nWantedBy=timers.target\n"
    )


def calendar(cron: Cron) -> list[str]:
    """Calendar events for a schedule; two where crontab(5) has either of its two kinds of day."""
    time = f"{_steps(cron.hour, 0)}:{_steps(cron.minute, 0)}:00"
    date = f"*-{_steps(cron.month, 1)}-{{day}} {time}"
    by_day, by_week = cron.day != "*", cron.weekday != "*"
    lines = [date.format(day=_steps(cron.day, 1))] if by_day or not by_week else []
    return lines + ([f"{_days(cron.weekday)} {date.format(day='*')}"] if by_week else [])


def _steps(field: str, least: int) -> str:
    """`*/15` begins where the field does; a range with a step is the same in both."""
    items = (re.sub(r"^\*/", f"{least}/", item).replace("-", "..") for item in field.split(","))
    return ",".join(items)


def _days(field: str) -> str:
    """The names of all days that are meant: systemd.time(7) knows neither numbers nor steps there."""
    found = {day % 7 for day in numbers(field, 0, 6 if field.startswith("*") else 7)}
    return ",".join(DAYS[day].title() for day in sorted(found))


def _plain(text: str) -> str:
    return text.replace("%", "%%")


def _word(text: str) -> str:
    """A word of a command line (systemd.service(5), "Command lines")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if re.fullmatch(r"[\w./@:+=,-]+", escaped) else f'"{escaped}"'
