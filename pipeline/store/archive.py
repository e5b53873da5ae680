"""Images as tar archives: an OCI layout in a tar, and what `docker save` writes; layers are streamed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from pipeline.assemble import tar
from pipeline.assemble.entry import Entry
from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.oci import image as image_documents
from pipeline.oci import layout
from pipeline.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor, Layer
from pipeline.reference import Reference
from pipeline.store import Store
from pipeline.store.blobs import damaged, missing
from pipeline.store.lookup import ImageDocuments
from pipeline.store.tarstream import open_tar

CHUNK = 1 << 20


class Archive:
    """A tar on its way into a file that can seek; the same members give the same bytes. It begins as a layout does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._written: set[str] = set()
        self.add(layout.LAYOUT_FILE, layout.LAYOUT)
        for folder in ("blobs", "blobs/sha256"):
            file.write(tar.header(Entry(folder, "dir", 0o755)))

    def add(self, path: str, data: bytes) -> None:
        """A small member; nothing when it is there already."""
        if path not in self._written:
            self._written.add(path)
            self._file.write(tar.header(Entry(path, size=len(data))) + data + tar.padding(len(data)))

    def stream(self, path: str, size: int, pieces: Callable[[], Iterable[bytes]]) -> int:
        """A member of any size, whose bytes `pieces()` gives; its size in bytes.

        `size` is a guess: the header is written again when it was wrong, and the content too when the header has grown,
        which it does beyond 8 GiB.
        """
        self._written.add(path)
        start = self._file.tell()
        header = tar.header(Entry(path, size=size))
        self._file.write(header)
        found = self._copy(pieces())
        if found != size:
            right = tar.header(Entry(path, size=found))
            end = self._file.tell()
            self._file.seek(start)
            self._file.write(right)
            if len(right) == len(header):
                self._file.seek(end)
            else:
                self._copy(pieces())
                self._file.truncate()
        self._file.write(tar.padding(found))
        return found

    def _copy(self, pieces: Iterable[bytes]) -> int:
        size = 0
        for piece in pieces:
            self._file.write(piece)
            size += len(piece)
        return size

    def has(self, path: str) -> bool:
        return path in self._written

    def close(self) -> int:
        """Ends the archive; its size in bytes."""
        self._file.write(tar.END)
        self._file.flush()
        return self._file.tell()


def is_ours(path: Path) -> bool:
    """Whether a file begins as every archive that is written here does, down to the header's bytes."""
    start = tar.header(Entry(layout.LAYOUT_FILE, size=len(layout.LAYOUT))) + layout.LAYOUT
    try:
        with path.open("rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


def write_oci(
    archive: Archive, store: Store, parts: Iterable[ImageDocuments], image: Descriptor, name: Reference
) -> None:
    """An OCI layout of `image` (an image manifest or an index) with its `parts`, one for each platform."""
    archive.add("index.json", layout.index([layout.named(image, name)]))
    archive.add(layout.blob_path(image.digest), store.blobs.read(image.digest))
    for part in parts:
        for document in (part.descriptor, part.config_blob):
            archive.add(layout.blob_path(document.digest), store.blobs.read(document.digest))
        for layer in part.layers:
            path = layout.blob_path(layer.blob.digest)
            if not archive.has(path):
                archive.stream(path, layer.blob.size, lambda blob=layer.blob: verified(store, blob))  # type: ignore[misc]


def write_docker(archive: Archive, store: Store, part: ImageDocuments, name: Reference) -> Descriptor:
    """A `docker save` archive as Docker 25 writes it: also an OCI layout, of the image with uncompressed layers.

    Config and image ID are the image's own; the image manifest is another, and is what is returned.
    """
    layers = [Layer(_uncompressed(archive, store, layer), layer.diff_id) for layer in part.layers]
    config = part.config_blob
    archive.add(layout.blob_path(config.digest), store.blobs.read(config.digest))
    notes = part.manifest.get("annotations") or {}
    image, data = image_documents.described(
        image_documents.manifest(config, layers, notes), image_documents.MANIFEST, part.platform
    )
    archive.add(layout.blob_path(image.digest), data)
    archive.add("index.json", layout.index([layout.named(image, name)]))
    diff_ids = [layer.diff_id for layer in layers]
    archive.add("manifest.json", layout.docker_manifest(config.digest, diff_ids, [layout.familiar(name)]))
    return image


def _uncompressed(archive: Archive, store: Store, layer: Layer) -> Descriptor:
    path = layout.blob_path(layer.diff_id)
    size = layer.blob.size
    if archive.has(path):
        size = sum(len(piece) for piece in unpacked(store, layer))
    else:
        size = archive.stream(path, size, lambda: unpacked(store, layer))
    return Descriptor(LAYER, layer.diff_id, size)


def verified(store: Store, blob: Descriptor) -> Iterable[bytes]:
    """A blob's bytes; StoreError at their end when they are not what the digest says."""
    seen = hashlib.sha256()
    try:
        with store.blobs.path(blob.digest).open("rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                seen.update(piece)
                yield piece
    except FileNotFoundError as error:
        raise missing(blob.digest) from error
    if f"sha256:{seen.hexdigest()}" != blob.digest:
        raise _damaged(store, blob)


def unpacked(store: Store, layer: Layer) -> Iterable[bytes]:
    """A layer's uncompressed tar; StoreError at its end when it is not what the diff ID says."""
    if layer.blob.media_type not in (LAYER_ZSTD, LAYER_GZIP) and not layer.blob.media_type.endswith("gzip"):
        yield from verified(store, layer.blob)
        return
    try:
        with open_tar(store.blobs.path(layer.blob.digest), layer.blob.media_type) as stream:
            while piece := stream.read(CHUNK):
                yield piece
            seen = stream.digest
    except FileNotFoundError as error:
        raise missing(layer.blob.digest) from error
    except (ValueError, EOFError) as error:
        raise _damaged(store, layer.blob) from error
    if seen != layer.diff_id:
        raise _damaged(store, layer.blob)


def _damaged(store: Store, blob: Descriptor) -> StoreError:
    fact = f"blob {short(blob.digest)} has other content than its image says"
    return damaged(store.blobs.place(blob.digest), blob.digest, fact)
