"""Scratch space of the store: a folder for each process, which a later one removes when its owner was killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pipeline.errors import StoreError

_LOCK = "lock"
_NEW = ".new-"
_DAY = 86400.0


class Scratch:
    """Paths on the store's own file system, so that what is made there is published by a rename.

    Nothing is touched before the first path is asked for. A process holds a lock in its folder as long as it lives: the
    system releases it however the process ends, so a folder whose lock is free belongs to nobody.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now
        self._guard = threading.Lock()
        self._own: tuple[int, Path, IO[str]] | None = None

    def path(self, kind: str) -> Path:
        """A new path, where nothing is yet. Raises StoreError when the store cannot be written."""
        with self._guard, writing(self._folder):
            # A fork has its parent's lock and must not take its folder.
            if self._own is None or self._own[0] != os.getpid() or not self._own[1].is_dir():
                self._own = self._open()
                self._sweep(keep=self._own[1])
            return self._own[1] / f"{kind}-{os.urandom(6).hex()}"

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        path = self.path("work")
        with writing(path):
            path.mkdir()
        try:
            yield path
        finally:
            _remove(path)

    def _open(self) -> tuple[int, Path, IO[str]]:
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        own, unlocked = self._folder / name, self._folder / f"{_NEW}{name}"
        self._folder.mkdir(parents=True, exist_ok=True)
        with _locked(self._folder, fcntl.LOCK_SH):
            unlocked.mkdir()
            lock = (unlocked / _LOCK).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
            unlocked.rename(own)
        weakref.finalize(self, _leave, os.getpid(), own, lock)
        return os.getpid(), own, lock

    def sweep(self) -> None:
        """Removes what killed processes left; a process does so by itself before it makes its first path."""
        with self._guard, contextlib.suppress(FileNotFoundError):
            self._sweep(keep=self._own[1] if self._own else None)

    def _sweep(self, keep: Path | None) -> None:
        with _locked(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            unlocked = list(self._folder.glob(f"{_NEW}*")) if alone else []
            for entry in unlocked:
                _remove(entry)
        for entry in list(self._folder.iterdir()):
            if entry != keep and self._is_abandoned(entry):
                if entry.is_dir() and not entry.is_symlink():
                    _remove(entry)
                else:
                    entry.unlink(missing_ok=True)

    def _is_abandoned(self, entry: Path) -> bool:
        try:
            if entry.name.startswith(_NEW):
                return False
            if not (entry / _LOCK).exists():
                if entry.name.partition("-")[0].isdigit():
                    # Such a folder never is without a lock while it is used: who was about to remove it was killed, or
                    # a program that a killed process had started made it anew.
                    return True
                return self._now() - entry.lstat().st_mtime > _DAY
            with (entry / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        except OSError:
            return False


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[bool]:
    """Who makes folders shares this lock: who has it alone knows that nobody is about to lock a new one. Yields
    whether it could be had.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, how)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _leave(pid: int, own: Path, lock: IO[str]) -> None:
    if os.getpid() == pid:
        _remove(own)
        lock.close()


@contextlib.contextmanager
def writing(what: Path) -> Iterator[None]:
    """Turns an error of the file system into a StoreError that says what to do about it."""
    try:
        yield
    except OSError as error:
        raise cannot_write(error, what) from error


def cannot_write(error: OSError, what: Path, fact: str = "") -> StoreError:
    """What a file system said when something was to be written to `what`: which place, how much is free there, and what
    helps.
    """
    place = Path(error.filename) if isinstance(error.filename, str) else what
    fact = fact or f"cannot write {place}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{fact}: {error.strerror}{_free(place)}", remedy=FULL)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(f"{fact}: {error.strerror}", remedy=f"take the right to write {what}, or set PIPELINE_HOME")
    return StoreError(f"{fact}: {error.strerror or error}", remedy=f"check {what}, or set PIPELINE_HOME")


FULL = "make room there: 'pipeline gc --older 0s' removes what nothing needs; or set PIPELINE_HOME to another disk"


def is_full(folder: Path, scant: int = 1 << 16) -> bool:
    """Whether (nearly) nothing more fits on the disk of a folder that is there: `scant` bytes."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < scant


def _free(place: Path) -> str:
    """How much is free where `place` is, or would be."""
    for folder in (place, *place.parents):
        with contextlib.suppress(OSError):
            found = os.statvfs(folder)
            return f", {found.f_bavail * found.f_frsize / 1e6:.1f} MB are free there"
    return ""


def _remove(folder: Path) -> None:
    """The lock goes last: killed in the midst of this, the folder is still known for what it is."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            if entry.name == _LOCK:
                continue
            if entry.is_dir(follow_symlinks=False):
                # Mostly there is none, and importing this takes longer than all else here.
                import shutil

                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)  # noqa: PTH108
        # A program that the killed process had started may write here still: then the next sweep takes that.
        if os.listdir(folder) in ([], [_LOCK]):
            (folder / _LOCK).unlink(missing_ok=True)
            folder.rmdir()
