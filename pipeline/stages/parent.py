"""Puts the image that a command starts from into the engine, once: layers that the engine has are not sent again."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.digest import canonical, digest_of, short
from pipeline.engine.model import Engine, EngineError
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Layer
from pipeline.store import Store
from pipeline.store.archive import unpacked

REPOSITORY = "pipeline.local/parent"
_LABELS = {"pipeline.parent": "true"}
_BLOCK = 512
_RECORD = 20 * _BLOCK


def parent_image(
    engine: Engine, store: Store, layers: Sequence[Layer], env: Mapping[str, str], platform: Platform
) -> str:
    """The name of an image of these layers in the engine, which is loaded when the engine lacks it.

    It is named by its digest and labelled `pipeline.parent`, so that `docker image prune` can remove it at any time.
    """
    # Without their history, which each manifest tells in its own words.
    layers = [Layer(layer.blob, layer.diff_id) for layer in layers]
    runtime = {"Env": [f"{name}={value}" for name, value in env.items()], "Labels": _LABELS}
    config = canonical(documents.config(platform, runtime, layers))
    name = _name(config)
    if engine.layers(name) is not None:
        return name
    with store.guard(f"engine-{short(digest_of(config))}"):
        if engine.layers(name) is None:
            _load(engine, store, layers, config, name, _shared(engine, store, layers))
            store.database.remember(_memo(layers), name)
    return name


def _name(config: bytes) -> str:
    return f"{REPOSITORY}:{short(digest_of(config), 32)}"


def _memo(layers: Sequence[Layer]) -> str:
    return "parent " + short(digest_of(canonical([layer.diff_id for layer in layers])), 64)


def _shared(engine: Engine, store: Store, layers: Sequence[Layer]) -> int:
    """How many of the lowest layers the engine has, by an earlier image of ours that it still has."""
    for count in range(len(layers), 0, -1):
        name = store.database.memo(_memo(layers[:count]))
        if name and engine.layers(name) == tuple(layer.diff_id for layer in layers[:count]):
            return count
    return 0


def _load(engine: Engine, store: Store, layers: Sequence[Layer], config: bytes, name: str, shared: int) -> None:
    try:
        engine.load(_archive(store, layers, config, name, shared))
    except EngineError:
        if not shared:
            raise
        engine.load(_archive(store, layers, config, name, 0))
    if engine.layers(name) is None:
        raise EngineError(f"the engine took the image {name} and does not have it", remedy="check its storage")


def _archive(store: Store, layers: Sequence[Layer], config: bytes, name: str, shared: int) -> Iterator[bytes]:
    """A `docker save` archive as a stream, without the lowest `shared` layers (moby, image/spec/v1.2.md)."""
    config_name = f"{short(digest_of(config), 64)}.json"
    paths = [f"{short(layer.diff_id, 64)}.tar" for layer in layers]
    yield from _member(config_name, len(config), [config])
    listing = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": paths}]).encode()
    for path, layer in dict(zip(paths[shared:], layers[shared:], strict=True)).items():
        yield from _member(path, _size(store, layer), unpacked(store, layer))
    yield from _member("manifest.json", len(listing), [listing])
    yield bytes(_RECORD)


def _size(store: Store, layer: Layer) -> int:
    """The size of a layer's tar, remembered: a tar tells a member's size before the member."""
    memo = f"tar size {layer.diff_id}"
    known: Any = store.database.memo(memo)
    if known is None:
        known = sum(len(piece) for piece in unpacked(store, layer))
        store.database.remember(memo, known)
    return int(known)


def _member(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    yield info.tobuf(tarfile.GNU_FORMAT)
    yield from pieces
    yield bytes(-size % _BLOCK)


__all__ = ["REPOSITORY", "parent_image"]
