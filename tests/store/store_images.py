"""Makes images in a store by the store's own means, to export and to look into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.assemble import layer as layers
from pipeline.assemble.entry import Entry
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.recipe import Compression
from pipeline.store import Store

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def text(path: str, content: str, mode: int = 0o644) -> Entry:
    return Entry(path, mode=mode, source=content.encode(), size=len(content.encode()))


def pack(store: Store, entries: Sequence[Entry], compression: Compression = "zstd", *, known: bool = True) -> Layer:
    """A layer; without `known`, as if it had been pulled: the store has no record of what it holds."""
    layer, contents = layers.write(entries, store.blobs, compression)
    if known:
        store.put_contents(layer, contents.to_json())
    return replace(layer, created_by=f"pack {entries[-1].path}")


def put_image(store: Store, stack: Sequence[Layer], platform: Platform = AMD64) -> Descriptor:
    """An image of layers, with a config as the pipeline writes it."""
    runtime = {"Entrypoint": ["/bin/app"], "Env": ["PATH=/bin"], "User": "1000", "Labels": {"a": "b"}}
    config, data = documents.described(documents.config(platform, runtime, stack), documents.CONFIG)
    store.blobs.put(data)
    image, data = documents.described(documents.manifest(config, stack, {}), documents.MANIFEST, platform)
    store.blobs.put(data)
    return image


def put_index(store: Store, images: Sequence[Descriptor]) -> Descriptor:
    index, data = documents.described(documents.index(images), documents.INDEX)
    store.blobs.put(data)
    return index


def name(store: Store, image: Descriptor, name: str, *tags: str) -> Descriptor:
    store.name_image(name, image)
    for tag in tags:
        store.move_tag(name, tag, image)
    return image
