"""Finds images in the store by name, tag, digest or image ID, and reads their documents."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.digest import Digest, short
from pipeline.errors import StoreError, UsageError
from pipeline.facts import Platform
from pipeline.manifest.words import listed, suggestion
from pipeline.noun import noun
from pipeline.oci.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor, Layer
from pipeline.store import Store

_DIGITS = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


@noun
class Found:
    """An image of the store: an image manifest or an index, and the name and tag by which it is known best."""

    name: str
    tag: str
    image: Descriptor

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}" if self.name else short(self.image.digest)


@dataclass(frozen=True)
class ImageDocuments:
    """One platform's image: its image manifest and its config as JSON."""

    descriptor: Descriptor
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def config_blob(self) -> Descriptor:
        return Descriptor.from_json(self.manifest["config"])

    @cached_property
    def platform(self) -> Platform:
        value = self.config
        return Platform(value.get("os", "linux"), value.get("architecture", ""), value.get("variant", ""))

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, lowest first. Raises StoreError when image manifest and config do not agree about them."""
        blobs = [Descriptor.from_json(blob) for blob in self.manifest["layers"]]
        diff_ids = self.config["rootfs"]["diff_ids"]
        if len(blobs) != len(diff_ids):
            raise StoreError(
                f"image {short(self.descriptor.digest)} has {len(blobs)} layers, its config {len(diff_ids)}",
                remedy="build or pull it again",
            )
        history = [entry for entry in self.config.get("history") or () if not entry.get("empty_layer")]
        words = [entry.get("created_by", "") for entry in history] if len(history) == len(blobs) else [""] * len(blobs)
        return tuple(Layer(*parts) for parts in zip(blobs, map(Digest, diff_ids), words, strict=True))


def find(store: Store, name: str) -> Found:
    """The image that `name` means: IMAGE (its newest), IMAGE:TAG, or a digest or image ID, whole or its first digits.

    Images are named MANIFEST/IMAGE; IMAGE alone will do while only one manifest has one of that name.

    Raises UsageError for a name that is unknown or ambiguous.
    """
    images, tags = store.images(), store.tags()
    names = {*images, *(image for image, _ in tags)}
    if (whole := _whole(name, names)) in images:
        image = images[whole][0]
        return Found(whole, _best_tag(whole, image, tags), image)
    base, _, tag = name.rpartition(":")
    base = _whole(base, names)
    if (base, tag) in tags:
        return Found(base, tag, tags[base, tag])
    if match := _DIGITS.fullmatch(name):
        return _by_digits(store, name, match[1], images, tags)
    if base in images:
        known = [tag for image, tag in tags if image == base]
        raise UsageError(f"image {base} has no tag {tag!r}", remedy=suggestion(tag, known, "tags") or "build it first")
    every = {*images, *(each.rpartition("/")[2] for each in images), *(f"{image}:{tag}" for image, tag in tags)}
    remedy = suggestion(name, every, "images") if every else "build one with 'pipeline run'"
    raise UsageError(f"there is no image {name!r} in the store", remedy=remedy)


def _whole(name: str, names: Collection[str]) -> str:
    """A name in full; UsageError when several manifests have an image of that name."""
    full = sorted(one for one in names if one.rpartition("/")[2] == name)
    if name in names or not full:
        return name
    if len(full) > 1:
        raise UsageError(f"several manifests have an image {name!r}", remedy=f"write {' or '.join(full)}")
    return full[0]


def documents(store: Store, image: Descriptor) -> list[ImageDocuments]:
    """The image of each platform, in the index's order. Raises StoreError when a document is missing or damaged."""
    value = _read(store, image.digest)
    if image.media_type in (INDEX, DOCKER_INDEX) or "manifests" in value:
        entries = [Descriptor.from_json(entry) for entry in value["manifests"]]
        return [_documents(store, entry, _read(store, entry.digest)) for entry in entries if _is_image(entry)]
    return [_documents(store, image, value)]


