"""Puts images of the store into an engine: as a stream, and without the layers that the engine has already."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.digest import digest_of, short
from pipeline.engine.model import Engine, EngineError
from pipeline.oci.descriptor import Layer

_BLOCK = 512
_RECORD = 20 * _BLOCK

Tar = Callable[[Layer], Iterable[bytes]]
"""Gives a layer's uncompressed tar, in pieces."""


def load(
    engine: Engine,
    name: str,
    config: bytes,
    layers: Sequence[Layer],
    tar: Tar,
    size: Callable[[Layer], int],
    akin: Iterable[str] = (),
) -> None:
    """Makes the image `name` of these layers and this config, unless the engine has it.

    `size` gives the size of a layer's tar, which an archive tells before its bytes; `akin` are names of images that
    may have the same lowest layers. Raises EngineError when the engine does not take it.
    """
    wanted = tuple(layer.diff_id for layer in layers)
    if engine.layers(name) == wanted:
        return
    shared = max((_shared(engine.layers(other) or (), wanted) for other in akin), default=0)
    try:
        engine.load(_archive(name, config, layers, shared, tar, size))
    except EngineError:
        if not shared:
            raise
        engine.load(_archive(name, config, layers, 0, tar, size))
    if engine.layers(name) != wanted:
        raise EngineError(f"the engine took the image {name} and does not have it", remedy="check its storage")


def _shared(had: Sequence[str], wanted: Sequence[str]) -> int:
    """How many of the lowest layers are the same."""
    count = 0
    while count < min(len(had), len(wanted)) and had[count] == wanted[count]:
        count += 1
    return count


def _archive(
    name: str, config: bytes, layers: Sequence[Layer], shared: int, tar: Tar, size: Callable[[Layer], int]
) -> Iterator[bytes]:
    """A `docker save` archive as a stream, without the lowest `shared` layers (moby, image/spec/v1.2.md)."""
    config_name = f"{short(digest_of(config), 64)}.json"
    paths = [f"{short(layer.diff_id, 64)}.tar" for layer in layers]
    yield from _member(config_name, len(config), [config])
    for path, layer in dict(zip(paths[shared:], layers[shared:], strict=True)).items():
        yield from _member(path, size(layer), tar(layer))
    listing = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": paths}]).encode()
    yield from _member("manifest.json", len(listing), [listing])
    yield bytes(_RECORD)


def _member(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    yield info.tobuf(tarfile.GNU_FORMAT)
    yield from pieces
    yield bytes(-size % _BLOCK)
