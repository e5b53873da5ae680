"""A layer's blob as the stream of its tar: decompressed, hashed and read once from front to back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

from pipeline.oci.descriptor import LAYER_GZIP, LAYER_ZSTD

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
        chunk = self._source(CHUNK) or b""
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
    """The uncompressed tar of a layer's blob. Raises ValueError for bytes that are not what the media type says."""
    with path.open("rb", buffering=0) as file:
        if media_type == LAYER_ZSTD:
            import zstandard

            decompressor = zstandard.ZstdDecompressor()
            try:
                with (
                    decompressor.stream_reader(file, read_size=CHUNK, read_across_frames=True) as reader,
                    closing(Stream(reader.read)) as stream,
                ):
                    yield stream
            except zstandard.ZstdError as error:
                raise ValueError(f"not zstd: {error}") from error
        elif media_type == LAYER_GZIP or media_type.endswith(".gzip"):
            import gzip
            import zlib

            try:
                with gzip.GzipFile(fileobj=file) as unzipped, closing(Stream(unzipped.read)) as stream:
                    yield stream
            except (zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"not gzip: {error}") from error
        else:
            with closing(Stream(file.read)) as stream:
                yield stream
