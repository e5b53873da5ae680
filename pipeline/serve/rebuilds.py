"""Asking for a rebuild of a manifest: one at a time, and what is asked for twice is done once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.lock.model import Lock, head_of
from pipeline.lock.upgrade import EVERYTHING, SECTIONS
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.queue import Queue


def ask(queue: Queue, manifest: Tracked, reason: Reason, upgrade: Iterable[str] = (), policy: str = "") -> Job | None:
    """The job that takes these names anew (none: everything); None where one that is open does so already.

    One that waits for fewer names is replaced by one for both.
    """
    names = sorted(set(upgrade))
    rebuilds = [job for job in queue.open() if job.manifest == manifest and job.action == "rebuild"]
    if any(_covers(upgraded(job), names) and job.asked.get("policy", "") == policy for job in rebuilds):
        return None
    waiting = [job for job in rebuilds if job.state != "running"]
    if any(not upgraded(job) for job in waiting):
        names = []
    elif names:
        names = sorted({*names, *(name for job in waiting for name in upgraded(job))})
    asked: dict[str, Any] = {**({"upgrade": names} if names else {}), **({"policy": policy} if policy else {})}
    return queue.add(Job(0, manifest, "rebuild", reason, asked=asked))


def again(queue: Queue, job: Job, due: float) -> Job:
    """A rebuild once more, not before a time (Unix, in seconds)."""
    return queue.add(Job(0, job.manifest, "rebuild", job.reason, asked=job.asked, due=due))


def are_packages(names: Iterable[str], lock: Lock) -> bool:
    """Whether all that is to be taken anew are packages by name, and no base or layer is as a whole."""
    heads = {head_of(id_) for id_ in lock.entries}
    whole = {*heads, *(head.partition(".")[2] for head in heads), *SECTIONS, EVERYTHING}
    wanted = list(names)
    return bool(wanted) and all(":" in name or name not in whole for name in wanted)


def upgraded(job: Job) -> tuple[str, ...]:
    """The names that a rebuild is restricted to; none for everything."""
    return tuple(job.asked.get("upgrade") or ())


def _covers(names: Sequence[str], wanted: Sequence[str]) -> bool:
    return not names or (bool(wanted) and {*wanted} <= {*names})


__all__ = ["again", "are_packages", "ask", "upgraded"]
