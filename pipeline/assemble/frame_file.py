"""A file that holds a frame and what is known of it: written once, verified whenever it is read.

A zstd frame (none in a file of notes), JSON compressed by zlib, the length of that (8 bytes, big-endian), and the
SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.assemble.frame import LEVEL
from pipeline.assemble.layer import CHUNK
from pipeline.compression import zstd_compressor
from pipeline.store.scratch import writing

_HASH = 32
_TRAILER = 8 + _HASH


class FrameWriter:
    """A file in the making: tar bytes by `write`, then `end_frame`, then what is known of them by `tell`."""

    def __init__(self, path: Path, stop: Callable[[], None] = lambda: None) -> None:
        self._path = path
        self._stop = stop
        self._hash = hashlib.sha256()
        self._compressor: Any = None
        self._buffer = bytearray()
        self._size = 0
        with writing(path):
            self._file = path.open("wb", buffering=0)

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        self._stop()
        self._compressor = self._compressor or zstd_compressor(LEVEL)
        self._put(self._compressor.compress(self._buffer))
        self._buffer = bytearray()

    def end_frame(self) -> int:
        """The frame's size in bytes."""
        self._flush()
        self._put(self._compressor.flush())
        return self._size

    def tell(self, value: Any) -> None:
        """The end of the file; `value` is JSON."""
        told = zlib.compress(json.dumps(value).encode(), 1)
        self._put(told + len(told).to_bytes(8, "big"))
        self._put(self._hash.digest())

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        with writing(self._path):
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        self._size += len(data)


def read(descriptor: int) -> tuple[int, Any] | None:
    """The frame's size in bytes, and what was told of it; None for a damaged file."""
    length, hashed = os.fstat(descriptor).st_size, hashlib.sha256()
    if length < _TRAILER:
        return None
    place = 0
    while place < length - _HASH and (data := os.pread(descriptor, min(CHUNK, length - _HASH - place), place)):
        hashed.update(data)
        place += len(data)
    if os.pread(descriptor, _HASH, length - _HASH) != hashed.digest():
        return None
    told = int.from_bytes(os.pread(descriptor, 8, length - _TRAILER), "big")
    size = length - _TRAILER - told
    return size, json.loads(zlib.decompress(os.pread(descriptor, told, size)))
