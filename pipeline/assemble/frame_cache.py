"""Keeps packed frames between builds, for all stores of a user: each a function of its key, verified when read.

A file holds a frame, what is in it (JSON, compressed by zlib), the length of that (8 bytes, big-endian), and the
SHA-256 of all before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.assemble.entry import Entry
from pipeline.assemble.frame import LEVEL, Frame
from pipeline.assemble.layer import CHUNK, Contents, member
from pipeline.compression import zstd_compressor
from pipeline.digest import CacheKey
from pipeline.store.scratch import Scratch, writing

LIMIT = 8 << 30
"""Bytes that are kept, the oldest removed first; what was used within `_HOUR` stays in any case."""
_HOUR = 3600.0
_TRAILER = 8 + 32


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
        if frame.key and (found := self._kept(self._place(frame.key))):
            return found
        path = self._scratch.path("frame")
        try:
            made = _write(path, frame.entries(), stop)
            if not frame.key:
                return made
            with writing(self._folder):
                os.utime(path, (self._now(), self._now()))
                path.replace(self._place(frame.key))
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._added(self._place(frame.key).stat().st_size)
        return Packed(self._place(frame.key), made.size, made.contents)

    def _place(self, key: CacheKey) -> Path:
        return self._folder / key

    def _kept(self, path: Path) -> Packed | None:
        """What is in a file; None when there is none, and a damaged one is removed."""
        try:
            with path.open("rb") as file:
                os.utime(file.fileno(), (self._now(), self._now()))
                if found := _read(path, file.fileno()):
                    return found
        except FileNotFoundError:
            return None
        path.unlink(missing_ok=True)
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


class _Writer:
    """Bytes on their way into a file, hashed; `write` compresses, `put` does not."""

    def __init__(self, path: Path, stop: Callable[[], None]) -> None:
        self._path = path
        self._stop = stop
        self._hash = hashlib.sha256()
        self._compressor = zstd_compressor(LEVEL)
        self._buffer = bytearray()
        self.size = 0
        with writing(path):
            self._file = path.open("wb", buffering=0)

    def write(self, data: bytes | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        self._stop()
        self.put(self._compressor.compress(self._buffer))
        self._buffer = bytearray()

    def end_frame(self) -> int:
        self._flush()
        self.put(self._compressor.flush())
        return self.size

    def put(self, data: bytes) -> None:
        self._hash.update(data)
        with writing(self._path):
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        self.size += len(data)

    def close(self) -> None:
        self.put(self._hash.digest())
        self._file.close()


def _write(path: Path, entries: Iterable[Entry], stop: Callable[[], None]) -> Packed:
    contents, writer = Contents(), _Writer(path, stop)
    try:
        for entry in entries:
            member(entry, writer, contents)
        size = writer.end_frame()
        told = zlib.compress(json.dumps(contents.to_json()).encode(), 1)
        writer.put(told + len(told).to_bytes(8, "big"))
    finally:
        writer.close()
    return Packed(path, size, contents)


def _read(path: Path, descriptor: int) -> Packed | None:
    """What a file holds; None when it is damaged."""
    length, hashed = os.fstat(descriptor).st_size, hashlib.sha256()
    if length < _TRAILER:
        return None
    place = 0
    while place < length - 32 and (data := os.pread(descriptor, min(CHUNK, length - 32 - place), place)):
        hashed.update(data)
        place += len(data)
    if os.pread(descriptor, 32, length - 32) != hashed.digest():
        return None
    told = int.from_bytes(os.pread(descriptor, 8, length - _TRAILER), "big")
    size = length - _TRAILER - told
    return Packed(path, size, Contents.from_json(json.loads(zlib.decompress(os.pread(descriptor, told, size)))))
