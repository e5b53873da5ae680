"""Puts frames together as one layer: the same bytes whether they were kept or are made now."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

from pipeline.assemble import tar
from pipeline.assemble.frame import LEVEL, Frame, Framed
from pipeline.assemble.frame_cache import FrameCache, Packed
from pipeline.assemble.layer import CHUNK, Contents, member
from pipeline.compression import reader, zstd_compressor
from pipeline.digest import Digest, cache_key
from pipeline.errors import StoreError
from pipeline.oci.descriptor import LAYER_ZSTD, Descriptor, Layer
from pipeline.store.blobs import Blobs, BlobWriter

_THREADS = 2


def write(
    framed: Framed, blobs: Blobs, cache: FrameCache, stop: Callable[[], None] = lambda: None
) -> tuple[Layer, Contents]:
    """Packs what is not in `cache` yet, and joins all frames in a blob of `blobs`; `stop` may raise to end the work.

    Memory stays bounded whatever the files' sizes. Raises AssembleError for an entry that cannot be packed.
    """
    with ExitStack() as stack:

        def packed(frame: Frame) -> Packed:
            made = cache.packed(frame, stop)
            if not frame.key:
                stack.callback(made.path.unlink, missing_ok=True)
            return made

        frames = _settled(framed.frames, packed)
        paths = [one[0] for each in frames for one in each.contents.members]
        contents, folders = Contents(), io.BytesIO()
        for entry in framed.folders(paths):
            member(entry, folders, contents)
        for each in frames:
            contents.members += each.contents.members
            contents.elf |= each.contents.elf
        with blobs.writer() as out:
            diff_id = _join(folders.getvalue(), frames, out, stop)
    return Layer(Descriptor(LAYER_ZSTD, out.digest, out.size), diff_id), contents


def _settled(frames: Iterable[Frame], packed: Callable[[Frame], Packed]) -> list[Packed]:
    """The frames packed, each without what a later one has at the same path."""
    asked, found = [], []
    for frame, made in _ahead(frames, packed):
        asked.append(frame)
        found.append(made)
    last = {one[0]: number for number, each in enumerate(found) for one in each.contents.members}
    for number, (frame, each) in enumerate(zip(asked, found, strict=True)):
        if lost := frozenset(one[0] for one in each.contents.members if last[one[0]] != number):
            found[number] = packed(_without(frame, lost))
    return found


def _ahead(frames: Iterable[Frame], packed: Callable[[Frame], Packed]) -> Iterator[tuple[Frame, Packed]]:
    """Packs in threads, a few frames at a time; what compresses and hashes runs outside the interpreter's lock."""
    waiting: deque[tuple[Frame, Future[Packed]]] = deque()
    with ThreadPoolExecutor(_THREADS, "frame") as pool:
        try:
            for frame in frames:
                waiting.append((frame, pool.submit(packed, frame)))
                if len(waiting) > _THREADS:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            for _, made in waiting:
                made.cancel()


def _without(frame: Frame, lost: frozenset[str]) -> Frame:
    key = cache_key([frame.key, sorted(lost)]) if frame.key else None
    return Frame(key, lambda: (entry for entry in frame.entries() if entry.path not in lost))


def _join(folders: bytes, frames: Sequence[Packed], out: BlobWriter, stop: Callable[[], None]) -> Digest:
    """Writes the layer; gives the digest of what it unpacks to."""
    hashed, buffer = hashlib.sha256(folders), memoryview(bytearray(CHUNK))
    if folders:
        out.write(_alone(folders))
    for each in frames:
        with _opened(each.path) as file, reader(cast(IO[bytes], _Copied(file, each.size, out)), "zst") as unpacked:
            while size := cast(io.RawIOBase, unpacked).readinto(buffer):
                stop()
                hashed.update(buffer[:size])
    out.write(_alone(tar.END))
    hashed.update(tar.END)
    return Digest("sha256:" + hashed.hexdigest())


def _alone(data: bytes) -> bytes:
    compressor = zstd_compressor(LEVEL)
    return bytes(compressor.compress(data) + compressor.flush())


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        # Another process removed it from a full cache just now.
        raise StoreError(f"a packed package is gone: {path}", remedy="run again", transient=True) from error


class _Copied(io.RawIOBase):
    """The first `size` bytes of a file, that go to a blob while they are read."""

    def __init__(self, file: IO[bytes], size: int, out: BlobWriter) -> None:
        self._file = file
        self._left = size
        self._out = out

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size if size >= 0 else self._left, self._left))
        self._left -= len(data)
        self._out.write(data)
        return data
