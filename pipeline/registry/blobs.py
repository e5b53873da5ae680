"""Moves one blob: from a store or another repository into a repository, or from a repository into a store.

A transfer that breaks off goes on where it broke, where the registry allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.errors import OutOfReach, PipelineError, StoreError
from pipeline.oci.descriptor import Descriptor
from pipeline.registry.problems import Damaged, NotFound, Refused, twice
from pipeline.registry.repository import Repository, UploadSession
from pipeline.store.blobs import Blobs, damaged, lost, missing, spoiled

CHUNK = 1 << 17
SMALL_REQUEST = 16 << 20
"""Bytes of one request to a registry, or a proxy before it, that refuses larger ones."""
LARGE, LEAST_PIECE, MOST_PIECES = 32 << 20, 16 << 20, 16
"""Bytes of a blob that is sent in pieces, so that an upload that breaks off goes on after the last that was answered;
bytes of such a piece at least, and how many there are at most.
"""
NOT_THERE, TOO_LARGE = 404, 413
_LOST = (NOT_THERE, 416)
_MOST_ANEW = 3

Progress = Callable[[int], None]
"""Called with the number of bytes just moved; what it raises ends the transfer."""


class Source(Protocol):
    """Where a blob's bytes come from."""

    def open(self, offset: int) -> AbstractContextManager[Iterator[bytes]]: ...


@dataclass(frozen=True, slots=True)
class FromFile:
    """A blob in a file of this machine."""

    path: Path
    size: int

    @contextmanager
    def open(self, offset: int) -> Iterator[Iterator[bytes]]:
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(offset)
                yield self._chunks(file.read, self.size - offset)
        except FileNotFoundError as error:
            raise missing(_named(self.path)) from error
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}", remedy="check the disk") from error

    def _chunks(self, read: Callable[[int], bytes], left: int) -> Iterator[bytes]:
        while left:
            chunk = read(min(CHUNK, left))
            if not chunk:
                raise damaged(self.path, _named(self.path), f"{self.path} is {left} bytes short", "it is short")
            left -= len(chunk)
            yield chunk

    def check(self, digest: str) -> None:
        """Raises Lost when the file is not what its digest says; it is set aside then."""
        if spoiled(self.path, digest):
            raise lost(digest)


def _named(path: Path) -> str:
    """The digest that a store's file has its name from."""
    return f"{path.parent.name}:{path.name}"


@dataclass(frozen=True, slots=True)
class FromRepository:
    """A blob of another repository, which may be in another registry."""

    repository: Repository
    digest: str

    def open(self, offset: int) -> AbstractContextManager[Iterator[bytes]]:
        return self.repository.open_blob(self.digest, offset)


class Notes(Protocol):
    """Where uploads under way are noted, so that another run can go on with them."""

    def upload(self, repository: str, digest: str) -> str:
        """The place of an upload that did not end, empty for none."""
        ...

    def note_upload(self, repository: str, digest: str, location: str) -> None:
        """Notes the place of an upload; empty when it has ended."""
        ...


