"""Small images for the registry's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import CONFIG, INDEX, LAYER, MANIFEST, Descriptor, Layer
from pipeline.store import Store


def layer_bytes(name: str, size: int = 100_000) -> bytes:
    """Bytes that are the same for a name, and that nothing compresses."""
    return hashlib.shake_256(name.encode()).digest(size)


def make_image(store: Store, layers: Sequence[bytes], platform: Platform | None = None, note: str = "") -> Descriptor:
    """An image in the store, of layers with these bytes."""
    found = []
    for data in layers:
        digest = store.blobs.put(data)
        found.append(Layer(Descriptor(LAYER, digest, len(data)), digest))
    platform = platform or Platform()
    config, data = documents.described(documents.config(platform, {"Env": [f"NOTE={note}"]}, found), CONFIG)
    store.blobs.put(data)
    image, data = documents.described(documents.manifest(config, found, {}), MANIFEST, platform)
    store.blobs.put(data)
    return image


def make_index(store: Store, images: Sequence[Descriptor]) -> Descriptor:
    """An index over images of several platforms."""
    image, data = documents.described(documents.index(images), INDEX)
    store.blobs.put(data)
    return image
