"""An OCI image layout in a folder, to which images are added one by one; what is there is never half an image."""

from __future__ import annotations

import fcntl
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.digest import parsed
from pipeline.errors import StoreError, UsageError
from pipeline.oci import layout
from pipeline.oci.descriptor import Descriptor
from pipeline.reference import Reference
from pipeline.store import Store
from pipeline.store.archive import verified
from pipeline.store.lookup import ImageDocuments


class LayoutFolder:
    """The layout in `folder`, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self, name: Reference, force: bool) -> None:
        """Raises UsageError when writing here would overwrite what is not ours; `force` allows all but a file."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise UsageError(
                f"{self.folder} is a file", remedy="name a folder for an OCI layout, or a file ending in .tar"
            )
        if force or not any(self.folder.iterdir()):
            return
        if not self._is_layout():
            raise UsageError(
                f"{self.folder} is not empty and holds no OCI layout", remedy="take another folder, or --force"
            )
        other = self._named(name.tag)
        if other not in (None, "", str(name)):
            raise UsageError(
                f"in {self.folder} the tag {name.tag} is {other}", remedy="take another folder or --tag, or --force"
            )

    def _is_layout(self) -> bool:
        try:
            mark = parsed((self.folder / layout.LAYOUT_FILE).read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(mark, dict) and "imageLayoutVersion" in mark

    def _named(self, tag: str) -> str | None:
        try:
            return layout.name_under(self._index.read_bytes(), tag)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise UsageError(f"{self._index} cannot be read: {error}", remedy="take another folder") from error

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    def add(self, store: Store, parts: Iterable[ImageDocuments], image: Descriptor, entry: Descriptor) -> int:
        """Adds an image, in place of what had its tag; the bytes written. Blobs that are there stay."""
        if self.folder.is_dir() and any(self.folder.iterdir()):
            return _add(self.folder, store, parts, image, entry)
        scratch = self.folder.with_name(f".{self.folder.name}.{secrets.token_hex(4)}.partial")
        try:
            scratch.mkdir()
            size = _add(scratch, store, parts, image, entry)
            scratch.rename(self.folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return size


def _add(folder: Path, store: Store, parts: Iterable[ImageDocuments], image: Descriptor, entry: Descriptor) -> int:
    (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    mark = folder / layout.LAYOUT_FILE
    if not mark.exists():
        _put(mark, [layout.LAYOUT])
    size = 0
    blobs: Sequence[Descriptor] = [
        image,
        *(blob for part in parts for blob in (part.descriptor, part.config_blob, *(one.blob for one in part.layers))),
    ]
    for blob in blobs:
        path = folder / layout.blob_path(blob.digest)
        if not (path.is_file() and path.stat().st_size == blob.size):
            size += _put(path, verified(store, blob))
    with _locked(mark):
        _put_entry(folder / "index.json", entry)
    return size


def _put_entry(path: Path, entry: Descriptor) -> None:
    try:
        _put(path, [layout.with_entry(path.read_bytes(), entry)])
    except FileNotFoundError:
        _put(path, [layout.index([entry])])
    except ValueError as error:
        raise StoreError(f"{path} cannot be read: {error}", remedy="take another folder") from error


def _put(path: Path, pieces: Iterable[bytes]) -> int:
    """A file, there when it is whole; its size in bytes."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with scratch.open("wb", buffering=0) as file:
            size = sum(file.write(piece) for piece in pieces)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    return size


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds off another export into the same folder."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
