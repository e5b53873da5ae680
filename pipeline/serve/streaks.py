"""What fails again and again: told once, then with a count, and told again when it is well. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from pipeline.noun import noun
from pipeline.serve.model import Job
from pipeline.serve.telling import first_line

AGAIN = 86400.0
"""Seconds after which a failure that goes on is told once more."""
_BY_ITSELF = ("schedule", "base", "packages", "drift")
"""Causes that come without anybody having done anything: the same failure of them is no news."""
_VARIES = re.compile(r"[0-9a-f]{7,}|[0-9]+(\.[0-9]+)?")
"""Hashes, times and amounts: by these alone a failure is no other."""


@noun
class Said:
    """What is told of a job that ended: failed or recovered (`event` is empty for nothing), how often it failed, since
    when in words; and what is kept of it (JSON types), None for nothing.
    """

    event: str
    kept: Mapping[str, Any] | None
    count: int = 1
    since: str = ""


def line_of(job: Job) -> str:
    """Whose failures are counted together: a manifest's, by what was done. A run mends a rollback that failed."""
    return f"{job.manifest.id} {'run' if job.action == 'rollback' else job.action}"


def after(job: Job, kept: Mapping[str, Any] | None, now: float) -> Said:
    """What is told of a job that is done or failed, `kept` being what was kept of the ones before."""
    if job.state == "done":
        return Said("recovered", None, int(kept["count"]), _moment(kept["since"])) if kept else Said("", None)
    text = _VARIES.sub("#", first_line(job))
    if not kept:
        return Said("failed", {"text": text, "count": 1, "since": job.ended or now, "told": now})
    count = int(kept["count"]) + 1
    by_itself = job.reason.cause in _BY_ITSELF and not job.reason.who
    silent = by_itself and text == kept["text"] and now - float(kept["told"]) < AGAIN
    new = {"text": text, "count": count, "since": kept["since"], "told": kept["told"] if silent else now}
    return Said("" if silent else "failed", new, count, _moment(kept["since"]))


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


__all__ = ["AGAIN", "Said", "after", "line_of"]
