"""What of a step's result is shared with other machines: a record with its blobs; and back, everything checked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.digest import Digest, canonical, digest_of
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.registry.artifacts import Artifact
from pipeline.registry.problems import Damaged
from pipeline.stages.cache_tags import images_of
from pipeline.store import Store
from pipeline.store.lookup import documents

MEDIA_TYPE = "application/vnd.pipeline.result.v1+json"
"""Of a record: {tag, record, contents, documents}."""
CONTENTS = "application/vnd.pipeline.contents.v1+zlib"
"""Of what a layer holds, as the store keeps it."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Shared:
    """A record as one machine gives it to others.

    `layers` are those it names, `contents` the blobs that tell what they hold, by diff ID, and `documents` an image's
    image manifests and configs, which are small.
    """

    record: Mapping[str, Any]
    layers: tuple[Layer, ...] = ()
    contents: Mapping[Digest, Descriptor] = field(default_factory=dict)
    documents: tuple[bytes, ...] = ()


def pack(tag: str, record: Mapping[str, Any], store: Store) -> tuple[Artifact, Mapping[Digest, bytes]]:
    """A result of this store for others, and the blobs of it that are no blobs of the store."""
    layers = [Layer.from_json(layer) for layer in record.get("layers", ())]
    contents = {
        layer.diff_id: store.contents_file(layer.diff_id).read_bytes() for layer in layers if store.knows(layer)
    }
    told = {diff_id: Descriptor(CONTENTS, digest_of(data), len(data)) for diff_id, data in contents.items()}
    value = {
        "tag": tag,
        "record": record,
        "contents": {diff_id: blob.to_json() for diff_id, blob in told.items()},
        "documents": [data.decode() for data in _documents(record, store)],
    }
    blobs = {blob.digest: blob for blob in (*(layer.blob for layer in layers), *told.values())}
    return Artifact(canonical(value), tuple(blobs.values())), {digest_of(data): data for data in contents.values()}


def _documents(record: Mapping[str, Any], store: Store) -> list[bytes]:
    digests = []
    for image in map(Descriptor.from_json, images_of(record)):
        digests.append(image.digest)
        for part in documents(store, image):
            digests += [part.descriptor.digest, part.config_blob.digest]
    return [store.blobs.read(digest) for digest in dict.fromkeys(digests)]


def unpack(tag: str, artifact: Artifact) -> Shared:
    """Raises Damaged for a record that is another's, or names blobs that it does not hold."""
    try:
        value = json.loads(artifact.record)
        layers = tuple(Layer.from_json(layer) for layer in value["record"].get("layers", ()))
        contents = {Digest(diff_id): Descriptor.from_json(blob) for diff_id, blob in value["contents"].items()}
        texts = tuple(text.encode() for text in value["documents"])
        made = {digest_of(text) for text in texts}
        named = [Descriptor.from_json(blob).digest for blob in images_of(value["record"])]
        held = {blob.digest for blob in artifact.blobs}
        good = value["tag"] == tag and made.issuperset(named)
        good = good and held.issuperset(
            [*(layer.blob.digest for layer in layers), *(b.digest for b in contents.values())]
        )
        good = good and all(_DIGEST.fullmatch(diff_id) for diff_id in (*contents, *(layer.diff_id for layer in layers)))
    except (ValueError, LookupError, TypeError, AttributeError):
        good = False
    if not good:
        raise Damaged(f"the record {tag} of the cache is damaged", remedy="remove it from the registry")
    return Shared(value["record"], layers, contents, texts)
