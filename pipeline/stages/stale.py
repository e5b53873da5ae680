"""What a lock does not answer any more, gathered so that all of it is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.errors import Location, StaleLock
from pipeline.lock import asked
from pipeline.lock.model import VERSION, Lock, LockEntry, head_of, path_of


class Stale:
    """Gathers the reasons why `lock`, beside a manifest (its path as the user gave it), is stale; each is told once."""

    def __init__(self, lock: Lock, manifest: Path) -> None:
        self._lock = lock
        self._manifest = manifest
        self._reasons: dict[str, None] = {}

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def entry(self, id_: str, place: Location, before: LockEntry | None, kind: str, request: Any) -> None:
        """An entry that the lock does not have so; `before` is the one that is nearest to it."""
        known = self._lock.entries.get(id_)
        if before is None or before.kind != kind:
            self._add(place, f"{id_} is not in the lock")
        elif known is None:
            others = [other for other in self._lock.entries if head_of(other) == head_of(id_)]
            has = "; ".join(" ".join(other.split()[1:]) for other in sorted(others)) or "another name of it"
            self._add(place, f"{id_} is not in the lock, which has it for {has}")
        else:
            moved = asked.moved(known.asked, asked.readable(request)) if known.asked is not None else []
            self._add(place, f"{head_of(id_)} is asked for otherwise: {', '.join(moved) or 'its settings changed'}")

    def missing(self, head: str, platform: str, place: Location) -> None:
        """A base or layer that stands on one that is not known; nothing is said if the lock might answer it."""
        if not any(id_.split()[:2] == [head, platform] for id_ in self._lock.entries):
            self._add(place, f"{head} {platform} is not in the lock")

    def files(self, head: str, place: Location, rows: Any) -> None:
        """The project's files that a base or layer is made of, as they are now."""
        known = self._lock.files.get(head)
        if known is None:
            self._add(place, f"{head} is not in the lock: its files are new to it")
        elif known != rows:
            from pipeline.lock.diff import files

            for change in files(head, known, rows):
                self._add(place, f"{head}: {change.text}")

    def packer(self, now: str) -> None:
        """The version of the packers, on which the bytes of layers depend."""
        if self._lock.packer and self._lock.packer != now:
            text = f"packer {self._lock.packer} → {now}: this pipeline makes other bytes of the same packages"
            self._add(None, text)

    def _add(self, place: Location | None, text: str) -> None:
        self._reasons[f"{place}: {text}" if place else text] = None

    def error(self) -> StaleLock:
        """All reasons as one error."""
        path = path_of(self._manifest)
        if not self._lock.entries and not self._lock.files:
            message = f"there is no lock {path}, and --frozen lets nothing be resolved"
        elif self._lock.version != VERSION:
            message = f"the lock {path} is of version {self._lock.version}, and lacks what --frozen needs"
        else:
            message = f"the lock {path} is out of date, and --frozen lets nothing be resolved"
        remedy = f"run 'pipeline lock {self._manifest}' and commit {path.name}; or take --no-frozen (where CI is set, "
        return StaleLock(message, tuple(self._reasons), remedy=f"{remedy}--frozen is the default)")