class _Upload:
    """One blob on its way into a repository: whole in one request, a large one in pieces, each of which is answered."""

    def __init__(
        self, target: Repository, blob: Descriptor, source: Source, progress: Progress, notes: Notes | None
    ) -> None:
        self._target, self._blob, self._source, self._progress = target, blob, source, progress
        self._notes = notes if blob.size >= LARGE else None
        self._session: UploadSession | None = None
        self._broken = False
        self._piece = max(LEAST_PIECE, blob.size // MOST_PIECES) if blob.size >= LARGE else blob.size
        self._anew = 0
        self.reached = 0
        """Bytes that the registry has said to have: what was sent may have been lost on the way, again and again."""

    def start(self, session: UploadSession) -> None:
        self._session = session

    def attempt(self) -> None:
        session = self._resumed() if self._broken else self._session
        if self._broken and session is None and self._target.has_blob(self._blob.digest):
            return self._noted("")  # The bytes had arrived, only the answer was lost.
        self._broken = True
        while True:
            session = session or self._target.begin_upload()
            try:
                return self._send(session)
            except (Refused, NotFound, Damaged) as error:
                if not self._otherwise(error):
                    raise
                session = None

    def _otherwise(self, error: PipelineError) -> bool:
        """Whether there is another way than the one that the registry refused: smaller requests, a single one, or an
        upload that begins anew, for the registry knows it no more, or has got other bytes.
        """
        if isinstance(error, Damaged) and isinstance(self._source, FromFile):
            self._source.check(self._blob.digest)
        self._noted("")
        self._anew += 1
        if self._anew > _MOST_ANEW:
            return False
        status = error.status if isinstance(error, Refused) else NOT_THERE
        if isinstance(error, Damaged):
            return self._anew == 1
        if status == TOO_LARGE:
            smaller, self._piece = self._piece > SMALL_REQUEST, min(SMALL_REQUEST, self._piece)
            return smaller
        if self._piece < self._blob.size and (status not in _LOST or self._anew > 1):
            # Not every registry takes blobs in pieces.
            self._piece = self._blob.size
            return True
        return status in _LOST

    def _resumed(self) -> UploadSession | None:
        found = self._target.upload_status(self._session) if self._session else None
        return found if found and found.offset <= self._blob.size else None

    def _send(self, session: UploadSession) -> None:
        """One request for a blob from its beginning; else, and for a large one, several."""
        size = self._blob.size
        self._goes_on(session)
        while session.offset < size and (session.offset or self._piece < size):
            end = min(size, session.offset + self._piece)
            # Each answer names the place for the next: an older one is refused by some registries.
            session = self._target.patch_blob(session, end, self._body(session.offset, end))
            self._goes_on(session)
        self._target.put_blob(session, self._blob.digest, size, self._body(session.offset, size))
        self._noted("")

    def _goes_on(self, session: UploadSession) -> None:
        self._session = session
        self.reached = max(self.reached, session.offset)
        self._noted(session.location)

    def _noted(self, location: str) -> None:
        if self._notes:
            self._notes.note_upload(self._target.name, self._blob.digest, location)

    def _body(self, start: int, end: int) -> Callable[[], Iterator[bytes]]:
        return lambda: self._chunks(start, end - start)

    def _chunks(self, start: int, left: int) -> Iterator[bytes]:
        with self._source.open(start) as chunks:
            for chunk in chunks:
                chunk = chunk[:left]
                yield chunk
                left -= len(chunk)
                self._target.tally.add(moved=len(chunk))
                self._progress(len(chunk))
                if not left:
                    return
        if left:
            raise OutOfReach(f"{self._blob.digest} is {left} bytes short at its source", transient=True)


def upload(
    target: Repository,
    blob: Descriptor,
    source: Source,
    session: UploadSession,
    progress: Progress = lambda _n: None,
    notes: Notes | None = None,
) -> None:
    """Sends a blob, streamed; `session` is the upload already begun for it. Memory is bounded whatever its size.

    Raises Damaged when the registry got other bytes, Lost when the fault is the file's.
    """
    work = _Upload(target, blob, source, progress, notes)
    work.start(session)
    target.client.persist(work.attempt, lambda: work.reached)


def unfinished(target: Repository, blob: Descriptor, notes: Notes | None) -> UploadSession | None:
    """An upload of a large blob that broke off in an earlier run, if the registry still has it."""
    location = notes.upload(target.name, blob.digest) if notes and blob.size >= LARGE else ""
    found = target.upload_status(UploadSession(location)) if location else None
    return found if found and found.offset <= blob.size else None


def download(source: Repository, blob: Descriptor, blobs: Blobs, progress: Progress = lambda _n: None) -> None:
    """Fetches a blob into a store, verified while it streams; nothing is kept of one that is not what it should be."""
    twice(lambda: _download(source, blob, blobs, progress))


def _download(source: Repository, blob: Descriptor, blobs: Blobs, progress: Progress) -> None:
    where = f"{source.address}@{blob.digest}"
    with blobs.writer() as writer:

        def attempt() -> None:
            with source.open_blob(blob.digest, writer.size) as chunks:
                for chunk in chunks:
                    if writer.size + len(chunk) > blob.size:
                        raise Damaged(f"{where} is larger than its {blob.size} bytes", remedy=_ALTERED)
                    writer.write(chunk)
                    source.tally.add(moved=len(chunk))
                    progress(len(chunk))
            if writer.size < blob.size:
                missing = f"{where} broke off after {writer.size} of {blob.size} bytes"
                raise OutOfReach(missing, remedy="check the network, and the registry's disk", transient=True)

        try:
            source.client.persist(attempt, lambda: writer.size)
        except OutOfReach as error:
            # A connection that breaks off does not know what for it was.
            error.message = error.message if blob.digest in error.message else f"{where}: {error.message}"
            raise
        if writer.digest != blob.digest:
            raise Damaged(f"{where} has other bytes: their digest is {writer.digest}", remedy=_ALTERED)


_ALTERED = "a proxy, or damage in the registry, may be to blame: push the image again, or take it from elsewhere"
