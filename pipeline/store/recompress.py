"""An image with its layers as gzip, for readers that are not known to read anything else (ISA-L's deflate, by isal)."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from concurrent.futures import ThreadPoolExecutor

from pipeline.compression import gzip_codec, gzip_compressor
from pipeline.digest import Digest, short
from pipeline.errors import StoreError
from pipeline.oci import image as documents
from pipeline.oci.descriptor import LAYER_GZIP, NOT_READ_BY_ALL, Descriptor, Layer
from pipeline.store import Store
from pipeline.store.archive import unpacked
from pipeline.store.lookup import ImageDocuments
from pipeline.store.lookup import documents as read
from pipeline.store.memos import Memos

_LOOKS = 16
_LEVEL = 2
"""Of 0 to 3. Level 3 takes 1.5 times as long for 2 percent less."""


def gzipped(
    store: Store,
    image: Descriptor,
    stop: Callable[[], None] = lambda: None,
    kept: Container[str] = (),
    memos: Memos | None = None,
) -> Descriptor:
    """The image (or the index of images) with gzip in place of zstd and of no compression, put into the store beside
    it; configs, and so image IDs, stay the same. Layers of other kinds stay as they are, and those whose digest is one
    of `kept`. `memos` may know what others packed a layer to.
    """
    memos = memos or Memos(store.database)
    parts = read(store, image)
    layers = {layer.blob.digest: layer for part in parts for layer in part.layers if layer.blob.digest not in kept}
    packed = _found(store, layers, memos)
    missing = [layer for digest, layer in layers.items() if digest not in packed]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for layer, made in zip(
            missing, pool.map(lambda layer: _layer(store, layer, stop, memos), missing), strict=True
        ):
            packed[layer.blob.digest] = made
    images = [_image(store, part, packed) for part in parts]
    if len(images) == 1 and image.media_type == images[0].media_type:
        return images[0]
    index, data = documents.described(documents.index(images), documents.INDEX)
    store.blobs.put(data)
    return index


def _image(store: Store, part: ImageDocuments, packed: Mapping[Digest, Layer]) -> Descriptor:
    layers = [packed.get(layer.blob.digest, layer) for layer in part.layers]
    notes = part.manifest.get("annotations") or {}
    value = documents.manifest(part.config_blob, layers, notes)
    image, data = documents.described(value, documents.MANIFEST, part.platform)
    store.blobs.put(data)
    return image


def packed(store: Store, layer: Layer) -> Layer | None:
    """What a layer is as gzip, where that is known; its blob need not be there any more."""
    known = store.database.memo(_memo(layer))
    return Layer(Descriptor.from_json(known), layer.diff_id, layer.created_by) if known else None


def _memo(layer: Layer) -> str:
    return f"gzip {gzip_codec()} {_LEVEL} {layer.diff_id}"


def _found(store: Store, layers: Mapping[Digest, Layer], memos: Memos) -> dict[Digest, Layer]:
    """The layers that need no packing, by the digests of what they are made from: asked for at once, for whoever
    shares them may be far away.
    """
    with ThreadPoolExecutor(_LOOKS, thread_name_prefix="packed") as pool:
        known = zip(layers, pool.map(lambda layer: _known(store, layer, memos), layers.values()), strict=True)
        return {digest: layer for digest, layer in known if layer}


def _known(store: Store, layer: Layer, memos: Memos) -> Layer | None:
    if layer.blob.media_type not in NOT_READ_BY_ALL:
        return layer
    if known := memos.known(_memo(layer)):
        blob = Descriptor.from_json(known)
        if store.blobs.has(blob.digest, blob.size) or memos.lends(blob.digest):
            return Layer(blob, layer.diff_id, layer.created_by)
    return None


def offer(store: Store, image: Descriptor, memos: Memos) -> None:
    """Offers what is known of an image's layers as gzip, and is in the store, to whoever shares `memos`."""
    for part in read(store, image):
        for layer in part.layers:
            known = packed(store, layer)
            if known and store.blobs.has(known.blob.digest, known.blob.size):
                memos.offer(_memo(layer), known.blob.to_json(), [Layer(known.blob, known.diff_id)])


def _layer(store: Store, layer: Layer, stop: Callable[[], None], memos: Memos) -> Layer:
    # Images that share a layer are pushed at the same time.
    with store.guard(f"gzip-{short(layer.diff_id, 32)}"):
        if known := _known(store, layer, memos):
            return known
        blob = _packed(store, layer, stop)
        memos.tell(_memo(layer), blob.to_json(), [Layer(blob, layer.diff_id)])
    return Layer(blob, layer.diff_id, layer.created_by)


def _packed(store: Store, layer: Layer, stop: Callable[[], None]) -> Descriptor:
    compressor = gzip_compressor(_LEVEL)
    with store.blobs.writer() as out:
        for piece in unpacked(store, layer):
            stop()
            out.write(compressor.compress(piece))
        out.write(compressor.flush())
    if not out.size:
        raise StoreError(f"layer {layer.diff_id} cannot be compressed", remedy="set the registry's compression to zstd")
    return Descriptor(LAYER_GZIP, out.digest, out.size)
