"""Documents of an OCI image layout (image-spec 1.1: image-layout.md) and of a `docker save` archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.digest import Digest, canonical, parsed
from pipeline.oci.descriptor import INDEX, Descriptor
from pipeline.reference import DOCKER_HUB, Reference

LAYOUT_FILE = "oci-layout"
LAYOUT = canonical({"imageLayoutVersion": "1.0.0"})
"""The content of the file that marks a folder as an image layout."""

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
"""What containerd, and Docker on top of it, names an image when it reads a layout."""


def blob_path(digest: Digest) -> str:
    """Where a blob lies in a layout."""
    return "blobs/" + digest.replace(":", "/", 1)


def named(image: Descriptor, name: Reference) -> Descriptor:
    """An entry of index.json: the image under its tag, and its full name as Docker writes it out."""
    notes = {**image.annotations, IMAGE_NAME: str(name), REF_NAME: name.tag}
    return Descriptor(image.media_type, image.digest, image.size, notes, image.platform)


def familiar(name: Reference) -> str:
    """A name as people write it: `scoring:v1` for `docker.io/library/scoring:v1`."""
    return str(name).removeprefix(f"{DOCKER_HUB}/").removeprefix("library/")


def index(entries: Sequence[Descriptor]) -> bytes:
    """An index.json."""
    return canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry.to_json() for entry in entries]})


def with_entry(existing: bytes, entry: Descriptor) -> bytes:
    """An index.json in which `entry` is added, in place of whatever had its tag; all else stays.

    Raises ValueError when `existing` is no index.json.
    """
    value = parse_index(existing)
    tag = entry.annotations[REF_NAME]
    others = [other for other in value["manifests"] if _ref(other) != tag]
    return canonical({**value, "manifests": [*others, entry.to_json()]})


def name_under(existing: bytes, tag: str) -> str | None:
    """The full name of the image that has `tag` in an index.json; "" when it says none; None when no image has it."""
    for entry in parse_index(existing)["manifests"]:
        if _ref(entry) == tag:
            return str((entry.get("annotations") or {}).get(IMAGE_NAME, ""))
    return None


def parse_index(data: bytes) -> dict[str, Any]:
    """An index.json as JSON; ValueError when it is none."""
    value = parsed(data)
    if not isinstance(value, dict) or not isinstance(value.get("manifests"), list):
        raise ValueError("there is no list of manifests in it")
    if not all(isinstance(entry, dict) for entry in value["manifests"]):
        raise ValueError("an entry of its list of manifests is not an object")
    return value


def docker_manifest(config: Digest, layers: Sequence[Digest], names: Sequence[str]) -> bytes:
    """The manifest.json of a `docker save` archive (Docker Image Specification 1.2, "Combined Image JSON + Filesystem
    Changeset Format"), pointing at the blobs of the layout around it.

    `layers` are digests of uncompressed tars; `names` such as `scoring:v1`.
    """
    entry = {
        "Config": blob_path(config),
        "RepoTags": list(names) or None,
        "Layers": [blob_path(layer) for layer in layers],
    }
    return canonical([entry])


def _ref(entry: Mapping[str, Any]) -> str | None:
    name = (entry.get("annotations") or {}).get(REF_NAME)
    return name if isinstance(name, str) else None
