"""Words of the pages: times, sizes, digests and states as people read them; the templates' filters. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.digest import short
from pipeline.reporters.lines import number, seconds, size, span, titled

STATES: Mapping[str, tuple[str, str]] = {
    # State of a manifest, a job, a step, a target or a repository → (its mark, its words).
    "broken": ("bad", "cannot be read"),
    "failed": ("bad", "failed"),
    "down": ("bad", "down"),
    "drift": ("warn", "changed by others"),
    "approval": ("ask", "waits for approval"),
    "running": ("busy", "running"),
    "starting": ("busy", "starting"),
    "waiting": ("wait", "waiting"),
    "ok": ("good", "fine"),
    "new": ("none", "not run yet"),
    "gone": ("none", "deleted"),
    "done": ("good", "done"),
    "nothing to do": ("good", "nothing to do"),
    "replaced": ("none", "replaced"),
    "cancelled": ("none", "cancelled"),
    "made": ("good", "made"),
    "hit": ("hit", "hit"),
    "skipped": ("none", "skipped"),
    "stopped": ("warn", "stopped"),
    "interrupted": ("warn", "interrupted"),
    "killed": ("bad", "killed"),
    "bug": ("bad", "a bug"),
    "absent": ("bad", "not there"),
    "unknown": ("warn", "unknown"),
    "unreachable": ("warn", "does not answer"),
    "diverged": ("bad", "diverged"),
    "unsigned": ("bad", "not signed"),
    "held": ("bad", "held back"),
    "live": ("good", "running"),
}
ACTIONS: Mapping[str, str] = {
    "run": "run",
    "plan": "plan",
    "rebuild": "rebuild",
    "rollback": "roll back",
    "lift": "lift the pin",
    "stop": "stop services",
}
CAUSES: Mapping[str, str] = {
    "commit": "a commit",
    "pull-request": "a pull request",
    "base": "a new base",
    "packages": "newer packages",
    "schedule": "its schedule",
    "drift": "drift",
    "hand": "by hand",
    "prune": "its manifest was deleted",
}


def mark(state: str) -> str:
    return STATES.get(state, ("none", state))[0]


def state_words(state: str) -> str:
    return STATES.get(state, ("none", state))[1]


def middle(text: str, most: int = 15) -> str:
    """A long name without its middle: what tells it from others is at its end as often as at its beginning."""
    half = most // 2
    return text if len(text) <= most else f"{text[: most - 1 - half]}…{text[-half:]}"


def planned_mark(line: str) -> str:
    """Whether a line of a plan is of what there is, `hit`, or of what is to be made, `miss`; empty for neither."""
    words = line.split(maxsplit=3)
    return words[2] if len(words) > 2 and words[2] in ("hit", "miss") else ""


def standing_of(repository_state: str) -> str:
    """The state that a repository is shown in: a manifest that is gone was deleted, a repository is not there."""
    return "absent" if repository_state == "gone" else repository_state


def iso(at: float) -> str:
    """RFC 3339, UTC, for `<time datetime>`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def utc(at: float) -> str:
    """`2026-03-02 10:15:40 UTC`."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def clock(at: float) -> str:
    """`10:15:40`, of UTC: what a page without scripts shows of a log's line."""
    return time.strftime("%H:%M:%S", time.gmtime(at)) if at else ""


def relative(at: float, now: float) -> str:
    """`3 min ago`, `in 2 h`, `just now`."""
    apart = now - at
    if abs(apart) < 5:
        return "just now" if apart >= 0 else "now"
    return f"{span(apart)} ago" if apart > 0 else f"in {span(-apart)}"


def took(started: float, ended: float, now: float) -> str:
    """How long something took, or has taken so far; empty where it has not begun."""
    return seconds(max(0.0, (ended or now) - started)) if started else ""


def digest(text: str) -> str:
    """The first digits of a digest; of a reference with one, that digest's."""
    _, at, rest = text.rpartition("@")
    whole = rest if at else text
    return short(whole) if whole.startswith("sha256:") else text


def commit(text: str) -> str:
    return text[:10]


def link(text: str) -> str:
    """A URL where it is one that a page may lead to; else nothing: `javascript:` is a URL, too."""
    parts = urlsplit(text) if text.isprintable() else urlsplit("")
    return text if parts.scheme in ("http", "https") and parts.netloc else ""


def path(text: str) -> str:
    """A manifest's id, or an image's name, as a part of a URL."""
    return quote(text, safe="/:@")


def filters(now: Callable[[], float]) -> dict[str, Callable[..., Any]]:
    """For the templates."""
    return {
        "mark": mark,
        "state_words": state_words,
        "iso": iso,
        "utc": utc,
        "clock": clock,
        "relative": lambda at: relative(at, now()),
        "took": lambda started, ended=0.0: took(started, ended, now()),
        "seconds": seconds,
        "span": span,
        "standing": standing_of,
        "middle": middle,
        "bytes": size,
        "digest": digest,
        "planned_mark": planned_mark,
        "commit": commit,
        "link": link,
        "path": path,
        "number": number,
        "titled": titled,
        "action_words": lambda action: ACTIONS.get(action, action),
        "cause_words": lambda cause: CAUSES.get(cause, cause),
    }


__all__ = ["STATES", "digest", "filters", "iso", "link", "mark", "path", "relative", "state_words", "took", "utc"]
