"""The image that a command starts from, in the engine: made of the layers below, and loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import canonical, digest_of, short
from pipeline.engine.images import load
from pipeline.engine.model import Engine
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.oci.descriptor import Layer
from pipeline.store import Store
from pipeline.store.archive import unpacked
from pipeline.store.seal import opened

REPOSITORY = "pipeline.local/parent"
_LABELS = {"pipeline.parent": "true"}


def parent_image(
    engine: Engine, store: Store, layers: Sequence[Layer], env: Mapping[str, str], platform: Platform
) -> str:
    """The name of an image of these layers in the engine, which is loaded when the engine lacks it.

    It is named by its digest and labelled `pipeline.parent`, so that `docker image prune` can remove it at any time.
    """
    runtime = {"Env": [f"{name}={value}" for name, value in env.items()], "Labels": _LABELS}
    # Without their history, which each manifest tells in its own words.
    plain = [Layer(layer.blob, layer.diff_id) for layer in layers]
    config = canonical(documents.config(platform, runtime, plain))
    name = f"{REPOSITORY}:{short(digest_of(config), 32)}"
    if engine.layers(name) is None:
        with store.guard(f"engine-{short(digest_of(config))}"):
            akin = _akin(store, layers)
            load(
                engine,
                name,
                config,
                plain,
                lambda layer: unpacked(store, layer),
                lambda layer: _size(store, layer),
                akin,
            )
            store.database.remember(_memo(layers), name)
    return name


def retire(engine: Engine, store: Store, step: str, name: str) -> None:
    """Removes the image that a step started from before, now that it starts from `name`, unless another step needs it.

    `step` tells steps of all manifests apart.
    """
    memo = f"parent of {step}"
    before = store.database.memo(memo)
    store.database.remember(memo, name)
    if before and before != name:
        used = store.database.execute("SELECT key, value FROM memos WHERE key GLOB 'parent of *'")
        if before not in {opened(key, value) for key, value in used}:
            engine.forget(before)


def _memo(layers: Sequence[Layer]) -> str:
    return "parent " + short(digest_of(canonical([layer.diff_id for layer in layers])), 64)


def _akin(store: Store, layers: Sequence[Layer]) -> list[str]:
    """Earlier images of ours that have the same lowest layers, the one with the most first."""
    known = (store.database.memo(_memo(layers[:count])) for count in range(len(layers), 0, -1))
    return [name for name in known if name]


def _size(store: Store, layer: Layer) -> int:
    """The size of a layer's tar, remembered."""
    memo = f"tar size {layer.diff_id}"
    known: Any = store.database.memo(memo)
    if known is None:
        known = sum(len(piece) for piece in unpacked(store, layer))
        store.database.remember(memo, known)
    return int(known)
