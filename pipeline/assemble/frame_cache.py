"""Keeps packed frames between builds, for all stores of a user: each a function of its key, verified when read."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.assemble import frame_file
from pipeline.assemble.frame import Frame
from pipeline.assemble.frame_file import FrameWriter
from pipeline.assemble.layer import Contents, member
from pipeline.digest import CacheKey
from pipeline.store.quarantine import FOLDER, set_aside
from pipeline.store.scratch import Scratch, writing

LIMIT = 8 << 30
"""Bytes that are kept, the oldest removed first; what was used within `_HOUR` stays in any case."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Packed:
    """A frame as it lies in a file, from its start on: its size in bytes, and what it holds."""

    path: Path
    size: int
    contents: Contents


class FrameCache:
    """A folder of frames by key; safe against kills and other processes. `now` is the Unix time in seconds."""

    def __init__(self, folder: Path, limit: int = LIMIT, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._scratch = Scratch(folder / "scratch")
        self._limit = limit
        self._now = now
        self._guard = threading.Lock()
        self._room = -1

    def has(self, key: CacheKey) -> bool:
        """Whether there is such a frame; it may turn out to be damaged."""
        return self._place(key).exists()

    def packed(self, frame: Frame, stop: Callable[[], None] = lambda: None) -> Packed:
        """The frame from the folder, else made now; one without a key lies in a file that is the caller's to remove.

        Raises what `frame.entries` does, AssembleError for an entry that cannot be packed, and StoreError.
        """
        if frame.key and (found := self._kept(frame.key)):
            return Packed(self._place(frame.key), found[0], Contents.from_json(found[1]))
        contents = Contents()
        with self._written(stop) as (path, writer):
            for entry in frame.entries():
                member(entry, writer, contents)
            size = writer.end_frame()
            writer.tell(contents.to_json())
        return Packed(self._published(path, frame.key) if frame.key else path, size, contents)

    def recall(self, key: CacheKey | None) -> Any:
        """What `remember` kept under a key; None when there is nothing."""
        found = self._kept(key) if key else None
        return found[1] if found else None

    def remember(self, key: CacheKey | None, value: Any) -> None:
        """Keeps JSON that the key determines."""
        if key:
            with self._written() as (path, writer):
                writer.tell(value)
            self._published(path, key)

    def _place(self, key: CacheKey) -> Path:
        return self._folder / key

    @contextlib.contextmanager
    def _written(self, stop: Callable[[], None] = lambda: None) -> Iterator[tuple[Path, FrameWriter]]:
        path = self._scratch.path("frame")
        try:
            with FrameWriter(path, stop) as writer:
                yield path, writer
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _published(self, path: Path, key: CacheKey) -> Path:
        size = path.stat().st_size
        with writing(self._folder):
            os.utime(path, (self._now(), self._now()))
            path.replace(self._place(key))
        self._added(size)
        return self._place(key)

    def _kept(self, key: CacheKey) -> tuple[int, Any] | None:
        """What is in a file; None when there is none, and a damaged one is set aside."""
        try:
            with self._place(key).open("rb") as file:
                with contextlib.suppress(OSError):
                    os.utime(file.fileno(), (self._now(), self._now()))
                if found := frame_file.read(file.fileno()):
                    return found
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            # It cannot be read; or a hash that fits what is no JSON.
            pass
        set_aside(self._place(key), self._folder / FOLDER)
        return None

    def _added(self, size: int) -> None:
        with self._guard:
            self._room -= size
            if self._room < 0:
                self._room = self._limit - self._sweep()

    def _sweep(self) -> int:
        """Removes the oldest until a tenth of the limit is free again; gives the bytes that are left."""
        found = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        total = sum(size for _, size, _ in found)
        if total > self._limit:
            for used, size, path in sorted(found):
                if total <= self._limit * 9 // 10 or used > self._now() - _HOUR:
                    break
                Path(path).unlink(missing_ok=True)
                total -= size
        return total
