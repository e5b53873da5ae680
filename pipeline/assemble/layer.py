"""Packs a stream of entries into one deterministic layer: tar, hashed, compressed, hashed again, in one pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.assemble import elf as elf
from pipeline.assemble import tar
from pipeline.assemble.entry import Entry
from pipeline.compression import zstd_compressor
from pipeline.digest import Digest
from pipeline.errors import AssembleError
from pipeline.oci.descriptor import LAYER, LAYER_ZSTD, Descriptor, Layer
from pipeline.recipe import Compression
from pipeline.store.blobs import Blobs, BlobWriter

CHUNK = 1 << 20
ZSTD_LEVEL = 3


@dataclass
class Contents:
    """What a packed layer holds, for looking inside and for finding libraries without reading the layer again.

    members: [path, type, mode, uid, gid, size, link, owner]; elf: path → facts of its dynamic section.
    """

    members: list[list[Any]] = field(default_factory=list)
    elf: dict[str, Any] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.members.append(
            [entry.path, entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.link, entry.owner]
        )

    def to_json(self) -> dict[str, Any]:
        return {"members": self.members, "elf": self.elf}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Contents:
        return Contents(value["members"], value["elf"])


class _TarStream:
    """Tar bytes on their way: gathered into large pieces, hashed, compressed, written."""

    def __init__(self, out: BlobWriter, compression: Compression, stop: Callable[[], None]) -> None:
        self._hash = hashlib.sha256()
        self._out = out
        self._stop = stop
        self._buffer = bytearray()
        self._compressor = _zstd() if compression == "zstd" else None

    def write(self, data: bytes | memoryview) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        self._stop()
        self._hash.update(self._buffer)
        self._out.write(self._compressor.compress(self._buffer) if self._compressor else self._buffer)
        self._buffer = bytearray()

    def close(self) -> Digest:
        """The digest of the uncompressed tar."""
        self._flush()
        if self._compressor:
            self._out.write(self._compressor.flush())
        return Digest("sha256:" + self._hash.hexdigest())


def _zstd() -> Any:
    return zstd_compressor(ZSTD_LEVEL, threads=min(4, os.cpu_count() or 1))


def write(
    entries: Iterable[Entry], blobs: Blobs, compression: Compression = "zstd", stop: Callable[[], None] = lambda: None
) -> tuple[Layer, Contents]:
    """Packs `entries` into a blob of `blobs`; `stop` is called now and then, and may raise to end the work.

    Memory stays bounded whatever the files' sizes. Raises AssembleError for an entry that cannot be packed.
    """
    contents = Contents()
    with blobs.writer() as out:
        stream = _TarStream(out, compression, stop)
        for entry in entries:
            member(entry, stream, contents)
        stream.write(tar.END)
        diff_id = stream.close()
    return _layer(out, diff_id, compression), contents


def take(
    pieces: Iterable[bytes], blobs: Blobs, compression: Compression = "zstd", stop: Callable[[], None] = lambda: None
) -> Layer:
    """A layer's tar that exists already, uncompressed in `pieces`, as a blob; its bytes, and so its diff ID, stay."""
    with blobs.writer() as out:
        stream = _TarStream(out, compression, stop)
        for piece in pieces:
            stream.write(piece)
        diff_id = stream.close()
    return _layer(out, diff_id, compression)


def _layer(out: BlobWriter, diff_id: Digest, compression: Compression) -> Layer:
    return Layer(Descriptor(LAYER_ZSTD if compression == "zstd" else LAYER, out.digest, out.size), diff_id)


class Sink(Protocol):
    """Where a tar's bytes go."""

    def write(self, data: bytes, /) -> object: ...


def member(entry: Entry, stream: Sink, contents: Contents) -> None:
    """One member with its content, noted in `contents`. Raises AssembleError for one that cannot be packed."""
    if any(part in ("", ".", "..") for part in entry.path.split("/")) or "\0" in entry.path + entry.link:
        raise AssembleError(
            f"{entry.path!r} of {entry.owner or 'a layer'} is no path inside the image", remedy="leave the file out"
        )
    try:
        header = tar.header(entry)
    except UnicodeEncodeError as error:
        raise AssembleError(
            f"the name {entry.path!r} of {entry.owner or 'a layer'} is not UTF-8", remedy="rename the file"
        ) from error
    contents.add(entry)
    stream.write(header)
    if entry.type != "file" or not entry.size:
        return
    first = _content(entry, stream)
    stream.write(tar.padding(entry.size))
    if first[:4] == elf.MAGIC and (facts := elf.inspect(entry.source)):
        contents.elf[entry.path] = facts.to_json()


def _content(entry: Entry, stream: Sink) -> bytes:
    """Streams a file's bytes; gives the first few."""
    if isinstance(entry.source, bytes):
        if len(entry.source) != entry.size:
            raise AssembleError(f"{entry.path}: {len(entry.source)} bytes where {entry.size} were announced")
        stream.write(entry.source)
        return entry.source[:4]
    return _copy(entry.source, entry, stream)


def _copy(source: Path, entry: Entry, stream: Sink) -> bytes:
    first, left = b"", entry.size
    try:
        with source.open("rb", buffering=0) as file:
            before = _stamp(file.fileno())
            while left and (chunk := file.read(min(CHUNK, left))):
                first = first or chunk[:4]
                left -= len(chunk)
                stream.write(chunk)
            changed = bool(left or file.read(1)) or _stamp(file.fileno()) != before
    except OSError as error:
        raise AssembleError(
            f"cannot read {source}: {error.strerror}", remedy="check that it exists and may be read"
        ) from error
    if changed:
        raise AssembleError(f"{source} changed while it was packed", remedy="run again once it is no longer written to")
    return first


def _stamp(descriptor: int) -> tuple[int, int]:
    info = os.fstat(descriptor)
    return info.st_size, info.st_mtime_ns
