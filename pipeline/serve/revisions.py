"""What a target can be put back to: asked of `pipeline rollback --list` in a checkout, and remembered for a moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import OutOfReach
from pipeline.serve.acts import Missing, NotNow
from pipeline.serve.environment import environment
from pipeline.serve.looks import Kit
from pipeline.serve.model import Job, Tracked
from pipeline.serve.web.parts import Revision

KEPT = 30.0
"""Seconds that an answer is remembered: a page, then the act that it leads to, ask for the same."""
_MOST = 500
_PLACE = ".looks"
_AT_A_TIME = 2
"""Commands that ask: each costs a process."""


class Revisions:
    """Called with a manifest and a target. Raises Missing, NotNow, or OutOfReach where the target's platform does not
    answer. For several threads.
    """

    def __init__(self, kit: Kit, now: Callable[[], float]) -> None:
        self._kit, self._now = kit, now
        self._known: dict[tuple[str, str], tuple[float, tuple[Revision, ...]]] = {}
        self._lock = threading.Lock()
        self._asking = threading.Semaphore(_AT_A_TIME)

    def __call__(self, manifest: Tracked, target: str) -> Sequence[Revision]:
        key = (manifest.id, target)
        with self._lock:
            at, known = self._known.get(key, (0.0, ()))
        if 0 <= self._now() - at < KEPT:
            return known
        with self._asking:
            found = self._asked(manifest, target)
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (self._now(), found)
        return found

    def heard(self, job: Job) -> None:
        """To be told of jobs that changed: what was remembered of their manifests is not so any more."""
        with self._lock:
            for key in [each for each in self._known if each[0] == job.manifest.id]:
                del self._known[key]

    def _asked(self, manifest: Tracked, target: str) -> tuple[Revision, ...]:
        kit = self._kit
        repository = kit.repositories.get(manifest.repository)
        commit = kit.book.repository(manifest.repository).applied
        if repository is None or not commit:
            raise NotNow(f"nothing of {manifest.repository} is applied yet", remedy="wait for its first run")
        with kit.gits[manifest.repository].at(commit, _PLACE) as folder:
            if not (folder / manifest.path).is_file():
                raise Missing(f"there is no manifest '{manifest.id}'", remedy="a commit may have deleted it")
            # --: neither name is an option, whatever it begins with.
            words = ["rollback", "--list", "--output", "json", "--", manifest.path, target]
            code, out, err = kit.commands.ask(words, environment(kit.environ, repository), folder)
        return _read(code, out, err, target)


def _read(code: int, out: str, err: str, target: str) -> tuple[Revision, ...]:
    try:
        said: Any = json.loads(out)
    except ValueError:
        said = None
    if code == 0 and isinstance(said, list):
        return tuple(_revision(one) for one in said)
    message, remedy = err.strip().removeprefix("error: ")[-300:], "see what 'pipeline rollback --list' says there"
    if isinstance(said, Mapping):
        message, remedy = str(said.get("message", message)), str(said.get("remedy", remedy))
    fact = f"what {target} can be put back to cannot be told: {message}"
    raise (
        OutOfReach(fact, remedy=remedy, transient=True) if code == OutOfReach.exit_code else NotNow(fact, remedy=remedy)
    )


def _revision(one: Mapping[str, Any]) -> Revision:
    marks = tuple(filter(None, str(one.get("marks", "")).split(", ")))
    return Revision(str(one.get("revision", "")), str(one.get("image", "")), marks)


__all__ = ["Revisions"]
