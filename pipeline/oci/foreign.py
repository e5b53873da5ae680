"""An image from elsewhere as this project knows images: its layers in OCI's media types, and what it hands down."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipeline.digest import Digest, parsed
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor, Layer
from pipeline.oci.requires_find import Files

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for in an image whose config does not say."""

MEDIA_TYPES: Mapping[str, str] = {
    LAYER: LAYER,
    LAYER_GZIP: LAYER_GZIP,
    LAYER_ZSTD: LAYER_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER_ZSTD,
}
"""What a layer's bytes are, by Docker's names (Image Manifest V2, Schema 2) and by OCI's: the bytes are the same."""

_HANDED_DOWN = (
    "Env", "User", "WorkingDir", "Entrypoint", "Cmd", "Labels", "ExposedPorts", "Volumes", "StopSignal",
    "Healthcheck", "Shell",
)  # fmt: skip
_LISTS = ("Env", "Entrypoint", "Cmd", "Shell")
_WORDS = ("User", "WorkingDir", "StopSignal")
_MAPPINGS = ("Labels", "ExposedPorts", "Volumes")
_LONGEST_WORDS = 200


def read_config(data: bytes, where: str) -> Mapping[str, Any]:
    """An image config as JSON. AssembleError where its properties have other types than OCI's config.md says."""
    try:
        value = parsed(data)
        runtime, rootfs = value.get("config") or {}, value.get("rootfs") or {}
        diff_ids, history, labels = (
            rootfs.get("diff_ids") or [],
            value.get("history") or [],
            runtime.get("Labels") or {},
        )
        lists = [runtime.get(name) or [] for name in _LISTS]
        mappings = [runtime.get(name) or {} for name in _MAPPINGS]
        words = [runtime.get(name) or "" for name in _WORDS]
        words += [word for several in (*lists, diff_ids, labels.values()) for word in several]
        good = all(isinstance(word, str) for word in words)
        good = good and all(isinstance(one, list) for one in (*lists, diff_ids, history))
        good = good and all(isinstance(one, dict) for one in (*mappings, *history))
    except (ValueError, TypeError, AttributeError):
        good = False
    if not good:
        raise AssembleError(f"{where}: its config is none of an image", remedy="take another image")
    return cast("Mapping[str, Any]", value)


def layers(manifest: Mapping[str, Any], config: Mapping[str, Any], where: str) -> tuple[Layer, ...]:
    """The layers, lowest first, in OCI's media types. AssembleError for an image that does not agree with itself, or
    whose layers are not there to be had.
    """
    try:
        blobs = [Descriptor.from_json(blob) for blob in manifest["layers"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AssembleError(f"{where}: its image manifest is none", remedy="take another image") from None
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(blobs) != len(diff_ids):
        raise AssembleError(
            f"{where} has {len(blobs)} layers, and its config tells of {len(diff_ids)}", remedy="take another image"
        )
    return tuple(
        Layer(_blob(blob, where), Digest(diff_id), text)
        for blob, diff_id, text in zip(blobs, diff_ids, words(config, len(blobs)), strict=True)
    )


def _blob(blob: Descriptor, where: str) -> Descriptor:
    media_type = MEDIA_TYPES.get(blob.media_type)
    if media_type is None:
        raise AssembleError(
            f"{where}: a layer of it is {blob.media_type}, which is no layer of an image for Linux",
            remedy="take another image",
        )
    return Descriptor(media_type, blob.digest, blob.size)


def words(config: Mapping[str, Any], count: int) -> Sequence[str]:
    """What the history says of each layer; nothing when it does not fit the layers."""
    history = [entry for entry in config.get("history") or () if not entry.get("empty_layer")]
    if len(history) != count:
        return [""] * count
    return [str(entry.get("created_by") or "")[:_LONGEST_WORDS] for entry in history]


def handed_down(config: Mapping[str, Any]) -> dict[str, Any]:
    """What images on top inherit of an image config (config.md, "Properties")."""
    value = config.get("config") or {}
    return {name: value[name] for name in _HANDED_DOWN if value.get(name)}


def certain(found: Facts, files: Files, config: Mapping[str, Any]) -> bool:
    """Whether further layers below cannot change `found` (but for the release), which the uppermost `files` told: the
    package database is one file, and the first folder of PATH comes first whatever the others hold.
    """
    if (
        found.python is None
        or found.python.version.count(".") < 2
        or not found.libc
        or not files.glob("/var/lib/dpkg/status")
    ):
        return False
    env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
    folders = [folder.rstrip("/") for folder in env.get("PATH", PATH).split(":")]
    # Nobody puts a Python into sbin.
    first = next((folder for folder in folders if folder and not folder.endswith("sbin")), "")
    return posixpath.dirname(found.python.executable) == first
