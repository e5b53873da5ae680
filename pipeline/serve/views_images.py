"""The store's images as pages show them: their layers, how large these are, and which images share them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import PipelineError, UsageError
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.serve.views_model import ImageRow, ImageView, LayerView
from pipeline.store import Store
from pipeline.store.lookup import ImageDocuments, documents, find

_KEPT = 10_000
"""Images whose documents stay in memory, a few kB each."""


class Images:
    """What is in the store. An image's documents never change: what was read of them is kept. For several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[ImageDocuments, ...]] = OrderedDict()
        self._contents: OrderedDict[str, tuple[int | None, tuple[str, ...]]] = OrderedDict()

    def rows(self, manifest: str = "") -> tuple[ImageRow, ...]:
        """The newest image of each name, of one manifest (its `name`) or of all."""
        tags: dict[tuple[str, str], list[str]] = {}
        for (name, tag), image in self._store.tags().items():
            tags.setdefault((name, image.digest), []).append(tag)
        return tuple(
            self._row(name, image, tuple(tags.get((name, image.digest), ())), made)
            for name, (image, made) in self._store.images().items()
            if not manifest or name.startswith(f"{manifest}/")
        )

    def _row(self, name: str, image: Descriptor, tags: tuple[str, ...], made: float) -> ImageRow:
        parts = self._parts(image)
        layers = {layer.blob.digest: layer.blob.size for part in parts for layer in part.layers}
        platforms = tuple(str(part.platform) for part in parts)
        size = sum(layers.values()) if parts else None
        return ImageRow(name, tags, image.digest, platforms, size, len(layers), made)

    def image(self, reference: str, platform: str = "") -> ImageView | None:
        """One image by name, NAME:TAG or the beginning of a digest; of several platforms the one that is named, else
        the first. None for an image that is not known, or whose documents are not there.
        """
        try:
            found = find(self._store, reference)
        except UsageError:
            return None
        parts = self._parts(found.image)
        part = next((one for one in parts if str(one.platform) == platform), parts[0] if parts else None)
        if part is None:
            return None
        own = {one.descriptor.digest for one in parts} | {found.image.digest}
        return self._view(str(found), found.name, part, tuple(str(one.platform) for one in parts), own)

    def _view(
        self, reference: str, name: str, part: ImageDocuments, platforms: tuple[str, ...], own: Iterable[str]
    ) -> ImageView:
        sharing = self._sharing(set(own), name)
        layers = tuple(
            self._layer(number, layer, sharing.get(layer.blob.digest, ()))
            for number, layer in enumerate(part.layers, 1)
        )
        config = part.config.get("config") or {}
        return ImageView(
            reference=reference,
            name=name,
            digest=part.descriptor.digest,
            image_id=part.config_blob.digest,
            platform=str(part.platform),
            platforms=platforms,
            created=str(part.config.get("created", "")),
            user=str(config.get("User") or ""),
            command=tuple(map(str, [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())])),
            ports=tuple(map(str, config.get("ExposedPorts") or ())),
            size=sum(layer.size for layer in layers),
            shared=sum(layer.size for layer in layers if layer.shared),
            layers=layers,
        )

    def _layer(self, number: int, layer: Layer, shared: tuple[str, ...]) -> LayerView:
        blob, words = layer.blob, layer.created_by.removeprefix("pipeline: ")
        unpacked, packages = self._held(layer)
        return LayerView(
            number, words, blob.digest, layer.diff_id, blob.media_type, blob.size, unpacked, shared, packages
        )

    def _held(self, layer: Layer) -> tuple[int | None, tuple[str, ...]]:
        """The bytes of a layer's files, and the packages that they are of, as far as the store knows what it holds."""
        with self._lock:
            known = self._contents.get(layer.diff_id)
        if known is None:
            known = (None, ())
            try:
                if self._store.contents_file(layer.diff_id).exists():
                    known = held(self._store.contents(layer)["members"])
            except (PipelineError, OSError, KeyError, IndexError, TypeError):
                return known
            with self._lock:
                self._contents[layer.diff_id] = known
                while len(self._contents) > _KEPT:
                    self._contents.popitem(last=False)
        return known

    def _sharing(self, own: set[str], name: str) -> Mapping[str, tuple[str, ...]]:
        """Layer → the names of other images that have it."""
        found: dict[str, dict[str, None]] = {}
        for other, (image, _) in self._store.images().items():
            if image.digest in own or other == name:
                continue
            for part in self._parts(image):
                for layer in part.layers:
                    found.setdefault(layer.blob.digest, {})[other] = None
        return {digest: tuple(names) for digest, names in found.items()}

    def _parts(self, image: Descriptor) -> tuple[ImageDocuments, ...]:
        with self._lock:
            known = self._known.get(image.digest)
        if known is None:
            try:
                known = tuple(documents(self._store, image))
                # Read here, where what is damaged does no harm.
                for part in known:
                    _ = part.layers, part.platform
            except (PipelineError, KeyError, TypeError, ValueError, OSError):
                return ()
            with self._lock:
                self._known[image.digest] = known
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return known


def held(members: Iterable[Sequence[Any]]) -> tuple[int, tuple[str, ...]]:
    """The bytes of members (assemble.layer.Contents), and the packages that own them, as `numpy 1.26.4`."""
    size, owners = 0, dict.fromkeys(("",))
    for member in members:
        size += member[5]
        owners[member[7]] = None
    return size, tuple(sorted({_package(owner) for owner in owners if owner}, key=str.lower))


def _package(file: str) -> str:
    """Names of packages' files: deb-version(7) `NAME_VERSION_ARCH.deb`; wheels `NAME-VERSION-…` (PyPA's binary
    distribution format); conda packages `NAME-VERSION-BUILD` (NAME may have a dash).
    """
    if file.endswith(".deb"):
        return " ".join(file.split("_")[:2]).replace("%3a", ":")
    if file.endswith(".whl"):
        return " ".join(file.split("-")[:2])
    if file.endswith((".conda", ".tar.bz2")):
        return " ".join(file.rsplit("-", 2)[:2])
    return file


__all__ = ["Images", "held"]
