"""Puts an image into a repository with the fewest requests: what is there is found out, mounted, or uploaded."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pipeline.errors import Interrupted
from pipeline.limit import inherited
from pipeline.oci.descriptor import Descriptor
from pipeline.registry.blobs import Progress, Source, unfinished, upload
from pipeline.registry.documents import Document
from pipeline.registry.problems import Denied, NotFound, Refused, Unauthorized
from pipeline.registry.recall import Images, Recall
from pipeline.registry.repository import Repository, UploadSession

T = TypeVar("T")
WORTH_A_LOOK = 1 << 16
PROBABLY_NEW = 1 << 22
"""Bytes: a smaller blob is sent without looking first, which costs little more than the look; the second holds where
the repository's latest image is known, and lacks the blob.
"""
_MOST_WITNESSES = 4
_MOST_LOOKS = 2
"""Times that blobs are looked at anew: another client at the same blob may make a registry lose sight of it."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What moving an image took: requests, bytes, and how many blobs were copied, mounted, or there already."""

    image: Descriptor
    requests: int = 0
    moved: int = 0
    copied: int = 0
    mounted: int = 0
    present: int = 0

    def plus(self, requests: int = 0, moved: int = 0) -> Transfer:
        return replace(self, requests=self.requests + requests, moved=self.moved + moved)


def distinct(blobs: Iterable[Descriptor]) -> list[Descriptor]:
    """Each blob once, the largest first, so that no large one is left to the end."""
    return sorted({blob.digest: blob for blob in blobs}.values(), key=lambda blob: -blob.size)


