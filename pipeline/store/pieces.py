"""Pieces of bytes, as they come over a connection, as a file that can be read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, cast

CHUNK = 1 << 20


def as_file(pieces: Iterable[bytes]) -> IO[bytes]:
    """A file of these pieces, to be read once from front to back."""
    return cast(IO[bytes], io.BufferedReader(_Pieces(iter(pieces)), CHUNK))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        target = memoryview(cast(bytearray, buffer))
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(target), len(self._rest))
        target[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
