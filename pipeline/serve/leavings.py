"""The duty that removes what is left on the disk of repositories which are not in the settings any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from pipeline.serve.database import Database
from pipeline.serve.queue import Queue

EVERY = 3600.0
AFTER = 7 * 86400.0
"""Seconds that all of it is kept, for a repository that comes back: all can be made again, and that takes time."""
_FACT = "left/"
"""How the facts begin that say since when a repository is not in the settings."""


class Leavings:
    """`ports.Duty`. `state` is the server's folder, `repositories` are the names of those that are watched, `say`
    gets a line for each that has left, and for each that was removed. Nothing goes of one that jobs wait or run for.
    """

    name = "leavings"

    def __init__(
        self,
        database: Database,
        queue: Queue,
        state: Path,
        repositories: Collection[str],
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._database, self._queue, self._say = database, queue, say
        self._state, self._repositories = state, frozenset(repositories)
        self._last = 0.0

    def due(self, now: float) -> float | None:
        return now if now < self._last else self._last + EVERY

    def do(self, now: float) -> None:
        self._last = now
        since = self._database.facts(_FACT)
        there = set(self._names())
        for name in {key.removeprefix(_FACT) for key in since} - there:
            self._database.keep(f"{_FACT}{name}", None)
        if not there:
            return
        busy = {job.manifest.repository for job in self._queue.open()}
        for name in sorted(there):
            begun = min(since.get(f"{_FACT}{name}", now), now)
            if f"{_FACT}{name}" not in since:
                self._database.keep(f"{_FACT}{name}", now)
                days = f"{AFTER / 86400:g} days"
                self._say(f"{name} is not in the settings any more: its mirror and checkouts are removed after {days}")
            elif now - begun >= AFTER and name not in busy and self._remove(name):
                self._database.keep(f"{_FACT}{name}", None)
                self._say(f"the mirror and the checkouts of {name}, which is not in the settings any more, are removed")

    def _names(self) -> Iterator[str]:
        """Repositories of which something is here and that are not watched."""
        found = {path.stem for path in self._state.glob("repos/*.git")}
        found |= {path.name for part in ("work", "git") for path in self._state.glob(f"{part}/*") if path.is_dir()}
        yield from found - self._repositories

    def _remove(self, name: str) -> bool:
        """Whether all is gone; not while a git of a killed server still writes there (git.mirror)."""
        guard = self._state / "repos" / f"{name}.lock"
        guard.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(guard, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The mirror goes last: without it, the checkouts would be nobody's.
            places = [self._state / part / name for part in ("work", "git")] + [self._state / "repos" / f"{name}.git"]
            for place in places:
                shutil.rmtree(place, ignore_errors=True)
            guard.unlink(missing_ok=True)
            return not any(place.exists() for place in places)
        except BlockingIOError:
            return False
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)


__all__ = ["AFTER", "EVERY", "Leavings"]
