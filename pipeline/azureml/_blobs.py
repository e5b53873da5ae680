"""Contents of a workspace by their hash: files that are equal, in whatever model or version, share their bytes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from pipeline.store.scratch import Scratch, writing

_CHUNK = 1 << 20


class Blobs:
    """Read-only files named by their SHA-256; what uses one has a hard link to it."""

    def __init__(self, folder: Path, scratch: Scratch) -> None:
        self._folder = folder
        self._scratch = scratch

    def take(self, source: Path, place: Path) -> str:
        """Puts a copy of `source` at `place`, its bytes shared with all that are equal; their hash."""
        staged = self._scratch.path("blob")
        with writing(staged):
            digest, size = _copied(source, staged)
            blob = self._path(digest)
            blob.parent.mkdir(parents=True, exist_ok=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            while not self._linked(blob, size, place):
                # Nobody has these bytes yet, or whoever had them is deleting them right now.
                with contextlib.suppress(FileExistsError):
                    _link(staged, blob)
            staged.unlink()
        return digest

    def _linked(self, blob: Path, size: int, place: Path) -> bool:
        try:
            if blob.stat().st_size != size:
                # What a crash of the machine left: the name stands for other bytes than it says.
                blob.unlink()
                return False
            _link(blob, place)
        except FileNotFoundError:
            return False
        return True

    def release(self, digests: list[str]) -> None:
        """Forgets contents that nothing has a link to any more."""
        for digest in set(digests):
            with contextlib.suppress(OSError):
                if self._path(digest).stat().st_nlink == 1:
                    self._path(digest).unlink()

    def _path(self, digest: str) -> Path:
        return self._folder / "sha256" / digest[:2] / digest


def share(source: Path, place: Path) -> None:
    """Puts the file at `place`, too: as a hard link, or as a copy where the file system has none."""
    with writing(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _link(source, place)


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copied(source: Path, staged: Path) -> tuple[str, int]:
    hashed, size = hashlib.sha256(), 0
    with source.open("rb") as origin, staged.open("xb") as copy:
        while chunk := origin.read(_CHUNK):
            hashed.update(chunk)
            copy.write(chunk)
            size += len(chunk)
        copy.flush()
        os.fsync(copy.fileno())
    staged.chmod(0o444)
    return hashed.hexdigest(), size


def _link(source: Path, place: Path) -> None:
    """A hard link. Raises FileNotFoundError and FileExistsError; copies where links cannot be had."""
    try:
        place.hardlink_to(source)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        staging = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
        shutil.copyfile(source, staging)
        staging.chmod(0o444)
        try:
            # Without links nothing is shared, and whoever comes later writes the same bytes.
            staging.replace(place)
        finally:
            staging.unlink(missing_ok=True)
