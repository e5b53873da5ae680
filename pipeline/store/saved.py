"""Takes images out of `docker save` archives into the store, in one pass: both forms, before Docker 25 and since."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any

from pipeline import compression
from pipeline.assemble.layer import take
from pipeline.assemble.scan import describe
from pipeline.digest import parsed
from pipeline.errors import ResolveError, StoreError
from pipeline.manifest.words import listed, suggestion
from pipeline.oci.descriptor import Layer
from pipeline.store import Store
from pipeline.store.pieces import CHUNK, as_file
from pipeline.store.tarmembers import Forward, Members

_DOCUMENT = 4 << 20
"""The largest size in bytes of what may be a document."""
_MEMBERS = 10_000
"""Documents, layers and links: Docker writes a few of each for a layer, and an image has at most 127."""

_NONSENSE = (ValueError, KeyError, IndexError, TypeError, AttributeError)
"""What reading a document raises that is JSON, and not what it should be."""

_AGAIN = "save or build it again"
_MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


def take_saved(
    pieces: Iterable[bytes], store: Store, stop: Callable[[], None] = lambda: None, name: str = ""
) -> tuple[list[Layer], Mapping[str, Any]]:
    """The layers, lowest first, and the config of the archive's image `name`, or of its only one; the layers are in
    the store.

    Raises StoreError for an archive that is damaged or holds no image, ResolveError for one without that image.
    """
    archive = _Archive(store, stop)
    try:
        members = Members(Forward(as_file(pieces)))
        for member in members:
            archive.add(member, members)
        return archive.image(name)
    except KeyError as error:
        raise StoreError(f"the image's archive is damaged: it has no {error}", remedy=_AGAIN) from error
    except (tarfile.TarError, *_NONSENSE, *compression.damage()) as error:  # type: ignore[misc]
        raise StoreError(f"the image's archive is damaged: {error}", remedy=_AGAIN) from error


class _Archive:
    """An archive as it is read: its documents, its layers, and the links between them, by their paths."""

    def __init__(self, store: Store, stop: Callable[[], None]) -> None:
        self._store = store
        self._stop = stop
        self._documents: dict[str, bytes] = {}
        self._layers: dict[str, Layer] = {}
        self._links: dict[str, str] = {}

    def add(self, member: tarfile.TarInfo, members: Members) -> None:
        path = posixpath.normpath(member.name)
        if len(self._documents) + len(self._layers) + len(self._links) >= _MEMBERS:
            raise ValueError(f"it has more than {_MEMBERS:,} members")
        if member.issym() or member.islnk():
            folder = posixpath.dirname(path) if member.issym() else ""
            self._links[path] = posixpath.normpath(posixpath.join(folder, member.linkname))
        elif file := members.content(member):
            start = file.read(512)
            if member.size <= _DOCUMENT and start[:1] in (b"{", b"["):
                self._documents[path] = start + file.read()
            elif member.size >= 512 or start.startswith(tuple(_MAGIC)):
                self._layers[path] = self._layer(start, file)

    def _layer(self, start: bytes, rest: IO[bytes]) -> Layer:
        kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")
        source = compression.reader(as_file(_read(start, rest)), kind)
        return take(iter(lambda: source.read(CHUNK), b""), self._store.blobs, "zstd", self._stop)

    def image(self, name: str) -> tuple[list[Layer], Mapping[str, Any]]:
        if "manifest.json" not in self._documents:
            remedy = "name what 'docker save' wrote; an OCI layout is for `layout`"
            raise ResolveError("there is no manifest.json in the archive", remedy=remedy)
        listing = _chosen(parsed(self._documents["manifest.json"]), name)
        config: Mapping[str, Any] = parsed(self._documents[posixpath.normpath(listing["Config"])])
        layers = [self._layers[self._target(posixpath.normpath(path))] for path in listing["Layers"]]
        if [layer.diff_id for layer in layers] != config["rootfs"]["diff_ids"]:
            raise ValueError("its layers are not those that its config names")
        history = [entry for entry in config.get("history") or () if not entry.get("empty_layer")]
        if len(history) == len(layers):
            words = [entry.get("created_by", "") for entry in history]
            layers = [Layer(one.blob, one.diff_id, said) for one, said in zip(layers, words, strict=True)]
        for layer in layers:
            describe(self._store, layer)
        return layers, config

    def _target(self, path: str) -> str:
        for _ in range(8):
            path = self._links.get(path, path)
        return path


def _chosen(listings: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    found = [one for one in listings if not name or name in (one.get("RepoTags") or ())]
    if len(found) == 1:
        return found[0]
    names = [tag for one in listings for tag in one.get("RepoTags") or ()]
    if found:
        raise ResolveError(f"the archive holds {len(found)} images", remedy=f"say which: {listed(names)}")
    raise ResolveError(f"the archive holds no image {name!r}", remedy=suggestion(name, names, "there are"))


def _read(start: bytes, rest: IO[bytes]) -> Iterator[bytes]:
    yield start
    while piece := rest.read(CHUNK):
        yield piece
