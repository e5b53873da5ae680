"""What a look at a manifest's targets says: how they are, what is otherwise than it was left, what to mend. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from pipeline.noun import noun
from pipeline.serve.model import Job, Live, Tracked

DOWN = ("failed", "absent", "stopped")
MOST = 86400.0
"""Seconds at most between two tries to mend the same manifest."""


@noun
class Left:
    """How a manifest was left by the last job that changed what is live: that job's number, target → [revision, image
    (digest)] of what ran then, and the commit that was last deployed well (empty for none). `looked` is when it was
    looked last, `mends` how often it was tried to mend it since it was well, `mended` when last (Unix times, seconds).
    `idle` is the Git hash of a manifest without targets: nothing is to be looked at until it has another.
    """

    job: int = 0
    targets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commit: str = ""
    looked: float = 0.0
    mends: int = 0
    mended: float = 0.0
    idle: str = ""


def deploys(job: Job) -> bool:
    """Whether a job may change what is live."""
    return job.action in ("run", "rollback", "lift", "stop") or (
        job.action == "rebuild" and job.told.get("policy") == "apply"
    )


def deployed(job: Job) -> str:
    """The commit that a job has deployed whole; empty for none."""
    well = job.state == "done" and job.action in ("run", "rebuild") and deploys(job)
    return str(job.told.get("commit") or job.commit) if well else ""


def seen(manifest: Tracked, rows: Iterable[Mapping[str, Any]], now: float) -> list[Live]:
    """The rows of `pipeline status --output json`."""
    return [_live(manifest, row, now) for row in rows]


def _live(manifest: Tracked, row: Mapping[str, Any], now: float) -> Live:
    def text(name: str) -> str:
        return str(row.get(name) or "")

    return Live(
        manifest,
        text("target") or text("service"),
        now,
        text("state") or "unknown",
        revision=text("revision"),
        image=text("image"),
        address=text("address"),
        since=text("since"),
        detail=text("detail"),
        drift=tuple(str(one.get("text") or one.get("field")) for one in row.get("drift") or ()),
        pinned=text("pinned"),
    )


def unknown(before: Iterable[Live], why: str, now: float) -> list[Live]:
    """What was seen last, of targets that cannot be asked now."""
    return [replace(one, seen=now, state="unknown", detail=why, drift=()) for one in before]


def settled(left: Left, last: int, commit: str, live: Sequence[Live]) -> Left:
    """As the job with the number `last` has left it, where `commit` was deployed well last."""
    ran = {one.target: [one.revision, one.image] for one in live if one.state in ("running", "starting")}
    kept = {one.target: left.targets[one.target] for one in live if one.target in left.targets}
    return replace(left, job=last, targets={**kept, **ran}, commit=commit or left.commit)


def compared(left: Left, live: Sequence[Live]) -> list[Live]:
    """What is live otherwise than it was left, for it was no job of this server's that changed it: told as drift."""
    return [replace(one, drift=(*one.drift, *_moved(left, one))) for one in live]


def _moved(left: Left, one: Live) -> Iterable[str]:
    from pipeline.digest import short

    revision, image = left.targets.get(one.target, ("", ""))
    if one.pinned or one.state != "running" or not revision or revision == one.revision:
        return ()
    if image != one.image:
        return (f"image: {short(one.image)} → {short(image)}, by somebody else",)
    return (f"revision: {one.revision} → {revision}, by somebody else",)


def trouble(left: Left, live: Iterable[Live]) -> list[str]:
    """What is to be mended, in words: what has run and does not now, and what was changed. Pinned targets stay."""
    found = []
    for one in live:
        if one.pinned:
            continue
        if one.state in DOWN and one.target in left.targets:
            found.append(f"{one.target} is {one.state}" + (f": {one.detail}" if one.detail else ""))
        found += [f"{one.target}: {line}" for line in one.drift]
    return found


def mends_now(left: Left, look: float, now: float) -> bool:
    """Whether it is time to mend: each time in vain makes the next wait twice as long."""
    return bool(left.commit) and now - left.mended >= min(MOST, look * 2 ** min(left.mends, 20) if left.mends else 0)


__all__ = [
    "DOWN", "Left", "compared", "deployed", "deploys", "mends_now", "seen", "settled", "trouble", "unknown",
]  # fmt: skip
