"""Temporary folders in the system's places (`TMPDIR`, memory): what a killed process left there goes with the next."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.store.scratch import Scratch


@contextlib.contextmanager
def temporary(place: Path | None = None) -> Iterator[Path]:
    """A folder that is gone afterwards, and that only this user can read; in `place`, or where `TMPDIR` says.

    They lie in one folder for each user: there a later process finds what one that was killed has left, and removes
    it. Raises StoreError when nothing can be written there.
    """
    import tempfile

    place = place or Path(tempfile.gettempdir())
    scratch = _scratch(place)
    if scratch is None:
        with tempfile.TemporaryDirectory(prefix="pipeline-", dir=place) as name:
            yield Path(name)
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch.folder())
        except StoreError as error:
            raise StoreError(error.message, remedy="make room there, or name another folder in TMPDIR") from error
        yield folder


@cache
def _scratch(place: Path) -> Scratch | None:
    """One for each process, as it holds the lock of what it makes; None where the name is somebody else's."""
    folder = place / f"pipeline-{os.geteuid()}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700)
    try:
        found = folder.lstat()
    except OSError:
        # What cannot be made is told when it is needed.
        return Scratch(folder)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    return Scratch(folder) if ours else None
