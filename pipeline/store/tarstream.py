"""A layer's blob as the stream of its tar: decompressed, hashed and read once from front to back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline import compression
from pipeline.oci.descriptor import LAYER_ZSTD

CHUNK = 1 << 20


class Stream:
    """A tar read once from front to back and hashed on the way; as much of a file as tarfile needs.

    One chunk is decompressed and hashed ahead, in a thread, while the chunk before it is written to files.
    """

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._source = read
        self._hash = hashlib.sha256()
        self._buffer = memoryview(b"")
        self._position = 0
        self._ahead = ThreadPoolExecutor(1, "unpack")
        self._next = self._ahead.submit(self._chunk)

    def close(self) -> None:
        self._ahead.shutdown()

    def _chunk(self) -> bytes:
        try:
            chunk = self._source(CHUNK) or b""
        except compression.damage() as error:
            raise ValueError(str(error)) from error
        self._hash.update(chunk)
        return chunk

    @property
    def digest(self) -> str:
        return "sha256:" + self._hash.hexdigest()

    def tell(self) -> int:
        return self._position

    def seek(self, position: int) -> None:
        """Moves forward."""
        while self._position < position and self._take(position - self._position):
            pass

    def read(self, size: int) -> bytes:
        piece = self._take(size)
        if len(piece) == size or not piece:
            return bytes(piece)
        pieces = [bytes(piece)]
        while (size := size - len(piece)) and (piece := self._take(size)):
            pieces.append(bytes(piece))
        return b"".join(pieces)

    def copy_to(self, descriptor: int, size: int) -> None:
        while size:
            piece = self._take(size)
            if not piece:
                raise EOFError("it ends in the middle of a file")
            size -= len(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]

    def drain(self) -> bool:
        """Reads what follows the archive's end, which the digest covers too; whether that is more than padding."""
        more = False
        while piece := self._take(CHUNK):
            more = more or any(piece)
        return more

    def _take(self, size: int) -> memoryview:
        """At least one and at most `size` of the next bytes; none at the end."""
        if not self._buffer:
            self._buffer = memoryview(self._next.result())
            if self._buffer:
                self._next = self._ahead.submit(self._chunk)
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        self._position += len(piece)
        return piece


@contextmanager
def open_tar(path: Path, media_type: str) -> Iterator[Stream]:
    """The uncompressed tar of a layer's blob, which raises ValueError where bytes are not what the media type says."""
    kind = "zst" if media_type == LAYER_ZSTD else "gz" if media_type.endswith(("+gzip", ".gzip")) else ""
    with path.open("rb", buffering=0) as file, compression.reader(file, kind) as reader:
        stream = Stream(reader.read)
        try:
            yield stream
        finally:
            stream.close()
