"""Content-addressed blobs: written to a scratch file, hashed on the way, published by one rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from pipeline.digest import Digest, short
from pipeline.errors import Lost, StoreError
from pipeline.store.quarantine import FOLDER, set_aside
from pipeline.store.scratch import Scratch, writing


def spoiled(path: Path, digest: str) -> bool:
    """Whether a store's blob is not there, cannot be read, or has other bytes than its digest says; what is there is
    set aside then, for the blob to be made or had anew.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EIO):
            return False
        found = ""
    if f"sha256:{found}" == digest:
        return False
    # STORE/blobs/sha256/HEX
    set_aside(path, path.parents[2] / FOLDER)
    return True


def damaged(path: Path, digest: str, otherwise: str, why: str = "") -> StoreError:
    """What to raise for a blob whose content turned out to be wrong: Lost, or `otherwise` where the blob is as it
    should be and what refers to it is not.
    """
    if not spoiled(path, digest):
        return StoreError(otherwise, remedy="get the image from where it was made")
    return lost(digest, why)


def lost(digest: str, why: str = "") -> Lost:
    """A blob that is no more, or not as it was, and is set aside."""
    return Lost(digest, f"blob {short(Digest(digest))} was damaged on disk{why and f' ({why})'}, and is set aside")


def missing(digest: str) -> Lost:
    """A blob that is not in the store."""
    return Lost(digest, f"blob {short(Digest(digest))} is not in the store")


class BlobWriter:
    """A blob on its way into the store. `digest` and `size` hold once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0
        with writing(path):
            self._file = path.open("wb", buffering=1 << 20)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._hash.update(data)
        with writing(self._path):
            self._file.write(data)
        self.size += len(data)

    def close(self) -> None:
        with writing(self._path):
            self._file.close()

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())


class Blobs:
    """A folder of blobs, `sha256/HEX` as an OCI image layout has them (image-layout.md, "Blobs")."""

    def __init__(
        self, folder: Path, scratch: Path, publishing: Callable[[str], AbstractContextManager[None]] | None = None
    ) -> None:
        self.folder = folder
        self.scratch = Scratch(scratch)
        self._publishing = publishing or (lambda _digest: nullcontext())
        self.fetch: Callable[[Digest], None] = lambda _digest: None

    def path(self, digest: Digest) -> Path:
        """Where a blob is, for whoever needs its bytes: one that can be had from elsewhere is fetched first.

        `fetch` does that; whoever opens the store may set it.
        """
        path = self.place(digest)
        if not path.exists():
            self.fetch(digest)
        return path

    def whole(self, digest: Digest) -> bool:
        """Whether the blob is there, all of it read; one that is damaged is set aside."""
        return self.has(digest) and not spoiled(self.place(digest), digest)

    def place(self, digest: Digest) -> Path:
        """Where a blob is, or would be."""
        algorithm, _, hexadecimal = digest.partition(":")
        return self.folder / algorithm / hexadecimal

    def has(self, digest: Digest, size: int | None = None) -> bool:
        """Whether the blob is there, and whole as far as its size tells."""
        try:
            found = self.place(digest).stat().st_size
        except OSError:
            return False
        return size is None or found == size

    def read(self, digest: Digest) -> bytes:
        """A small blob (configs, image manifests), verified; Lost when it is missing or damaged."""
        try:
            data = self.place(digest).read_bytes()
        except FileNotFoundError as error:
            raise missing(digest) from error
        except OSError as error:
            why = f"blob {short(digest)} cannot be read: {error.strerror}"
            raise damaged(self.place(digest), digest, why) from error
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise damaged(self.place(digest), digest, f"blob {short(digest)} changed while it was read")
        return data

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A new blob, published when the block ends without an error. StoreError when the disk cannot take it."""
        path = self.scratch.path("blob")
        writer = BlobWriter(path)
        try:
            yield writer
            writer.close()
            with writing(self.folder):
                self._publish(path, writer.digest)
        finally:
            # What is still in the file's buffer must not fail once more on a full disk.
            with contextlib.suppress(StoreError):
                writer.close()
            path.unlink(missing_ok=True)

    def put(self, data: bytes) -> Digest:
        """A small blob in one go."""
        with self.writer() as writer:
            writer.write(data)
        return writer.digest

    def _publish(self, scratch: Path, digest: Digest) -> None:
        target = self.place(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch.chmod(0o644)
        with self._publishing(digest):
            scratch.replace(target)
