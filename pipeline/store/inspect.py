"""Looks inside the store's images: which there are, how one is configured, and which files its layers hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.digest import short
from pipeline.errors import StoreError, UsageError
from pipeline.facts import Platform
from pipeline.manifest.words import suggestion
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.store import Store
from pipeline.store.lookup import ImageDocuments, choose, documents, find
from pipeline.store.members import Member, content, matching, members, merged


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image in a list: `size` in bytes as a registry stores it, `unpacked` on disk, None where a part is not in
    the store; `made` in Unix seconds, 0 when unknown.
    """

    name: str
    tags: tuple[str, ...]
    digest: str
    platforms: tuple[str, ...]
    size: int | None
    unpacked: int | None
    made: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer, `number` counting from 1, lowest first; sizes in bytes, `unpacked` None when it is not known."""

    number: int
    created_by: str
    digest: str
    diff_id: str
    media_type: str
    size: int
    unpacked: int | None


@dataclass(frozen=True, slots=True)
class Shown:
    """One platform's image: `config` is its config's own `config` property (OCI config.md: Env, Entrypoint, …)."""

    reference: str
    digest: str
    image_id: str
    platform: str
    created: str
    platforms: tuple[str, ...]
    config: Mapping[str, Any]
    layers: tuple[LayerRow, ...]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "size": self.size}


def list_images(store: Store) -> list[ImageRow]:
    """Every image that has a name, the newest of each name first; older ones while a tag holds them."""
    images, tags = store.images(), store.tags()
    rows: dict[tuple[str, str], tuple[Descriptor, float, list[str]]] = {}
    for name, (image, made) in images.items():
        rows[name, image.digest] = (image, made, [])
    for (name, tag), image in tags.items():
        rows.setdefault((name, image.digest), (image, _written(store, image), []))[2].append(tag)
    made_rows = [_row(store, name, *row) for (name, _), row in rows.items()]
    return sorted(made_rows, key=lambda row: (row.name, -row.made, row.digest))


def show(store: Store, name: str, platform: Platform | None = None, machine: Platform | None = None) -> Shown:
    """How an image is configured and what it is made of; of several platforms `platform`, else the `machine`'s.

    Raises UsageError for an unknown name or platform, StoreError when the image is damaged.
    """
    found = find(store, name)
    image = choose(store, found, platform, machine)
    rows = tuple(
        LayerRow(
            number,
            layer.created_by,
            layer.blob.digest,
            layer.diff_id,
            layer.blob.media_type,
            layer.blob.size,
            _unpacked(store, layer),
        )
        for number, layer in enumerate(image.layers, 1)
    )
    return Shown(
        reference=str(found),
        digest=image.descriptor.digest,
        image_id=image.config_blob.digest,
        platform=str(image.platform),
        created=image.config.get("created", ""),
        platforms=tuple(str(one.platform) for one in documents(store, found.image)),
        config=image.config.get("config") or {},
        layers=rows,
    )


def files(
    store: Store,
    name: str,
    patterns: Sequence[str] = (),
    *,
    platform: Platform | None = None,
    machine: Platform | None = None,
    layer: str = "",
) -> list[Member]:
    """The files of an image as a container sees them, by path; or those that one `layer` brings, whiteouts included.

    `patterns` are paths, folders (with all below them) or globs: `*.so` anywhere, `/etc/*.conf` from the root, `**`
    across folders. `layer` is a number as `show` counts, or the first digits of a digest or diff ID.
    """
    layers = choose(store, find(store, name), platform, machine).layers
    if layer:
        number = _layer_number(layers, layer)
        found = members(store, layers[number - 1], number)
    else:
        found = list(merged(members(store, one, number) for number, one in enumerate(layers, 1)).values())
    return sorted((one for one in found if matching(one.path, patterns)), key=lambda one: one.path)


def cat(
    store: Store, name: str, path: str, *, platform: Platform | None = None, machine: Platform | None = None
) -> Iterator[bytes]:
    """The content of one file of an image, in pieces; links are followed inside the image.

    Raises UsageError when there is no such file, before the first piece.
    """
    layers = choose(store, find(store, name), platform, machine).layers
    tree = merged(members(store, one, number) for number, one in enumerate(layers, 1))
    return content(store, layers, tree, path)


def _row(store: Store, name: str, image: Descriptor, made: float, tags: Sequence[str]) -> ImageRow:
    try:
        parts: list[ImageDocuments] = documents(store, image)
    except StoreError:
        return ImageRow(name, tuple(tags), image.digest, (), None, None, made)
    layers = {layer.blob.digest: layer for part in parts for layer in part.layers}.values()
    unpacked = [_unpacked(store, layer) for layer in layers]
    return ImageRow(
        name,
        tuple(tags),
        image.digest,
        tuple(str(part.platform) for part in parts),
        sum(layer.blob.size for layer in layers),
        None if None in unpacked else sum(size or 0 for size in unpacked),
        made,
    )


def _unpacked(store: Store, layer: Layer) -> int | None:
    """The bytes of a layer's files, from what is known of its content, remembered: reading that takes a while."""
    if layer.blob.media_type.endswith(".tar"):
        return layer.blob.size
    memo = f"unpacked {layer.diff_id}"
    known = store.database.memo(memo)
    if known is None:
        try:
            known = sum(member[5] for member in store.contents(layer)["members"])
        except (StoreError, OSError):
            return None
        store.database.remember(memo, known)
    return int(known)


def _written(store: Store, image: Descriptor) -> float:
    try:
        return store.blobs.path(image.digest).stat().st_mtime
    except OSError:
        return 0.0


def _layer_number(layers: Sequence[Layer], text: str) -> int:
    if text.isdecimal() and len(text) < 4 and 1 <= int(text) <= len(layers):
        return int(text)
    digits = text.removeprefix("sha256:")
    matches = [
        number
        for number, layer in enumerate(layers, 1)
        if len(digits) >= 4 and any(short(one, 64).startswith(digits) for one in (layer.blob.digest, layer.diff_id))
    ]
    if len(matches) == 1:
        return matches[0]
    known = [str(number) for number in range(1, len(layers) + 1)]
    raise UsageError(f"there is no layer {text!r}", remedy=suggestion(text, known, "layers"))
