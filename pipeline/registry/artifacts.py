"""Records in a repository, each found by a tag in one request, with the blobs that it is about.

A record is an image manifest (OCI image-spec 1.1, manifest.md, "Guidelines for Artifact Usage") whose config, of a
media type of its own, is the record; its descriptor carries the bytes, too (descriptor.md, `data`). The blobs are its
layers, so that a registry's garbage collection keeps them as long as the tag is there. No `artifactType`: the config's
media type says the same, and registries older than the specification 1.1 take it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.digest import canonical, digest_of
from pipeline.oci.descriptor import MANIFEST, Descriptor
from pipeline.registry.blobs import Progress, Source
from pipeline.registry.documents import Document, document
from pipeline.registry.problems import Damaged, NotFound
from pipeline.registry.publish import Publication, Transfer
from pipeline.registry.repository import Repository

EMPTY = Descriptor("application/vnd.oci.empty.v1+json", digest_of(b"{}"), 2)
"""What stands for no layers (manifest.md, "Guidance for an Empty Descriptor"): some registries refuse an empty list."""

_CARRIED = 1 << 20
"""Bytes: a larger record is not carried by its descriptor, for registries take image manifests of 4 MiB."""
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class Artifact:
    """A record, and the blobs that it is about."""

    record: bytes
    blobs: tuple[Descriptor, ...] = ()


@dataclass(frozen=True, slots=True)
class FromMemory:
    """A small blob that is at hand."""

    data: bytes

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        yield iter((self.data[offset:],))


def get(repository: Repository, tag: str, media_type: str) -> Artifact | None:
    """The record of a tag; None where there is none. Damaged for one that is altered, or of another media type."""
    try:
        found = repository.manifest(tag)
    except NotFound:
        return None
    where, config = f"{repository.address}:{tag}", found.value.get("config") or {}
    if config.get("mediaType") != media_type:
        raise Damaged(f"{where} is none of ours", remedy="give the cache a repository of its own")
    record, *blobs = found.blobs
    return Artifact(_record(repository, record, config), tuple(blob for blob in blobs if blob.digest != EMPTY.digest))


def _record(repository: Repository, blob: Descriptor, config: Mapping[str, Any]) -> bytes:
    try:
        carried = base64.b64decode(config.get("data") or "", validate=True)
    except (ValueError, TypeError):
        carried = b""
    return carried if carried and digest_of(carried) == blob.digest else read(repository, blob)


def read(repository: Repository, blob: Descriptor) -> bytes:
    """A small blob of a repository, verified. NotFound, Damaged, OutOfReach."""

    def attempt() -> bytes:
        found = bytearray()
        with repository.open_blob(blob.digest) as chunks:
            for chunk in chunks:
                found += chunk
                if len(found) > min(blob.size, _LARGEST):
                    break
        return bytes(found)

    data = repository.client.retry(attempt)
    repository.tally.add(moved=len(data))
    if digest_of(data) != blob.digest:
        raise Damaged(f"{repository.address}@{blob.digest} has other bytes", remedy="remove it from the registry")
    return data


def put(
    repository: Repository,
    tag: str,
    artifact: Artifact,
    media_type: str,
    *,
    source: Callable[[Descriptor], Source],
    origins: Mapping[str, Repository],
    progress: Progress = lambda _count: None,
) -> Transfer:
    """Puts a record with its blobs under a tag, the tag last: what is found is whole.

    `source` gives the bytes of a blob; `origins` says which other repository has it, for it to be mounted from.
    """
    found = _document(artifact, media_type)
    at_hand = {digest_of(data): data for data in (artifact.record, b"{}")}

    def bytes_of(blob: Descriptor) -> Source:
        return FromMemory(at_hand[blob.digest]) if blob.digest in at_hand else source(blob)

    work = Publication(repository, [found], None, origins=origins, source=bytes_of, parallel=1, progress=progress)
    return work.tagged(tag)


def _document(artifact: Artifact, media_type: str) -> Document:
    config = Descriptor(media_type, digest_of(artifact.record), len(artifact.record)).to_json()
    if len(artifact.record) <= _CARRIED:
        config["data"] = base64.b64encode(artifact.record).decode()
    layers: Sequence[Descriptor] = artifact.blobs or (EMPTY,)
    value = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [blob.to_json() for blob in layers],
    }
    return document(canonical(value), "a record", MANIFEST)
