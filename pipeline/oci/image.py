"""Image configs, image manifests and indexes as JSON (OCI image-spec 1.1: config.md, manifest.md, image-index.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import canonical, digest_of
from pipeline.facts import Platform
from pipeline.oci.descriptor import CONFIG, INDEX, MANIFEST, Descriptor, Layer

CREATED = "1980-01-01T00:00:00Z"
"""The creation time of every image: the same inputs are to give the same digest at any time."""


def config(platform: Platform, runtime: Mapping[str, Any], layers: Sequence[Layer]) -> dict[str, Any]:
    """An image config: `runtime` is its `config` property (Env, Entrypoint, …), empty values left out."""
    value: dict[str, Any] = {
        "created": CREATED,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {key: entry for key, entry in runtime.items() if entry},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": CREATED, "created_by": layer.created_by} for layer in layers],
    }
    if platform.variant:
        value["variant"] = platform.variant
    return value


def manifest(config_blob: Descriptor, layers: Sequence[Layer], annotations: Mapping[str, str]) -> dict[str, Any]:
    """An image manifest."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob.to_json(),
        "layers": [layer.blob.to_json() for layer in layers],
    }
    if annotations:
        value["annotations"] = dict(annotations)
    return value


def index(manifests: Sequence[Descriptor]) -> dict[str, Any]:
    """An image index over one image manifest for each platform."""
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry.to_json() for entry in manifests]}


def described(value: Mapping[str, Any], media_type: str, platform: Platform | None = None) -> tuple[Descriptor, bytes]:
    """A JSON document as the bytes to store, and their descriptor."""
    data = canonical(value)
    where = {"architecture": platform.architecture, "os": platform.os} if platform else {}
    if platform and platform.variant:
        where["variant"] = platform.variant
    return Descriptor(media_type, digest_of(data), len(data), platform=where), data


__all__ = ["CONFIG", "CREATED", "INDEX", "MANIFEST", "config", "described", "index", "manifest"]
