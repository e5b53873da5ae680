"""What the dashboard and the API show of images: read models, as those of `views_model`."""

from __future__ import annotations

from pipeline.noun import noun


@noun
class ImageRow:
    """An image of the store, by its name (MANIFEST/IMAGE). `size` in bytes as a registry stores it, None where a part
    is not there; `made` is a Unix time, 0 unknown.
    """

    name: str
    tags: tuple[str, ...]
    digest: str
    platforms: tuple[str, ...]
    size: int | None
    layers: int
    made: float


@noun
class LayerView:
    """A layer, `number` from 1, lowest first; sizes in bytes, `unpacked` None where not known. `shared`: the names of
    other images of the store that have it, too.
    """

    number: int
    words: str
    digest: str
    diff_id: str
    media_type: str
    size: int
    unpacked: int | None = None
    shared: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@noun
class ImageView:
    """One platform's image; `size` is the sum of its layers, `shared` that of those that others have, too."""

    reference: str
    name: str
    digest: str
    image_id: str
    platform: str
    platforms: tuple[str, ...]
    created: str
    user: str
    command: tuple[str, ...]
    ports: tuple[str, ...]
    size: int
    shared: int
    layers: tuple[LayerView, ...]


__all__ = ["ImageRow", "ImageView", "LayerView"]
