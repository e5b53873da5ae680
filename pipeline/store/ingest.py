"""Reads images out of OCI layouts, folders or tars, and out of `docker save` archives, into the store; all verified."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipeline.digest import digest_of, parsed, short
from pipeline.errors import ResolveError, StoreError
from pipeline.facts import Platform
from pipeline.manifest.words import listed, suggestion
from pipeline.oci import layout as words
from pipeline.oci.descriptor import DOCKER_INDEX, INDEX, Descriptor
from pipeline.registry.documents import for_platform_entry
from pipeline.store import Store
from pipeline.store.blobs import Blobs
from pipeline.store.pieces import as_file
from pipeline.store.tarmembers import Members

CHUNK = 1 << 20
_LARGEST_DOCUMENT = 8 << 20
_DEEPEST = 3
_MOST_FILES = 100_000
"""In a layout that is a tar."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Layout:
    """An OCI image layout (image-layout.md); `open` gives the file of a name in it, FileNotFoundError for none."""

    def __init__(self, path: Path, opener: Callable[[str], IO[bytes]]) -> None:
        self._path = path
        self._open = opener

    def index(self) -> bytes:
        """Its index.json: what identifies all that is in it."""
        return self._read("index.json")

    def image(self, name: str, platform: Platform) -> tuple[Descriptor, Mapping[str, Any], bytes]:
        """The image manifest's descriptor, its value, and the config's bytes, for a platform, of the image that has the
        tag or full name `name` (the only one when that is empty). ResolveError when there is none.
        """
        entry = self._named(name)
        for _ in range(_DEEPEST):
            value = self._document(entry)
            is_image = entry.media_type not in (INDEX, DOCKER_INDEX) and "manifests" not in value
            found = self._descriptors(entry, [value.get("config")] if is_image else value.get("manifests"))
            if is_image:
                return entry, value, self._bytes(found[0])
            entry = for_platform_entry(found, platform, str(self._path))
        raise ResolveError(f"{self._path}: an index within an index", remedy="this is no usual image")

    def put(self, blob: Descriptor, blobs: Blobs) -> None:
        """Copies a blob into the store. StoreError for one that is missing, cut short or altered."""
        with self._blob(blob) as file, blobs.writer() as writer:
            while piece := file.read(CHUNK):
                writer.write(piece)
            self._check(blob, writer.digest, writer.size)

    def _named(self, name: str) -> Descriptor:
        try:
            entries = [Descriptor.from_json(entry) for entry in words.parse_index(self.index())["manifests"]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ResolveError(f"{self._path}/index.json cannot be read: {error}", remedy="write it again") from error
        names = [_names(entry) for entry in entries]
        found = [entry for entry, known in zip(entries, names, strict=True) if not name or name in known]
        if len(found) == 1:
            return found[0]
        every = [known[0] for known in names if known]
        if found:
            raise ResolveError(f"{self._path} holds {len(found)} images", remedy=f"say which: {listed(every)}")
        raise ResolveError(f"{self._path} holds no image {name!r}", remedy=suggestion(name, every, "there are"))

    def _document(self, entry: Descriptor) -> Mapping[str, Any]:
        try:
            value = parsed(self._bytes(entry))
            if isinstance(value, dict):
                return value
        except ValueError:
            pass
        raise self._no_manifest(entry)

    def _descriptors(self, entry: Descriptor, values: Any) -> list[Descriptor]:
        try:
            return [Descriptor.from_json(value) for value in values]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._no_manifest(entry) from None

    def _no_manifest(self, entry: Descriptor) -> StoreError:
        return StoreError(f"{self._path}: {short(entry.digest)} is no image manifest", remedy="write the layout again")

    def _bytes(self, blob: Descriptor) -> bytes:
        with self._blob(blob) as file:
            data = file.read(_LARGEST_DOCUMENT)
        self._check(blob, digest_of(data), len(data))
        return data

    def _check(self, blob: Descriptor, digest: str, size: int) -> None:
        if digest != blob.digest:
            fact = f"has {size} of {blob.size} bytes" if size != blob.size else "has other bytes"
            raise StoreError(
                f"{self._path}: the blob {short(blob.digest)} {fact}", remedy="write the layout again: it is damaged"
            )

    def _blob(self, blob: Descriptor) -> IO[bytes]:
        if not _DIGEST.fullmatch(blob.digest):
            raise StoreError(f"{self._path}: {blob.digest[:80]!r} is no digest", remedy="write the layout again")
        try:
            return self._open(words.blob_path(blob.digest))
        except FileNotFoundError:
            raise StoreError(
                f"{self._path}: the blob {short(blob.digest)} is missing", remedy="write the layout again"
            ) from None

    def _read(self, name: str) -> bytes:
        try:
            with self._open(name) as file:
                return file.read(_LARGEST_DOCUMENT)
        except FileNotFoundError:
            raise ResolveError(f"{self._path} is no OCI layout: it has no {name}", remedy=_OTHERWISE) from None


_OTHERWISE = "name a folder or a tar with index.json in it; what 'docker save' writes is for `archive`"


def _names(entry: Descriptor) -> Sequence[str]:
    """What an entry of index.json is called: its tag, and its full name, however long it is written."""
    tag, name = (entry.annotations.get(key, "") for key in (words.REF_NAME, words.IMAGE_NAME))
    short_name = name.removeprefix("docker.io/").removeprefix("library/")
    return [one for one in dict.fromkeys((tag, short_name, name)) if one]


@contextmanager
def layout(path: Path) -> Iterator[Layout]:
    """An OCI layout in a folder or a tar. ResolveError when it is neither."""
    if path.is_dir():
        yield Layout(path, lambda name: _in_folder(path / name))
        return
    try:
        with path.open("rb") as file:
            yield Layout(path, _Tarred(file).open)
    except (tarfile.TarError, OSError) as error:
        raise ResolveError(f"{path} cannot be read as a tar: {error}", remedy=_OTHERWISE) from error


def _in_folder(path: Path) -> IO[bytes]:
    """A file of the folder. ResolveError for a pipe, which nobody may ever write to, or what cannot be read."""
    try:
        # O_NONBLOCK: opening a pipe must not wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ResolveError(f"{path} cannot be read: {error.strerror}", remedy="write the layout again") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ResolveError(f"{path} is no file", remedy="write the layout again")
    return os.fdopen(descriptor, "rb")


class _Tarred:
    """The files of a tar by their names; of two with one name the later."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        for member in Members(file):
            if member.isreg() and not member.issparse():
                self._places[member.name.removeprefix("./")] = (member.offset_data, member.size)
                if len(self._places) > _MOST_FILES:
                    raise tarfile.ReadError(f"it has more than {_MOST_FILES:,} files")

    def open(self, name: str) -> IO[bytes]:
        if name not in self._places:
            raise FileNotFoundError(name)
        start, size = self._places[name]
        self._file.seek(start)
        return as_file(_pieces(self._file, size))


def _pieces(file: IO[bytes], left: int) -> Iterator[bytes]:
    while left and (piece := file.read(min(CHUNK, left))):
        left -= len(piece)
        yield piece


def saved(path: Path, store: Store, name: str = "", stop: Callable[[], None] = lambda: None) -> Any:
    """Takes the image `name` (the only one when that is empty) of a `docker save` archive into the store: its layers,
    lowest first, and its config.
    """
    from pipeline.store.saved import take_saved

    try:
        with path.open("rb") as file:
            return take_saved(iter(lambda: file.read(CHUNK), b""), store, stop, name)
    except OSError as error:
        raise ResolveError(f"{path} cannot be read: {error.strerror}", remedy="check the file") from error
