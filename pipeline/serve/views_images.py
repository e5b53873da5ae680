"""The store's images as pages show them: their layers, how large these are, and which images share them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from pipeline.errors import PipelineError
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
        except PipelineError:
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
        blob = layer.blob
        words = layer.created_by
        unpacked = blob.size if blob.media_type.endswith(".tar") else self._memo(f"unpacked {layer.diff_id}")
        return LayerView(number, words, blob.digest, layer.diff_id, blob.media_type, blob.size, unpacked, shared)

    def _memo(self, key: str) -> int | None:
        known = self._store.database.memo(key)
        return known if isinstance(known, int) else None

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


__all__ = ["Images"]