def _is_image(entry: Descriptor) -> bool:
    """Not what BuildKit puts beside an image to attest how it was built, for the platform unknown/unknown."""
    return entry.media_type in (MANIFEST, DOCKER_MANIFEST) and entry.platform.get("os") != "unknown"


def choose(store: Store, found: Found, platform: Platform | None, machine: Platform | None = None) -> ImageDocuments:
    """One platform's image: `platform`, else the only one, else that of this `machine`; UsageError for none."""
    every = documents(store, found.image)
    wanted = platform or (machine if len(every) > 1 else None)
    if wanted is None and len(every) == 1:
        return every[0]
    for one in every:
        if wanted and (one.platform == wanted or (not wanted.variant and _same_but_variant(one.platform, wanted))):
            return one
    there = listed(str(one.platform) for one in every)
    said = f"is not there for {wanted}" if wanted else "is there for several platforms"
    raise UsageError(f"image {found} {said}", remedy=f"choose with --platform: {there}")


def _same_but_variant(one: Platform, other: Platform) -> bool:
    return (one.os, one.architecture) == (other.os, other.architecture)


def _best_tag(name: str, image: Descriptor, tags: Mapping[tuple[str, str], Descriptor]) -> str:
    own = [tag for (of, tag), at in tags.items() if of == name and at.digest == image.digest]
    return "latest" if "latest" in own or not own else own[0]


def _by_digits(
    store: Store,
    text: str,
    digits: str,
    images: Mapping[str, tuple[Descriptor, float]],
    tags: Mapping[tuple[str, str], Descriptor],
) -> Found:
    known: dict[str, Found] = {}
    for (name, tag), image in tags.items():
        known.setdefault(image.digest, Found(name, tag, image))
    for name, (image, _) in images.items():
        known[image.digest] = Found(name, _best_tag(name, image, tags), image)
    matches = {digest: found for digest, found in known.items() if short(digest, 64).startswith(digits)}
    for found in () if matches else known.values():
        for one in _parts(store, found.image):
            if any(short(at, 64).startswith(digits) for at in (one.descriptor.digest, one.config_blob.digest)):
                matches.setdefault(one.descriptor.digest, Found(found.name, found.tag, one.descriptor))
    if len(matches) > 1:
        raise UsageError(f"{text!r} is the beginning of {len(matches)} digests", remedy=listed(sorted(matches)))
    if matches:
        return next(iter(matches.values()))
    if len(digits) == 64 and store.blobs.has(Digest(f"sha256:{digits}")):
        return Found("", "", _older(store, Digest(f"sha256:{digits}")))
    raise UsageError(f"there is no image {text!r} in the store", remedy="'pipeline image ls' shows what there is")


def _parts(store: Store, image: Descriptor) -> list[ImageDocuments]:
    try:
        return documents(store, image)
    except StoreError:
        return []


def _older(store: Store, digest: Digest) -> Descriptor:
    """An image that no name leads to any more."""
    value: Any = None
    if store.blobs.path(digest).stat().st_size <= _MOST:
        value = _json(store.blobs.read(digest))
    kinds = (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)
    if not isinstance(value, dict) or value.get("mediaType") not in kinds:
        raise UsageError(
            f"{short(digest)} is a blob but not an image", remedy="'pipeline image ls' shows what there is"
        )
    return Descriptor(value["mediaType"], digest, store.blobs.path(digest).stat().st_size)


_MOST = 4 << 20
"""The largest image manifest in bytes that registries have to take (distribution-spec, "Pushing Manifests")."""


def _documents(store: Store, descriptor: Descriptor, manifest: Mapping[str, Any]) -> ImageDocuments:
    return ImageDocuments(descriptor, manifest, _read(store, Digest(manifest["config"]["digest"])))


def _read(store: Store, digest: Digest) -> dict[str, Any]:
    value = _json(store.blobs.read(digest))
    if not isinstance(value, dict):
        raise StoreError(f"blob {short(digest)} is not an image's document", remedy="build or pull the image again")
    return value


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
