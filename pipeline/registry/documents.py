"""Image manifests and indexes as registries hold them, in OCI's and in Docker's media types."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import digest_of, parsed
from pipeline.errors import ResolveError
from pipeline.facts import Platform
from pipeline.noun import noun
from pipeline.oci.descriptor import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Descriptor
from pipeline.registry.problems import Damaged, Refused

ACCEPT = ", ".join((INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST))
_LONG_GONE = "application/vnd.docker.distribution.manifest.v1"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_ELSEWHERE = ("nondistributable", "foreign")


@noun
class Document:
    """An image manifest or an index: its exact bytes, and what they say."""

    descriptor: Descriptor
    data: bytes
    value: Mapping[str, Any]

    @property
    def is_index(self) -> bool:
        return self.descriptor.media_type in (INDEX, DOCKER_INDEX)

    @property
    def manifests(self) -> list[Descriptor]:
        """An index's entries."""
        return [Descriptor.from_json(entry) for entry in self.value["manifests"]] if self.is_index else []

    @property
    def blobs(self) -> list[Descriptor]:
        """An image manifest's config and layers, without layers that registries do not hold."""
        if self.is_index:
            return []
        entries = [Descriptor.from_json(entry) for entry in (self.value["config"], *self.value["layers"])]
        return [entry for entry in entries if not any(word in entry.media_type for word in _ELSEWHERE)]


def document(data: bytes, where: str, media_type: str = "", digest: str = "") -> Document:
    """Reads an image manifest or an index; Damaged when it is not what `digest` says, Refused for other things."""
    if digest and digest_of(data) != digest:
        raise Damaged(
            f"{where}: the image manifest's bytes are not those of {digest}", remedy="try again, or elsewhere"
        )
    try:
        value = parsed(data)
        kind = value.get("mediaType") or media_type.partition(";")[0].strip()
        kind = kind or (INDEX if "manifests" in value else MANIFEST)
        if kind.startswith(_LONG_GONE) or value.get("schemaVersion") == 1:
            raise Refused(
                f"{where}: an image manifest of Docker's schema 1", remedy="push the image again by Docker 20+"
            )
        found = Document(Descriptor(kind, digest_of(data), len(data)), data, value)
        if not all(is_digest(entry.digest) for entry in (*found.manifests, *found.blobs)):
            raise ValueError("a digest that is none")
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused(f"{where}: this is no image manifest", remedy="check that it is an image") from None
    if kind not in (INDEX, MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST):
        raise Refused(f"{where}: {kind} is no image", remedy="check that it is an image")
    return found


def is_digest(text: str) -> bool:
    """Whether this is a digest that image manifests may use (OCI image-spec, descriptor.md, "Digests")."""
    return _DIGEST.fullmatch(text) is not None


def for_platform(index: Document, platform: Platform, where: str) -> Descriptor:
    """The image manifest of a platform; ResolveError lists those there are."""
    return for_platform_entry(index.manifests, platform, where)


def for_platform_entry(entries: Sequence[Descriptor], platform: Platform, where: str) -> Descriptor:
    """As `for_platform`, among the entries of an index. One that names no platform will do when it is the only one."""
    for wanted in _acceptable(platform):
        for entry in entries:
            if _platform(entry.platform) == wanted:
                return entry
    if len(entries) == 1 and not entries[0].platform:
        return entries[0]
    there = [str(_platform(entry.platform)) for entry in entries if entry.platform.get("os") != "unknown"]
    raise ResolveError(f"{where} has no image for {platform}", remedy=f"it has {', '.join(there) or 'none'}")


def check_platform(config: bytes, platform: Platform, where: str) -> None:
    """Raises ResolveError for an image whose config names another platform."""
    try:
        value = parsed(config)
        words = value.get("os") or "linux", value["architecture"], value.get("variant") or ""
        if not all(isinstance(word, str) for word in words):
            raise TypeError("a word that is none")
        found = Platform(*words)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Refused(f"{where}: its config is none of an image", remedy="check that it is an image") from None
    if found not in _acceptable(platform) and Platform(found.os, found.architecture) not in _acceptable(platform):
        raise ResolveError(f"{where} is for {found}, and not for {platform}", remedy="name another image or platform")


def _acceptable(platform: Platform) -> Sequence[Platform]:
    """A platform, and the names that mean the same or will do (containerd's platforms package, "Normalize")."""
    bare = Platform(platform.os, platform.architecture)
    if platform.architecture == "arm64" and platform.variant in ("", "v8"):
        return (bare, Platform(platform.os, "arm64", "v8"))
    if platform.architecture == "arm":
        highest = int(platform.variant.lstrip("v") or 7) if platform.variant.lstrip("v").isdigit() else 7
        return [*(Platform(platform.os, "arm", f"v{n}") for n in range(highest, 4, -1)), bare]
    return (platform, bare) if platform.variant else (platform,)


def _platform(value: Mapping[str, str]) -> Platform:
    return Platform(value.get("os", "linux"), value.get("architecture", ""), value.get("variant", ""))
