"""Pushes, pulls and copies images, by digest: tags are moved by `Repository.tag`, once everything is there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.errors import Lost
from pipeline.facts import Platform
from pipeline.oci.descriptor import Descriptor
from pipeline.registry.blobs import FromFile, FromRepository, Progress, Source, download
from pipeline.registry.documents import Document, check_platform, document, for_platform
from pipeline.registry.problems import Refused
from pipeline.registry.publish import Publication, Transfer, distinct, each
from pipeline.registry.recall import Recall
from pipeline.registry.repository import Repository
from pipeline.store import Store

PARALLEL = 4
"""Blobs on their way at a time."""
_DEEPEST = 3


def _quiet(_count: int) -> None:
    pass


def push(
    store: Store,
    image: Descriptor,
    target: Repository,
    *,
    origins: Mapping[str, Repository] | None = None,
    like: Sequence[str] = (),
    seen: Collection[str] = (),
    parallel: int = PARALLEL,
    progress: Progress = _quiet,
) -> Transfer:
    """Puts an image of the store, with all its platforms, into a repository; moves no tag.

    `origins` says for blobs that the store lacks (a base's layers) which repository has them: they are mounted, or
    streamed from there. `like` are tags whose image is probably alike: one is read when nothing else tells what the
    repository has; `seen` are digests of images that it was found to have a moment ago. `progress` is called with the
    bytes just moved, from several threads.
    """
    done = Publication(
        target,
        _of_store(store, image),
        Recall(store.database, target.client.registry),
        origins=origins or {},
        source=lambda blob: _source(store, blob, origins or {}),
        parallel=parallel,
        progress=progress,
        seen=seen,
    ).run(like)
    return replace(done, image=image)


def copy(
    source: Repository,
    wanted: str,
    target: Repository,
    *,
    platform: Platform | None = None,
    like: Sequence[str] = (),
    parallel: int = PARALLEL,
    progress: Progress = _quiet,
) -> Transfer:
    """Copies an image, or one platform of it, by digest; what the registries share is mounted, the rest streamed."""
    before = source.tally.requests
    documents = _of_repository(source, wanted, platform)
    done = Publication(
        target,
        documents,
        None,
        origins={blob.digest: source for found in documents for blob in found.blobs},
        source=lambda blob: FromRepository(source, blob.digest),
        parallel=parallel,
        progress=progress,
    ).run(like)
    return done.plus(requests=source.tally.requests - before)


def pull(
    store: Store,
    source: Repository,
    wanted: str,
    *,
    platform: Platform | None = None,
    layers: bool = True,
    parallel: int = PARALLEL,
    progress: Progress = _quiet,
) -> Transfer:
    """Fetches an image, or one platform of it, into the store, each blob verified while it streams.

    Without `layers` only the image manifests and configs: enough to build on a base that is mounted at the push.
    """
    before = source.tally.requests, source.tally.moved
    documents = _of_repository(source, wanted, platform)
    wanted_blobs = distinct(blob for found in documents for blob in (found.blobs if layers else found.blobs[:1]))
    copied = 0
    if platform:
        # Before any layer: it may be the wrong one.
        config = documents[0].blobs[0]
        copied = _fetch(store, source, [config], parallel, progress)
        check_platform(store.blobs.read(config.digest), platform, f"{source.address}:{wanted}")
    copied += _fetch(store, source, wanted_blobs, parallel, progress)
    for found in documents:
        store.blobs.put(found.data)
    known = [(found.descriptor.digest, [blob.digest for blob in found.blobs]) for found in documents if found.blobs]
    Recall(store.database, source.client.registry).keep(source.name, known)
    return Transfer(
        documents[-1].descriptor,
        requests=source.tally.requests - before[0],
        moved=source.tally.moved - before[1],
        copied=copied,
        present=len(wanted_blobs) - copied,
    )


def _fetch(store: Store, source: Repository, blobs: Sequence[Descriptor], parallel: int, progress: Progress) -> int:
    """Fetches what the store lacks of these blobs; how many that were."""
    missing = [blob for blob in blobs if not store.blobs.has(blob.digest, blob.size)]
    each(missing, lambda blob, moved: download(source, blob, store.blobs, moved), parallel, progress)
    return len(missing)


def tag(store: Store, image: Descriptor, target: Repository, tags: Sequence[str]) -> None:
    """Moves tags to an image of the store that the repository has: the second phase, one request for each tag."""
    found = document(store.blobs.read(image.digest), f"image {image.digest}", image.media_type, image.digest)
    target.for_push().tag(image.digest, tags, found)


def _source(store: Store, blob: Descriptor, origins: Mapping[str, Repository]) -> Source:
    if store.blobs.has(blob.digest, blob.size):
        return FromFile(store.blobs.path(blob.digest), blob.size)
    if origin := origins.get(blob.digest):
        return FromRepository(origin, blob.digest)
    lacking = f"blob {blob.digest} is not in the store"
    raise Lost(blob.digest, lacking, remedy="run the build again, or pull the image first")


def _of_store(store: Store, image: Descriptor) -> list[Document]:
    """An image's documents, itself last."""
    found = document(store.blobs.read(image.digest), f"image {image.digest}", image.media_type, image.digest)
    children = [child for entry in found.manifests for child in _of_store(store, entry)]
    return [*children, found]


def _of_repository(source: Repository, wanted: str, platform: Platform | None, depth: int = 0) -> list[Document]:
    """An image's documents, itself last; with `platform`, that one's image manifest alone."""
    if depth > _DEEPEST:
        raise Refused(f"{source.address}: an index within an index, {depth} deep", remedy="this is no usual image")
    found = source.manifest(wanted)
    if platform and found.is_index:
        entry = for_platform(found, platform, f"{source.address}:{wanted}")
        return _of_repository(source, entry.digest, None, depth + 1)
    return [*(d for entry in found.manifests for d in _of_repository(source, entry.digest, None, depth + 1)), found]
