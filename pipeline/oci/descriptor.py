"""Descriptors and media types (OCI image-spec 1.1: descriptor.md, media-types.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from pipeline.digest import Digest
from pipeline.noun import noun

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
NOT_READ_BY_ALL = (LAYER, LAYER_ZSTD)
"""Of layers that are not compressed, `crane validate` for one says that they are damaged."""
_PLATFORM = ("os", "architecture", "variant")
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@noun
class Descriptor:
    """What a blob is, its digest and its size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The descriptor as the specification writes it."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.platform:
            value["platform"] = dict(self.platform)
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Descriptor:
        """KeyError, ValueError or TypeError for what is no descriptor."""
        media_type, digest, size = value["mediaType"], value["digest"], value["size"]
        notes, platform = value.get("annotations") or {}, value.get("platform") or {}
        words = [media_type, digest, *notes.values(), *(platform.get(name, "") for name in _PLATFORM)]
        if not all(isinstance(word, str) for word in words) or type(size) is not int or size < 0:
            raise ValueError("a descriptor whose values are of other types")
        return Descriptor(media_type, Digest(digest), size, notes, platform)


@noun
class Layer:
    """One layer of an image: its blob, and the digest of its uncompressed tar (config.md, "Layer DiffID")."""

    blob: Descriptor
    diff_id: Digest
    created_by: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"blob": self.blob.to_json(), "diff_id": self.diff_id, "created_by": self.created_by}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Layer:
        return Layer(Descriptor.from_json(value["blob"]), Digest(value["diff_id"]), value.get("created_by", ""))