def each(items: Sequence[T], work: Callable[[T, Progress], None], parallel: int, progress: Progress) -> None:
    """`work(item, progress)` for several items at a time; the first error ends them all."""
    stop = threading.Event()

    def watched(count: int) -> None:
        if stop.is_set():
            raise Interrupted("stopped, for another transfer failed")
        progress(count)

    if len(items) <= 1 or parallel <= 1:
        for item in items:
            work(item, progress)
        return
    left, failures = deque(items), list[BaseException]()

    def take() -> None:
        while not stop.is_set():
            try:
                item = left.popleft()
            except IndexError:
                return
            try:
                work(item, watched)
            except BaseException as error:
                failures.append(error)
                stop.set()

    # Not concurrent.futures: importing it takes as long as two requests.
    threads = [
        threading.Thread(target=inherited(take), name=f"transfer {n}", daemon=True)
        for n in range(min(parallel, len(items)) - 1)
    ]
    for thread in threads:
        thread.start()
    take()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class Publication:
    """One image on its way into a repository; `documents` are its image manifests and indexes, itself last.

    `seen` are digests of images that the repository was found to have a moment ago.
    """

    def __init__(
        self,
        target: Repository,
        documents: Sequence[Document],
        recall: Recall | None,
        *,
        origins: Mapping[str, Repository],
        source: Callable[[Descriptor], Source],
        parallel: int,
        progress: Progress,
        seen: Collection[str] = (),
    ) -> None:
        self._documents = documents
        self._seen = frozenset(seen)
        self._recall = recall
        self._origins = origins
        self._source = source
        self._parallel, self._progress = parallel, progress
        self._blobs = distinct(blob for found in documents for blob in found.blobs)
        self._mounts = self._mount_sources(target)
        self._target = target.for_push(sorted({name for names in self._mounts.values() for name in names[:1]}))
        self._counts = {"copied": 0, "mounted": 0, "present": 0}
        self._look_from = WORTH_A_LOOK
        self._lock = threading.Lock()

    def run(self, like: Sequence[str]) -> Transfer:
        """Does what is left to do; the summary counts what it took."""
        self._granted(lambda: self._publish(like))
        if self._recall:
            self._recall.keep(self._target.name, _images(self._documents).items())
        return self._summary()

    def _publish(self, like: Sequence[str]) -> None:
        self._counts = dict.fromkeys(self._counts, 0)
        image = self._documents[-1].descriptor
        present = self._remembered(self._seen)
        if image.digest in self._seen or (not present and self._target.has_manifest(image.digest)):
            self._counts["present"] = len(self._blobs)
        else:
            present = present or self._witnessed(like)
            self._look_from = PROBABLY_NEW if present else WORTH_A_LOOK
            self._place([blob for blob in self._blobs if blob.digest not in present])
            self._counts["present"] += len([blob for blob in self._blobs if blob.digest in present])
            self._put_documents()

    def tagged(self, tag: str) -> Transfer:
        """Puts it under a tag and no digest, each blob there for certain: an image manifest is no proof of them."""
        self._granted(lambda: self._place(self._blobs))
        self._complete(lambda: self._target.put_manifest(self._documents[-1], tag))
        return self._summary()

    def _summary(self) -> Transfer:
        tally = self._target.tally
        return Transfer(self._documents[-1].descriptor, tally.requests, tally.moved, **self._counts)

    def _granted(self, ask: Callable[[], T]) -> T:
        """What is asked first, without mounts where they are refused."""
        try:
            return ask()
        except (Unauthorized, Denied):
            if not self._mounts:
                raise
            # Some token servers refuse everything where one of the repositories to mount from may not be read.
            self._mounts = {}
            self._target = self._target.for_push()
            return ask()

    # -- what is there ------------------------------------------------------------------------------------------

    def _mount_sources(self, target: Repository) -> Mapping[str, list[str]]:
        """For each blob, repositories of the same registry that may have it."""
        found: dict[str, list[str]] = {}
        for blob in self._blobs:
            origin = self._origins.get(blob.digest)
            names = [origin.name] if origin and origin.client.registry == target.client.registry else []
            names += self._recall.holders(blob.digest) if self._recall else []
            if names := [name for name in dict.fromkeys(names) if name != target.name]:
                found[blob.digest] = names
        return found

    def _remembered(self, images: Collection[str]) -> set[str]:
        """Those of our blobs that images of the repository refer to, as far as it is remembered what is in them."""
        known = self._recall.images(self._target.name) if self._recall and images else {}
        there = {blob for image in images for blob in known.get(image, ())}
        return there.intersection(blob.digest for blob in self._blobs)

    def _witnessed(self, like: Sequence[str]) -> set[str]:
        """Blobs that are there for certain, as an image manifest that is there refers to them."""
        wanted = {blob.digest for blob in self._blobs}
        present: set[str] = set()
        remembered = list((self._recall.images(self._target.name) if self._recall else {}).items())
        for digest, blobs in remembered[: -_MOST_WITNESSES - 1 : -1]:
            if len((wanted - present).intersection(blobs)) > 1 and self._target.has_manifest(digest):
                present.update(blobs)
        if not present:
            for blobs in self._alike(like):
                present.update(blobs)
        return present & wanted

    def _alike(self, like: Sequence[str]) -> Iterator[list[str]]:
        for tag in like:
            try:
                found = self._target.manifest(tag)
                entries = [self._target.manifest(entry.digest) for entry in found.manifests[:_MOST_WITNESSES]]
            except (NotFound, Refused):
                continue
            yield from _images([found, *entries]).values()
            return

    # -- putting it there ---------------------------------------------------------------------------------------

    def _place(self, blobs: Sequence[Descriptor], look: bool = False) -> None:
        each(blobs, lambda blob, progress: self._place_one(blob, look, progress), self._parallel, self._progress)

    def _place_one(self, blob: Descriptor, look: bool, progress: Progress) -> None:
        target = self._target
        with target.client.flight(blob.digest) as holders:
            if target.name in holders and not look:
                return self._count("present")
            mounts = [name for name in holders if name != target.name] or self._mounts.get(blob.digest) or [""]
            if (look or (blob.size >= self._look_from and not mounts[0])) and target.has_blob(blob.digest):
                how = "present"
            elif (session := self._begun(blob, mounts[0])) is None:
                how = "mounted"
            else:
                upload(target, blob, self._source(blob), session, progress, self._recall)
                how = "copied"
            holders.add(target.name)
        return self._count(how)

    def _begun(self, blob: Descriptor, mount_from: str) -> UploadSession | None:
        """An upload, the one of an earlier run where that goes on; None for a blob that was mounted."""
        return unfinished(self._target, blob, self._recall) or self._target.start_upload(blob.digest, mount_from)

    def _put_documents(self) -> None:
        self._complete(self._put_all)

    def _complete(self, put: Callable[[], None]) -> None:
        for _ in range(_MOST_LOOKS):
            try:
                return put()
            except Refused as error:
                if not any(code in ("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN") for code in error.codes):
                    raise
                # A blob was removed behind our back: look at every one, and put back what is missing.
                self._counts = dict.fromkeys(self._counts, 0)
                self._place(self._blobs, look=True)
        return put()

    def _put_all(self) -> None:
        for found in self._documents:
            self._target.put_manifest(found)

    def _count(self, how: str) -> None:
        with self._lock:
            self._counts[how] += 1


def _images(documents: Iterable[Document]) -> Images:
    return {found.descriptor.digest: [blob.digest for blob in found.blobs] for found in documents if found.blobs}
